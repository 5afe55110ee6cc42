//! Chunks against those that stock encoders wrote: the same bytes, the same samples.

use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{self, Chunk, Encoding};

fn cases(name: &str) -> Vec<Value> {
    let shared = std::env::var("THANOXIDE_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let file = std::fs::File::open(shared.join("golden/chunks").join(format!("{name}.jsonl.gz"))).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn bits(value: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(value.as_str().unwrap(), 16).unwrap())
}

fn chunk_of(encoding: Encoding, data: Vec<u8>) -> Chunk {
    Chunk { min_time_ms: 0, max_time_ms: 0, encoding, data: Bytes::from(data) }
}

#[test]
fn xor_is_byte_equal_both_ways() {
    for case in cases("xor") {
        let data = unhex(&case["data"]);
        let reopen_at: Vec<usize> =
            case["reopen_at"].as_array().into_iter().flatten().map(|v| v.as_u64().unwrap() as usize).collect();
        let mut appender = XorAppender::new();
        let samples = case["samples"].as_array().unwrap();
        for (i, sample) in samples.iter().enumerate() {
            if reopen_at.contains(&i) {
                appender = XorAppender::from_bytes(appender.into_bytes()).unwrap();
            }
            appender.append(sample[0].as_i64().unwrap(), bits(&sample[1]));
        }
        assert_eq!(appender.bytes(), data, "{}", case["id"]);
        let mut columns = Columns::default();
        let chunk = chunk_of(Encoding::Xor, data);
        chunk::decode(&chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
        assert_eq!(chunk::sample_count(&chunk), samples.len());
        assert_eq!(columns.timestamps_ms.len(), samples.len());
        for (i, sample) in samples.iter().enumerate() {
            assert_eq!(columns.timestamps_ms[i], sample[0].as_i64().unwrap());
            assert_eq!(columns.values[i].to_bits(), bits(&sample[1]).to_bits());
        }
    }
}
