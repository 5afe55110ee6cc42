//! The numbers of Go's `math/rand`, bit for bit: stock draws the nodes of a shuffle shard with them.
//!
//! An additive lagged Fibonacci generator over 64 bits with the lags 607 and 273. A seed is stretched by a Lehmer
//! generator (48271 modulo 2^31 - 1) and mixed into [`START`].

mod start;

use start::START;

const LEN: usize = 607;
const LAG: usize = 273;
const MODULUS: i64 = (1 << 31) - 1;
const MULTIPLIER: i64 = 48271;
/// Takes the place of a seed that is a multiple of the modulus.
const SEED_FOR_ZERO: i64 = 89_482_311;
/// Numbers of the Lehmer generator that are thrown away.
const WARM_UP: usize = 20;

/// `rand.New(rand.NewSource(seed))`.
#[derive(Debug)]
pub struct GoRandom {
    register: Box<[u64; LEN]>,
    tap: usize,
    feed: usize,
}

impl GoRandom {
    /// A generator of this seed.
    pub fn new(seed: i64) -> Self {
        let seed = match seed.rem_euclid(MODULUS) {
            0 => SEED_FOR_ZERO,
            seed => seed,
        };
        let mut lehmer = Lehmer(seed);
        for _ in 0..WARM_UP {
            lehmer.next();
        }
        let mut register = Box::new(START);
        for slot in register.iter_mut() {
            *slot ^= (lehmer.next() << 40) ^ (lehmer.next() << 20) ^ lehmer.next();
        }
        GoRandom { register, tap: 0, feed: LEN - LAG }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.tap = (self.tap + LEN - 1) % LEN;
        self.feed = (self.feed + LEN - 1) % LEN;
        let sum = self.register[self.feed].wrapping_add(self.register[self.tap]);
        self.register[self.feed] = sum;
        sum
    }
}

struct Lehmer(i64);

impl Lehmer {
    fn next(&mut self) -> u64 {
        self.0 = self.0 * MULTIPLIER % MODULUS;
        self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::GoRandom;

    #[test]
    fn as_in_go() {
        for (seed, [first, second], after_1000) in [
            (0, [0x78fc2ffac2fd9401, 0x1f5b0412ffd341c0], 0x65dc00d49d67de5),
            (1, [0x4d65822107fcfd52, 0x78629a0f5f3f164f], 0xa5fc97f37b499c25),
            (-5, [0x192464d4e00cf63e, 0x3d72e1d39b32ac2f], 0x2fe81a5827404bc),
            ((1 << 40) + 7, [0xb736fe64b6efd2f1, 0x3b35ab0fabd6a0b6], 0xbe490b0e598c4774),
            (i64::MIN, [0x6a99fa1dcb7d7dcf, 0xde0d4d54c03bce8f], 0xbc2b3c9480b490c4),
        ] {
            let mut random = GoRandom::new(seed);
            assert_eq!([random.next_u64(), random.next_u64()], [first, second], "{seed}");
            (0..1000).for_each(|_| _ = random.next_u64());
            assert_eq!(random.next_u64(), after_1000, "{seed}");
        }
    }
}
