//! What stock's querier answers over stock's store, ours answers over ours: 499 recorded requests over blocks of every kind.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use thanoxide_testkit::compare::difference;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::shared;

/// An answer that is not to be stock's: to which requests it belongs, how many they are, and why.
struct Exception {
    of: fn(&Request) -> bool,
    /// Whether numbers must agree to nine digits all the same.
    near: bool,
    count: usize,
    why: &'static str,
}

const EXCEPTIONS: [Exception; 7] = [
    Exception {
        of: |r| r.has_any(&["rate(", "increase(counter", "resets("]),
        near: false,
        count: 16,
        why: "rates of raw counters are Prometheus's: stock applies resets to the samples first",
    },
    Exception {
        of: |r| r.param("engine") != "thanos" && r.has_any(&["sum(increase(h[", "sum(hist_counter)"]),
        near: true,
        count: 6,
        why: "the last digits of sums of histograms are Prometheus 3.14's, stock has an older engine",
    },
    Exception {
        of: |r| r.param("replicaLabels[]") == "i" && r.has_any(&["sum(increase(h["]),
        near: false,
        count: 1,
        why: "what a histogram says of resets does not hold after a change of replica; stock believes it",
    },
    Exception {
        of: |r| r.param("max_source_resolution") == "0s" && r.has_any(&["avg_over_time(hist_"]),
        near: true,
        count: 1,
        why: "the last digits of means of histograms are Prometheus 3.14's, stock has an older engine",
    },
    Exception {
        of: |r| r.param("engine") == "thanos" && r.has_any(&["sum(increase(h["]),
        near: false,
        count: 1,
        why: "stock's other engine reconciles zero buckets in its own way",
    },
    Exception {
        of: |r| !matches!(r.param("max_source_resolution"), "" | "0s") && r.has_any(&["hist_"]),
        near: false,
        count: 23,
        why: "stock divides the buckets of a downsampled histogram in place, again for every later sample",
    },
    Exception {
        of: |r| r.endpoint == "label/U__service_2e_name/values" || r.server == "partial" && r.endpoint == "series",
        near: false,
        count: 2,
        why: "escaped label names are understood as in Prometheus; series tells of stores that failed",
    },
];

impl Exception {
    fn covers(&self, request: &Request, ours: &Value, stock: &Value) -> bool {
        (self.of)(request) && (!self.near || difference(ours, stock, &[]).is_none())
    }
}

/// One recorded exchange.
struct Request {
    id: u64,
    server: String,
    endpoint: String,
    params: Vec<(String, String)>,
    status: u16,
    body: Value,
}

impl Request {
    fn from_json(json: &Value) -> Result<Self> {
        let text = |key: &str| Ok::<_, anyhow::Error>(json[key].as_str().context("no text")?.to_string());
        let mut params = Vec::new();
        for (name, value) in json["params"].as_object().context("no params")? {
            match value {
                Value::Array(values) => {
                    params.extend(values.iter().filter_map(Value::as_str).map(|v| (name.clone(), v.to_string())));
                }
                value => params.push((name.clone(), value.as_str().context("no text")?.to_string())),
            }
        }
        Ok(Request {
            id: json["id"].as_u64().context("no id")?,
            server: text("server")?,
            endpoint: text("endpoint")?,
            params,
            status: u16::try_from(json["http_status"].as_u64().context("no status")?)?,
            body: serde_json::from_str(&text("body")?)?,
        })
    }

    fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    fn has_any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.param("query").contains(text))
    }

    fn is_sorted(&self) -> bool {
        ["sort", "topk", "bottomk"].iter().any(|f| self.param("query").contains(f))
    }

    async fn replay(&self, client: &reqwest::Client, base: &str) -> Result<(u16, Value)> {
        let url = format!("{base}/api/v1/{}", self.endpoint);
        let request = match self.endpoint.as_str() {
            "query" | "query_range" => {
                let form = reqwest::Url::parse_with_params("http://form/", &self.params)?;
                let kind = "application/x-www-form-urlencoded";
                client.post(url).header("Content-Type", kind).body(form.query().unwrap_or_default().to_string())
            }
            _ => client.get(reqwest::Url::parse_with_params(&url, &self.params)?),
        };
        let response = request.send().await?;
        let (status, text) = (response.status().as_u16(), response.text().await?);
        Ok((status, serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?))
    }
}

/// The series of a many-to-many error, which engines name in either order, in one order.
fn in_order(error: &str) -> Option<String> {
    let (before, rest) = error.strip_prefix("found duplicate series")?.split_once(": [")?;
    let (series, after) = rest.split_once("];")?;
    let mut series: Vec<&str> = series.trim_matches(['{', '}']).split("}, {").collect();
    series.sort_unstable();
    Some(format!("found duplicate series{before}: [{}];{after}", series.join("}, {")))
}

/// Puts what has no order of its own into one, and masks the addresses and what a transport says of them.
fn normal(mut body: Value, sorted: bool) -> Value {
    let is_vector = body["data"]["resultType"] == "vector";
    let result = body.pointer_mut("/data/result").and_then(Value::as_array_mut);
    if let Some(result) = result.filter(|_| is_vector && !sorted) {
        result.sort_by_key(Value::to_string);
    }
    if let Some(warnings) = body.get_mut("warnings").and_then(Value::as_array_mut) {
        warnings.iter_mut().for_each(mask);
        warnings.sort_by_key(Value::to_string);
    }
    if let Some(error) = body.get_mut("error") {
        mask(error);
        if let Some(ordered) = error.as_str().and_then(in_order) {
            *error = ordered.into();
        }
    }
    body
}

fn mask(value: &mut Value) {
    let Some(text) = value.as_str() else { return };
    let Some((before, rest)) = text.split_once("Addr: ") else { return };
    let Some((_, rest)) = rest.split_once(' ') else { return };
    let Some((times, _)) = rest.split_once("rpc error: code = Unavailable desc = ") else { return };
    *value = format!("{before}Addr: <address> {times}rpc error: code = Unavailable desc = <transport>").into();
}

fn put_in_bucket(bucket: &Path) -> Result<()> {
    std::fs::create_dir_all(bucket)?;
    for block in shared::text("golden/thanos-query/bucket.txt")?.lines() {
        let source = shared::path(&format!("golden/{block}"));
        ensure!(Command::new("cp").arg("-r").arg(source).arg(bucket).status()?.success(), "cp -r");
    }
    Ok(())
}

fn start_store(dir: &Path) -> Result<Program> {
    let bucket = dir.join("bucket");
    put_in_bucket(&bucket)?;
    let config = format!("--objstore.config={{type: FILESYSTEM, config: {{directory: {}}}}}", bucket.display());
    let data_dir = format!("--data-dir={}", dir.join("data").display());
    let args = ["store", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", &data_dir, &config];
    let mut store = Program::thanoxide(&args, &["http", "grpc"])?;
    store.await_line("changing probe status", "status=ready")?;
    Ok(store)
}

fn start_querier(endpoint: &str, args: &[&str]) -> Result<Program> {
    let endpoint = format!("--endpoint={endpoint}");
    Program::querier(&[&["--query.replica-label=replica", &endpoint], args].concat())
}

/// An address where nobody listens.
fn dead_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(600).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_stocks() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let store = start_store(dir.path())?;
    let main = start_querier(store.address("grpc"), &[])?;
    let partial = start_querier(store.address("grpc"), &[&format!("--endpoint-strict={}", dead_address()?)])?;
    let client = reqwest::Client::new();
    let (mut wrong, mut excepted, mut equal) = (Vec::new(), BTreeMap::<usize, usize>::new(), 0);
    for line in shared::json_lines("golden/thanos-query/queries.jsonl.gz")? {
        let request = Request::from_json(&line)?;
        let base = if request.server == "main" { main.url("http") } else { partial.url("http") };
        let (status, body) = request.replay(&client, &base).await.with_context(|| format!("request {}", request.id))?;
        let sorted = request.is_sorted();
        let (ours, stock) = (normal(body, sorted), normal(request.body.clone(), sorted));
        if status == request.status && ours == stock {
            equal += 1;
        } else if let Some(exception) = EXCEPTIONS.iter().position(|e| e.covers(&request, &ours, &stock)) {
            *excepted.entry(exception).or_default() += 1;
        } else {
            let (id, endpoint, params) = (request.id, &request.endpoint, &request.params);
            wrong.push(format!(
                "{id} {endpoint} {params:?}\n  ours  {status} {}\n  stock {} {}",
                short(&ours),
                request.status,
                short(&stock)
            ));
        }
    }
    ensure!(wrong.is_empty(), "{equal} equal, {} differ:\n{}", wrong.len(), wrong.join("\n"));
    for (i, exception) in EXCEPTIONS.iter().enumerate() {
        let count = excepted.get(&i).copied().unwrap_or(0);
        if count != exception.count {
            bail!("{} requests differ, {} are known to: {}", count, exception.count, exception.why);
        }
    }
    Ok(())
}
