//! Samples become chunks again: at most 120 in each, a new one where the kind of value changes or a histogram does not fit.

use bytes::Bytes;
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Histogram};

use super::policy::{Decoded, Overlap, Run};
use super::source::Piece;
use crate::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use crate::chunk::xor::XorAppender;
use crate::chunk::xor2::Xor2Appender;
use crate::chunk::{Chunk, ChunkSample, Encoding, SampleValue, xor_columns};

/// How many samples a chunk gets.
pub(super) const SAMPLES_PER_CHUNK: usize = 120;

#[derive(Debug)]
enum Open {
    Xor(XorAppender),
    Xor2(Xor2Appender),
    Histogram(HistogramAppender<Histogram>, bool),
    FloatHistogram(HistogramAppender<FloatHistogram>, bool),
}

impl Open {
    fn encoding(&self) -> Encoding {
        match self {
            Open::Xor(_) => Encoding::Xor,
            Open::Xor2(_) => Encoding::Xor2,
            Open::Histogram(_, false) => Encoding::Histogram,
            Open::Histogram(_, true) => Encoding::HistogramSt,
            Open::FloatHistogram(_, false) => Encoding::FloatHistogram,
            Open::FloatHistogram(_, true) => Encoding::FloatHistogramSt,
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Open::Xor(appender) => appender.into_bytes(),
            Open::Xor2(appender) => appender.into_bytes(),
            Open::Histogram(appender, _) => appender.into_bytes(),
            Open::FloatHistogram(appender, _) => appender.into_bytes(),
        }
    }
}

/// Chunks of samples whose times rise: as few as there can be of at most 120 samples each.
pub(crate) fn encode_samples(samples: impl Iterator<Item = ChunkSample>) -> Vec<Chunk> {
    let mut pieces = Vec::new();
    let mut encoder = ChunkEncoder::new(&mut pieces, false);
    samples.for_each(|sample| encoder.push_other(&sample));
    encoder.finish();
    pieces.into_iter().map(|piece| piece.chunk).collect()
}

/// Writes the chunks of one row of samples.
#[derive(Debug)]
pub(super) struct ChunkEncoder<'o> {
    pieces: &'o mut Vec<Piece>,
    open: Option<Open>,
    samples: usize,
    min_time_ms: i64,
    max_time_ms: i64,
    /// Floats go into XOR2 even without a start time.
    xor2: bool,
}

impl<'o> ChunkEncoder<'o> {
    pub(super) fn new(pieces: &'o mut Vec<Piece>, xor2: bool) -> Self {
        ChunkEncoder { pieces, open: None, samples: 0, min_time_ms: 0, max_time_ms: 0, xor2 }
    }

    /// Writes the chosen samples.
    pub(super) fn push_runs(&mut self, overlap: &Overlap, runs: &[Run], columns: &mut Columns) {
        if !self.xor2 && self.open.is_none() && overlap.chunks.iter().all(Decoded::is_plain) {
            return self.push_plain(overlap, runs, columns);
        }
        for run in runs {
            let decoded = &overlap.chunks[run.chunk as usize];
            for sample in run.start as usize..run.end as usize {
                if decoded.is_float() {
                    let (time_ms, value) = (decoded.floats.timestamps_ms[sample], decoded.floats.values[sample]);
                    self.push_float(decoded.float_start_ms(sample), time_ms, value);
                } else {
                    self.push_other(&decoded.others[sample]);
                }
            }
        }
    }

    /// Floats without start times, which most samples are, are laid side by side and written a chunk at a time.
    fn push_plain(&mut self, overlap: &Overlap, runs: &[Run], columns: &mut Columns) {
        columns.clear();
        for run in runs {
            let floats = &overlap.chunks[run.chunk as usize].floats;
            let (start, end) = (run.start as usize, run.end as usize);
            if end - start == 1 {
                columns.timestamps_ms.push(floats.timestamps_ms[start]);
                columns.values.push(floats.values[start]);
            } else {
                columns.timestamps_ms.extend_from_slice(&floats.timestamps_ms[start..end]);
                columns.values.extend_from_slice(&floats.values[start..end]);
            }
        }
        let chunks = columns.timestamps_ms.chunks(SAMPLES_PER_CHUNK).zip(columns.values.chunks(SAMPLES_PER_CHUNK));
        self.pieces.extend(chunks.map(|(times_ms, values)| {
            let (min_time_ms, max_time_ms) = (times_ms[0], times_ms[times_ms.len() - 1]);
            let data = Bytes::from(xor_columns::encode(times_ms, values));
            Piece { chunk: Chunk { min_time_ms, max_time_ms, encoding: Encoding::Xor, data }, frame: None }
        }));
    }

    fn begin(&mut self, open: Open, time_ms: i64) {
        self.cut();
        self.open = Some(open);
        self.samples = 0;
        self.min_time_ms = time_ms;
    }

    fn cut(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (min_time_ms, max_time_ms) = (self.min_time_ms, self.max_time_ms);
        let encoding = open.encoding();
        let chunk = Chunk { min_time_ms, max_time_ms, encoding, data: Bytes::from(open.into_bytes()) };
        self.pieces.push(Piece { chunk, frame: None });
    }

    fn push_float(&mut self, start_ms: i64, time_ms: i64, value: f64) {
        let fits = match &self.open {
            Some(Open::Xor(_)) => start_ms == 0,
            Some(Open::Xor2(_)) => true,
            _ => false,
        };
        if !fits || self.samples >= SAMPLES_PER_CHUNK {
            let open = match start_ms != 0 || self.xor2 {
                true => Open::Xor2(Xor2Appender::new()),
                false => Open::Xor(XorAppender::new()),
            };
            self.begin(open, time_ms);
        }
        match &mut self.open {
            Some(Open::Xor(appender)) => appender.append(time_ms, value),
            Some(Open::Xor2(appender)) => appender.append(start_ms, time_ms, value),
            _ => {}
        }
        self.samples += 1;
        self.max_time_ms = time_ms;
    }

    fn push_other(&mut self, sample: &ChunkSample) {
        let (start_ms, time_ms) = (sample.start_timestamp_ms, sample.timestamp_ms);
        let with_start = start_ms != 0;
        let full = self.samples >= SAMPLES_PER_CHUNK;
        match &sample.value {
            SampleValue::Float(value) => return self.push_float(start_ms, time_ms, *value),
            SampleValue::Histogram(histogram) => {
                if full || !matches!(&self.open, Some(Open::Histogram(_, with)) if *with == with_start) {
                    self.begin(Open::Histogram(HistogramAppender::new(with_start), with_start), time_ms);
                }
                if let Some(Open::Histogram(appender, _)) = &mut self.open
                    && let Some(next) = append(appender, start_ms, time_ms, histogram)
                {
                    self.begin(Open::Histogram(next, with_start), time_ms);
                }
            }
            SampleValue::FloatHistogram(histogram) => {
                if full || !matches!(&self.open, Some(Open::FloatHistogram(_, with)) if *with == with_start) {
                    self.begin(Open::FloatHistogram(HistogramAppender::new(with_start), with_start), time_ms);
                }
                if let Some(Open::FloatHistogram(appender, _)) = &mut self.open
                    && let Some(next) = append(appender, start_ms, time_ms, histogram)
                {
                    self.begin(Open::FloatHistogram(next, with_start), time_ms);
                }
            }
        }
        self.samples += 1;
        self.max_time_ms = time_ms;
    }

    pub(super) fn finish(mut self) {
        self.cut();
    }
}

/// Appends; gives the next chunk where the sample did not fit this one.
fn append<H: NativeHistogram>(
    appender: &mut HistogramAppender<H>,
    start_ms: i64,
    time_ms: i64,
    histogram: &H,
) -> Option<HistogramAppender<H>> {
    match appender.append(None, start_ms, time_ms, histogram) {
        Appended::NewChunk(next) => Some(*next),
        Appended::Appended | Appended::Recoded => None,
    }
}
