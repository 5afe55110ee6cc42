//! From a batch back to bytes: for senders, forwarding, tests and benches.

use bytes::Bytes;
use thanoxide_model::write_batch::{ExemplarSpan, SeriesSpan, WriteBatch};

use super::metadata::{METADATA, STORE_METADATA};
use super::{histogram, metadata};
use crate::wire::{put_bytes, put_double, put_len, put_uint, varint_len};

/// Encodes a whole batch as a remote write 1.0 body (not compressed).
pub fn encode_write_request(batch: &WriteBatch) -> Bytes {
    let mut encoder = WriteRequestEncoder::with_capacity(batch.text.len() + 32 * batch.samples.len());
    for series in &batch.series {
        encoder.push(batch, series);
    }
    metadata::put_all(&mut encoder.out, METADATA, batch);
    encoder.finish()
}

/// Encodes the StoreAPI's write request in its newer layout: for each tenant some series of a batch (by index).
pub fn encode_store_write_request<'a, I>(
    parts: impl IntoIterator<Item = (&'a str, &'a WriteBatch, I)>,
    replica: i64,
) -> Bytes
where
    I: IntoIterator<Item = usize>,
{
    let mut out = Vec::new();
    put_uint(&mut out, 3, replica as u64);
    for (tenant, batch, series) in parts {
        let mut encoder = WriteRequestEncoder::with_capacity(batch.text.len() + 32 * batch.samples.len());
        for index in series {
            encoder.push(batch, &batch.series[index]);
        }
        // The tuple's series have the number that they have in a 1.0 body.
        if !tenant.is_empty() {
            put_bytes(&mut encoder.out, 2, tenant.as_bytes());
        }
        put_bytes(&mut out, 4, &encoder.out);
    }
    Bytes::from(out)
}

/// Encodes the StoreAPI's write request of one tenant in the layout that every version reads: some series of a batch.
pub fn encode_tenant_write_request(
    tenant: &str,
    batch: &WriteBatch,
    series: impl ExactSizeIterator<Item = usize>,
    replica: u64,
) -> Bytes {
    [encode_series(batch, series), encode_write_tail(tenant, replica)].concat().into()
}

/// The first part of such a request: some series of a batch, nothing else.
pub fn encode_series(batch: &WriteBatch, series: impl ExactSizeIterator<Item = usize>) -> Bytes {
    let share = series.len() as f64 / batch.series.len().max(1) as f64;
    let bytes = (batch.text.len() + 32 * batch.samples.len()) as f64 * share;
    let mut encoder = WriteRequestEncoder::with_capacity(bytes as usize + 32);
    for index in series {
        encoder.push(batch, &batch.series[index]);
    }
    encoder.finish()
}

/// The rest of it: whose the series are, and which replica of them it is.
pub fn encode_write_tail(tenant: &str, replica: u64) -> Bytes {
    let mut out = Vec::with_capacity(tenant.len() + 16);
    if !tenant.is_empty() {
        put_bytes(&mut out, 2, tenant.as_bytes());
    }
    put_uint(&mut out, 3, replica);
    out.into()
}

/// A write request of the StoreAPI with what a batch says of metrics, and no series. Stock programs find nothing in it.
pub fn encode_store_metadata(tenant: &str, batch: &WriteBatch, replica: u64) -> Bytes {
    let mut out = encode_write_tail(tenant, replica).to_vec();
    metadata::put_all(&mut out, STORE_METADATA, batch);
    out.into()
}

/// Writes `prometheus.WriteRequest`, one series after the other.
#[derive(Debug, Default)]
pub struct WriteRequestEncoder {
    out: Vec<u8>,
    series: Vec<u8>,
    inner: Vec<u8>,
}

impl WriteRequestEncoder {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        WriteRequestEncoder { out: Vec::with_capacity(bytes), ..WriteRequestEncoder::default() }
    }

    /// Appends a series of a batch: as it came, where it came in its plainest form.
    pub fn push(&mut self, batch: &WriteBatch, series: &SeriesSpan) {
        if series.plain.len > 0 {
            return put_bytes(&mut self.out, 1, batch.text(series.plain));
        }
        self.series.clear();
        for (name, value) in batch.labels_of(series) {
            put_label(&mut self.series, name, value);
        }
        for (place, sample) in (series.samples.start..).zip(batch.samples_of(series)) {
            self.inner.clear();
            put_double(&mut self.inner, 1, sample.value);
            put_uint(&mut self.inner, 2, sample.timestamp_ms as u64);
            put_uint(&mut self.inner, 3, batch.starts.sample_ms(place) as u64);
            put_bytes(&mut self.series, 2, &self.inner);
        }
        for exemplar in batch.exemplars_of(series) {
            self.inner.clear();
            put_exemplar(&mut self.inner, batch, exemplar);
            put_bytes(&mut self.series, 3, &self.inner);
        }
        for (place, sample) in (series.histograms.start..).zip(batch.histograms_of(series)) {
            self.inner.clear();
            histogram::encode(&mut self.inner, sample, batch.starts.histogram_ms(place));
            put_bytes(&mut self.series, 4, &self.inner);
        }
        put_bytes(&mut self.out, 1, &self.series);
    }

    /// The body.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }
}

fn put_exemplar(out: &mut Vec<u8>, batch: &WriteBatch, exemplar: &ExemplarSpan) {
    for label in &batch.labels[exemplar.labels.start as usize..exemplar.labels.end as usize] {
        put_label(out, batch.text(label.name), batch.text(label.value));
    }
    put_double(out, 2, exemplar.value);
    put_uint(out, 3, exemplar.timestamp_ms as u64);
}

fn put_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if (1..0x80).contains(&name.len()) && (1..0x80).contains(&value.len()) && name.len() + value.len() < 0x80 - 4 {
        out.reserve(name.len() + value.len() + 6);
        out.extend_from_slice(&[0x0a, (name.len() + value.len() + 4) as u8, 0x0a, name.len() as u8]);
        out.extend_from_slice(name);
        out.extend_from_slice(&[0x12, value.len() as u8]);
        out.extend_from_slice(value);
        return;
    }
    let text_len = |t: &[u8]| if t.is_empty() { 0 } else { 1 + varint_len(t.len() as u64) + t.len() };
    put_len(out, 1, text_len(name) + text_len(value));
    for (field, text) in [(1, name), (2, value)] {
        if !text.is_empty() {
            put_bytes(out, field, text);
        }
    }
}
