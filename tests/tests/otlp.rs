//! OTLP requests become the series that Thanos's own receiver makes of them, and Prometheus where it has more ways.

#[path = "otlp/random.rs"]
mod random;
#[path = "otlp/stock.rs"]
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use anyhow::{Result, ensure};
use prost::Message;
use random::Random;
use serde_json::{Value, json};
use stock::{answers, base64, of_stock, said, said_by_stock, shown, starts, starts_of_stock};
use thanoxide_router::otlp::{OtlpSettings, TranslationStrategy, decode_json, translate};

/// Compares by key, and shows what differs only.
fn same(what: &str, ours: &BTreeMap<String, Value>, stock: &BTreeMap<String, Value>, of: &impl Debug) -> Result<()> {
    let differ = |key: &&String| ours.get(*key) != stock.get(*key);
    let keys: BTreeSet<_> = ours.keys().chain(stock.keys()).filter(differ).collect();
    let shown = |key: &&String| format!("{key}\nours  {:?}\nstock {:?}\n", ours.get(*key), stock.get(*key));
    ensure!(keys.is_empty(), "{what}\n{}of {of:?}", keys.iter().map(shown).collect::<String>());
    Ok(())
}

/// `THANOXIDE_OTLP_REQUESTS` random requests by each strategy; CI takes fewer. The first strategy is Thanos's and compared with
/// its receiver, the others are Prometheus's alone.
#[test]
fn random_requests_become_stocks_series() -> Result<()> {
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, seed) = (number("THANOXIDE_OTLP_REQUESTS", 1000), number("THANOXIDE_OTLP_SEED", 4711));
    for (place, (name, strategy)) in TranslationStrategy::NAMES.into_iter().enumerate() {
        let mut random = Random { state: seed + place as u64, has_names: strategy != TranslationStrategy::default() };
        // Pieces, so that memory stays small.
        for piece in 0..count.div_ceil(1000) {
            let size = (count - piece * 1000).min(1000) as usize;
            compare(name, strategy, &mut random, size)?;
        }
    }
    Ok(())
}

fn compare(name: &str, strategy: TranslationStrategy, random: &mut Random, count: usize) -> Result<()> {
    let by_prometheus = strategy != TranslationStrategy::default();
    let cases: Vec<_> = (0..count).map(|_| (random::request(random), random::settings(random, strategy))).collect();
    let questions: Vec<_> = cases
        .iter()
        .map(|(request, (_, promoted, options))| {
            let request = base64(&request.encode_to_vec());
            json!({"strategy": name, "promoted": promoted, "options": options, "request": request})
        })
        .collect();
    let program = if by_prometheus { "oracle" } else { "ringreceiver" };
    let answers = answers(program, &questions)?;
    ensure!(answers.len() == cases.len());
    let mut faults = 0;
    for ((request, (settings, ..)), answer) in cases.iter().zip(&answers) {
        let translated = translate(request, settings);
        let of = (settings, request, translated.faults.text());
        let fault = answer["error"].as_str().unwrap_or_default();
        ensure!(
            translated.faults.text().is_some() != fault.is_empty(),
            "{name}: stock has the fault {fault:?}, ours {of:?}"
        );
        if !fault.is_empty() {
            // Thanos keeps nothing of such a request, and Prometheus not all that could be kept.
            faults += 1;
            continue;
        }
        same(name, &shown(&translated), &of_stock(answer)?, &of)?;
        if by_prometheus {
            same(name, &said(&translated), &said_by_stock(answer), &of)?;
            same(name, &starts(&translated), &starts_of_stock(answer)?, &of)?;
        }
    }
    ensure!(faults > 0 && faults < count * 9 / 10, "{faults} of {count} requests had faults");
    println!("{name}: {count} requests, {faults} with faults");
    Ok(())
}

/// JSON as exporters and collectors write it.
#[test]
fn json_requests_become_stocks_series() -> Result<()> {
    let point = r#"{"timeUnixNano":"1790000000000000000","startTimeUnixNano":1790000000000000000,"flags":0"#;
    let attributes = r#""attributes":[{"key":"a.b","value":{"stringValue":"x"}},{"key":"n","value":{"intValue":"-5"}},
        {"key":"l","value":{"arrayValue":{"values":[{"doubleValue":0.5},{"boolValue":true},{"bytesValue":"AQID"}]}}},
        {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":7}}]}}}]"#;
    let exemplars = r#""exemplars":[{"timeUnixNano":"1790000000000000000","asDouble":2.5,
        "traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","filteredAttributes":[]}]"#;
    let metrics = [
        format!(r#"{{"name":"g","unit":"By","gauge":{{"dataPoints":[{point},"asDouble":1.5,{attributes}}}]}}}}"#),
        format!(
            r#"{{"name":"s","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{point},"asInt":"-7",{exemplars}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[{point},"count":"3","sum":4,"bucketCounts":["1","2"],"explicitBounds":[2],{exemplars}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{point},"count":3,"scale":-1,"zeroCount":"1","positive":{{"offset":-2,"bucketCounts":["1","0","2"]}}}}]}}}}"#
        ),
        format!(
            r#"{{"name":"q","summary":{{"dataPoints":[{point},"count":"3","sum":9.5,"quantileValues":[{{"quantile":0.5,"value":2}}]}}]}}}}"#
        ),
        r#"{"name":"empty","gauge":{"dataPoints":[]}}"#.to_string(),
        format!(r#"{{"name":"delta","sum":{{"aggregationTemporality":1,"dataPoints":[{point},"asInt":1}}]}}}}"#),
    ];
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"x","value":{"stringValue":"y"}}]}"#;
    let whole = |metrics: &str| {
        format!(r#"{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#)
    };
    let mut bodies: Vec<String> = metrics.iter().map(|metric| whole(metric)).collect();
    bodies.push(whole(&metrics.join(",")));
    bodies.extend(
        ["{}", "", "[", r#"{"resourceMetrics":[{}]}"#, r#"{"resourceMetrics":[{"scopeMetrics":"x"}]}"#]
            .map(str::to_string),
    );
    let question = |body: &String| json!({"promoted": [], "json": base64(body.as_bytes())});
    // An empty text asks for nothing.
    bodies.retain(|body| !body.is_empty());
    let stock = answers("ringreceiver", &bodies.iter().map(question).collect::<Vec<_>>())?;
    for (body, answer) in bodies.iter().zip(&stock) {
        let failed = !answer["error"].as_str().unwrap_or_default().is_empty();
        let ours = decode_json(body.as_bytes()).map(|request| translate(&request, &OtlpSettings::default()));
        match ours {
            Ok(ours) if ours.faults.text().is_none() => {
                ensure!(!failed, "{body}: {answer}");
                same("json", &shown(&ours), &of_stock(answer)?, body)?;
            }
            Ok(ours) => ensure!(ours.faults.text().as_deref() == answer["error"].as_str(), "{body}: {answer}"),
            Err(error) => ensure!(failed, "{body}: we refuse it ({error})"),
        }
    }
    Ok(())
}
