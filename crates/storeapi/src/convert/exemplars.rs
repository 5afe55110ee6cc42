//! Exemplars and requests for them.

use thanoxide_model::{Exemplar, SeriesExemplars};
use thanoxide_promql::parser::ParseOptions;
use thanoxide_proto::thanos;
use thanoxide_proto::thanos::exemplars_response::Result as Part;

use super::labels;
use super::requests::{strategy_from_proto, strategy_to_proto};
use crate::exemplars::{matcher_sets, query_of};
use crate::{ExemplarsAnswer, ExemplarsRequest, StoreError};

pub(crate) fn request_to_proto(request: &ExemplarsRequest) -> thanos::ExemplarsRequest {
    thanos::ExemplarsRequest {
        query: query_of(&request.sets),
        start: request.start_ms,
        end: request.end_ms,
        partial_response_strategy: strategy_to_proto(request.partial_response),
    }
}

/// Whatever a querier has switched on of the language is read.
pub(crate) fn request_from_proto(request: thanos::ExemplarsRequest) -> Result<ExemplarsRequest, StoreError> {
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    Ok(ExemplarsRequest {
        sets: matcher_sets(&request.query, &options)?,
        start_ms: request.start,
        end_ms: request.end,
        partial_response: strategy_from_proto(false, request.partial_response_strategy),
    })
}

/// The answer as frames: warnings first.
pub(crate) fn answer_to_proto(answer: ExemplarsAnswer) -> impl Iterator<Item = thanos::ExemplarsResponse> {
    let frame = |part| thanos::ExemplarsResponse { result: Some(part) };
    let warnings = answer.warnings.into_iter().map(Part::Warning);
    warnings.chain(answer.series.into_iter().map(|series| Part::Data(series_to_proto(&series)))).map(frame)
}

fn series_to_proto(series: &SeriesExemplars) -> thanos::ExemplarData {
    let exemplar = |e: &Exemplar| thanos::Exemplar {
        labels: Some(labels::set_to_proto(&e.labels)),
        value: e.value,
        ts: e.timestamp_ms,
    };
    thanos::ExemplarData {
        series_labels: Some(labels::set_to_proto(&series.labels)),
        exemplars: series.exemplars.iter().map(exemplar).collect(),
    }
}

/// Adds a frame to an answer.
pub(crate) fn add_frame(frame: thanos::ExemplarsResponse, answer: &mut ExemplarsAnswer) -> Result<(), StoreError> {
    match frame.result {
        Some(Part::Warning(warning)) => answer.warnings.push(warning),
        Some(Part::Data(data)) => answer.series.push(series_from_proto(data)?),
        None => {}
    }
    Ok(())
}

fn series_from_proto(data: thanos::ExemplarData) -> Result<SeriesExemplars, StoreError> {
    let exemplar = |e: thanos::Exemplar| {
        let labels = labels::from_proto(&e.labels.unwrap_or_default().labels)?;
        Ok(Exemplar { labels, timestamp_ms: e.ts, value: e.value })
    };
    Ok(SeriesExemplars {
        labels: labels::from_proto(&data.series_labels.unwrap_or_default().labels)?,
        exemplars: data.exemplars.into_iter().map(exemplar).collect::<Result<_, StoreError>>()?,
    })
}
