//! Exemplars: what is asked of a store, what it answers, and how that travels as a query.

use thanoxide_model::{Labels, Matcher, SeriesExemplars};
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::visit::selectors;

use crate::{PartialResponse, StoreError};

/// Which exemplars are wanted: those of series that satisfy all matchers of any set.
#[derive(Clone, Debug, Default)]
pub struct ExemplarsRequest {
    /// Sets of matchers, over all labels of a series, external ones included.
    pub sets: Vec<Vec<Matcher>>,
    /// Oldest time, inclusive.
    pub start_ms: i64,
    /// Newest time, inclusive.
    pub end_ms: i64,
    /// What to do about missing parts.
    pub partial_response: PartialResponse,
}

/// Exemplars of some series, external labels included. A series may be there more than once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExemplarsAnswer {
    /// The series.
    pub series: Vec<SeriesExemplars>,
    /// What is missing.
    pub warnings: Vec<String>,
}

/// The matchers of each selector of a query. An error says what is wrong with the query.
pub fn matcher_sets(query: &str, options: &ParseOptions) -> Result<Vec<Vec<Matcher>>, StoreError> {
    let expr = parse(query, options).map_err(|e| StoreError::InvalidArgument(e.to_string()))?;
    Ok(selectors(&expr).into_iter().map(|selector| selector.matchers.clone()).collect())
}

/// A query with these selectors, as Thanos's proxy writes it.
pub(crate) fn query_of(sets: &[Vec<Matcher>]) -> String {
    let selector = |set: &Vec<Matcher>| {
        let matchers: Vec<String> = set.iter().map(Matcher::to_string).collect();
        format!("{{{}}}", matchers.join(", "))
    };
    sets.iter().map(selector).collect::<Vec<_>>().join("+")
}

impl ExemplarsRequest {
    /// The part of a request that a store can answer which has series with these external labels only; `None` where
    /// it has none of them. Who does not know its external labels (`strip`) is asked without them.
    pub(crate) fn for_store(&self, label_sets: &[Labels], strip: bool) -> Option<ExemplarsRequest> {
        let may = |set: &&Vec<Matcher>| {
            let fits = |labels: &Labels| set.iter().all(|m| labels.get(m.name()).is_none_or(|value| m.matches(value)));
            label_sets.is_empty() || label_sets.iter().any(fits)
        };
        let is_external = |m: &&Matcher| label_sets.iter().any(|labels| labels.get(m.name()).is_some());
        let stripped = |set: &Vec<Matcher>| set.iter().filter(|m| !strip || !is_external(m)).cloned().collect();
        let sets: Vec<Vec<Matcher>> = self.sets.iter().filter(may).map(stripped).collect();
        (!sets.is_empty()).then(|| ExemplarsRequest { sets, ..self.clone() })
    }

    /// Whether a series, with all its labels, is wanted.
    pub(crate) fn wants(&self, labels: &Labels) -> bool {
        self.sets.iter().any(|set| set.iter().all(|matcher| matcher.matches_labels(labels)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(query: &str) -> Vec<Vec<Matcher>> {
        matcher_sets(query, &ParseOptions::default()).unwrap()
    }

    #[test]
    fn a_query_travels_as_its_selectors() {
        let asked = sets(r#"sum(rate(a{x=~"1|2"}[5m])) / ignoring(y) {"b.c",y!="q\"q"} + 1"#);
        assert_eq!(asked.len(), 2);
        assert_eq!(sets(&query_of(&asked)), asked);
        assert_eq!(sets("1 + 1"), Vec::<Vec<Matcher>>::new());
        assert!(matches!(matcher_sets("{", &ParseOptions::default()), Err(StoreError::InvalidArgument(_))));
    }

    #[test]
    fn a_store_is_asked_for_what_it_may_have() {
        let request = ExemplarsRequest { sets: sets(r#"a{r="1"} + b{r="2",x="y"}"#), ..Default::default() };
        let of = |r: &str, strip| {
            let asked = request.for_store(&[Labels::from_pairs([("r", r)])], strip);
            asked.map(|asked| query_of(&asked.sets))
        };
        assert_eq!(of("1", true).as_deref(), Some(r#"{__name__="a"}"#));
        assert_eq!(of("2", false).as_deref(), Some(r#"{r="2", x="y", __name__="b"}"#));
        assert_eq!(of("3", true), None);
        assert_eq!(request.for_store(&[], true).unwrap().sets, request.sets);
        assert!(request.wants(&Labels::from_pairs([("__name__", "a"), ("r", "1")])));
        assert!(!request.wants(&Labels::from_pairs([("__name__", "b"), ("r", "1")])));
    }
}
