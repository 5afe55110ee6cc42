//! Helpers for tests: golden data, servers on port 0, an in-process S3
