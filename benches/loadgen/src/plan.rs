//! Samples that follow from the number of a series and of a scrape alone.
//!
//! ```text
//! scrape k of series s is at   start + k * interval + jitter(s, k)
//! its value is                 r * (s % 97 + 1) + s % 13      r = k % resets (k if there are no resets)
//! it is left out               if hash(s, k) says so          (never the first after a reset or a churn)
//! its labels carry             generation = (k + s / 2000) / churn (0 if there is no churn)
//! ```
//!
//! A left-out scrape is sent as the one before it again, which a receiver takes as known.

use thanoxide_model::{Labels, LabelsBuilder};

/// The metric's name.
pub const NAME: &str = "loadgen_requests_total";
/// Series that change their labels together.
pub const GROUP: u64 = 2_000;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Series at a time.
    pub series: u64,
    /// Time between two scrapes.
    pub interval_ms: i64,
    /// The time of scrape 0.
    pub start_ms: i64,
    /// Samples lie up to so many ms around their scrape.
    pub jitter_ms: i64,
    /// So many of a thousand scrapes of a series are left out.
    pub holes_per_mille: u64,
    /// Counters start again after so many scrapes.
    pub resets: Option<u64>,
    /// Series get new labels after so many scrapes.
    pub churn: Option<u64>,
}

impl Plan {
    /// Which labels a series has at a scrape: their generation.
    pub fn generation(&self, series: u64, scrape: u64) -> u64 {
        self.churn.map_or(0, |churn| (scrape + series / GROUP) / churn)
    }

    /// The labels of a series in a generation.
    pub fn labels(&self, series: u64, generation: u64) -> Labels {
        let mut labels = LabelsBuilder::default();
        labels.set("__name__", NAME);
        labels.set("cluster", format!("production-eu-{}", series % 4));
        labels.set("container", format!("container-{}", series % 61));
        labels.set("generation", generation.to_string());
        labels.set("group", (series / GROUP).to_string());
        labels.set("instance", format!("10.{}.{}.{}:9090", series % 43, series / 43 % 250, series / 10_750));
        labels.set("job", format!("job-{}", series % 13));
        labels.set("namespace", format!("team-namespace-{}", series % 40));
        labels.set("series", series.to_string());
        labels.set("status", ["200", "404", "500"][(series % 3) as usize]);
        labels.build()
    }

    /// The time (ms) and value of a series at a scrape; `None` in a hole.
    pub fn sample(&self, series: u64, scrape: u64) -> Option<(i64, f64)> {
        let random = mix(mix(series) ^ scrape);
        if random % 1_000 < self.holes_per_mille && !self.is_first(series, scrape) {
            return None;
        }
        let width = 2 * self.jitter_ms as u64 + 1;
        let jitter_ms = ((random >> 32) % width) as i64 - self.jitter_ms;
        let run = self.resets.map_or(scrape, |resets| scrape % resets);
        let value = (run * (series % 97 + 1) + series % 13) as f64;
        Some((self.start_ms + scrape as i64 * self.interval_ms + jitter_ms, value))
    }

    /// The sample of a scrape, or in a hole the last one before it.
    pub fn sent(&self, series: u64, scrape: u64) -> (i64, f64) {
        let first = self.sample(series, 0).expect("the first scrape is no hole");
        (0..=scrape).rev().find_map(|k| self.sample(series, k)).unwrap_or(first)
    }

    /// The scrape that a time belongs to.
    pub fn scrape_at(&self, time_ms: i64) -> u64 {
        let since_ms = (time_ms - self.start_ms + self.interval_ms / 2).max(0);
        (since_ms / self.interval_ms) as u64
    }

    fn is_first(&self, series: u64, scrape: u64) -> bool {
        let reset = self.resets.is_some_and(|resets| scrape.is_multiple_of(resets));
        let changed = self.generation(series, scrape) != self.generation(series, scrape.saturating_sub(1));
        scrape == 0 || reset || changed
    }
}

/// The finalizer of splitmix64: the only source of randomness.
pub fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        series: 5_000,
        interval_ms: 1_000,
        start_ms: 1_790_000_000_000,
        jitter_ms: 5,
        holes_per_mille: 100,
        resets: Some(50),
        churn: Some(10),
    };

    #[test]
    fn samples_find_back_to_their_scrape() {
        for scrape in 0..200 {
            let Some((time_ms, _)) = PLAN.sample(7, scrape) else { continue };
            assert_eq!(PLAN.scrape_at(time_ms), scrape);
        }
    }

    #[test]
    fn there_are_holes_resets_and_churn() {
        let holes = (0..1_000).filter(|&k| PLAN.sample(3, k).is_none()).count();
        assert!((40..160).contains(&holes), "{holes}");
        assert!(PLAN.sample(3, 50).unwrap().1 < PLAN.sent(3, 49).1);
        assert_ne!(PLAN.labels(3, PLAN.generation(3, 9)), PLAN.labels(3, PLAN.generation(3, 10)));
        assert_eq!(PLAN.sent(3, 0), PLAN.sample(3, 0).unwrap());
    }

    #[test]
    fn groups_change_at_different_scrapes() {
        assert_ne!(PLAN.generation(0, 9), PLAN.generation(2_000, 9));
        assert_eq!(PLAN.labels(11, 0).len(), 10);
    }
}
