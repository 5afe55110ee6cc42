//! The JSON encoding of OTLP: names in lower camel case (or as in the `.proto` files), 64-bit numbers as texts or numbers,
//! ids in hexadecimal, other bytes in base64. Unknown names are read past.

use serde_json::Value;
use thanoxide_proto::opentelemetry as otlp;

use super::values::from_base64;

type Read<T> = Result<T, String>;

/// Reads a request. Deeper nesting than 128 is refused.
pub fn decode_json(json: &[u8]) -> Read<otlp::ExportMetricsServiceRequest> {
    let request: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if !request.is_object() {
        return Err("the request is no object".to_string());
    }
    Ok(otlp::ExportMetricsServiceRequest { resource_metrics: list(&request, "resourceMetrics", resource_metrics)? })
}

/// A field, under either name; null where it is missing.
fn field<'v>(object: &'v Value, name: &str) -> &'v Value {
    let found = &object[name];
    if !found.is_null() {
        return found;
    }
    let mut proto_name = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            proto_name.push('_');
        }
        proto_name.push(c.to_ascii_lowercase());
    }
    &object[proto_name.as_str()]
}

fn wrong<T>(name: &str, wanted: &str) -> Read<T> {
    Err(format!("field {name} is no {wanted}"))
}

fn list<T>(object: &Value, name: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    match field(object, name) {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(read).collect(),
        _ => wrong(name, "list"),
    }
}

fn optional<T>(object: &Value, name: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Option<T>> {
    match field(object, name) {
        Value::Null => Ok(None),
        value => read(value).map(Some),
    }
}

fn text(object: &Value, name: &str) -> Read<String> {
    match field(object, name) {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        _ => wrong(name, "text"),
    }
}

fn switch(object: &Value, name: &str) -> Read<bool> {
    match field(object, name) {
        Value::Null => Ok(false),
        Value::Bool(on) => Ok(*on),
        _ => wrong(name, "truth value"),
    }
}

/// A whole number, as a number or a text.
fn whole<T: TryFrom<i128> + Default>(value: &Value, name: &str) -> Read<T> {
    let number = match value {
        Value::Null => return Ok(T::default()),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            whole.or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e18).map(|f| f as i128))
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| T::try_from(number).ok()).map_or_else(|| wrong(name, "whole number in range"), Ok)
}

fn number<T: TryFrom<i128> + Default>(object: &Value, name: &str) -> Read<T> {
    whole(field(object, name), name)
}

fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn float(object: &Value, name: &str) -> Read<f64> {
    Ok(optional(object, name, |value| float_of(value).map_or_else(|| wrong(name, "number"), Ok))?.unwrap_or_default())
}

fn hex(object: &Value, name: &str) -> Read<Vec<u8>> {
    let text = text(object, name)?;
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits.filter(|digits| digits.len().is_multiple_of(2)) {
        Some(digits) => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        None => wrong(name, "hexadecimal text"),
    }
}

fn resource_metrics(value: &Value) -> Read<otlp::ResourceMetrics> {
    let resource =
        optional(value, "resource", |value| Ok(otlp::Resource { attributes: attributes(value, "attributes")? }))?;
    Ok(otlp::ResourceMetrics { resource, scope_metrics: list(value, "scopeMetrics", scope_metrics)? })
}

fn scope_metrics(value: &Value) -> Read<otlp::ScopeMetrics> {
    let scope = optional(value, "scope", scope)?;
    Ok(otlp::ScopeMetrics { scope, metrics: list(value, "metrics", metric)?, schema_url: text(value, "schemaUrl")? })
}

fn scope(value: &Value) -> Read<otlp::InstrumentationScope> {
    let (name, version) = (text(value, "name")?, text(value, "version")?);
    Ok(otlp::InstrumentationScope { name, version, attributes: attributes(value, "attributes")? })
}

fn attributes(value: &Value, name: &str) -> Read<Vec<otlp::KeyValue>> {
    list(value, name, |pair| Ok(otlp::KeyValue { key: text(pair, "key")?, value: optional(pair, "value", any_value)? }))
}

fn any_value(value: &Value) -> Read<otlp::AnyValue> {
    use otlp::any_value::Value as Any;
    let has = |name| !field(value, name).is_null();
    let any = if has("stringValue") {
        Some(Any::StringValue(text(value, "stringValue")?))
    } else if has("boolValue") {
        Some(Any::BoolValue(switch(value, "boolValue")?))
    } else if has("intValue") {
        Some(Any::IntValue(number(value, "intValue")?))
    } else if has("doubleValue") {
        Some(Any::DoubleValue(float(value, "doubleValue")?))
    } else if has("arrayValue") {
        Some(Any::ArrayValue(otlp::ArrayValue { values: list(field(value, "arrayValue"), "values", any_value)? }))
    } else if has("kvlistValue") {
        Some(Any::KvlistValue(otlp::KeyValueList { values: attributes(field(value, "kvlistValue"), "values")? }))
    } else if has("bytesValue") {
        let bytes = from_base64(&text(value, "bytesValue")?);
        Some(Any::BytesValue(bytes.map_or_else(|| wrong("bytesValue", "base64"), Ok)?.into()))
    } else {
        None
    };
    Ok(otlp::AnyValue { value: any })
}

fn metric(value: &Value) -> Read<otlp::Metric> {
    use otlp::metric::Data;
    let points = "dataPoints";
    let gauge = |of: &Value| Ok(Data::Gauge(otlp::Gauge { data_points: list(of, points, number_point)? }));
    let sum = |of: &Value| {
        let (aggregation_temporality, is_monotonic) = (temporality(of)?, switch(of, "isMonotonic")?);
        Ok(Data::Sum(otlp::Sum { data_points: list(of, points, number_point)?, aggregation_temporality, is_monotonic }))
    };
    let histogram = |of: &Value| {
        let data_points = list(of, points, histogram_point)?;
        Ok(Data::Histogram(otlp::Histogram { data_points, aggregation_temporality: temporality(of)? }))
    };
    let exponential = |of: &Value| {
        let data_points = list(of, points, exponential_point)?;
        let aggregation_temporality = temporality(of)?;
        Ok(Data::ExponentialHistogram(otlp::ExponentialHistogram { data_points, aggregation_temporality }))
    };
    let summary = |of: &Value| Ok(Data::Summary(otlp::Summary { data_points: list(of, points, summary_point)? }));
    let mut data = optional(value, "gauge", gauge)?;
    data = data.or(optional(value, "sum", sum)?);
    data = data.or(optional(value, "histogram", histogram)?);
    data = data.or(optional(value, "exponentialHistogram", exponential)?);
    data = data.or(optional(value, "summary", summary)?);
    let (name, description, unit) = (text(value, "name")?, text(value, "description")?, text(value, "unit")?);
    Ok(otlp::Metric { name, description, unit, data })
}

/// An enumeration: its number or its name.
fn temporality(value: &Value) -> Read<i32> {
    let name = "aggregationTemporality";
    match field(value, name) {
        Value::String(text) => match otlp::AggregationTemporality::from_str_name(text) {
            Some(known) => Ok(known as i32),
            None => wrong(name, "known temporality"),
        },
        other => whole(other, name),
    }
}

fn number_point(value: &Value) -> Read<otlp::NumberDataPoint> {
    use otlp::number_data_point::Value as Number;
    let as_int = optional(value, "asInt", |of| whole(of, "asInt").map(Number::AsInt))?;
    let as_double = optional(value, "asDouble", |_| float(value, "asDouble").map(Number::AsDouble))?;
    Ok(otlp::NumberDataPoint {
        start_time_unix_nano: number(value, "startTimeUnixNano")?,
        time_unix_nano: number(value, "timeUnixNano")?,
        value: as_int.or(as_double),
        exemplars: list(value, "exemplars", exemplar)?,
        attributes: attributes(value, "attributes")?,
        flags: number(value, "flags")?,
    })
}

fn exemplar(value: &Value) -> Read<otlp::Exemplar> {
    use otlp::exemplar::Value as Number;
    let as_int = optional(value, "asInt", |of| whole(of, "asInt").map(Number::AsInt))?;
    let as_double = optional(value, "asDouble", |_| float(value, "asDouble").map(Number::AsDouble))?;
    Ok(otlp::Exemplar {
        time_unix_nano: number(value, "timeUnixNano")?,
        value: as_int.or(as_double),
        span_id: hex(value, "spanId")?.into(),
        trace_id: hex(value, "traceId")?.into(),
        filtered_attributes: attributes(value, "filteredAttributes")?,
    })
}

fn counts(value: &Value) -> Read<Vec<u64>> {
    list(value, "bucketCounts", |count| whole(count, "bucketCounts"))
}

fn histogram_point(value: &Value) -> Read<otlp::HistogramDataPoint> {
    let bound = |bound: &Value| float_of(bound).map_or_else(|| wrong("explicitBounds", "list of numbers"), Ok);
    Ok(otlp::HistogramDataPoint {
        start_time_unix_nano: number(value, "startTimeUnixNano")?,
        time_unix_nano: number(value, "timeUnixNano")?,
        count: number(value, "count")?,
        sum: optional(value, "sum", |_| float(value, "sum"))?,
        bucket_counts: counts(value)?,
        explicit_bounds: list(value, "explicitBounds", bound)?,
        exemplars: list(value, "exemplars", exemplar)?,
        attributes: attributes(value, "attributes")?,
        flags: number(value, "flags")?,
    })
}

fn exponential_point(value: &Value) -> Read<otlp::ExponentialHistogramDataPoint> {
    use otlp::exponential_histogram_data_point::Buckets;
    let buckets = |of: &Value| Ok(Buckets { offset: number(of, "offset")?, bucket_counts: counts(of)? });
    Ok(otlp::ExponentialHistogramDataPoint {
        attributes: attributes(value, "attributes")?,
        start_time_unix_nano: number(value, "startTimeUnixNano")?,
        time_unix_nano: number(value, "timeUnixNano")?,
        count: number(value, "count")?,
        sum: optional(value, "sum", |_| float(value, "sum"))?,
        scale: number(value, "scale")?,
        zero_count: number(value, "zeroCount")?,
        positive: optional(value, "positive", buckets)?,
        negative: optional(value, "negative", buckets)?,
        flags: number(value, "flags")?,
        exemplars: list(value, "exemplars", exemplar)?,
    })
}

fn summary_point(value: &Value) -> Read<otlp::SummaryDataPoint> {
    use otlp::summary_data_point::ValueAtQuantile;
    let at = |of: &Value| Ok(ValueAtQuantile { quantile: float(of, "quantile")?, value: float(of, "value")? });
    Ok(otlp::SummaryDataPoint {
        start_time_unix_nano: number(value, "startTimeUnixNano")?,
        time_unix_nano: number(value, "timeUnixNano")?,
        count: number(value, "count")?,
        sum: float(value, "sum")?,
        quantile_values: list(value, "quantileValues", at)?,
        attributes: attributes(value, "attributes")?,
        flags: number(value, "flags")?,
    })
}
