//! Settings of the type `JAEGER`.

use std::time::Duration;

use crate::tracing::duration;
use crate::yaml::{Decoder, Node};

/// Jaeger. Empty texts and zeroes are the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Jaeger {
    /// `service_name`.
    pub service_name: String,
    /// `tags`: `key=value,…` for all spans; a value may be `${VARIABLE:default}`.
    pub tags: String,
    /// `sampler_type`.
    pub sampler_type: String,
    /// `sampler_param`.
    pub sampler_param: f64,
    /// `sampler_parent_config.local_parent_sampled`: the sampler decides below sampled spans of this process, too.
    pub local_parent_sampled: bool,
    /// `sampler_parent_config.remote_parent_sampled`: the same below those of other processes.
    pub remote_parent_sampled: bool,
    /// `initial_sampler_rate`: the share that is sampled without a word from a remote sampler.
    pub initial_sampler_rate: f64,
    /// `reporter_max_queue_size`: spans that wait.
    pub max_queue_size: i64,
    /// `reporter_flush_interval`.
    pub flush_interval: Duration,
    /// `endpoint`: the URL of a collector.
    pub endpoint: String,
    /// `agent_host`.
    pub agent_host: String,
    /// Settings that are there and about what is not.
    pub ineffective: Vec<&'static str>,
}

pub(super) fn decode(settings: Option<&Node>) -> Result<Jaeger, String> {
    let mut jaeger = Jaeger::default();
    let mut decoder = Decoder::lenient();
    if let Some(node) = settings {
        decoder.fields(node, "jaeger.Config", |decoder, key, value| {
            match key {
                "service_name" => decoder.text(value, &mut jaeger.service_name),
                "tags" => decoder.text(value, &mut jaeger.tags),
                "sampler_type" => decoder.text(value, &mut jaeger.sampler_type),
                "sampler_param" => float(decoder, value, &mut jaeger.sampler_param),
                "sampler_parent_config" => parents(decoder, value, &mut jaeger),
                "initial_sampler_rate" => float(decoder, value, &mut jaeger.initial_sampler_rate),
                "reporter_max_queue_size" => int(decoder, value, &mut jaeger.max_queue_size),
                "reporter_flush_interval" => duration(decoder, value, &mut jaeger.flush_interval),
                "endpoint" => decoder.text(value, &mut jaeger.endpoint),
                "agent_host" => decoder.text(value, &mut jaeger.agent_host),
                key => return ineffective(decoder, key, value, &mut jaeger.ineffective),
            }
            true
        });
    }
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(jaeger)
}

/// What a setting that has no effect holds.
#[derive(Clone, Copy)]
enum Kind {
    Switch,
    Text,
    Int,
    Duration,
}

/// Settings about Thrift, the agent or a remote sampler: checked and noted.
const INEFFECTIVE: [(&str, Kind); 14] = [
    ("disabled", Kind::Switch),
    ("rpc_metrics", Kind::Switch),
    ("traceid_128bit", Kind::Switch),
    ("operation_name_late_binding", Kind::Switch),
    ("reporter_log_spans", Kind::Switch),
    ("reporter_disable_attempt_reconnecting", Kind::Switch),
    ("sampler_manager_host_port", Kind::Text),
    ("sampling_server_url", Kind::Text),
    ("user", Kind::Text),
    ("password", Kind::Text),
    ("sampler_max_operations", Kind::Int),
    ("agent_port", Kind::Int),
    ("sampler_refresh_interval", Kind::Duration),
    ("reporter_attempt_reconnect_interval", Kind::Duration),
];

fn ineffective(decoder: &mut Decoder, key: &str, value: &Node, into: &mut Vec<&'static str>) -> bool {
    let Some((name, kind)) = INEFFECTIVE.iter().find(|(name, _)| *name == key) else { return false };
    let (mut switch, mut text, mut number, mut time) = (false, String::new(), 0, Duration::ZERO);
    match kind {
        Kind::Switch => decoder.switch(value, &mut switch),
        Kind::Text => decoder.text(value, &mut text),
        Kind::Int => int(decoder, value, &mut number),
        Kind::Duration => duration(decoder, value, &mut time),
    }
    if switch || !text.is_empty() || number != 0 || !time.is_zero() {
        into.push(name);
    }
    true
}

fn parents(decoder: &mut Decoder, node: &Node, jaeger: &mut Jaeger) {
    decoder.fields(node, "jaeger.ParentBasedSamplerConfig", |decoder, key, value| {
        match key {
            "local_parent_sampled" => decoder.switch(value, &mut jaeger.local_parent_sampled),
            "remote_parent_sampled" => decoder.switch(value, &mut jaeger.remote_parent_sampled),
            _ => return false,
        }
        true
    });
}

fn float(decoder: &mut Decoder, node: &Node, into: &mut f64) {
    decoder.parsed(node, into, |text| text.parse().ok(), "float64");
}

fn int(decoder: &mut Decoder, node: &Node, into: &mut i64) {
    decoder.parsed(node, into, |text| text.parse().ok(), "int");
}
