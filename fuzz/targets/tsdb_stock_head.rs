#![no_main]
#[path = "../checks/stock_head.rs"]
mod stock_head;

libfuzzer_sys::fuzz_target!(|data: &[u8]| stock_head::read(data));
