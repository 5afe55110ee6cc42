//! Blocks that nobody needs at the moment hold nothing in memory for queries.
//!
//! A block's symbols are read with the first query that needs them. A block of many series that were short-lived has many, so
//! they must not stay for as long as the block does. Nothing is taken from a reader: a block like it takes its place.

use std::sync::Arc;

use super::tenant::Tenant;

impl Tenant {
    /// Gives back what is in memory for queries of blocks that nobody needed since this was called before.
    pub(super) fn rest_blocks(&self) {
        let _cutting = self.cutting.lock();
        let blocks = Arc::clone(&self.state.read().blocks);
        if let Some(rested) = blocks.rested() {
            self.state.write().blocks = Arc::new(rested);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thanoxide_env::Env;
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{Labels, Sample, TenantId};

    use super::super::{AppendOptions, Engine, EngineOptions};

    #[test]
    fn symbols_are_held_while_somebody_asks_for_them() {
        let (dir, id) = (tempfile::tempdir().unwrap(), TenantId::new("t").unwrap());
        let engine = Engine::open(dir.path(), EngineOptions::default(), Env::system()).unwrap();
        let mut batch = WriteBatchBuilder::default();
        let labels = Labels::from_pairs([("__name__", "up".to_string()), ("job", "a".to_string())]);
        batch.push(&labels, &[Sample { timestamp_ms: 1_700_000_000_000, value: 1.0 }]);
        engine.append(&id, &batch.build(), AppendOptions::default()).unwrap();
        assert_eq!(engine.flush_tenant(&id).unwrap().len(), 1);
        let (tenant, reader) = (engine.tenant(&id).unwrap(), engine.reader(&id).unwrap());
        let held = || tenant.state.read().blocks.all().filter(|block| block.holds_symbols()).count();
        let ask = || reader.select(&[], i64::MIN, i64::MAX).unwrap().len();
        assert_eq!(held(), 0);
        let old = Arc::clone(&tenant.state.read().blocks);
        for _ in 0..2 {
            assert_eq!((ask(), held()), (1, 1));
            engine.maintain(&|_, _| true);
            assert_eq!(held(), 1, "they were of use since the start");
            engine.maintain(&|_, _| true);
            assert_eq!(held(), 0);
        }
        assert!(old.all().all(|block| block.holds_symbols()), "who reads goes on with what it has");
    }
}
