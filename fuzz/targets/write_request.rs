#![no_main]
#[path = "../checks/write_request.rs"]
mod write_request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| write_request::decode(data));
