//! The StoreAPI's `thanos.WriteRequest`, in both of its layouts.

use bytes::Bytes;
use thanoxide_model::WriteBatch;

use super::metadata::{self, STORE_METADATA};
use super::{Budget, DecodeError, DecodeLimits, TIMESERIES, count_fields, decode_series};
use crate::wire::{BYTES, Reader, VARINT};

const TENANT: u32 = 2;
const REPLICA: u32 = 3;
const TENANT_DATA: u32 = 4;

/// A decoded `thanos.WriteRequest`.
#[derive(Clone, Debug, Default)]
pub struct StoreWriteRequest {
    /// The series of each tenant; the older layout gives one entry. A tenant may occur more than once.
    pub tenants: Vec<(String, WriteBatch)>,
    /// 0 is not replicated yet, otherwise the replica's number plus one.
    pub replica: i64,
}

/// Decodes the body of a `RemoteWrite` call.
pub fn decode_store_write_request(body: &Bytes, limits: &DecodeLimits) -> Result<StoreWriteRequest, DecodeError> {
    let mut budget = Budget::new(body, limits)?;
    let message = Reader::new(body, "WriteRequest");
    let mut request = StoreWriteRequest::default();
    let [own_series] = count_fields(message, [TIMESERIES], limits.max_series)?;
    if own_series > 0 {
        budget.charge_series(own_series)?;
        request.tenants.push((tenant(body, message)?, decode_series(body, message, own_series, &mut budget)?));
    }
    let (mut rest, mut said) = (message, Vec::new());
    while !rest.is_empty() {
        match rest.tag()? {
            (STORE_METADATA, BYTES) => {
                let span = rest.message(STORE_METADATA, BYTES)?;
                let one = metadata::decode(message.sub(span, "MetricMetadata"))?;
                metadata::push(&mut said, one, body, &mut budget)?;
            }
            (REPLICA, VARINT) => request.replica = rest.varint()? as i64,
            (TENANT_DATA, wire_type) => {
                let span = rest.message(TENANT_DATA, wire_type)?;
                let tuple = message.sub(span, "TimeSeriesTenantTuple");
                budget.charge(size_of::<(String, WriteBatch)>())?;
                let [series_count] = count_fields(tuple, [TIMESERIES], limits.max_series)?;
                budget.charge_series(series_count)?;
                request.tenants.push((tenant(body, tuple)?, decode_series(body, tuple, series_count, &mut budget)?));
            }
            (field, wire_type) => rest.skip(field, wire_type)?,
        }
    }
    if !said.is_empty() {
        let batch = WriteBatch { text: body.clone(), metadata: said, ..WriteBatch::default() };
        request.tenants.push((tenant(body, message)?, batch));
    }
    Ok(request)
}

/// The last `tenant` field of a message, empty where there is none.
fn tenant(body: &Bytes, mut message: Reader<'_>) -> Result<String, DecodeError> {
    let mut tenant = (0, 0);
    while !message.is_empty() {
        match message.tag()? {
            (TENANT, wire_type) => tenant = message.message(TENANT, wire_type)?,
            (field, wire_type) => message.skip(field, wire_type)?,
        }
    }
    let text = std::str::from_utf8(&body[tenant.0..tenant.1]).map_err(|_| DecodeError::TenantNotUtf8)?;
    Ok(text.to_string())
}
