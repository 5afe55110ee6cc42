#![no_main]
#[path = "../checks/promql.rs"]
mod promql;

libfuzzer_sys::fuzz_target!(|data: &[u8]| promql::eval(data));
