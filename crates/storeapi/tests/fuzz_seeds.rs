//! What the fuzzing of answers begins with, and what it found, through the same check.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[allow(unreachable_pub, reason = "a file of the workspace of fuzz targets")]
#[path = "../../../fuzz/checks/series_message.rs"]
mod series_message;

use std::path::Path;

#[test]
fn messages_of_series() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/series_message");
    for file in std::fs::read_dir(&dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        // Cut short they are seeds, too.
        (0..=bytes.len()).for_each(|len| series_message::decode(&bytes[..len]));
    }
}
