//! Each label text once, under a number.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of a text.
pub(crate) type Symbol = u32;

#[derive(Debug)]
struct Text {
    bytes: Box<[u8]>,
    uses: u32,
    /// Kept so that the table grows without reading the texts again.
    hash: u32,
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
        self.find_hashed(text, self.hash(text))
    }

    fn find_hashed(&self, text: &[u8], hash: u32) -> Option<Symbol> {
        let same = |s: &Symbol| {
            let known = &self.texts[*s as usize];
            known.hash == hash && *known.bytes == *text
        };
        self.table.find(spread(hash), same).copied()
    }

    fn hash(&self, text: &[u8]) -> u32 {
        xxh3_64_with_seed(text, self.key) as u32
    }

    /// Counts one more use of a text. `hint` is the number that it likely has, such as that of its neighbor.
    pub(crate) fn intern(&mut self, text: &[u8], hint: Option<Symbol>) -> Symbol {
        if let Some(hint) = hint
            && let Some(known) = self.texts.get_mut(hint as usize)
            && *known.bytes == *text
            && known.uses > 0
        {
            known.uses += 1;
            return hint;
        }
        let hash = self.hash(text);
        if let Some(symbol) = self.find_hashed(text, hash) {
            self.texts[symbol as usize].uses += 1;
            return symbol;
        }
        let entry = Text { bytes: Box::from(text), uses: 1, hash };
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
        let Symbols { texts, table, .. } = self;
        table.insert_unique(spread(hash), symbol, |s| spread(texts[*s as usize].hash));
        symbol
    }

    /// Counts one use less; a text without any is forgotten.
    pub(crate) fn release(&mut self, symbol: Symbol) {
        let Some(text) = self.texts.get_mut(symbol as usize) else { return };
        text.uses = text.uses.saturating_sub(1);
        if text.uses > 0 {
            return;
        }
        if let Ok(entry) = self.table.find_entry(spread(text.hash), |s| *s == symbol) {
            entry.remove();
            text.bytes = Box::default();
            self.free.push(symbol);
        }
    }
}

/// The table looks at the lowest and at the highest bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_lives_as_long_as_its_uses() {
        let mut symbols = Symbols::new(7);
        let a = symbols.intern(b"a", None);
        assert_eq!(symbols.intern(b"a", None), a);
        let b = symbols.intern(b"b", Some(a));
        symbols.release(a);
        assert_eq!(symbols.find(b"a"), Some(a));
        symbols.release(a);
        assert_eq!(symbols.find(b"a"), None);
        assert_eq!(symbols.intern(b"c", Some(a)), a);
        assert_eq!(symbols.intern(b"b", Some(b)), b);
        assert_eq!((symbols.text(a), symbols.text(b)), (b"c".as_slice(), b"b".as_slice()));
    }
}
