#![no_main]
#[path = "../checks/tsdb.rs"]
mod tsdb;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsdb::index(data));
