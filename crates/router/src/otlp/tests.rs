use otlp::metric::Data;
use otlp::number_data_point::Value;
use thanoxide_model::STALE_NAN_BITS;
use thanoxide_model::histogram::Span;
use thanoxide_model::write_batch::HistogramValue;

use super::*;

const AT: u64 = 1_790_000_000_000_000_000;

fn attribute(key: &str, value: &str) -> otlp::KeyValue {
    let value = otlp::AnyValue { value: Some(otlp::any_value::Value::StringValue(value.to_string())) };
    otlp::KeyValue { key: key.to_string(), value: Some(value) }
}

fn request(metrics: Vec<otlp::Metric>, resource: Vec<otlp::KeyValue>) -> otlp::ExportMetricsServiceRequest {
    let resource_metrics = otlp::ResourceMetrics {
        resource: Some(otlp::Resource { attributes: resource }),
        scope_metrics: vec![otlp::ScopeMetrics { metrics, ..Default::default() }],
    };
    otlp::ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

fn metric(name: &str, unit: &str, data: Data) -> otlp::Metric {
    otlp::Metric { name: name.into(), unit: unit.into(), data: Some(data), ..otlp::Metric::default() }
}

fn shown(translated: &Translated) -> Vec<String> {
    let batch = &translated.batch;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let series = batch.series.iter().map(|series| {
        let labels: Vec<_> =
            batch.labels_of(series).map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
        let samples: Vec<_> = batch.samples_of(series).iter().map(|sample| sample.value.to_string()).collect();
        format!("{} {}", labels.join(","), samples.join(" "))
    });
    series.collect()
}

#[test]
fn points_become_series_with_target_info() {
    let point = |value, flags| otlp::NumberDataPoint {
        time_unix_nano: AT,
        attributes: vec![attribute("a.b", "1"), attribute("a_b", "2")],
        value: Some(value),
        flags,
        ..Default::default()
    };
    let gauge = Data::Gauge(otlp::Gauge { data_points: vec![point(Value::AsInt(7), 0), point(Value::AsInt(7), 1)] });
    let sum = |aggregation_temporality| {
        Data::Sum(otlp::Sum {
            data_points: vec![point(Value::AsDouble(1.5), 0)],
            aggregation_temporality,
            is_monotonic: true,
        })
    };
    let resource = vec![
        attribute("service.name", "shop"),
        attribute("service.namespace", "eu"),
        attribute("service.instance.id", "i1"),
        attribute("host.name", "h"),
    ];
    let metrics = vec![metric("temp", "Cel", gauge), metric("io", "By", sum(2)), metric("delta", "", sum(1))];
    let settings = OtlpSettings {
        promotion: Promotion::Named(vec!["host.name".to_string(), "absent".to_string()]),
        ..Default::default()
    };
    let translated = translate(&request(metrics, resource), &settings);
    assert_eq!(translated.faults.text().unwrap(), "invalid temporality for metric \"delta\"");
    assert_eq!(
        shown(&translated),
        [
            "__name__=temp_celsius,a_b=1;2,host_name=h,instance=i1,job=eu/shop 7 NaN",
            "__name__=io_bytes_total,a_b=1;2,host_name=h,instance=i1,job=eu/shop 1.5",
            "__name__=target_info,host_name=h,instance=i1,job=eu/shop 1",
        ]
    );
    assert_eq!(translated.batch.samples[1].value.to_bits(), STALE_NAN_BITS);
    assert_eq!(translated.batch.samples[0].timestamp_ms, 1_790_000_000_000);
}

#[test]
fn histograms_and_summaries_become_classic_series() {
    let histogram = otlp::HistogramDataPoint {
        time_unix_nano: AT,
        count: 6,
        sum: Some(2.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 10.0],
        ..Default::default()
    };
    let quantile = otlp::summary_data_point::ValueAtQuantile { quantile: 0.99, value: 4.0 };
    let summary = otlp::SummaryDataPoint {
        time_unix_nano: AT,
        count: 3,
        sum: 9.0,
        quantile_values: vec![quantile],
        ..Default::default()
    };
    let metrics = vec![
        metric("d", "s", Data::Histogram(otlp::Histogram { data_points: vec![histogram], aggregation_temporality: 2 })),
        metric("q", "", Data::Summary(otlp::Summary { data_points: vec![summary] })),
    ];
    assert_eq!(
        shown(&translate(&request(metrics, vec![]), &OtlpSettings::default())),
        [
            "__name__=d_seconds_sum 2.5",
            "__name__=d_seconds_count 6",
            "__name__=d_seconds_bucket,le=0.5 1",
            "__name__=d_seconds_bucket,le=10 3",
            "__name__=d_seconds_bucket,le=+Inf 6",
            "__name__=q_sum 9",
            "__name__=q_count 3",
            "__name__=q,quantile=0.99 4",
        ]
    );
}

#[test]
fn exponential_histograms_become_native_ones() {
    let point = |scale, offset, bucket_counts| otlp::ExponentialHistogramDataPoint {
        time_unix_nano: AT,
        count: 10,
        sum: Some(1.0),
        scale,
        positive: Some(otlp::exponential_histogram_data_point::Buckets { offset, bucket_counts }),
        ..Default::default()
    };
    let translated = |points| {
        let data = otlp::ExponentialHistogram { data_points: points, aggregation_temporality: 2 };
        translate(&request(vec![metric("e", "", Data::ExponentialHistogram(data))], vec![]), &OtlpSettings::default())
    };
    let native = |point| {
        let HistogramValue::Int(histogram) = translated(vec![point]).batch.histograms[0].value.clone() else {
            panic!()
        };
        (histogram.schema, histogram.positive_spans.clone(), histogram.positive_buckets.clone())
    };
    assert_eq!(native(point(1, 1, vec![4, 3, 2, 1])), (1, vec![Span { offset: 2, length: 4 }], vec![4, -1, -1, -1]));
    let spans = vec![Span { offset: 1, length: 3 }, Span { offset: 4, length: 1 }];
    assert_eq!(native(point(0, 0, vec![1, 0, 1, 0, 0, 0, 0, 5])), (0, spans, vec![1, -1, 1, 4]));
    assert_eq!(native(point(9, 0, vec![1, 2, 3])), (8, vec![Span { offset: 1, length: 2 }], vec![3, 0]));
    let told = translated(vec![point(-5, 0, vec![1])]).faults.text().unwrap();
    assert_eq!(told, "cannot convert exponential to native histogram. Scale must be >= -4, was -5");
}

#[test]
fn exemplars_go_to_the_bucket_that_they_fall_into() {
    let exemplar = |value, attribute: &str| otlp::Exemplar {
        time_unix_nano: AT,
        value: Some(otlp::exemplar::Value::AsDouble(value)),
        span_id: vec![0; 8].into(),
        trace_id: vec![0xab; 16].into(),
        filtered_attributes: vec![self::attribute("a", attribute)],
    };
    let long = "x".repeat(90);
    let histogram = otlp::HistogramDataPoint {
        time_unix_nano: AT,
        count: 3,
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        exemplars: vec![exemplar(0.7, "1"), exemplar(0.5, &long), exemplar(f64::NAN, "2")],
        ..Default::default()
    };
    let data = Data::Histogram(otlp::Histogram { data_points: vec![histogram], aggregation_temporality: 2 });
    let batch = translate(&request(vec![metric("d", "", data)], vec![]), &OtlpSettings::default()).batch;
    let text = |span| String::from_utf8_lossy(batch.text(span)).into_owned();
    let shown = batch.series.iter().flat_map(|series| {
        let le = batch.labels_of(series).last().map(|(_, le)| String::from_utf8_lossy(le).into_owned());
        let labels = |range: &std::ops::Range<u32>| {
            let labels = &batch.labels[range.start as usize..range.end as usize];
            labels
                .iter()
                .map(|label| format!("{}={}", text(label.name), text(label.value)))
                .collect::<Vec<_>>()
                .join(",")
        };
        let exemplars = batch.exemplars_of(series).iter();
        exemplars.map(|e| format!("{} {} {}", le.clone().unwrap(), e.value, labels(&e.labels))).collect::<Vec<_>>()
    });
    let trace = "trace_id=abababababababababababababababab";
    assert_eq!(shown.collect::<Vec<_>>(), [format!("0.5 0.5 {trace}"), format!("+Inf 0.7 a=1,{trace}")]);
}

#[test]
fn json_says_the_same() {
    let json = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
        {"key":"list","value":{"arrayValue":{"values":[{"intValue":"7"},{"doubleValue":1e-7},{"stringValue":"<"}]}}}]},
        "scopeMetrics":[{"unknown":1,"metrics":[
        {"name":"a","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","isMonotonic":true,"dataPoints":[
            {"timeUnixNano":"1790000000000000000","asInt":"-3","attributes":[{"key":"b","value":{"bytesValue":"AQI="}}]}]}},
        {"name":"h","exponential_histogram":{"aggregationTemporality":2,"dataPoints":[
            {"time_unix_nano":1790000000000000000,"count":"2","scale":0,"positive":{"offset":1,"bucketCounts":["1",1]}}]}}]}]}]}"#;
    let translated = translate(&decode_json(json).unwrap(), &OtlpSettings::default());
    assert_eq!(
        shown(&translated),
        [
            "__name__=a_total,b=AQI=,job=shop -3",
            "__name__=h,job=shop ",
            "__name__=target_info,job=shop,list=[7,1e-7,\"\\u003c\"] 1",
        ]
    );
    assert_eq!(translated.batch.histograms.len(), 1);
    for wrong in
        ["", "[]", r#"{"resourceMetrics":3}"#, r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":5}]}]}]}"#]
    {
        assert!(decode_json(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let deep = "[".repeat(100_000);
    assert!(decode_json(deep.as_bytes()).is_err());
}
