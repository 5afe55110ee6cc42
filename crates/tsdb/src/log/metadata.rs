//! What a frame says of metrics.
//!
//! ```text
//! payload := (str family | u8 type, its number in remote write | str help | str unit)*
//! str     := uvarint length | bytes, UTF-8
//! ```

use thanoxide_model::{MetricMetadata, MetricType};

use crate::encoding::{DecodeError, Put, Reader};

/// Appends what is said of a metric.
pub fn push_metadata(out: &mut Vec<u8>, family: &str, said: &MetricMetadata) {
    out.put_uvarint_bytes(family.as_bytes());
    out.put_u8(said.kind as u8);
    out.put_uvarint_bytes(said.help.as_bytes());
    out.put_uvarint_bytes(said.unit.as_bytes());
}

/// Shows what a payload says.
pub fn read_metadata(payload: &[u8], mut visit: impl FnMut(&str, MetricMetadata)) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        let family = text(&mut reader)?;
        let kind = MetricType::from_number(u64::from(reader.u8()?));
        let (help, unit) = (text(&mut reader)?.to_string(), text(&mut reader)?.to_string());
        visit(family, MetricMetadata { kind, help, unit });
    }
    Ok(())
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(reader.uvarint_bytes()?).map_err(|_| DecodeError::UnexpectedEnd)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn metadata_round_trips(all: Vec<(String, u8, String, String)>) {
            let said = |(family, kind, help, unit): &(String, u8, String, String)| {
                let kind = MetricType::from_number(u64::from(*kind));
                (family.clone(), MetricMetadata { kind, help: help.clone(), unit: unit.clone() })
            };
            let all: Vec<_> = all.iter().map(said).collect();
            let (mut out, mut read) = (Vec::new(), Vec::new());
            all.iter().for_each(|(family, said)| push_metadata(&mut out, family, said));
            read_metadata(&out, |family, said| read.push((family.to_string(), said))).unwrap();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = read_metadata(&bytes, |_, _| {});
        }
    }
}
