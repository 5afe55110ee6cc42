//! What of PromQL is experimental, by the names under which Prometheus's `--enable-feature` switches it on.

use thanoxide_promql::parser::ParseOptions;

/// What is switched on; nothing by default, as in stock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Parts of the language.
    pub language: ParseOptions,
    /// Names are dropped at the end of a query (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// `stats=all` gives samples by step (`promql-per-step-stats`).
    pub per_step_stats: bool,
    /// Metrics are judged by their labels `__type__` and `__unit__` (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Start times of samples take part in `rate` and its like (`use-start-timestamps`).
    pub use_start_timestamps: bool,
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Something is switched on now.
    Enabled,
    /// Once an experiment: now always on, or gone.
    Past,
    /// Nothing that anybody knows.
    Unknown,
}

impl Features {
    /// Switches on what has this name.
    pub fn enable(&mut self, name: &str) -> Meaning {
        let switch = match name {
            "promql-experimental-functions" => &mut self.language.experimental_functions,
            "promql-extended-range-selectors" => &mut self.language.extended_range_selectors,
            "promql-binop-fill-modifiers" => &mut self.language.fill_modifiers,
            "promql-delayed-name-removal" => &mut self.delayed_name_removal,
            "promql-per-step-stats" => &mut self.per_step_stats,
            "type-and-unit-labels" => &mut self.type_and_unit_labels,
            "use-start-timestamps" => &mut self.use_start_timestamps,
            "promql-duration-expr" | "promql-at-modifier" | "promql-negative-offset" => return Meaning::Past,
            "native-histograms" | "ooo-native-histograms" | "query-pushdown" => return Meaning::Past,
            _ => return Meaning::Unknown,
        };
        *switch = true;
        Meaning::Enabled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thanoxide_promql::parser::parse;

    #[test]
    fn each_name_switches_on_its_own_part() {
        let queries = [
            ("promql-experimental-functions", "limitk(1, a)"),
            ("promql-extended-range-selectors", "rate(a[5m] anchored)"),
            ("promql-binop-fill-modifiers", "a + fill(0) b"),
        ];
        for (name, _) in queries {
            let mut features = Features::default();
            assert_eq!(features.enable(name), Meaning::Enabled);
            for (other, query) in queries {
                assert_eq!(parse(query, &features.language).is_ok(), name == other, "{query} with {name}");
            }
        }
    }

    #[test]
    fn what_is_no_experiment_changes_nothing() {
        let mut features = Features::default();
        assert_eq!(features.enable("promql-duration-expr"), Meaning::Past);
        assert_eq!(features.enable("promql-at-modifier"), Meaning::Past);
        assert_eq!(features.enable("Promql-Experimental-Functions"), Meaning::Unknown);
        assert_eq!(features.language, ParseOptions::default());
    }
}
