//! Choices that repeat themselves for the same seed.

use thanoxide_env::{Random, SeededRandom, SystemRandom};

#[derive(Debug)]
pub(crate) struct Dice(SeededRandom);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(SeededRandom::new(seed))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// From 0 to below 1.
    #[allow(dead_code, reason = "only data needs it")]
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.next_u64() as f64 / 2f64.powi(64)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The index of one of the weights, each as likely as it is heavy.
    pub(crate) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return i,
            }
        }
        unreachable!("one number is below the sum of all weights")
    }
}

/// The seed of the environment, else the one given, else a random one; printed in any case.
pub(crate) fn seed(usual: Option<u64>) -> u64 {
    let given = std::env::var("THANOXIDE_SEED").ok().map(|s| s.parse().expect("THANOXIDE_SEED is a number"));
    let seed = given.or(usual).unwrap_or_else(|| SystemRandom.next_u64());
    println!("THANOXIDE_SEED={seed}");
    seed
}
