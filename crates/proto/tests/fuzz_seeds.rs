//! What the fuzzing of write requests begins with, and what it found, through the same check.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[allow(unreachable_pub, reason = "a file of the workspace of fuzz targets")]
#[path = "../../../fuzz/checks/write_request.rs"]
mod write_request;

#[test]
fn write_requests() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/write_request");
    let mut seeds = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        (0..=bytes.len()).for_each(|len| write_request::decode(&bytes[..len]));
        seeds += 1;
    }
    assert!(seeds > 0);
}
