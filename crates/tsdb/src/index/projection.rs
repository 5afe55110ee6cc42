//! Series of which only some labels are wanted: the texts of the others are not looked up.

use super::reader::IndexReader;
use super::{InSection, IndexError, SeriesParts};
use crate::encoding::Reader;

/// The labels that are wanted, and what has been seen of the series so far.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    wanted: Vec<String>,
    /// Names by their symbols, and whether they are wanted. There are few.
    names: Vec<(u32, bool)>,
    /// The symbol of the empty text.
    empty: Option<u32>,
    /// Names and values of the series before.
    last: Vec<(u32, u32)>,
    keeps_order: bool,
}

impl Projection {
    pub(super) fn new(wanted: &[String], index: &IndexReader) -> Self {
        let (wanted, empty) = (wanted.to_vec(), index.empty_symbol());
        Projection { wanted, names: Vec::new(), empty, last: Vec::new(), keeps_order: true }
    }

    /// Whether the series keep their order whatever label all of them are given.
    ///
    /// Where two series differ first, both have a label, and a label more before or behind it in both, or in between, leaves their
    /// order alone. Only where one has all labels of the other and more behind them does a label come before the difference.
    pub(super) fn keeps_order(&self) -> bool {
        self.keeps_order
    }

    /// Whether the series before has the same label in this place, or none.
    fn see(&mut self, at: usize, label: (u32, u32)) -> bool {
        match self.last.get_mut(at) {
            Some(known) => std::mem::replace(known, label) == label,
            None => {
                self.last.push(label);
                true
            }
        }
    }
}

impl IndexReader {
    /// Reads the wanted labels over those of the series before; what both have in the same place stays.
    pub(super) fn read_wanted<'s>(
        &'s self,
        reader: &mut Reader<'_>,
        projection: &mut Projection,
        into: &mut SeriesParts<'s>,
    ) -> Result<(), IndexError> {
        let count = reader.uvarint_len().in_section("series")?;
        let labels_before = projection.last.len();
        let mut extends = labels_before > 0 && count > labels_before;
        let (mut has_empty, mut kept) = (count == 0, 0);
        for at in 0..count {
            let (name, value) = (reader.uvarint32().in_section("series")?, reader.uvarint32().in_section("series")?);
            extends &= projection.see(at, (name, value));
            has_empty |= Some(value) == projection.empty;
            if !self.is_wanted(name, projection)? {
                continue;
            }
            if into.symbols.get(kept) != Some(&(name, value)) {
                into.symbols.truncate(kept);
                into.labels.truncate(kept);
                into.symbols.push((name, value));
                into.labels.push((self.storable(name)?, self.storable(value)?));
            }
            kept += 1;
        }
        // A label without a value is none, but stands among those that were compared.
        projection.keeps_order &= !extends && !has_empty;
        projection.last.truncate(count);
        into.symbols.truncate(kept);
        into.labels.truncate(kept);
        if has_empty {
            // As where all labels are read.
            into.labels.retain(|(_, value)| !value.is_empty());
            into.symbols.clear();
        }
        Ok(())
    }

    fn is_wanted(&self, name: u32, projection: &mut Projection) -> Result<bool, IndexError> {
        if let Some((_, is_wanted)) = projection.names.iter().find(|(known, _)| *known == name) {
            return Ok(*is_wanted);
        }
        let text = self.storable(name)?;
        let is_wanted = projection.wanted.iter().any(|wanted| wanted.as_bytes() == text);
        projection.names.push((name, is_wanted));
        Ok(is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;
    use thanoxide_env::SimDisk;
    use thanoxide_model::Labels;

    use super::*;
    use crate::index::symbols::SymbolSet;
    use crate::index::{IndexWriter, SeriesReader};

    /// Few names and values, so that series share labels.
    fn series() -> impl Strategy<Value = Vec<Labels>> {
        let labels = btree_map("[a-d]", "[xy]", 1..4).prop_map(Labels::from_pairs);
        btree_set(labels, 1..6).prop_map(|all| all.into_iter().collect())
    }

    fn keeps_order(series: &[Labels]) -> bool {
        let (disk, path) = (SimDisk::default(), Path::new("/index"));
        let mut symbols = SymbolSet::default();
        series.iter().for_each(|labels| symbols.add_labels(labels));
        let mut writer = IndexWriter::create(&disk, path, symbols.iter()).unwrap();
        let refs: Vec<u32> = series.iter().map(|labels| writer.add_series(labels, &[]).unwrap()).collect();
        writer.finish().unwrap();
        let source = crate::encoding::FileSource::open(&disk, path).unwrap();
        let index = IndexReader::open(std::sync::Arc::new(source)).unwrap();
        let mut reader = SeriesReader::new(&index).only(&[]);
        refs.into_iter().all(|series| reader.read(series).unwrap().keeps_order())
    }

    fn with(labels: &Labels, name: &str) -> Labels {
        let all = labels.iter().chain([(name.as_bytes(), b"x".as_slice())]);
        Labels::from_pairs(all.collect::<std::collections::BTreeMap<_, _>>())
    }

    #[test]
    fn optional_labels_keep_the_order_unless_they_come_last() {
        let of = |all: &[&[(&str, &str)]]| {
            keeps_order(&all.iter().map(|labels| Labels::from_pairs(labels.iter().copied())).collect::<Vec<_>>())
        };
        assert!(of(&[&[("a", "1"), ("b", "1"), ("d", "1")], &[("a", "1"), ("d", "1")]]));
        assert!(!of(&[&[("a", "1")], &[("a", "1"), ("d", "1")]]));
    }

    proptest! {
        #[test]
        fn a_label_for_all_does_not_change_an_order_that_is_kept(series in series()) {
            if keeps_order(&series) {
                for name in ["", "aa", "bb", "cc", "dd"] {
                    let with: Vec<Labels> = series.iter().map(|labels| with(labels, name)).collect();
                    prop_assert!(with.is_sorted(), "{name}: {series:?}");
                }
            }
        }
    }
}
