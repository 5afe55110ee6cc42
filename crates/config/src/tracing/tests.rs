use std::time::Duration;

use super::*;

fn refused(yaml: &str) -> String {
    Tracing::parse(yaml).unwrap_err().to_string()
}

#[test]
fn refusals_have_stocks_words() {
    let type_error = "otlp: invalid client type. Only 'http' and 'grpc' are accepted. ";
    let shape = "yaml: unmarshal errors:\n  ";
    let told = |text: &str| format!("new tracer provider err: {text}");
    for (yaml, told) in [
        ("type: NOPE", "tracing with type NOPE is not supported".to_string()),
        (
            "nope: 1",
            format!("parsing config tracing YAML: {shape}line 1: field nope not found in type client.TracingConfig"),
        ),
        (
            "type: [1]",
            format!("parsing config tracing YAML: {shape}line 1: cannot unmarshal !!seq into client.TracingProvider"),
        ),
        ("[", "parsing config tracing YAML: yaml: line 1: did not find expected node content".to_string()),
        ("type: OTLP", told(type_error)),
        ("type: otlp\nconfig: {client_type: x}", told(type_error)),
        (
            "type: OTLP\nconfig: {client_type: grpc, timeout: abc, endpoint: \"a:1\", insecure: maybe}",
            told(
                "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `maybe` into bool\n  line 4: cannot unmarshal !!str `abc` into time.Duration",
            ),
        ),
        ("type: OTLP\nconfig: [a]", told("yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into otlp.Config")),
        (
            "type: OTLP\nconfig: text",
            told("yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `text` into otlp.Config"),
        ),
        (
            "type: JAEGER\nconfig: {sampler_param: abc, agent_port: x, tags: [a]}",
            told(
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `x` into int\n  line 2: cannot unmarshal !!str `abc` into float64\n  line 4: cannot unmarshal !!seq into string",
            ),
        ),
        (
            "type: OTLP\nconfig: {client_type: grpc, retry_config: {retry_initial_interval: 5x}, tls_config: {ca_file: /nope}, headers: {a: [b]}}",
            told(
                "yaml: unmarshal errors:\n  line 4: cannot unmarshal !!seq into string\n  line 6: cannot unmarshal !!str `5x` into time.Duration",
            ),
        ),
    ] {
        assert_eq!(refused(yaml), told, "{yaml}");
    }
}

#[test]
fn vendors_are_refused_by_name() {
    for vendor in VENDORS {
        let told = refused(&format!("type: {vendor}\nconfig: {{project_id: a}}"));
        assert!(told.starts_with(&format!("tracing with type {vendor} needs a protocol of its vendor")), "{told}");
    }
}

#[test]
fn otlp_is_read_whole() {
    let yaml = "type: OTLP\nconfig:\n  client_type: http\n  service_name: a\n  resource_attributes: {zone: b}\n  compression: gzip\n  \
                insecure: true\n  endpoint: c:1\n  url_path: /d\n  timeout: 3s\n  headers: {x: y}\n  sampler_type: traceidratiobased\n  \
                sampler_param: 0.5\n  unknown: 1\n  reconnection_period: 5000000000\n  retry_config: {retry_enabled: true, \
                retry_initial_interval: 1s, retry_max_interval: 2s, retry_max_elapsed_time: 1m30s}\n  tls_config: {ca_file: e, cert_file: f, \
                key_file: g, server_name: h, insecure_skip_verify: true}\n";
    let text = str::to_string;
    let pair = |name: &str, value: &str| vec![(name.to_string(), value.to_string())];
    let second = Duration::from_secs(1);
    let expected = Otlp {
        protocol: OtlpProtocol::Http,
        service_name: text("a"),
        resource_attributes: pair("zone", "b"),
        reconnection_period: 5 * second,
        compression: text("gzip"),
        insecure: true,
        endpoint: text("c:1"),
        url_path: text("/d"),
        timeout: 3 * second,
        retry: OtlpRetry {
            enabled: true,
            initial_interval: second,
            max_interval: 2 * second,
            max_elapsed_time: 90 * second,
        },
        headers: pair("x", "y"),
        tls: OtlpTls {
            ca_file: text("e"),
            cert_file: text("f"),
            key_file: text("g"),
            server_name: text("h"),
            insecure_skip_verify: true,
        },
        sampler_type: text("traceidratiobased"),
        sampler_param: text("0.5"),
    };
    assert_eq!(Tracing::parse(yaml), Ok(Tracing::Otlp(expected)));
}

#[test]
fn jaeger_is_read_and_says_what_has_no_effect() {
    let yaml = "\"config\":\n  \"sampler_param\": 2\n  \"sampler_type\": \"ratelimiting\"\n  \"service_name\": \"a\"\n  user: b\n  \
                disabled: false\n  agent_port: 6831\n\"type\": \"JAEGER\"";
    let Ok(Tracing::Jaeger(jaeger)) = Tracing::parse(yaml) else { panic!("refused") };
    assert_eq!(
        (jaeger.sampler_type.as_str(), jaeger.sampler_param, jaeger.service_name.as_str()),
        ("ratelimiting", 2.0, "a")
    );
    assert_eq!(jaeger.ineffective, ["agent_port", "user"]);
    assert_eq!(Tracing::parse("type: JAEGER"), Ok(Tracing::Jaeger(Jaeger::default())));
}
