//! Each label text once, under a number.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of a text.
pub(crate) type Symbol = u32;

#[derive(Debug)]
struct Text {
    bytes: Box<[u8]>,
    uses: u32,
}

/// Texts by number, and numbers by text.
#[derive(Debug)]
pub(crate) struct Symbols {
    key: u64,
    texts: Vec<Text>,
    free: Vec<Symbol>,
    table: HashTable<Symbol>,
}

impl Symbols {
    pub(crate) fn new(key: u64) -> Self {
        Symbols { key, texts: Vec::new(), free: Vec::new(), table: HashTable::new() }
    }

    pub(crate) fn text(&self, symbol: Symbol) -> &[u8] {
        self.texts.get(symbol as usize).map_or(&[], |text| &text.bytes)
    }

    pub(crate) fn find(&self, text: &[u8]) -> Option<Symbol> {
        self.table.find(xxh3_64_with_seed(text, self.key), |s| self.text(*s) == text).copied()
    }

    /// Counts one more use of a text.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Symbol {
        if let Some(symbol) = self.find(text) {
            self.texts[symbol as usize].uses += 1;
            return symbol;
        }
        let entry = Text { bytes: Box::from(text), uses: 1 };
        let symbol = match self.free.pop() {
            Some(symbol) => {
                self.texts[symbol as usize] = entry;
                symbol
            }
            None => {
                self.texts.push(entry);
                (self.texts.len() - 1) as Symbol
            }
        };
        let Symbols { key, texts, table, .. } = self;
        let hash_of = |s: &Symbol| xxh3_64_with_seed(&texts[*s as usize].bytes, *key);
        table.insert_unique(xxh3_64_with_seed(text, *key), symbol, hash_of);
        symbol
    }

    /// Counts one use less; a text without any is forgotten.
    pub(crate) fn release(&mut self, symbol: Symbol) {
        let Some(text) = self.texts.get_mut(symbol as usize) else { return };
        text.uses = text.uses.saturating_sub(1);
        if text.uses > 0 {
            return;
        }
        let hash = xxh3_64_with_seed(&text.bytes, self.key);
        if let Ok(entry) = self.table.find_entry(hash, |s| *s == symbol) {
            entry.remove();
            text.bytes = Box::default();
            self.free.push(symbol);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_lives_as_long_as_its_uses() {
        let mut symbols = Symbols::new(7);
        let a = symbols.intern(b"a");
        assert_eq!(symbols.intern(b"a"), a);
        let b = symbols.intern(b"b");
        symbols.release(a);
        assert_eq!(symbols.find(b"a"), Some(a));
        symbols.release(a);
        assert_eq!(symbols.find(b"a"), None);
        assert_eq!(symbols.intern(b"c"), a);
        assert_eq!((symbols.text(a), symbols.text(b)), (b"c".as_slice(), b"b".as_slice()));
    }
}
