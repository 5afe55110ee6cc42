#![no_main]
#[path = "../checks/regexp.rs"]
mod regexp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| regexp::agree(data));
