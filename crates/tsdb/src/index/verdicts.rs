//! Lists that a matcher gave, kept for the next query: an index never changes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::IndexError;

/// Which series of a name a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All series.
    All,
    /// Those with a value.
    Value,
    /// Those whose value the pattern takes.
    Taken,
    /// Those whose value the pattern refuses.
    Refused,
    /// Those with any other value.
    Other,
}

#[derive(Debug)]
struct Verdict {
    asked: Asked,
    name: Box<[u8]>,
    text: Box<[u8]>,
    list: Arc<RoaringBitmap>,
    bytes: usize,
}

/// The lists used last, the newest at the end.
#[derive(Debug)]
pub(super) struct Verdicts {
    max_bytes: usize,
    kept: Mutex<(usize, VecDeque<Verdict>)>,
}

impl Verdicts {
    /// Keeps at most so many bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        Verdicts { max_bytes, kept: Mutex::default() }
    }

    pub(super) fn get(
        &self,
        asked: Asked,
        name: &[u8],
        text: &[u8],
        make: impl FnOnce() -> Result<RoaringBitmap, IndexError>,
    ) -> Result<Arc<RoaringBitmap>, IndexError> {
        if let Some(list) = self.find(asked, name, text) {
            return Ok(list);
        }
        let list = Arc::new(make()?);
        // Besides the list itself.
        const OVERHEAD_BYTES: usize = 256;
        let bytes = list.serialized_size() + name.len() + text.len() + OVERHEAD_BYTES;
        let (name, text) = (Box::from(name), Box::from(text));
        self.keep(Verdict { asked, name, text, list: Arc::clone(&list), bytes });
        Ok(list)
    }

    pub(super) fn find(&self, asked: Asked, name: &[u8], text: &[u8]) -> Option<Arc<RoaringBitmap>> {
        let (_, kept) = &mut *self.kept.lock();
        let at = kept.iter().position(|v| v.asked == asked && *v.name == *name && *v.text == *text)?;
        let verdict = kept.remove(at)?;
        let list = Arc::clone(&verdict.list);
        kept.push_back(verdict);
        Some(list)
    }

    fn keep(&self, verdict: Verdict) {
        if verdict.bytes > self.max_bytes {
            return;
        }
        let (total, kept) = &mut *self.kept.lock();
        *total += verdict.bytes;
        kept.push_back(verdict);
        while *total > self.max_bytes {
            *total -= kept.pop_front().map_or(*total, |oldest| oldest.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let verdicts = Verdicts::new(700);
        let list = |n: u32| move || Ok(RoaringBitmap::from_iter([n]));
        for text in [b"a", b"b", b"a", b"c"] {
            verdicts.get(Asked::Taken, b"n", text, list(u32::from(text[0]))).unwrap();
        }
        assert!(verdicts.find(Asked::Taken, b"n", b"b").is_none());
        assert!(verdicts.find(Asked::Refused, b"n", b"a").is_none());
        let again = verdicts.get(Asked::Taken, b"n", b"a", || unreachable!("it is kept")).unwrap();
        assert_eq!(again.min(), Some(97));
    }
}
