//! Since when the samples of a batch count.

use crate::write_batch::SeriesSpan;

/// Start times in milliseconds since the Unix epoch, by the places of samples in the columns of a batch. 0 is unknown, as in
/// Prometheus, and so is all beyond the end of a column: a batch whose sender told nothing has empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartTimes {
    samples_ms: Vec<i64>,
    histograms_ms: Vec<i64>,
}

impl StartTimes {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.samples_ms.is_empty() && self.histograms_ms.is_empty()
    }

    /// That of a float sample.
    #[inline]
    pub fn sample_ms(&self, place: u32) -> i64 {
        of(&self.samples_ms, place)
    }

    /// That of a histogram.
    #[inline]
    pub fn histogram_ms(&self, place: u32) -> i64 {
        of(&self.histograms_ms, place)
    }

    /// Sets that of a float sample; places only go up.
    pub fn set_sample(&mut self, place: usize, start_ms: i64) {
        set(&mut self.samples_ms, place, start_ms);
    }

    /// Sets that of a histogram; places only go up.
    pub fn set_histogram(&mut self, place: usize, start_ms: i64) {
        set(&mut self.histograms_ms, place, start_ms);
    }

    /// Adds those of one series of another batch. Its samples and its histograms begin at `places` now.
    pub(crate) fn extend_from(&mut self, places: (usize, usize), other: &StartTimes, series: &SeriesSpan) {
        if other.is_empty() {
            return;
        }
        for (place, from) in (places.0..).zip(series.samples.clone()) {
            self.set_sample(place, other.sample_ms(from));
        }
        for (place, from) in (places.1..).zip(series.histograms.clone()) {
            self.set_histogram(place, other.histogram_ms(from));
        }
    }
}

#[inline]
fn of(column: &[i64], place: u32) -> i64 {
    column.get(place as usize).copied().unwrap_or_default()
}

/// What is unknown takes room only before what is known.
fn set(column: &mut Vec<i64>, place: usize, start_ms: i64) {
    if start_ms != 0 {
        column.resize(place, 0);
        column.push(start_ms);
    }
}

#[cfg(test)]
mod tests {
    use crate::histogram::Histogram;
    use crate::write_batch::{HistogramSample, HistogramValue, WriteBatch, WriteBatchBuilder};
    use crate::{Labels, Sample};

    use super::*;

    fn batch() -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for series in 1..4 {
            let labels = Labels::from_pairs([("series", series.to_string())]);
            let histogram =
                HistogramSample { timestamp_ms: 100, value: HistogramValue::Int(Histogram::default().into()) };
            builder.push(&labels, &[Sample { timestamp_ms: 100, value: 1.0 }]);
            // That of the second one is unknown.
            builder.set_sample_start(series % 2 * series);
            builder.push_histogram(histogram).set_histogram_start(10 * series);
        }
        builder.build()
    }

    #[test]
    fn parts_of_a_batch_keep_them() {
        let whole = batch();
        assert_eq!([0, 1, 2, 3].map(|place| whole.starts.sample_ms(place)), [1, 0, 3, 0]);
        let part = whole.select(&[2, 1]);
        let of = |series: &SeriesSpan| {
            (part.starts.sample_ms(series.samples.start), part.starts.histogram_ms(series.histograms.start))
        };
        assert_eq!(part.series.iter().map(of).collect::<Vec<_>>(), [(3, 30), (0, 20)]);
        assert!(whole.metadata_alone().starts.is_empty());
    }

    #[test]
    fn what_is_unknown_takes_no_room() {
        let mut starts = StartTimes::default();
        starts.set_sample(7, 0);
        assert!(starts.is_empty());
        starts.set_sample(8, 5);
        assert_eq!((starts.sample_ms(7), starts.sample_ms(8), starts.sample_ms(9)), (0, 5, 0));
    }
}
