//! Series-set algebra: merge, chunk merge, deduplication
