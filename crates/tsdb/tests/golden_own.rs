//! Our own formats: files that were written once are read as they were meant, and the same appends write the very same bytes.
//!
//! `tests/golden/own` has small directories as text (`*.hex`) and what they say (`*.txt`). A change of a format gets further files; those
//! that are there must be read for ever. With `THANOXIDE_GOLDEN_WRITE` files that are missing are written.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/own_files.rs"]
mod own_files;
#[path = "support/own_lives.rs"]
mod own_lives;
#[path = "golden/support.rs"]
mod support;

use std::collections::BTreeSet;

use own_files::{agreed, frames, from_text, shown, to_text};
use own_lives::{logged, open, saved};
use support::{hex, unhex};
use thanoxide_env::SimDisk;
use thanoxide_tsdb::encoding::Reader;
use thanoxide_tsdb::log::value::{FORMS, ValueWriter, read_value};

/// The first difference of two texts, by lines.
fn assert_same(what: &str, now: &str, agreed: &str) {
    for (number, (now, agreed)) in now.lines().zip(agreed.lines()).enumerate() {
        assert_eq!(now, agreed, "{what}, line {}", number + 1);
    }
    assert_eq!(now.lines().count(), agreed.lines().count(), "{what}");
}

/// Frames, and what an engine shows that begins with these files, twice.
fn said(disk: &SimDisk, store_start_times: bool, block_days: i64) -> (String, Vec<u8>) {
    let (frames, kinds) = frames(disk);
    let before = shown(&open(disk, store_start_times, block_days));
    assert_eq!(shown(&open(disk, store_start_times, block_days)), before, "nothing is lost by a start");
    (frames + &before, kinds)
}

#[test]
fn the_log() {
    let written = to_text(&logged());
    let golden = agreed("log.hex", &written);
    assert_same("log.hex", &written, &golden);
    let (said, kinds) = said(&from_text(&golden), true, 0);
    assert_same("log.txt", &said, &agreed("log.txt", &said));
    assert_eq!(kinds, (1..=14).collect::<Vec<u8>>(), "each kind that a log has");
}

#[test]
fn the_snapshot_and_chunk_files() {
    let written = to_text(&saved());
    let golden = agreed("snapshot.hex", &written);
    assert_same("snapshot.hex", &written, &golden);
    let (said, kinds) = said(&from_text(&golden), true, 200);
    assert_same("snapshot.txt", &said, &agreed("snapshot.txt", &said));
    let of_snapshot = [5, 6, 7, 9, 13, 14, 16, 18, 19, 20];
    assert!(of_snapshot.iter().all(|kind| kinds.contains(kind)), "each kind that a snapshot has: {kinds:?}");
}

/// What snapshots had before pieces of chunks: kind 17, which nobody writes any more.
#[test]
fn an_old_snapshot() {
    let disk = from_text(&agreed("snapshot-17.hex", ""));
    let (said, kinds) = said(&disk, false, 0);
    assert_same("snapshot-17.txt", &said, &agreed("snapshot-17.txt", &said));
    assert_eq!(kinds, [16, 17, 18]);
}

/// A form, its bytes, the bits of the value, and whether a writer takes this form for it.
fn form(form: u8, bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let value = read_value(&mut reader, form).ok().filter(|_| reader.is_empty())?;
    let mut out = Vec::new();
    let written = ValueWriter::default().put(&mut out, value) == form && out == bytes;
    Some(format!("{form} {} {:016x} {written}\n", hex(bytes), value.to_bits()))
}

/// Each form with bytes of two values, one of them with the highest bit set.
fn forms() -> String {
    let all = (0..FORMS).flat_map(|number| {
        [0x21u8, 0xa1].into_iter().filter_map(move |last| {
            let bytes = [0x11, 0x28, 0x3f, 0x56, 0x6d, 0x84, 0x9b, last];
            (0..=8).find_map(|len| form(number, &bytes[8 - len..]))
        })
    });
    all.collect()
}

#[test]
fn the_forms_of_values() {
    let golden = agreed("values.txt", &forms());
    for line in golden.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let again = form(words[0].parse().unwrap(), &unhex(&words[1].into())).unwrap();
        assert_eq!(again.trim_end(), line);
    }
    assert_same("values.txt", &forms(), &golden);
    let written: BTreeSet<&str> =
        golden.lines().filter(|l| l.ends_with("true")).map(|l| l.split(' ').next().unwrap()).collect();
    println!("{} of {FORMS} forms are written", written.len());
    assert!(written.len() > 40, "{written:?}");
}
