//! Prometheus's engine as a child process, and answers in a form that can be compared.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value as Json, json};
use thanoxide_model::{FloatHistogram, Labels};
use thanoxide_promql::{QueryError, QueryResult, QueryValue, Value};

/// What is asked, and when.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) expr: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// 0 for an instant query.
    pub(crate) step_ms: i64,
    pub(crate) delayed: bool,
    /// 0 for the default.
    pub(crate) lookback_ms: i64,
}

impl Question {
    pub(crate) fn json(&self) -> Json {
        let mut json = json!({ "expr": self.expr, "delayed": self.delayed, "lookback": self.lookback_ms });
        if self.step_ms == 0 {
            json["time"] = json!(self.start_ms);
        } else {
            (json["start"], json["end"], json["step"]) =
                (json!(self.start_ms), json!(self.end_ms), json!(self.step_ms));
        }
        json
    }
}

/// Labels, then times and values: the bits of a float, or a histogram in words.
pub(crate) type Row = (String, Vec<(i64, String)>);

/// Everything that a user may see of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) kind: String,
    pub(crate) error: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
    pub(crate) text: String,
    pub(crate) rows: Vec<Row>,
    /// Samples looked at: in all, then at each step.
    pub(crate) samples: Vec<u64>,
}

impl Answer {
    fn read(json: &Json) -> Self {
        let text = |json: &Json| json.as_str().unwrap().to_string();
        let list = |json: &Json| json.as_array().unwrap().iter().map(text).collect();
        let points =
            |json: &Json| json.as_array().unwrap().iter().map(|p| (p[0].as_i64().unwrap(), text(&p[1]))).collect();
        Answer {
            kind: text(&json["kind"]),
            error: text(&json["error"]),
            warnings: list(&json["warnings"]),
            infos: list(&json["infos"]),
            text: text(&json["text"]),
            rows: json["rows"].as_array().unwrap().iter().map(|r| (text(&r["labels"]), points(&r["points"]))).collect(),
            samples: json["samples"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect(),
        }
    }

    pub(crate) fn error(text: String) -> Self {
        Answer { kind: "error".into(), error: text, ..Answer::default() }
    }

    pub(crate) fn ours(result: Result<QueryResult, QueryError>) -> Self {
        let result = match result {
            Ok(result) => result,
            Err(error) => return Answer::error(error.to_string()),
        };
        let (mut warnings, mut infos) = (result.warnings, result.infos);
        warnings.sort();
        infos.sort();
        let by_step = result.stats.samples_by_step.iter().map(|(_, samples)| *samples);
        let samples = std::iter::once(result.stats.total_samples).chain(by_step).collect();
        let (mut kind, mut text, mut rows) = ("vector", String::new(), Vec::new());
        match &result.value {
            QueryValue::String { value, .. } => {
                kind = "string";
                text = hex(value);
            }
            QueryValue::Scalar { timestamp_ms, value } => {
                kind = "scalar";
                rows = vec![(String::new(), vec![(*timestamp_ms, float(*value))])];
            }
            QueryValue::Vector(samples) => {
                let value = |v: &Value| match v {
                    Value::Float(v) => float(*v),
                    Value::Histogram(h) => describe(h),
                };
                rows = samples.iter().map(|s| (name(&s.labels), vec![(s.timestamp_ms, value(&s.value))])).collect();
            }
            QueryValue::Matrix(series) => {
                kind = "matrix";
                for one in series {
                    let mut points: Vec<_> = one.floats.iter().map(|(t, v)| (t, float(v))).collect();
                    points.extend(one.histograms.iter().map(|(t, h)| (*t, describe(h))));
                    rows.push((name(&one.labels), points));
                }
            }
        }
        Answer { kind: kind.into(), error: String::new(), warnings, infos, text, rows, samples }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn float(value: f64) -> String {
    if value.is_nan() { "NaN".into() } else { format!("{:x}", value.to_bits()) }
}

fn name(labels: &Labels) -> String {
    labels.iter().fold(String::new(), |mut text, (name, value)| {
        write!(text, "{}={},", String::from_utf8_lossy(name), hex(value)).unwrap();
        text
    })
}

const CUSTOM_BUCKETS: i32 = -53;

fn describe(h: &FloatHistogram) -> String {
    let mut text = format!(
        "schema {} hint {} threshold {} zero {} count {} sum {}",
        h.schema,
        h.counter_reset_hint as u8,
        float(h.zero_threshold),
        // Nobody sees the sign of a zero that custom buckets have no bucket for.
        float(if h.schema == CUSTOM_BUCKETS { h.zero_count.abs() } else { h.zero_count }),
        float(h.count),
        float(h.sum)
    );
    for (sign, spans, counts) in
        [("+", &h.positive_spans, &h.positive_buckets), ("-", &h.negative_spans, &h.negative_buckets)]
    {
        let (mut index, mut counts) = (0, counts.iter());
        for span in spans {
            index += span.offset;
            for count in counts.by_ref().take(span.length as usize) {
                if *count != 0.0 {
                    write!(text, " {sign}{index}:{}", float(*count)).unwrap();
                }
                index += 1;
            }
        }
    }
    h.custom_values.iter().for_each(|bound| write!(text, " le {}", float(*bound)).unwrap());
    text
}

/// The child. It ends when its input does.
pub(crate) struct Oracle {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin/oracle-batch");
        let mut command = Command::new(&path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("{e}: `cargo xtask setup` builds {}", path.display()));
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Oracle { child, input, output }
    }

    fn line(&mut self) -> Json {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    /// Loads series; gives them back as they are stored, a line each.
    pub(crate) fn load(&mut self, series: &[Json]) -> Vec<String> {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{}", json!({ "series": series })).unwrap();
        input.flush().unwrap();
        self.line().as_array().unwrap().iter().map(Json::to_string).collect()
    }

    /// Answers all questions; `meanwhile` runs while the oracle works.
    pub(crate) fn ask<T>(&mut self, questions: &[Question], meanwhile: impl FnOnce() -> T) -> (Vec<Answer>, T) {
        let lines: String = questions.iter().map(|q| format!("{}\n", q.json())).collect();
        let mut input = self.input.take().unwrap();
        let writer = std::thread::spawn(move || {
            input.write_all(lines.as_bytes()).unwrap();
            input.flush().unwrap();
            input
        });
        let done = meanwhile();
        let answers = questions.iter().map(|_| Answer::read(&self.line())).collect();
        self.input = Some(writer.join().unwrap());
        (answers, done)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
