//! Trees of operators: `query_explain`, `query_range_explain`, and `analysis` of a query that asked for it.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_promql::analysis::AnalysisNode;
use thanoxide_server::http::State;

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;
use crate::api::query;
use crate::json::{push_array, push_string};
use crate::service::QueryService;

/// `/api/v1/query_explain`: the operators of an instant query, which is not evaluated.
pub async fn instant(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    explained(&service, query::instant_evaluation(&service, &params)?)
}

/// `/api/v1/query_range_explain`.
pub async fn range(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    explained(&service, query::range_evaluation(&service, &params)?)
}

fn explained(service: &QueryService, evaluation: crate::service::Evaluation) -> Result<Answer, ApiError> {
    let mut data = String::new();
    push_plan(&mut data, &service.explain(&evaluation)?);
    Ok(Answer::new(data))
}

/// `{name, children}`.
fn push_plan(out: &mut String, node: &AnalysisNode) {
    out.push_str("{\"name\":");
    push_string(out, node.name.as_bytes());
    push_children(out, node, push_plan);
    out.push('}');
}

/// `{name, executionTime, peakSamples, totalSamples, children}`.
pub(crate) fn push_analysis(out: &mut String, node: &AnalysisNode) {
    out.push_str("{\"name\":");
    push_string(out, node.name.as_bytes());
    let figures = format!(
        ",\"executionTime\":\"{}\",\"peakSamples\":{},\"totalSamples\":{}",
        go_duration(node.execution),
        node.peak_samples,
        node.samples
    );
    out.push_str(&figures);
    push_children(out, node, push_analysis);
    out.push('}');
}

fn push_children(out: &mut String, node: &AnalysisNode, push: fn(&mut String, &AnalysisNode)) {
    if !node.children.is_empty() {
        out.push_str(",\"children\":");
        push_array(out, &node.children, push);
    }
}

/// A duration below a minute as Go prints it; longer ones stay in seconds, which Go reads as well.
fn go_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    match nanoseconds {
        0 => "0s".to_string(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{}ms", nanoseconds as f64 / 1e6),
        _ => format!("{}s", nanoseconds as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let texts = [0, 7, 1_500, 2_000_000, 1_500_000_000].map(|n| go_duration(Duration::from_nanos(n)));
        assert_eq!(texts, ["0s", "7ns", "1.5µs", "2ms", "1.5s"]);
    }

    #[test]
    fn trees() {
        let leaf = AnalysisNode { name: "x".into(), samples: 3, ..AnalysisNode::default() };
        let root = AnalysisNode { name: "sum(x)".into(), children: vec![leaf], ..AnalysisNode::default() };
        let (mut plan, mut analysis) = (String::new(), String::new());
        push_plan(&mut plan, &root);
        push_analysis(&mut analysis, &root);
        assert_eq!(plan, r#"{"name":"sum(x)","children":[{"name":"x"}]}"#);
        assert!(analysis.ends_with(r#""executionTime":"0s","peakSamples":0,"totalSamples":3}]}"#), "{analysis}");
    }
}
