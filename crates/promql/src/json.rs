//! The tree as JSON: the `data` of `/api/v1/parse_query`.
//!
//! Keys are in alphabetical order, and `<`, `>`, `&` are escaped, as Prometheus's encoder does it.

use std::fmt::Write;

use thanoxide_model::Matcher;
use thanoxide_model::float::{format_f, format_json};
use thiserror::Error;

use crate::ast::{
    Aggregate, At, Binary, Call, DurationExpr, DurationOperation, Expr, MatrixSelector, Subquery, TimeSpan,
    VectorMatching, VectorSelector,
};

/// A number that JSON cannot hold: the value of a `fill`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unsupported value: {0}")]
pub struct UnsupportedValue(String);

/// Writes the tree of a query.
pub fn to_json(expr: &Expr) -> Result<String, UnsupportedValue> {
    let mut json = Json { out: String::new(), unsupported: None };
    json.expression(expr);
    match json.unsupported {
        None => Ok(json.out),
        Some(value) => Err(UnsupportedValue(format_f(value))),
    }
}

struct Json {
    out: String,
    unsupported: Option<f64>,
}

impl Json {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn print(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.out.write_fmt(arguments).expect("writing to a String cannot fail");
    }

    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Aggregate(e) => self.aggregate(e),
            Expr::Binary(e) => self.binary(e),
            Expr::Call(e) => self.call(e),
            Expr::Matrix(e) => self.matrix(e),
            Expr::Number(e) => {
                self.print(format_args!(r#"{{"type":"numberLiteral","val":"{}"}}"#, format_f(e.value)));
            }
            Expr::Paren(e) => {
                self.raw(r#"{"expr":"#);
                self.expression(&e.expr);
                self.raw(r#","type":"parenExpr"}"#);
            }
            Expr::String(e) => {
                self.raw(r#"{"type":"stringLiteral","val":"#);
                self.string(&e.value);
                self.raw("}");
            }
            Expr::Subquery(e) => self.subquery(e),
            Expr::Unary(e) => {
                self.raw(r#"{"expr":"#);
                self.expression(&e.expr);
                self.print(format_args!(r#","op":"{}","type":"unaryExpr"}}"#, e.op.as_str()));
            }
            Expr::Vector(e) => self.vector(e),
        }
    }

    fn aggregate(&mut self, e: &Aggregate) {
        self.raw(r#"{"expr":"#);
        self.expression(&e.expr);
        self.raw(r#","grouping":"#);
        self.list(&e.grouping, |json, label| json.string(label.as_bytes()));
        self.print(format_args!(r#","op":"{}","param":"#, e.op.as_str()));
        match &e.param {
            Some(param) => self.expression(param),
            None => self.raw("null"),
        }
        self.print(format_args!(r#","type":"aggregation","without":{}}}"#, e.without));
    }

    fn binary(&mut self, e: &Binary) {
        self.print(format_args!(r#"{{"bool":{},"lhs":"#, e.return_bool));
        self.expression(&e.lhs);
        self.raw(r#","matching":"#);
        match &e.matching {
            Some(matching) => self.matching(matching),
            None => self.raw("null"),
        }
        self.raw(r#","op":"#);
        self.string(e.op.as_str().as_bytes());
        self.raw(r#","rhs":"#);
        self.expression(&e.rhs);
        self.raw(r#","type":"binaryExpr"}"#);
    }

    fn matching(&mut self, matching: &VectorMatching) {
        self.print(format_args!(r#"{{"card":"{}","fillValues":{{"lhs":"#, matching.card.as_str()));
        self.fill_value(matching.fill_lhs);
        self.raw(r#","rhs":"#);
        self.fill_value(matching.fill_rhs);
        self.raw(r#"},"include":"#);
        self.list(&matching.include, |json, label| json.string(label.as_bytes()));
        self.raw(r#","labels":"#);
        self.list(&matching.labels, |json, label| json.string(label.as_bytes()));
        self.print(format_args!(r#","on":{}}}"#, matching.on));
    }

    fn fill_value(&mut self, value: Option<f64>) {
        match value {
            None => self.raw("null"),
            Some(value) if value.is_finite() => self.raw(&format_json(value)),
            Some(value) => {
                self.unsupported.get_or_insert(value);
            }
        }
    }

    fn call(&mut self, e: &Call) {
        self.raw(r#"{"args":"#);
        self.list(&e.args, Json::expression);
        self.raw(r#","func":{"argTypes":"#);
        self.list(e.function.args, |json, value_type| json.string(value_type.as_str().as_bytes()));
        let (name, returns, variadic) = (e.function.name, e.function.returns, e.function.variadic);
        self.print(format_args!(
            r#","name":"{name}","returnType":"{returns}","variadic":{variadic}}},"type":"call"}}"#
        ));
    }

    fn vector(&mut self, e: &VectorSelector) {
        self.selection(e);
        self.extensions(e);
        self.at(e.at);
        self.raw(r#","type":"vectorSelector"}"#);
    }

    fn matrix(&mut self, e: &MatrixSelector) {
        self.selection(&e.selector);
        self.time_span("range", &e.range);
        self.extensions(&e.selector);
        self.at(e.selector.at);
        self.raw(r#","type":"matrixSelector"}"#);
    }

    fn selection(&mut self, e: &VectorSelector) {
        self.print(format_args!(r#"{{"anchored":{},"matchers":"#, e.anchored));
        self.list(&e.matchers, Json::matcher);
        self.raw(r#","name":"#);
        self.string(e.name.as_bytes());
        self.time_span("offset", &e.offset);
    }

    fn extensions(&mut self, e: &VectorSelector) {
        self.print(format_args!(r#","smoothed":{}"#, e.smoothed));
    }

    fn matcher(&mut self, matcher: &Matcher) {
        self.raw(r#"{"name":"#);
        self.string(matcher.name());
        self.print(format_args!(r#","type":"{}","value":"#, matcher.kind().as_str()));
        self.string(matcher.value());
        self.raw("}");
    }

    fn subquery(&mut self, e: &Subquery) {
        self.raw(r#"{"expr":"#);
        self.expression(&e.expr);
        self.time_span("offset", &e.offset);
        self.time_span("range", &e.range);
        self.start_or_end(e.at);
        self.time_span("step", e.step.as_ref().unwrap_or(&TimeSpan::ZERO));
        self.timestamp(e.at);
        self.raw(r#","type":"subquery"}"#);
    }

    fn at(&mut self, at: Option<At>) {
        self.start_or_end(at);
        self.timestamp(at);
    }

    fn start_or_end(&mut self, at: Option<At>) {
        let word = match at {
            Some(At::Start) => r#""start""#,
            Some(At::End) => r#""end""#,
            _ => "null",
        };
        self.print(format_args!(r#","startOrEnd":{word}"#));
    }

    fn timestamp(&mut self, at: Option<At>) {
        match at {
            Some(At::Timestamp(ms)) => self.print(format_args!(r#","timestamp":{ms}"#)),
            _ => self.raw(r#","timestamp":null"#),
        }
    }

    /// Two fields: the milliseconds of a literal (0 for an expression), and the expression (null for a literal).
    fn time_span(&mut self, name: &str, span: &TimeSpan) {
        match span {
            TimeSpan::Fixed(ms) => self.print(format_args!(r#","{name}":{ms},"{name}Expr":null"#)),
            TimeSpan::Computed(operation) => {
                self.print(format_args!(r#","{name}":0,"{name}Expr":"#));
                self.duration_operation(operation);
            }
        }
    }

    fn duration_operation(&mut self, e: &DurationOperation) {
        self.raw(r#"{"lhs":"#);
        self.duration_operand(e.lhs.as_ref());
        self.print(format_args!(r#","op":"{}","rhs":"#, e.op.as_str()));
        self.duration_operand(e.rhs.as_ref());
        self.print(format_args!(r#","type":"durationExpr","wrapped":{}}}"#, e.wrapped));
    }

    fn duration_operand(&mut self, operand: Option<&DurationExpr>) {
        match operand {
            None => self.raw("null"),
            Some(DurationExpr::Operation(operation)) => self.duration_operation(operation),
            Some(DurationExpr::Number(number)) => self.print(format_args!(
                r#"{{"duration":{},"type":"numberLiteral","val":"{}"}}"#,
                number.is_duration,
                format_f(number.value)
            )),
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            self.raw(if index > 0 { "," } else { "" });
            write(self, item);
        }
        self.raw("]");
    }

    fn string(&mut self, bytes: &[u8]) {
        self.raw("\"");
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                self.character(c);
            }
            for _ in chunk.invalid() {
                self.raw("\\ufffd");
            }
        }
        self.raw("\"");
    }

    fn character(&mut self, c: char) {
        match c {
            '"' => self.raw("\\\""),
            '\\' => self.raw("\\\\"),
            '\n' => self.raw("\\n"),
            '\r' => self.raw("\\r"),
            '\t' => self.raw("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                self.print(format_args!("\\u{:04x}", c as u32));
            }
            c => self.out.push(c),
        }
    }
}
