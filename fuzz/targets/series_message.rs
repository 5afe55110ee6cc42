#![no_main]
#[path = "../checks/series_message.rs"]
mod series_message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| series_message::decode(data));
