//! What a reader takes out of a head under its lock, and the chunks on disk that it reads afterwards.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use thanoxide_model::Labels;

use super::file::{CHECKSUM_BYTES, check};
use super::{ClosedChunk, Files};
use crate::block::redact;
use crate::chunk::Chunk;
use crate::compact::merge_chunks;
use crate::head::SelectedSeries;
use crate::tombstones::Interval;

/// Chunks so near each other are read at once: to copy what lies between them costs no more than another call.
const GAP_BYTES: u64 = 4 << 10;
/// The most that is read at once: it stays in the processor's cache.
const RUN_BYTES: u64 = 128 << 10;

/// A chunk of a head as it was at some moment.
#[derive(Clone, Debug)]
pub(crate) enum HeadChunk {
    /// With its bytes.
    Here(Chunk),
    /// To be read.
    Closed(ClosedChunk),
    /// Bytes that belong into the next chunk, behind its first two.
    Piece(Bytes),
}

impl HeadChunk {
    /// Whether this is a part of the chunk that comes next.
    pub(crate) fn continues(&self) -> bool {
        match self {
            HeadChunk::Here(_) => false,
            HeadChunk::Closed(chunk) => chunk.continues,
            HeadChunk::Piece(_) => true,
        }
    }
}

/// A series of a head as it was at some moment.
#[derive(Clone, Debug)]
pub(crate) struct HeadSeries {
    pub(crate) labels: Labels,
    pub(crate) series_ref: u64,
    /// In order of their times, the pieces of each before it.
    pub(crate) chunks: Vec<HeadChunk>,
    /// What readers leave out of `chunks`.
    pub(crate) deleted: Vec<Interval>,
    /// Chunks of late samples, which may overlap with all others.
    pub(crate) late: Vec<Chunk>,
}

impl HeadSeries {
    /// How long its chunks are, those on disk included.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        let bytes = |chunk: &HeadChunk| match chunk {
            HeadChunk::Here(chunk) => chunk.data.len() as u64,
            HeadChunk::Closed(chunk) => u64::from(chunk.len),
            HeadChunk::Piece(bytes) => bytes.len() as u64,
        };
        let late = self.late.iter().map(|chunk| chunk.data.len() as u64);
        self.chunks.iter().map(bytes).chain(late).sum()
    }
}

/// A chunk to read, and whose it is.
struct Wanted {
    chunk: ClosedChunk,
    series: usize,
    place: usize,
}

/// Reads the chunks that are on disk, leaves out what is deleted, and puts the late chunks among them. A series may have none
/// then. `files` are those of the moment that `series` were taken at.
pub(crate) fn load(files: &Arc<Files>, series: Vec<HeadSeries>) -> io::Result<Vec<SelectedSeries>> {
    load_while(files, series, || true)
}

/// As [`load`], as long as it is wanted, which is asked between reads; what is given then is of no use.
pub(crate) fn load_while(
    files: &Arc<Files>,
    series: Vec<HeadSeries>,
    mut wanted_still: impl FnMut() -> bool,
) -> io::Result<Vec<SelectedSeries>> {
    let mut wanted = Vec::new();
    for (number, series) in series.iter().enumerate() {
        for (place, chunk) in series.chunks.iter().enumerate() {
            if let HeadChunk::Closed(chunk) = chunk {
                wanted.push(Wanted { chunk: *chunk, series: number, place });
            }
        }
    }
    wanted.sort_unstable_by_key(|w| (w.chunk.file, w.chunk.offset));
    let mut selected = series;
    let near = |a: &Wanted, b: &Wanted| {
        a.chunk.file == b.chunk.file && u64::from(b.chunk.offset).saturating_sub(end(&a.chunk)) <= GAP_BYTES
    };
    let mut buffer = Vec::new();
    for run in wanted.chunk_by(near).flat_map(split) {
        if !wanted_still() {
            return Ok(Vec::new());
        }
        read_run(files, run, &mut buffer, &mut selected)?;
    }
    let loaded = selected.into_iter().map(|series| {
        let HeadSeries { labels, chunks, deleted, late, .. } = series;
        let chunks = without(joined(chunks), &deleted)?;
        let chunks = merge_late(chunks, late)?;
        Ok(SelectedSeries { labels, chunks })
    });
    loaded.collect()
}

/// The bytes of a chunk or piece as they lie on disk; `None` where they are damaged.
pub(crate) fn read_closed(files: &Files, series: u64, chunk: &ClosedChunk) -> io::Result<Option<Bytes>> {
    let Some(file) = files.get(&chunk.file) else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read(u64::from(chunk.offset), CHECKSUM_BYTES + u64::from(chunk.len), &mut bytes)?;
    let data = check(series, chunk, &bytes);
    if data.is_err() {
        file.note_damaged(chunk.offset);
    }
    Ok(data.ok())
}

/// Whole chunks, without those of which a part could not be read.
fn joined(parts: Vec<HeadChunk>) -> Vec<Chunk> {
    let (mut chunks, mut pieces, mut whole) = (Vec::with_capacity(parts.len()), Vec::new(), true);
    for part in parts {
        let continues = part.continues();
        match part {
            HeadChunk::Piece(piece) => pieces.push(piece),
            HeadChunk::Here(chunk) if whole => chunks.push(join(&pieces, chunk)),
            HeadChunk::Here(_) | HeadChunk::Closed(_) => whole = false,
        }
        if !continues {
            pieces.clear();
            whole = true;
        }
    }
    chunks
}

/// A chunk with the pieces that were taken out of it.
fn join(pieces: &[Bytes], chunk: Chunk) -> Chunk {
    let Some((header, rest)) = chunk.data.split_at_checked(2).filter(|_| !pieces.is_empty()) else { return chunk };
    let mut data = Vec::with_capacity(chunk.data.len() + pieces.iter().map(Bytes::len).sum::<usize>());
    data.extend_from_slice(header);
    pieces.iter().for_each(|piece| data.extend_from_slice(piece));
    data.extend_from_slice(rest);
    Chunk { data: Bytes::from(data), ..chunk }
}

fn without(chunks: Vec<Chunk>, deleted: &[Interval]) -> io::Result<Vec<Chunk>> {
    if deleted.is_empty() {
        return Ok(chunks);
    }
    let parts = chunks.into_iter().map(|chunk| redact(chunk, deleted));
    let parts = parts.collect::<Result<Vec<_>, _>>().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(parts.concat())
}

/// Chunks that do not overlap, of some that do not and late ones that may.
fn merge_late(chunks: Vec<Chunk>, late: Vec<Chunk>) -> io::Result<Vec<Chunk>> {
    if late.is_empty() {
        return Ok(chunks);
    }
    let places = std::iter::once(chunks).chain(late.into_iter().map(|chunk| vec![chunk]));
    merge_chunks(places.collect()).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}

fn end(chunk: &ClosedChunk) -> u64 {
    u64::from(chunk.offset) + CHECKSUM_BYTES + u64::from(chunk.len)
}

/// Cuts a run of near chunks so that none is longer than what is read at once.
fn split(run: &[Wanted]) -> Vec<&[Wanted]> {
    let (mut runs, mut rest) = (Vec::new(), run);
    while let Some(first) = rest.first() {
        let most = u64::from(first.chunk.offset) + RUN_BYTES;
        let count = rest.iter().take_while(|w| end(&w.chunk) <= most).count().max(1);
        let (head, tail) = rest.split_at(count);
        runs.push(head);
        rest = tail;
    }
    runs
}

fn read_run(files: &Files, run: &[Wanted], buffer: &mut Vec<u8>, selected: &mut [HeadSeries]) -> io::Result<()> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let Some(file) = files.get(&first.chunk.file) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {} of head chunks", first.chunk.file)));
    };
    let error = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.path().display()));
    let start = u64::from(first.chunk.offset);
    file.read(start, end(&last.chunk) - start, buffer).map_err(error)?;
    for Wanted { chunk, series, place } in run {
        let own = &buffer[(u64::from(chunk.offset) - start) as usize..(end(chunk) - start) as usize];
        let series = &mut selected[*series];
        let data = match check(series.series_ref, chunk, own) {
            Ok(data) => data,
            // Damage costs the chunk that it touched: the rest of the head is read, cut and handed back as ever.
            Err(damage) => {
                tracing::error!(file = %file.path().display(), series = %series.labels, %damage, "chunk is lost");
                file.note_damaged(chunk.offset);
                continue;
            }
        };
        let (min_time_ms, max_time_ms, encoding) = (chunk.min_time_ms, chunk.max_time_ms(), chunk.encoding);
        series.chunks[*place] = match chunk.continues {
            true => HeadChunk::Piece(data),
            false => HeadChunk::Here(Chunk { min_time_ms, max_time_ms, encoding, data }),
        };
    }
    Ok(())
}
