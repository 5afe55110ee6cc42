//! Tests of whole programs live in `tests/`.
