//! Segments: their names, and reading records out of them.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, DiskFile};

use super::page::{FragmentKind, HEADER_BYTES, PAGE_BYTES, SNAPPY, ZSTD};
use crate::encoding::checksum;

/// The longest record that is read; more is damage.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// The path of a segment.
pub fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}"))
}

/// The numbers of the segments in a directory, ascending.
pub fn list_segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers: Vec<u32> = disk.list(dir)?.iter().filter_map(|path| segment_number(path)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    if name.len() < 8 || !name.bytes().all(|b| b.is_ascii_digit()) { None } else { name.parse().ok() }
}

/// A stretch of a segment that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins: behind the last record before it.
    pub offset: u64,
    /// Where reading went on, or the end of the segment.
    pub end: u64,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads the records of one segment, stepping over damage.
#[derive(Debug)]
pub struct SegmentReader {
    file: Box<dyn DiskFile>,
    len: u64,
    page: Vec<u8>,
    page_start: u64,
    at: usize,
    stored: Vec<u8>,
    record: Vec<u8>,
    /// Behind the last good record, or the padding after it.
    good_end: u64,
    damage: Vec<Damage>,
    open_damage: Option<(u64, &'static str)>,
}

enum Fragment {
    Data(FragmentKind, u8, std::ops::Range<usize>),
    Padding,
    Bad(&'static str),
    End,
}

impl SegmentReader {
    /// Opens a segment.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path)?;
        let len = file.len()?;
        let mut reader = SegmentReader {
            file,
            len,
            page: Vec::new(),
            page_start: 0,
            at: 0,
            stored: Vec::new(),
            record: Vec::new(),
            good_end: 0,
            damage: Vec::new(),
            open_damage: None,
        };
        reader.load_page(0)?;
        Ok(reader)
    }

    /// The next whole record; damage before it is noted.
    pub fn next_record(&mut self) -> io::Result<Option<&[u8]>> {
        let mut in_record = false;
        loop {
            match self.fragment() {
                Fragment::End => {
                    if self.page_start + (self.page.len() as u64) < self.len {
                        self.load_page(self.page_start + PAGE_BYTES as u64)?;
                        continue;
                    }
                    if in_record {
                        self.note_damage("record is cut short");
                    }
                    self.close_damage(self.len);
                    return Ok(None);
                }
                Fragment::Padding => {
                    self.at = self.page.len();
                    if !in_record && self.open_damage.is_none() && self.page.len() == PAGE_BYTES {
                        self.good_end = self.position();
                    }
                }
                Fragment::Bad(reason) => {
                    self.note_damage(reason);
                    in_record = false;
                    self.step_over_bad();
                }
                Fragment::Data(kind, flags, data) => {
                    let start = self.position();
                    self.at = data.end;
                    match kind {
                        FragmentKind::Full | FragmentKind::First => {
                            if in_record {
                                self.note_damage("record without its end");
                            }
                            self.close_damage(start);
                            self.stored.clear();
                        }
                        FragmentKind::Middle | FragmentKind::Last if !in_record => {
                            self.note_damage("record without its start");
                            continue;
                        }
                        _ => {}
                    }
                    self.stored.extend_from_slice(&self.page[data]);
                    in_record = matches!(kind, FragmentKind::First | FragmentKind::Middle);
                    if in_record {
                        continue;
                    }
                    if self.decompress(flags) {
                        self.good_end = self.position();
                        return Ok(Some(&self.record));
                    }
                    self.note_damage("record does not decompress");
                }
            }
        }
    }

    /// The damage met so far.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Where the last good record ends.
    pub fn good_end(&self) -> u64 {
        self.good_end
    }

    /// Bytes in the segment.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the segment has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn position(&self) -> u64 {
        self.page_start + self.at as u64
    }

    fn load_page(&mut self, start: u64) -> io::Result<()> {
        let bytes = self.len.saturating_sub(start).min(PAGE_BYTES as u64) as usize;
        self.page.resize(bytes, 0);
        self.file.read_exact_at(&mut self.page, start)?;
        self.page_start = start;
        self.at = 0;
        Ok(())
    }

    fn fragment(&self) -> Fragment {
        let rest = &self.page[self.at..];
        let Some(kind_byte) = rest.first() else { return Fragment::End };
        if kind_byte & super::page::TYPE_MASK == 0 {
            return if rest.iter().all(|b| *b == 0) { Fragment::Padding } else { Fragment::Bad("padding is not zero") };
        }
        let Some((header, data)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Fragment::Bad("fragment is cut short");
        };
        let [kind_byte, len_high, len_low, crc @ ..] = *header;
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let Some(kind) = FragmentKind::from_type(kind_byte) else { return Fragment::Bad("unknown fragment type") };
        let Some(data) = data.get(..len) else { return Fragment::Bad("fragment is cut short") };
        if checksum(data) != u32::from_be_bytes(crc) {
            return Fragment::Bad("checksum mismatch");
        }
        let start = self.at + HEADER_BYTES;
        Fragment::Data(kind, kind_byte & (SNAPPY | ZSTD), start..start + len)
    }

    /// Goes on behind a bad fragment if a good one follows where its length says, else at the next page.
    fn step_over_bad(&mut self) {
        let rest = &self.page[self.at..];
        let bad_at = self.at;
        if let [_, high, low, ..] = rest {
            self.at += HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
            if self.at < self.page.len() && self.at > bad_at && matches!(self.fragment(), Fragment::Data(..)) {
                return;
            }
        }
        self.at = self.page.len();
    }

    fn note_damage(&mut self, reason: &'static str) {
        self.open_damage.get_or_insert((self.good_end, reason));
    }

    fn close_damage(&mut self, end: u64) {
        if let Some((offset, reason)) = self.open_damage.take() {
            self.damage.push(Damage { offset, end, reason });
        }
    }

    fn decompress(&mut self, flags: u8) -> bool {
        self.record.clear();
        match flags {
            0 => {
                self.record.extend_from_slice(&self.stored);
                true
            }
            SNAPPY => self.decompress_snappy(),
            ZSTD => self.decompress_zstd(),
            _ => false,
        }
    }

    fn decompress_snappy(&mut self) -> bool {
        let Ok(len) = snap::raw::decompress_len(&self.stored) else { return false };
        // Snappy's densest element makes 64 bytes of 3: a longer claim is a lie, told before memory is taken.
        if len > self.stored.len().saturating_mul(32).saturating_add(64).min(MAX_RECORD_BYTES) {
            return false;
        }
        self.record.resize(len, 0);
        snap::raw::Decoder::new().decompress(&self.stored, &mut self.record).is_ok()
    }

    fn decompress_zstd(&mut self) -> bool {
        let Ok(decoder) = zstd::stream::read::Decoder::new(self.stored.as_slice()) else { return false };
        // Some bytes may stand for any number of equal ones, but no record is that much like itself: a longer one is a lie.
        let most = self.stored.len().saturating_mul(1024).saturating_add(1 << 20).min(MAX_RECORD_BYTES);
        let mut limited = io::Read::take(decoder, most as u64 + 1);
        io::Read::read_to_end(&mut limited, &mut self.record).is_ok() && self.record.len() <= most
    }
}
