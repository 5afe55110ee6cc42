//! Getting chunks out of a bucket with few requests.
//!
//! The index tells where a chunk begins, not where it ends. So each chunk is first taken to be as long as the longest of
//! its block, or as the gap to the next wanted one where that is known to be shorter; ranges with small gaps between
//! them become one request; a chunk that turns out longer is fetched once more.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use thanoxide_objstore::{Bucket, BucketError, RangeCost};

use crate::chunk_frame::{ChunkPlace, MAX_LENGTH_BYTES, frame_bytes};

/// What a chunk is taken for where its block does not say how long its chunks are.
pub(crate) const DEFAULT_CHUNK_BYTES: u64 = 16_000;
/// Requests of one batch at the same time.
const CONCURRENCY: usize = 4;

/// A chunk file in the bucket.
#[derive(Clone, Debug)]
pub(crate) struct ChunkFile {
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
}

/// The chunk files of a block.
#[derive(Clone, Debug)]
pub(crate) struct ChunkFiles {
    pub(crate) files: Vec<ChunkFile>,
    /// What a chunk is taken for when it is fetched: rarely too short.
    pub(crate) estimate_bytes: u64,
    /// What a chunk has on average.
    pub(crate) average_bytes: u64,
}

/// How much was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchStats {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) refetches: u64,
}

/// A range of a file, and which of the wanted chunks lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    file: usize,
    range: Range<u64>,
    wanted: Vec<usize>,
}

impl ChunkFiles {
    /// The frames of some chunks, in their order. A chunk that cannot be had alone is an error of its own, a failing
    /// request one of all.
    pub(crate) async fn fetch(
        &self,
        bucket: &dyn Bucket,
        places: &[ChunkPlace],
    ) -> Result<(Vec<Result<Bytes, String>>, FetchStats), BucketError> {
        let mut frames: Vec<Result<Bytes, String>> = vec![Err(String::new()); places.len()];
        let cost = bucket.range_cost();
        let requests = requests(self.plan(places, cost, &mut frames), cost);
        let mut stats = FetchStats::default();
        let fetches = requests.into_iter().map(|parts| async move {
            let ranges: Vec<_> = parts.iter().map(|part| part.range.clone()).collect();
            let all = bucket.get_ranges(&self.files[parts[0].file].name, &ranges).await?;
            Ok::<_, BucketError>((parts, all))
        });
        let mut fetches = stream::iter(fetches).buffer_unordered(CONCURRENCY);
        let mut too_long = Vec::new();
        while let Some((parts, all)) = fetches.try_next().await? {
            stats.requests += 1;
            for (part, bytes) in parts.iter().zip(all) {
                stats.bytes += bytes.len() as u64;
                for index in &part.wanted {
                    match cut(&bytes, places[*index].offset() - part.range.start) {
                        Ok(Cut::Whole(frame)) => frames[*index] = Ok(frame),
                        Ok(Cut::Needs(len)) => too_long.push((*index, len)),
                        Err(e) => frames[*index] = Err(e),
                    }
                }
            }
        }
        drop(fetches);
        stats.refetches = too_long.len() as u64;
        let refetches = too_long.into_iter().map(|(index, len)| async move {
            Ok::<_, BucketError>((index, self.refetch(bucket, places[index], len).await?))
        });
        let mut refetches = stream::iter(refetches).buffer_unordered(CONCURRENCY);
        while let Some((index, frame)) = refetches.try_next().await? {
            stats.requests += 1;
            stats.bytes += frame.as_ref().map_or(0, |frame| frame.len() as u64);
            frames[index] = frame;
        }
        drop(refetches);
        Ok((frames, stats))
    }

    /// Parts in the order of file and offset. Chunks that lie nowhere get their error at once.
    fn plan(&self, places: &[ChunkPlace], cost: RangeCost, frames: &mut [Result<Bytes, String>]) -> Vec<Part> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_unstable_by_key(|i| places[*i].reference);
        let mut parts: Vec<Part> = Vec::new();
        for index in order {
            let (file, offset) = (places[index].file(), places[index].offset());
            let size_bytes = self.files.get(file).map_or(0, |file| file.size_bytes);
            if offset >= size_bytes {
                frames[index] = Err(format!("chunk {:#x} lies behind the end of its file", places[index].reference));
                continue;
            }
            let end = (offset + self.estimate_bytes).min(size_bytes);
            match parts.last_mut() {
                Some(part) if part.file == file && joins(cost, &part.range, offset, end) => {
                    part.range.end = part.range.end.max(end);
                    part.wanted.push(index);
                }
                _ => parts.push(Part { file, range: offset..end, wanted: vec![index] }),
            }
        }
        parts
    }

    async fn refetch(
        &self,
        bucket: &dyn Bucket,
        place: ChunkPlace,
        len: u64,
    ) -> Result<Result<Bytes, String>, BucketError> {
        let file = &self.files[place.file()];
        let end = place.offset().saturating_add(len);
        if end > file.size_bytes {
            return Ok(Err(format!("chunk {:#x} reaches behind the end of its file", place.reference)));
        }
        let bytes = bucket.get_range(&file.name, place.offset()..end).await?;
        Ok(match cut(&bytes, 0) {
            Ok(Cut::Whole(frame)) => Ok(frame),
            Ok(Cut::Needs(_)) => Err(format!("chunk {:#x} ends before its end", place.reference)),
            Err(e) => Err(e),
        })
    }
}

/// What is read with one request each.
fn requests(parts: Vec<Part>, cost: RangeCost) -> Vec<Vec<Part>> {
    let mut requests: Vec<Vec<Part>> = Vec::new();
    let mut bytes = 0;
    for part in parts {
        let len = part.range.end - part.range.start;
        match requests.last_mut().filter(|request| request[0].file == part.file) {
            Some(request) if request.len() < cost.max_ranges && bytes + len <= cost.max_request_bytes => {
                bytes += len;
                request.push(part);
            }
            _ => {
                bytes = len;
                requests.push(vec![part]);
            }
        }
    }
    requests
}

/// No range is larger than a request should be, unless one chunk is.
fn joins(cost: RangeCost, range: &Range<u64>, offset: u64, end: u64) -> bool {
    offset <= range.end + cost.max_gap_bytes && end - range.start <= cost.max_request_bytes
}

enum Cut {
    Whole(Bytes),
    Needs(u64),
}

fn cut(bytes: &Bytes, at: u64) -> Result<Cut, String> {
    let rest = bytes.get(at as usize..).unwrap_or_default();
    match frame_bytes(rest)? {
        Some(len) if len <= rest.len() as u64 => Ok(Cut::Whole(bytes.slice(at as usize..(at + len) as usize))),
        Some(len) => Ok(Cut::Needs(len)),
        None => Ok(Cut::Needs(rest.len() as u64 + MAX_LENGTH_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thanoxide_objstore::ObjectBucket;

    fn frame(len: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        let mut rest = len;
        while rest >= 0x80 {
            frame.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        frame.push(rest as u8);
        frame.extend(std::iter::repeat_n(len as u8, len + 5));
        frame
    }

    async fn file(bucket: &ObjectBucket, name: &str, lens: &[usize]) -> (ChunkFile, Vec<(u64, Vec<u8>)>) {
        let mut bytes = vec![0; 8];
        let frames: Vec<_> = lens
            .iter()
            .map(|len| {
                let at = bytes.len() as u64;
                bytes.extend_from_slice(&frame(*len));
                (at, frame(*len))
            })
            .collect();
        let file = ChunkFile { name: name.into(), size_bytes: bytes.len() as u64 };
        bucket.upload(name, bytes.into()).await.unwrap();
        (file, frames)
    }

    fn place(file: u64, offset: u64) -> ChunkPlace {
        ChunkPlace { reference: file << 32 | offset, min_time_ms: 0, max_time_ms: 0 }
    }

    #[tokio::test]
    async fn chunks_come_in_their_order_with_few_requests() {
        let bucket = ObjectBucket::in_memory();
        let (one, in_one) = file(&bucket, "1", &[10, 300, 5, 600_000, 7, 20]).await;
        let (two, in_two) = file(&bucket, "2", &[1, 2]).await;
        let files = ChunkFiles { files: vec![one, two], estimate_bytes: 100, average_bytes: 100 };
        let places: Vec<ChunkPlace> =
            [place(1, in_two[1].0), place(0, in_one[1].0), place(0, in_one[5].0), place(0, in_one[0].0)].to_vec();
        let (frames, stats) = files.fetch(&bucket, &places).await.unwrap();
        let expected = [&in_two[1].1, &in_one[1].1, &in_one[5].1, &in_one[0].1];
        for (got, expected) in frames.iter().zip(expected) {
            assert_eq!(got.as_ref().unwrap(), &expected[..]);
        }
        // One of file 2; two of file 1 with the large gap between them; one again for the chunk of 300 bytes.
        assert_eq!((stats.requests, stats.refetches), (4, 1));
    }

    #[test]
    fn requests_hold_ranges_of_one_file_up_to_a_size() {
        let part = |file, range| Part { file, range, wanted: Vec::new() };
        let parts =
            || vec![part(0, 0..10), part(0, 50..60), part(0, 90..95), part(1, 0..3), part(1, 9..90), part(1, 95..96)];
        let cost = RangeCost { max_gap_bytes: 5, max_request_bytes: 22, max_ranges: 2 };
        let sizes = |cost| requests(parts(), cost).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(cost), [2, 1, 1, 1, 1]);
        assert_eq!(sizes(RangeCost { max_ranges: 9, max_request_bytes: 30, ..cost }), [3, 1, 1, 1]);
        assert_eq!(sizes(RangeCost { max_ranges: 1, ..cost }), [1; 6]);
    }

    #[tokio::test]
    async fn a_bad_reference_spoils_no_other_chunk() {
        let bucket = ObjectBucket::in_memory();
        let (one, in_one) = file(&bucket, "1", &[10]).await;
        let size = one.size_bytes;
        let files = ChunkFiles { files: vec![one], estimate_bytes: 100, average_bytes: 100 };
        let places = [place(0, size), place(0, in_one[0].0), place(7, 8), place(0, 9), place(0, 0)];
        let (frames, _) = files.fetch(&bucket, &places).await.unwrap();
        assert!(frames[0].is_err() && frames[1].is_ok() && frames[2].is_err());
        let gone = ChunkFiles {
            files: vec![ChunkFile { name: "none".into(), size_bytes: 9 }],
            estimate_bytes: 100,
            average_bytes: 100,
        };
        assert!(gone.fetch(&bucket, &[place(0, 8)]).await.unwrap_err().is_not_found());
    }
}
