//! Rules about label names and values.

use std::collections::BTreeSet;

use thanoxide_model::{Labels, Matcher};

use super::dataset::REPLICA;
use super::{Check, Dataset, ensure};
use crate::{LabelNamesRequest, LabelValuesRequest, Store, StoreError};

fn names_request(data: &Dataset) -> LabelNamesRequest {
    let (start_ms, end_ms) = data.times();
    LabelNamesRequest { start_ms, end_ms, ..Default::default() }
}

fn values_request(data: &Dataset, label: &str) -> LabelValuesRequest {
    let (start_ms, end_ms) = data.times();
    LabelValuesRequest { label: label.to_string(), start_ms, end_ms, ..Default::default() }
}

fn finals(data: &Dataset) -> Vec<Labels> {
    data.series.iter().map(|(l, _)| data.final_labels(l)).collect()
}

fn names_of<'a>(series: impl IntoIterator<Item = &'a Labels>) -> Vec<Vec<u8>> {
    let names = series.into_iter().flat_map(|l| l.iter().map(|(n, _)| n.to_vec()).collect::<Vec<_>>());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn values_of<'a>(series: impl IntoIterator<Item = &'a Labels>, label: &str) -> Vec<Vec<u8>> {
    let values = series.into_iter().filter_map(|l| l.get(label).map(<[u8]>::to_vec));
    values.collect::<BTreeSet<_>>().into_iter().collect()
}

fn same(answer: Result<crate::LabelsAnswer, StoreError>, want: &[Vec<u8>]) -> Check {
    let answer = answer.map_err(|e| e.to_string())?;
    ensure!(answer.warnings.is_empty(), "warnings {:?}", answer.warnings);
    let text = |all: &[Vec<u8>]| all.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>();
    ensure!(answer.values == want, "{:?} instead of {:?}", text(&answer.values), text(want));
    Ok(())
}

pub(super) async fn names_are_sorted_and_unique(store: &dyn Store, data: &Dataset) -> Check {
    same(store.label_names(names_request(data)).await, &names_of(&finals(data)))
}

pub(super) async fn names_follow_matchers(store: &dyn Store, data: &Dataset) -> Check {
    for value in ["up", "odd", "nothing"] {
        let matcher = Matcher::equal("__name__", value);
        let finals = finals(data);
        let want = names_of(finals.iter().filter(|l| matcher.matches_labels(l)));
        let request = LabelNamesRequest { matchers: vec![matcher], ..names_request(data) };
        same(store.label_names(request).await, &want).map_err(|e| format!("{value}: {e}"))?;
    }
    Ok(())
}

pub(super) async fn names_without_replica_labels(store: &dyn Store, data: &Dataset) -> Check {
    let removed = vec![REPLICA.to_string(), "cluster".to_string()];
    let finals: Vec<_> = finals(data).iter().map(|l| l.without(&removed)).collect();
    let request = LabelNamesRequest { without_replica_labels: removed, ..names_request(data) };
    same(store.label_names(request).await, &names_of(&finals))
}

pub(super) async fn values_are_sorted_and_unique(store: &dyn Store, data: &Dataset) -> Check {
    let finals = finals(data);
    for label in ["__name__", "instance", "text", "absent"] {
        let want = values_of(&finals, label);
        same(store.label_values(values_request(data, label)).await, &want).map_err(|e| format!("{label}: {e}"))?;
        let matcher = Matcher::equal("__name__", "odd");
        let want = values_of(finals.iter().filter(|l| matcher.matches_labels(l)), label);
        let request = LabelValuesRequest { matchers: vec![matcher], ..values_request(data, label) };
        same(store.label_values(request).await, &want).map_err(|e| format!("{label} of odd: {e}"))?;
    }
    Ok(())
}

pub(super) async fn values_of_external_labels(store: &dyn Store, data: &Dataset) -> Check {
    for (name, value) in data.external.iter() {
        let label = String::from_utf8_lossy(name);
        same(store.label_values(values_request(data, &label)).await, &[value.to_vec()])?;
        let matchers = vec![Matcher::equal(name, "another")];
        let request = LabelValuesRequest { matchers, ..values_request(data, "__name__") };
        same(store.label_values(request).await, &[])?;
    }
    Ok(())
}

pub(super) async fn values_of_removed_labels_are_empty(store: &dyn Store, data: &Dataset) -> Check {
    for label in [REPLICA, "cluster"] {
        let removed = vec![label.to_string()];
        let request = LabelValuesRequest { without_replica_labels: removed, ..values_request(data, label) };
        same(store.label_values(request).await, &[]).map_err(|e| format!("{label}: {e}"))?;
    }
    Ok(())
}

/// Stores differ in whether the question is wrong or the answer is empty, as stock's do.
pub(super) async fn empty_label_has_no_values(store: &dyn Store, data: &Dataset) -> Check {
    match store.label_values(values_request(data, "")).await {
        Err(StoreError::InvalidArgument(_)) => Ok(()),
        answer => same(answer, &[]),
    }
}

pub(super) async fn limits_bound_labels(store: &dyn Store, data: &Dataset) -> Check {
    let names = names_of(&finals(data));
    same(store.label_names(LabelNamesRequest { limit: 2, ..names_request(data) }).await, &names[..2])?;
    let values = values_of(&finals(data), "instance");
    let request = LabelValuesRequest { limit: 3, ..values_request(data, "instance") };
    same(store.label_values(request).await, &values[..3])
}
