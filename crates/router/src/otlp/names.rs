//! Names of metrics and labels, as Prometheus makes them from OpenTelemetry's.

use thanoxide_proto::opentelemetry::{Metric, metric::Data};

/// Units of OpenTelemetry (UCUM) and Prometheus's words for them.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// The same behind a stroke.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The name of a metric with the suffixes of its unit and kind.
pub(super) fn metric_name(metric: &Metric) -> String {
    let mut tokens = tokens(&metric.name);
    let (unit, per_unit) = metric.unit.split_once('/').unwrap_or((&metric.unit, ""));
    if let Some(unit) = word(unit, &UNITS).filter(|unit| !tokens.contains(unit)) {
        tokens.push(unit);
    }
    if let Some(unit) = word(per_unit, &PER_UNITS).filter(|unit| !tokens.contains(unit)) {
        tokens.extend(["per".to_string(), unit]);
    }
    match &metric.data {
        Some(Data::Sum(sum)) if sum.is_monotonic => move_to_end(&mut tokens, "total"),
        Some(Data::Gauge(_)) if metric.unit == "1" => move_to_end(&mut tokens, "ratio"),
        _ => {}
    }
    let name = tokens.join("_");
    if name.starts_with(|first: char| first.is_numeric()) { format!("_{name}") } else { name }
}

/// Runs of letters and digits.
fn tokens(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
    parts.filter(|part| !part.is_empty()).map(str::to_string).collect()
}

/// Prometheus's word for a unit; units in braces are remarks.
fn word(unit: &str, units: &[(&str, &str)]) -> Option<String> {
    let unit = unit.trim();
    if unit.is_empty() || unit.contains(['{', '}']) {
        return None;
    }
    let word = units.iter().find(|(known, _)| *known == unit).map_or(unit, |(_, word)| word);
    Some(tokens(&word.replace(':', "_")).join("_")).filter(|word| !word.is_empty())
}

fn move_to_end(tokens: &mut Vec<String>, suffix: &str) {
    tokens.retain(|token| token != suffix);
    tokens.push(suffix.to_string());
}

/// The name of a label: other letters become `_`, and it begins as a name may.
pub(super) fn label_name(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let legal: String = name.chars().map(legal).collect();
    match legal.as_bytes() {
        [b'0'..=b'9', ..] => format!("key_{legal}"),
        [b'_', b'_', ..] => legal,
        [b'_', ..] => format!("key{legal}"),
        _ => legal,
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_proto::opentelemetry::{Gauge, Sum};

    use super::*;

    fn named(name: &str, unit: &str, data: Option<Data>) -> String {
        metric_name(&Metric { name: name.into(), unit: unit.into(), data, ..Metric::default() })
    }

    #[test]
    fn names_get_units_and_kinds() {
        let counter = || Some(Data::Sum(Sum { is_monotonic: true, ..Sum::default() }));
        let gauge = || Some(Data::Gauge(Gauge::default()));
        for (name, unit, data, result) in [
            ("http.server.duration", "ms", None, "http_server_duration_milliseconds"),
            ("system.io", "By", counter(), "system_io_bytes_total"),
            ("system.total.io", "By/s", counter(), "system_io_bytes_per_second_total"),
            ("memory_bytes", "By", gauge(), "memory_bytes"),
            ("cpu.utilization", "1", gauge(), "cpu_utilization_ratio"),
            ("requests", "{request}", counter(), "requests_total"),
            ("speed", "m/s", gauge(), "speed_meters_per_second"),
            ("5xx", "", gauge(), "_5xx"),
            ("a..b", "foo bar", None, "a_b_foo_bar"),
        ] {
            assert_eq!(named(name, unit, data), result, "{name} {unit}");
        }
    }

    #[test]
    fn labels_become_legal() {
        for (name, result) in
            [("http.method", "http_method"), ("5", "key_5"), ("_a", "key_a"), ("__a", "__a"), ("ä", "key_")]
        {
            assert_eq!(label_name(name), result);
        }
    }
}
