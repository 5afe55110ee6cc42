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

/// How names become Prometheus's: Prometheus's `translation_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranslationStrategy {
    /// Letters, digits and `_` only, with suffixes for unit and kind. All that stock's receiver has.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Letters, digits and `_` only.
    UnderscoreEscapingWithoutSuffixes,
    /// Names as they are, with suffixes.
    NoUtf8EscapingWithSuffixes,
    /// Names as they are.
    NoTranslation,
}

impl TranslationStrategy {
    /// Prometheus's names of the strategies.
    pub const NAMES: [(&str, TranslationStrategy); 4] = [
        ("UnderscoreEscapingWithSuffixes", TranslationStrategy::UnderscoreEscapingWithSuffixes),
        ("UnderscoreEscapingWithoutSuffixes", TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
        ("NoUTF8EscapingWithSuffixes", TranslationStrategy::NoUtf8EscapingWithSuffixes),
        ("NoTranslation", TranslationStrategy::NoTranslation),
    ];

    /// The strategy of a name; the default for others.
    pub fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or_else(Self::default, |(_, strategy)| *strategy)
    }

    /// Whether the translation is Thanos's: this strategy is the only one that it has.
    pub(super) fn is_of_thanos(self) -> bool {
        self == Self::UnderscoreEscapingWithSuffixes
    }

    pub(super) fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }

    /// The name of a metric. The error is the translator's.
    pub(super) fn metric_name(self, metric: &Metric) -> Result<String, String> {
        let name = match (self.escapes(), self.adds_suffixes()) {
            (true, true) => escaped_with_suffixes(metric),
            (true, false) => not_first_digit(runs(&metric.name, |c| is_plain(c) || c == '_').join("_")),
            (false, true) => plain_with_suffixes(metric),
            (false, false) => metric.name.clone(),
        };
        if name.is_empty() {
            return Err(format!("normalization for metric {:?} resulted in empty name", metric.name));
        }
        if self.escapes() && name != metric.name && name.bytes().all(|byte| byte == b'_') {
            return Err(format!("normalization for metric {:?} resulted in invalid name {name:?}", metric.name));
        }
        Ok(name)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn runs(text: &str, belongs: impl Fn(char) -> bool) -> Vec<String> {
    text.split(|c| !belongs(c)).filter(|run| !run.is_empty()).map(str::to_string).collect()
}

fn not_first_digit(name: String) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn is_counter(metric: &Metric) -> bool {
    matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic)
}

fn is_ratio(metric: &Metric) -> bool {
    metric.unit == "1" && matches!(&metric.data, Some(Data::Gauge(_)))
}

fn escaped_with_suffixes(metric: &Metric) -> String {
    let mut tokens = runs(&metric.name, is_plain);
    let (mut unit, mut per_unit) = units(&metric.unit);
    (unit, per_unit) = (legal_unit(&unit), legal_unit(&per_unit));
    if tokens.contains(&unit) {
        unit.clear();
    }
    per_unit.truncate(per_unit.strip_suffix('_').unwrap_or(&per_unit).len());
    if per_unit == "per" {
        per_unit.clear();
    }
    if !per_unit.is_empty() {
        unit.truncate(unit.strip_suffix('_').unwrap_or(&unit).len());
    }
    tokens.extend([unit, per_unit].into_iter().filter(|unit| !unit.is_empty()));
    if is_counter(metric) {
        move_to_end(&mut tokens, "total");
    }
    if is_ratio(metric) {
        move_to_end(&mut tokens, "ratio");
    }
    not_first_digit(tokens.join("_"))
}

fn move_to_end(tokens: &mut Vec<String>, suffix: &str) {
    tokens.retain(|token| token != suffix);
    tokens.push(suffix.to_string());
}

/// The name as it is; suffixes that it has move behind those that it lacks.
fn plain_with_suffixes(metric: &Metric) -> String {
    let (unit, per_unit) = units(&metric.unit);
    let kind = [(is_ratio(metric), "ratio"), (is_counter(metric), "total"), (!per_unit.is_empty(), &per_unit)];
    let mut name = metric.name.as_str();
    for (_, suffix) in kind.iter().filter(|(wanted, _)| *wanted) {
        if name.ends_with(suffix)
            && name.len() > suffix.len() + 1
            && name.is_char_boundary(name.len() - suffix.len() - 1)
        {
            name = &name[..name.len() - suffix.len() - 1];
        }
    }
    let mut name = name.to_string();
    if !unit.is_empty() && !name.ends_with(&unit) {
        name = format!("{name}_{unit}");
    }
    for (_, suffix) in kind.iter().rev().filter(|(wanted, _)| *wanted) {
        name = format!("{name}_{suffix}");
    }
    name
}

/// Prometheus's words for a unit, the second one with `per_` before it; units in braces are remarks.
fn units(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |unit: &str, units: &[(&str, &str)]| {
        let unit = unit.trim();
        if unit.contains(['{', '}']) {
            return String::new();
        }
        units.iter().find(|(known, _)| *known == unit).map_or(unit, |(_, word)| word).to_string()
    };
    let per = word(per, &PER_UNITS);
    (word(main, &UNITS), if per.is_empty() { per } else { format!("per_{per}") })
}

/// Other characters than those of names become `_`, several one, and none is first.
fn legal_unit(unit: &str) -> String {
    let mut legal = String::with_capacity(unit.len());
    for c in unit.chars() {
        let c = if is_plain(c) { c } else { '_' };
        if c != '_' || !(legal.is_empty() || legal.ends_with('_')) {
            legal.push(c);
        }
    }
    legal
}

/// The unit as metadata tells it.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = units(unit);
    let words = [legal_unit(&main), legal_unit(&per)];
    let name = words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect::<Vec<_>>().join("_");
    let name = name.strip_prefix('_').unwrap_or(&name);
    name.strip_suffix('_').unwrap_or(name).to_string()
}

#[cfg(test)]
mod tests {
    use thanoxide_proto::opentelemetry::{Gauge, Sum};

    use super::*;

    fn named(strategy: TranslationStrategy, name: &str, unit: &str, data: Option<Data>) -> String {
        let metric = Metric { name: name.into(), unit: unit.into(), data, ..Metric::default() };
        strategy.metric_name(&metric).unwrap_or_else(|error| error)
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
            ("a_second", "m/s", gauge(), "a_second_meters_per_second"),
            ("5xx", "", gauge(), "_5xx"),
            ("a..b", "foo bar", None, "a_b_foo_bar"),
            ("!", "", None, "normalization for metric \"!\" resulted in empty name"),
        ] {
            assert_eq!(named(TranslationStrategy::default(), name, unit, data), result, "{name} {unit}");
        }
        let bare = |name| named(TranslationStrategy::UnderscoreEscapingWithoutSuffixes, name, "By", counter());
        assert_eq!([bare("a..b__c"), bare("1a")], ["a_b__c", "_1a"]);
        let plain = |name, unit| named(TranslationStrategy::NoUtf8EscapingWithSuffixes, name, unit, counter());
        assert_eq!([plain("ä.b_total", "By"), plain("x", "m/s")], ["ä.b_bytes_total", "x_meters_per_second_total"]);
        assert_eq!(named(TranslationStrategy::NoTranslation, "ä.b", "By", counter()), "ä.b");
    }
}
