//! Natural order of texts: `node-2` before `node-10`.

/// Runs of digits and runs of anything else, by turns; the first run is of non-digits and may be empty.
struct Runs<'a> {
    rest: &'a [u8],
    digits: bool,
}

impl<'a> Runs<'a> {
    fn of(text: &'a [u8]) -> Self {
        Runs { rest: text, digits: text.first().is_some_and(u8::is_ascii_digit) }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let digits = self.digits;
        let len = self.rest.iter().take_while(|b| b.is_ascii_digit() == digits).count();
        let (run, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.digits = !digits;
        Some(run)
    }
}

/// A run of digits as a number, if it fits.
fn number(run: &[u8]) -> Option<i64> {
    std::str::from_utf8(run).ok()?.parse().ok()
}

/// Whether `a` comes before `b`: run by run, numbers as numbers. As in the order that Prometheus takes, nothing comes before
/// the empty text, which comes before nothing, and of equal numbers each comes before the other.
pub(crate) fn is_less(a: &[u8], b: &[u8]) -> bool {
    let (mut left, mut right) = (Runs::of(a), Runs::of(b));
    loop {
        let (Some(l), Some(r)) = (left.next(), right.next()) else { return false };
        let same = match (number(l), number(r)) {
            (Some(x), Some(y)) if x != y => return x < y,
            (Some(_), Some(_)) => true,
            _ => l == r,
        };
        if !same {
            return l < r;
        }
        if left.rest.is_empty() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_less;

    #[test]
    fn numbers_count() {
        for (less, more) in [("a2", "a10"), ("2", "10"), ("a", "b"), ("a", "a1"), ("1.2.3", "1.10.0")] {
            assert!(is_less(less.as_bytes(), more.as_bytes()), "{less} {more}");
            assert!(!is_less(more.as_bytes(), less.as_bytes()), "{more} {less}");
        }
        assert!(!is_less(b"", b"a") && !is_less(b"a", b"") && is_less(b"01", b"1") && is_less(b"1", b"01"));
    }
}
