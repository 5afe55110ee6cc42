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
fn number(run: &[u8]) -> Option<u64> {
    std::str::from_utf8(run).ok()?.parse().ok()
}

/// Whether `a` comes before `b`: run by run, numbers as numbers.
pub(crate) fn is_less(a: &[u8], b: &[u8]) -> bool {
    let (mut left, mut right) = (Runs::of(a), Runs::of(b));
    loop {
        match (left.next(), right.next()) {
            (_, None) => return false,
            (None, Some(_)) => return true,
            (Some(l), Some(r)) if l == r => {}
            (Some(l), Some(r)) => match (number(l), number(r)) {
                (Some(x), Some(y)) if x != y => return x < y,
                (Some(_), Some(_)) => {
                    if l.len() != r.len() {
                        return l.len() < r.len();
                    }
                }
                _ => return l < r,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_less;

    #[test]
    fn numbers_count() {
        for (less, more) in [("a2", "a10"), ("2", "10"), ("a", "b"), ("a", "a1"), ("", "a"), ("1.2.3", "1.10.0")] {
            assert!(is_less(less.as_bytes(), more.as_bytes()), "{less} {more}");
            assert!(!is_less(more.as_bytes(), less.as_bytes()), "{more} {less}");
        }
    }
}
