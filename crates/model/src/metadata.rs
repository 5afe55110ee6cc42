//! What is known of a metric besides its samples: type, help text, unit.

use std::fmt;

/// The type of a metric, by its number in remote write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MetricType {
    /// Not said.
    #[default]
    Unknown = 0,
    /// A counter.
    Counter = 1,
    /// A gauge.
    Gauge = 2,
    /// A histogram.
    Histogram = 3,
    /// A histogram whose counts may fall.
    GaugeHistogram = 4,
    /// A summary.
    Summary = 5,
    /// A gauge of one that carries labels.
    Info = 6,
    /// A set of states.
    StateSet = 7,
}

impl MetricType {
    const ALL: [MetricType; 8] = {
        use MetricType::*;
        [Unknown, Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet]
    };

    /// By its number; a number that nobody knows is an unknown type.
    pub fn from_number(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied()).unwrap_or_default()
    }

    /// As Prometheus writes it.
    pub fn as_str(self) -> &'static str {
        ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"][self as usize]
    }

    /// By how Prometheus writes it.
    pub fn from_text(text: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == text).unwrap_or_default()
    }

    /// The metric family of a series' name: the parts of histograms and summaries have endings of their own.
    pub fn family_of(self, name: &[u8]) -> &[u8] {
        let endings: &[&str] = match self {
            MetricType::Histogram | MetricType::Summary => &["_bucket", "_sum", "_count"],
            MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
            _ => &[],
        };
        let family = endings.iter().find_map(|ending| name.strip_suffix(ending.as_bytes()));
        family.filter(|family| !family.is_empty()).unwrap_or(name)
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricMetadata {
    /// Its type.
    pub kind: MetricType,
    /// What it says, for people.
    pub help: String,
    /// Its unit; empty where it has none.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_numbers_and_names() {
        for (number, kind) in (0..).zip(MetricType::ALL) {
            assert_eq!((MetricType::from_number(number), MetricType::from_text(kind.as_str())), (kind, kind));
        }
        assert_eq!(
            (MetricType::from_number(8), MetricType::from_text("x")),
            (MetricType::Unknown, MetricType::Unknown)
        );
    }

    #[test]
    fn series_of_a_histogram_are_of_one_family() {
        for (kind, name, family) in [
            (MetricType::Histogram, "h_bucket", "h"),
            (MetricType::Summary, "s_count", "s"),
            (MetricType::Summary, "s", "s"),
            (MetricType::Counter, "c_count", "c_count"),
            (MetricType::Histogram, "_sum", "_sum"),
        ] {
            assert_eq!(kind.family_of(name.as_bytes()), family.as_bytes());
        }
    }
}
