//! Blocks in a bucket: Thanos's meta.json, upload, fetch, filters
