//! The file's YAML. Types are called as in stock's error texts.

use super::{DEFAULT_LIMIT_QUERY, Limits, LimitsError, MetaMonitoring, TenantLimits};
use thanoxide_model::duration::parse_duration_ms;

use crate::yaml::{Decoder, Node};

pub(super) fn read(yaml: &str) -> Result<Limits, LimitsError> {
    let mut limits = Limits::default();
    let Some(node) = Node::parse(yaml)? else { return Ok(limits) };
    let mut decoder = Decoder::strict();
    decoder.fields(&node, "receive.RootLimitsConfig", |decoder, key, value| {
        if key == "write" {
            write(decoder, value, &mut limits);
        }
        key == "write"
    });
    decoder.finish()?;
    if let Some(meta) = &limits.meta_monitoring {
        check_url(&meta.url).map_err(LimitsError::Url)?;
    }
    Ok(limits)
}

fn write(decoder: &mut Decoder, node: &Node, limits: &mut Limits) {
    // The default comes first, whatever the order of the file: tenants start from it.
    let mut tenants = None;
    decoder.fields(node, "receive.WriteLimitsConfig", |decoder, key, value| {
        match key {
            "global" => global(decoder, value, limits),
            "default" => tenant(decoder, value, &mut limits.default, "receive.DefaultLimitsConfig"),
            "tenants" => tenants = Some(value.clone()),
            _ => return false,
        }
        true
    });
    let Some(tenants) = tenants else { return };
    let Limits { default, tenants: of_tenants, .. } = limits;
    decoder.fields(&tenants, "map[string]*receive.WriteLimitConfig", |decoder, name, value| {
        let mut own = *default;
        tenant(decoder, value, &mut own, "receive.WriteLimitConfig");
        of_tenants.insert(name.to_string(), own);
        true
    });
}

fn global(decoder: &mut Decoder, node: &Node, limits: &mut Limits) {
    let mut meta = MetaMonitoring { query: DEFAULT_LIMIT_QUERY.to_string(), ..MetaMonitoring::default() };
    decoder.fields(node, "receive.GlobalLimitsConfig", |decoder, key, value| {
        match key {
            "max_concurrency" => decoder.int(value, &mut limits.max_concurrency),
            "max_tenants" => decoder.uint(value, limits.max_tenants.insert(0)),
            "meta_monitoring_url" => decoder.text(value, &mut meta.url),
            "meta_monitoring_limit_query" => decoder.text(value, &mut meta.query),
            "meta_monitoring_http_client" => http_client(decoder, value, &mut meta),
            _ => return false,
        }
        true
    });
    limits.meta_monitoring = (!meta.url.is_empty()).then_some(meta);
}

/// Credentials; all else that a client may be told (proxies, certificates of its own) is refused by name.
fn http_client(decoder: &mut Decoder, node: &Node, meta: &mut MetaMonitoring) {
    decoder.fields(node, "clientconfig.HTTPClientConfig", |decoder, key, value| {
        match key {
            "basic_auth" => {
                let (mut name, mut password) = (String::new(), String::new());
                decoder.fields(value, "clientconfig.BasicAuth", |decoder, key, value| {
                    match key {
                        "username" => decoder.text(value, &mut name),
                        "password" => decoder.text(value, &mut password),
                        _ => return false,
                    }
                    true
                });
                meta.basic_auth = Some((name, password));
            }
            "bearer_token" => decoder.text(value, meta.bearer_token.insert(String::new())),
            _ => return false,
        }
        true
    });
}

fn tenant(decoder: &mut Decoder, node: &Node, limits: &mut TenantLimits, go_type: &str) {
    decoder.fields(node, go_type, |decoder, key, value| {
        match key {
            "request" => request(decoder, value, limits),
            "head_series_limit" => decoder.uint(value, &mut limits.head_series),
            "active_series_limit" => decoder.uint(value, &mut limits.active_series),
            "new_series_per_minute_limit" => decoder.uint(value, &mut limits.new_series_per_minute),
            "samples_per_second_limit" => decoder.uint(value, &mut limits.samples_per_second),
            "labels_per_series_limit" => decoder.uint(value, &mut limits.labels_per_series),
            "label_name_bytes_limit" => decoder.uint(value, &mut limits.label_name_bytes),
            "local_retention" => {
                let parse = |text: &str| parse_duration_ms(text).ok();
                decoder.parsed(value, &mut limits.local_retention_ms, parse, "model.Duration");
            }
            "label_value_bytes_limit" => decoder.uint(value, &mut limits.label_value_bytes),
            _ => return false,
        }
        true
    });
}

fn request(decoder: &mut Decoder, node: &Node, limits: &mut TenantLimits) {
    decoder.fields(node, "receive.requestLimitsConfig", |decoder, key, value| {
        match key {
            "size_bytes_limit" => decoder.int(value, &mut limits.request_bytes),
            "series_limit" => decoder.int(value, &mut limits.request_series),
            "samples_limit" => decoder.int(value, &mut limits.request_samples),
            _ => return false,
        }
        true
    });
}

/// What Go's URL parser says of a text that has no scheme.
fn check_url(url: &str) -> Result<(), String> {
    let colon = url.find([':', '/', '?', '#']).filter(|at| url.as_bytes()[*at] == b':');
    match colon {
        Some(0) => Err(format!("parse {url:?}: missing protocol scheme")),
        _ => Ok(()),
    }
}
