//! Random OTLP requests.

use prost::Message;
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_router::otlp::{OtlpSettings, Promotion, TranslationStrategy};

/// The last moment of points.
const AT: u64 = 1_790_000_000_000_000_000;

/// splitmix64.
pub(crate) struct Random {
    pub(crate) state: u64,
    /// Whether attributes may be called `__name__`: Thanos makes two labels of that name then, in no order.
    pub(crate) has_names: bool,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
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

    /// Points of a metric: seldom none.
    fn points<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = if self.below(60) == 0 { 0 } else { 1 + self.below(most) };
        (0..count).map(|_| make(self)).collect()
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => self.pick(&[0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, 123_456_789.0]),
            1 => f64::from_bits(self.next()),
            _ => self.below(1000) as f64 / 8.0,
        }
    }
}

const KEYS: [&str; 18] = [
    "a",
    "a.b",
    "a_b",
    "host.name",
    "9lives",
    "_private",
    "__reserved.x__",
    "_x",
    "__name__",
    "job",
    "x__y",
    "service.name",
    "service.namespace",
    "service.instance.id",
    "k8s.pod/name",
    "le2",
    // These can be no labels, or not by every strategy.
    "ä",
    "____",
];
const NO_LABELS: usize = 2;

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
    let is_label = |place: usize| place < KEYS.len() - NO_LABELS;
    let one_in = |place| if is_label(place) { 5 } else { 200 };
    let chosen = KEYS.iter().enumerate().filter(|(place, _)| random.below(one_in(*place)) == 0);
    let chosen = chosen.map(|(_, key)| *key).collect::<Vec<_>>();
    let chosen = chosen.into_iter().filter(|key| random.has_names || *key != "__name__").collect::<Vec<_>>();
    chosen.into_iter().map(|key| otlp::KeyValue { key: key.to_string(), value: Some(any_value(random, 0)) }).collect()
}

/// Mostly one moment: then several points of a series are told apart by their values only.
fn time(random: &mut Random) -> u64 {
    AT - random.pick(&[0, 0, 0, 0, 1_000_000, 149_999_000_000, 150_000_000_000, 700_000_000_001])
}

/// Since when a point counts; some do not say.
fn start(random: &mut Random) -> u64 {
    if random.below(4) == 0 { 0 } else { AT - random.below(7_200) * 500_000_000 }
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
        value: Some(value).filter(|_| random.below(200) > 0),
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
    let (exemplars, time_unix_nano) = (random.many(2, exemplar), time(random));
    otlp::NumberDataPoint { start_time_unix_nano: start(random), time_unix_nano, value, exemplars, attributes, flags }
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
        start_time_unix_nano: start(random),
        time_unix_nano: time(random),
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
    let scale = if random.below(60) == 0 { -5 } else { random.below(15) as i32 - 4 };
    // Where buckets are merged, stock loses the place of those behind empty ones.
    let least = u64::from(scale > 8);
    let mut buckets = || {
        let bucket_counts = random.many(12, |r| if r.below(2) == 0 { least } else { least + r.below(50) });
        Some(Buckets { offset: random.below(40) as i32 - 20, bucket_counts }).filter(|_| random.below(5) > 0)
    };
    let (positive, negative) = (buckets(), buckets());
    otlp::ExponentialHistogramDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: start(random),
        time_unix_nano: time(random),
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
        start_time_unix_nano: start(random),
        time_unix_nano: time(random),
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
    let aggregation_temporality = if random.below(25) == 0 { 1 } else { 2 };
    let data = match random.below(6) {
        0 => Data::Gauge(otlp::Gauge { data_points: random.points(3, number) }),
        1 | 2 => {
            let is_monotonic = random.below(2) == 0;
            Data::Sum(otlp::Sum { data_points: random.points(3, number), aggregation_temporality, is_monotonic })
        }
        3 => Data::Histogram(otlp::Histogram { data_points: random.points(2, histogram), aggregation_temporality }),
        4 => {
            let data_points = random.points(2, exponential);
            Data::ExponentialHistogram(otlp::ExponentialHistogram { data_points, aggregation_temporality })
        }
        _ => Data::Summary(otlp::Summary { data_points: random.points(2, summary) }),
    };
    let name =
        random.pick(&["http.server.duration", "io_bytes_total", "9x", "täst.ratio", "a__b", "per_second", "x:y"]);
    let unit = random.pick(&["", "By", "s", "1", "By/s", "{req}/s", "foo bar", "m/{x}", "%", "ms/fortnight", "total"]);
    // A series is one metric's.
    let (name, description) = (format!("{name}.{number_of}"), random.pick(&["", "Says it."]).to_string());
    otlp::Metric { name, description, unit: unit.to_string(), data: Some(data) }
}

fn scope_metrics(random: &mut Random, number_of: usize) -> otlp::ScopeMetrics {
    let metrics = (0..1 + random.below(3) as usize).map(|i| metric(random, number_of * 10 + i)).collect();
    let scope = Some(otlp::InstrumentationScope {
        name: random.pick(&["", "lib", "lïb"]).to_string(),
        version: random.pick(&["", "1.2"]).to_string(),
        attributes: attributes(random),
    });
    let schema_url = random.pick(&["", "https://schema"]).to_string();
    otlp::ScopeMetrics { scope: scope.filter(|_| random.below(3) > 0), metrics, schema_url }
}

pub(crate) fn request(random: &mut Random) -> otlp::ExportMetricsServiceRequest {
    let resource_metrics = (0..1 + random.below(2) as usize).map(|i| {
        let resource = Some(otlp::Resource { attributes: attributes(random) }).filter(|_| random.below(5) > 0);
        let scope_metrics = (0..1 + random.below(2) as usize).map(|j| scope_metrics(random, i * 10 + j)).collect();
        otlp::ResourceMetrics { resource, scope_metrics }
    });
    let request = otlp::ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() };
    // Protobuf writes no zeros, and so no sign of one.
    Message::decode(&request.encode_to_vec()[..]).expect("what was encoded")
}

/// Settings with the names that Prometheus and the questions to the oracle have for those that are not the default ones.
pub(crate) fn settings(
    random: &mut Random,
    strategy: TranslationStrategy,
) -> (OtlpSettings, Vec<String>, Vec<&'static str>) {
    let names: Vec<String> = ["host.name", "a.b", "absent", "job", "____"].map(str::to_string).to_vec();
    let names: Vec<String> =
        names.into_iter().filter(|name| random.below(if name == "____" { 9 } else { 2 }) == 0).collect();
    let mut options = Vec::new();
    let mut option = |name| {
        let is_set = strategy != TranslationStrategy::default() && random.below(4) == 0;
        options.extend(is_set.then_some(name));
        is_set
    };
    let settings = OtlpSettings {
        strategy,
        target_info: !option("no_target_info"),
        promotion: match option("promote_all") {
            true => Promotion::AllBut(names.clone()),
            false => Promotion::Named(names.clone()),
        },
        keep_identifying: option("keep_identifying_resource_attributes"),
        promote_scope: option("promote_scope_metadata"),
        custom_buckets: option("convert_histograms_to_nhcb"),
        delta: option("delta"),
        key_before_underscore: option("label_name_underscore_sanitization"),
        keep_underscores: option("label_name_preserve_multiple_underscores"),
    };
    (settings, names, options)
}
