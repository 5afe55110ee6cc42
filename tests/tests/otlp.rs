//! OTLP requests become the series that Thanos's own receiver makes of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use prost::Message;
use serde_json::{Value, json};
use thanoxide_model::histogram::Span;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_router::otlp::{OtlpSettings, Translated, TranslationStrategy, decode_json, translate};
use thanoxide_testkit::program::interop;

/// One moment for all points: Prometheus writes `target_info` for the time between the first and the last.
const AT: u64 = 1_790_000_000_000_000_000;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn many<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => self.pick(&[0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, 123_456_789.0]),
            1 => f64::from_bits(self.next()),
            _ => self.below(1000) as f64 / 8.0,
        }
    }
}

const KEYS: [&str; 14] = [
    "a",
    "a.b",
    "a_b",
    "host.name",
    "9lives",
    "_private",
    "__reserved.x__",
    "ä",
    "x__y",
    "service.name",
    "service.namespace",
    "service.instance.id",
    "k8s.pod/name",
    "le2",
];

fn any_value(random: &mut Random, depth: u64) -> otlp::AnyValue {
    use otlp::any_value::Value;
    let value = match random.below(if depth > 2 { 5 } else { 8 }) {
        0 => Some(Value::BoolValue(random.below(2) == 0)),
        1 => Some(Value::IntValue(random.next() as i64)),
        2 => Some(Value::DoubleValue(random.float())),
        3 => Some(Value::BytesValue(random.many(5, |r| r.next() as u8).into())),
        5 => Some(Value::ArrayValue(otlp::ArrayValue { values: random.many(3, |r| any_value(r, depth + 1)) })),
        6 => {
            let values = KEYS[..random.below(4) as usize].iter();
            let pair = |key: &&str| otlp::KeyValue { key: key.to_string(), value: Some(any_value(random, depth + 1)) };
            Some(Value::KvlistValue(otlp::KeyValueList { values: values.map(pair).collect() }))
        }
        _ => Some(Value::StringValue(random.pick(&["x", "<b>&\u{2028}\"\\\n\u{1}", "", "täx", "1;2"]).to_string())),
    };
    otlp::AnyValue { value }
}

/// Attributes with different keys, as OpenTelemetry asks.
fn attributes(random: &mut Random) -> Vec<otlp::KeyValue> {
    let chosen = KEYS.iter().filter(|_| random.below(4) == 0).collect::<Vec<_>>();
    chosen.into_iter().map(|key| otlp::KeyValue { key: key.to_string(), value: Some(any_value(random, 0)) }).collect()
}

fn flags(random: &mut Random) -> u32 {
    u32::from(random.below(6) == 0)
}

fn exemplar(random: &mut Random) -> otlp::Exemplar {
    use otlp::exemplar::Value;
    let mut id =
        |len| if random.below(3) == 0 { vec![0; len] } else { (0..len).map(|_| random.next() as u8).collect() };
    let (trace_id, span_id) = (id(16), id(8));
    let value = match random.below(8) {
        0 => Value::AsInt(random.below(100) as i64),
        _ => Value::AsDouble(random.below(1000) as f64 / 8.0),
    };
    otlp::Exemplar {
        time_unix_nano: AT - random.below(1_000_000_000),
        value: Some(value).filter(|_| random.below(50) > 0),
        span_id: span_id.into(),
        trace_id: trace_id.into(),
        filtered_attributes: attributes(random),
    }
}

fn number(random: &mut Random) -> otlp::NumberDataPoint {
    use otlp::number_data_point::Value;
    let value = match random.below(5) {
        0 => None,
        1 => Some(Value::AsInt(random.next() as i64)),
        _ => Some(Value::AsDouble(random.float())),
    };
    let (attributes, flags) = (attributes(random), flags(random));
    let exemplars = random.many(2, exemplar);
    otlp::NumberDataPoint { start_time_unix_nano: AT - 5, time_unix_nano: AT, value, exemplars, attributes, flags }
}

fn histogram(random: &mut Random) -> otlp::HistogramDataPoint {
    let bounds = random.below(5);
    let mut exemplars = random.many(4, exemplar);
    // Prometheus takes them in the order sent, so they are sent in the order of buckets.
    let value = |e: &otlp::Exemplar| match e.value {
        Some(otlp::exemplar::Value::AsDouble(value)) => value,
        Some(otlp::exemplar::Value::AsInt(value)) => value as f64,
        None => 0.0,
    };
    exemplars.sort_by(|a, b| value(a).total_cmp(&value(b)));
    otlp::HistogramDataPoint {
        start_time_unix_nano: AT - 5,
        time_unix_nano: AT,
        count: random.below(100),
        sum: Some(random.float()).filter(|_| random.below(3) > 0),
        bucket_counts: (0..=bounds).map(|_| random.below(20)).collect(),
        explicit_bounds: (0..bounds).map(|bound| bound as f64 * 12.5).collect(),
        exemplars,
        attributes: attributes(random),
        flags: flags(random),
    }
}

fn exponential(random: &mut Random) -> otlp::ExponentialHistogramDataPoint {
    use otlp::exponential_histogram_data_point::Buckets;
    let scale = random.below(16) as i32 - 5;
    // Where buckets are merged, stock loses the place of those behind empty ones.
    let least = u64::from(scale > 8);
    let mut buckets = || {
        let bucket_counts = random.many(12, |r| if r.below(2) == 0 { least } else { least + r.below(50) });
        Some(Buckets { offset: random.below(40) as i32 - 20, bucket_counts }).filter(|_| random.below(5) > 0)
    };
    let (positive, negative) = (buckets(), buckets());
    otlp::ExponentialHistogramDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: AT - 5,
        time_unix_nano: AT,
        count: random.below(100),
        sum: Some(random.float()).filter(|_| random.below(3) > 0),
        scale,
        zero_count: random.below(5),
        positive,
        negative,
        flags: flags(random),
        exemplars: random.many(2, exemplar),
    }
}

fn summary(random: &mut Random) -> otlp::SummaryDataPoint {
    let at = |r: &mut Random| otlp::summary_data_point::ValueAtQuantile { quantile: r.float(), value: r.float() };
    otlp::SummaryDataPoint {
        start_time_unix_nano: AT - 5,
        time_unix_nano: AT,
        count: random.below(100),
        sum: random.float(),
        quantile_values: random.many(3, at),
        attributes: attributes(random),
        flags: flags(random),
    }
}

fn metric(random: &mut Random, number_of: usize) -> otlp::Metric {
    use otlp::metric::Data;
    // Mostly cumulative.
    let aggregation_temporality = random.pick(&[2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    let data = match random.below(6) {
        0 => Data::Gauge(otlp::Gauge { data_points: random.many(3, number) }),
        1 | 2 => {
            let is_monotonic = random.below(2) == 0;
            Data::Sum(otlp::Sum { data_points: random.many(3, number), aggregation_temporality, is_monotonic })
        }
        3 => Data::Histogram(otlp::Histogram { data_points: random.many(2, histogram), aggregation_temporality }),
        4 => {
            let data_points = random.many(2, exponential);
            Data::ExponentialHistogram(otlp::ExponentialHistogram { data_points, aggregation_temporality })
        }
        _ => Data::Summary(otlp::Summary { data_points: random.many(2, summary) }),
    };
    let name =
        random.pick(&["http.server.duration", "io_bytes_total", "9x", "täst.ratio", "a__b", "per_second", "x:y"]);
    let unit = random.pick(&["", "By", "s", "1", "By/s", "{req}/s", "foo bar", "m/{x}", "%", "ms/fortnight", "total"]);
    // A series is one metric's.
    otlp::Metric { name: format!("{name}.{number_of}"), unit: unit.to_string(), data: Some(data), ..Default::default() }
}

fn request(random: &mut Random) -> otlp::ExportMetricsServiceRequest {
    let metrics = (0..1 + random.below(4) as usize).map(|i| metric(random, i)).collect();
    let resource = Some(otlp::Resource { attributes: attributes(random) }).filter(|_| random.below(5) > 0);
    let scope_metrics = vec![otlp::ScopeMetrics { metrics }];
    let resource_metrics = vec![otlp::ResourceMetrics { resource, scope_metrics }];
    let request = otlp::ExportMetricsServiceRequest { resource_metrics };
    // Protobuf writes no zeros, and so no sign of one.
    Message::decode(&request.encode_to_vec()[..]).expect("what was encoded")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            out.push(if place <= chunk.len() {
                LETTERS[(bits >> (18 - 6 * place) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    out
}

fn stock(questions: &[Value]) -> Result<Vec<Value>> {
    let mut command = Command::new(interop("ringreceiver"));
    let mut child = command.arg("otlp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "ringreceiver otlp: {}", output.status);
    writer.join().expect("no panic")?;
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Series as `ringreceiver otlp` prints them, by their labels.
type Shown = BTreeMap<String, Value>;

fn shown(translated: &Translated) -> Shown {
    let batch = &translated.batch;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let bits = |value: f64| format!("{:016x}", value.to_bits());
    let spans = |spans: &[Span]| format!("[{}]", joined(spans.iter().map(|s| format!("{}:{}", s.offset, s.length))));
    let series = batch.series.iter().map(|series| {
        let labels: BTreeMap<_, _> = batch.labels_of(series).map(|(name, value)| (text(name), text(value))).collect();
        let samples: Vec<_> = batch.samples_of(series).iter().map(|s| json!([s.timestamp_ms, bits(s.value)])).collect();
        let histograms: Vec<_> = batch
            .histograms_of(series)
            .iter()
            .map(|sample| {
                let HistogramValue::Int(h) = &sample.value else { return json!("a float histogram") };
                let numbers = |numbers: &[i64]| format!("[{}]", joined(numbers));
                let shown = format!(
                    "{} {} {} {} {} {} {} {} {}",
                    h.schema,
                    bits(h.zero_threshold),
                    h.zero_count,
                    h.count,
                    bits(h.sum),
                    spans(&h.positive_spans),
                    numbers(&h.positive_buckets),
                    spans(&h.negative_spans),
                    numbers(&h.negative_buckets)
                );
                json!([sample.timestamp_ms, shown])
            })
            .collect();
        let exemplars: Vec<_> = batch
            .exemplars_of(series)
            .iter()
            .map(|exemplar| {
                let labels = &batch.labels[exemplar.labels.start as usize..exemplar.labels.end as usize];
                let labels: BTreeMap<_, _> =
                    labels.iter().map(|l| (text(batch.text(l.name)), text(batch.text(l.value)))).collect();
                json!([exemplar.timestamp_ms, bits(exemplar.value), labels])
            })
            .collect();
        let mut shown = json!({"samples": samples, "histograms": histograms, "exemplars": exemplars});
        sort_columns(&mut shown);
        (format!("{labels:?}"), shown)
    });
    series.collect()
}

fn joined(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
}

/// Stock keeps labels without a value apart from no label; Prometheus does not, so such series are one.
fn of_stock(answer: &Value) -> Result<Shown> {
    let mut all = Shown::new();
    for series in answer["series"].as_array().context("no series")? {
        let labels: BTreeMap<String, String> = serde_json::from_value(series["labels"].clone())?;
        let whole = all.entry(format!("{labels:?}")).or_insert_with(|| json!({}));
        for column in ["samples", "histograms", "exemplars"] {
            let more = series[column].as_array().cloned().unwrap_or_default();
            let before = whole[column].as_array().cloned().unwrap_or_default();
            whole[column] = [before, more].concat().into();
        }
    }
    all.values_mut().for_each(sort_columns);
    Ok(all)
}

/// Two points of one moment may come in either order.
fn sort_columns(series: &mut Value) {
    for column in ["samples", "histograms", "exemplars"] {
        if let Some(values) = series[column].as_array_mut() {
            values.sort_by_key(Value::to_string);
        }
    }
}

fn settings(strategy: TranslationStrategy, promoted: &[&str]) -> OtlpSettings {
    OtlpSettings { strategy, promoted: promoted.iter().map(|name| name.to_string()).collect(), ..Default::default() }
}

fn same<T: PartialEq + Debug>(what: &str, ours: &T, stock: &T, request: &impl Debug) -> Result<()> {
    ensure!(ours == stock, "{what}\nours  {ours:?}\nstock {stock:?}\nof {request:?}");
    Ok(())
}

/// `THANOXIDE_OTLP_REQUESTS` random requests; CI takes fewer.
#[test]
fn random_requests_become_stocks_series() -> Result<()> {
    let count = std::env::var("THANOXIDE_OTLP_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let promoted = ["host.name", "a.b", "absent"];
    // The others are Prometheus's alone, which counts a resource that it cannot name as a fault; Thanos passes over it.
    for (name, strategy) in TranslationStrategy::NAMES.into_iter().take(1) {
        let mut random = Random(4711);
        let requests: Vec<_> = (0..count).map(|_| request(&mut random)).collect();
        let question = |request: &otlp::ExportMetricsServiceRequest| json!({"strategy": name, "promoted": promoted, "request": base64(&request.encode_to_vec())});
        let answers = stock(&requests.iter().map(question).collect::<Vec<_>>())?;
        ensure!(answers.len() == requests.len());
        let mut faults = 0;
        for (request, answer) in requests.iter().zip(&answers) {
            let translated = translate(request, &settings(strategy, &promoted));
            let ours_failed = translated.faults.text().is_some();
            same(
                "whether all was translated",
                &ours_failed,
                &!answer["error"].as_str().unwrap_or_default().is_empty(),
                &(request, answer),
            )?;
            if ours_failed {
                // Stock keeps nothing of such a request.
                faults += 1;
                continue;
            }
            same(name, &shown(&translated), &of_stock(answer)?, request)?;
        }
        ensure!(faults > 0 && faults < count * 9 / 10, "{faults} of {count} requests had faults");
    }
    Ok(())
}

/// JSON as exporters and collectors write it.
#[test]
fn json_requests_become_stocks_series() -> Result<()> {
    let point = r#"{"timeUnixNano":"1790000000000000000","startTimeUnixNano":1790000000000000000,"flags":0"#;
    let attributes = r#""attributes":[{"key":"a.b","value":{"stringValue":"x"}},{"key":"n","value":{"intValue":"-5"}},
        {"key":"l","value":{"arrayValue":{"values":[{"doubleValue":0.5},{"boolValue":true},{"bytesValue":"AQID"}]}}},
        {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":7}}]}}}]"#;
    let exemplars = r#""exemplars":[{"timeUnixNano":"1790000000000000000","asDouble":2.5,
        "traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","filteredAttributes":[]}]"#;
    let metrics = [
        format!(r#"{{"name":"g","unit":"By","gauge":{{"dataPoints":[{point},"asDouble":1.5,{attributes}}}]}}}}"#),
        format!(
            r#"{{"name":"s","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{point},"asInt":"-7",{exemplars}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[{point},"count":"3","sum":4,"bucketCounts":["1","2"],"explicitBounds":[2],{exemplars}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{point},"count":3,"scale":-1,"zeroCount":"1","positive":{{"offset":-2,"bucketCounts":["1","0","2"]}}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"q","summary":{{"dataPoints":[{point},"count":"3","sum":9.5,"quantileValues":[{{"quantile":0.5,"value":2}}]}}]}}}}"#
        ),
        r#"{"name":"empty","gauge":{"dataPoints":[]}}"#.to_string(),
        format!(r#"{{"name":"delta","sum":{{"aggregationTemporality":1,"dataPoints":[{point},"asInt":1}}]}}}}"#),
    ];
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"x","value":{"stringValue":"y"}}]}"#;
    let whole = |metrics: &str| {
        format!(r#"{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#)
    };
    let mut bodies: Vec<String> = metrics.iter().map(|metric| whole(metric)).collect();
    bodies.push(whole(&metrics.join(",")));
    bodies.extend(
        ["{}", "", "[", r#"{"resourceMetrics":[{}]}"#, r#"{"resourceMetrics":[{"scopeMetrics":"x"}]}"#]
            .map(str::to_string),
    );
    let (name, strategy) = TranslationStrategy::NAMES[0];
    let question = |body: &String| json!({"strategy": name, "promoted": [], "json": base64(body.as_bytes())});
    // An empty text asks for nothing.
    bodies.retain(|body| !body.is_empty());
    let answers = stock(&bodies.iter().map(question).collect::<Vec<_>>())?;
    for (body, answer) in bodies.iter().zip(&answers) {
        let failed = !answer["error"].as_str().unwrap_or_default().is_empty();
        let ours = decode_json(body.as_bytes()).map(|request| translate(&request, &settings(strategy, &[])));
        match ours {
            Ok(ours) if ours.faults.text().is_none() => {
                ensure!(!failed, "{body}: {answer}");
                same("json", &shown(&ours), &of_stock(answer)?, body)?;
            }
            Ok(ours) => same(
                "fault",
                &ours.faults.text().unwrap_or_default().as_str(),
                &answer["error"].as_str().unwrap_or_default(),
                body,
            )?,
            Err(error) => ensure!(failed, "{body}: we refuse it ({error})"),
        }
    }
    Ok(())
}
