//! Log lines in the two forms of go-kit: logfmt and JSON, on standard error.
//!
//! A line is `ts=… caller=file.rs:12 level=info msg="what happened" key=value …`, in JSON an object with the same keys in
//! alphabetical order. The time is RFC 3339 in UTC with nanoseconds. A value is quoted where it holds a space, `=`, `"`
//! or a control character.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what needs attention.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And details.
    Debug,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    #[default]
    Logfmt,
    /// One object per line.
    Json,
}

/// A value of `--log.level` or `--log.format` that cannot be served.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// No such level.
    #[error("enum value must be one of error,warn,info,debug, got '{0}'")]
    Level(String),
    /// No such format.
    #[error("enum value must be one of logfmt,json,journald, got '{0}'")]
    Format(String),
    /// Known to Thanos, not to us.
    #[error("--log.format=journald is not supported yet")]
    Journald,
    /// Somebody else writes the log of this process already.
    #[error("a log subscriber is set already")]
    AlreadySet,
}

impl FromStr for LogLevel {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "error" => Ok(LogLevel::Error),
            "warn" => Ok(LogLevel::Warn),
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            other => Err(LogError::Level(other.to_string())),
        }
    }
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "logfmt" => Ok(LogFormat::Logfmt),
            "json" => Ok(LogFormat::Json),
            "journald" => Err(LogError::Journald),
            other => Err(LogError::Format(other.to_string())),
        }
    }
}

/// Sends the events of this process to standard error.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), LogError> {
    let filter = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(filter).with_writer(io::stderr).event_format(Lines(format));
    lines.try_init().map_err(|_| LogError::AlreadySet)
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let file = metadata.file().unwrap_or("unknown");
        let caller = format!("{}:{}", file.rsplit('/').next().unwrap_or(file), metadata.line().unwrap_or(0));
        let ts = format!("{:.9}", Timestamp::now());
        let fixed = [("ts", ts), ("caller", caller), ("level", level_name(metadata.level()).to_string())];
        let pairs = fixed.iter().map(|(k, v)| (*k, v.as_str())).chain(fields.pairs());
        match self.0 {
            LogFormat::Logfmt => write_logfmt(&mut writer, pairs),
            LogFormat::Json => write_json(&mut writer, pairs),
        }
    }
}

fn level_name(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[derive(Default)]
struct Fields {
    message: Option<String>,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let message = self.message.as_deref().map(|message| ("msg", message));
        message.into_iter().chain(self.rest.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn push(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = Some(value),
            "error" => self.rest.push(("err", value)),
            name => self.rest.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}

fn write_logfmt<'a>(out: &mut impl Write, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> fmt::Result {
    for (at, (key, value)) in pairs.enumerate() {
        if at > 0 {
            out.write_char(' ')?;
        }
        write!(out, "{key}=")?;
        let plain = !value.chars().any(|c| c <= ' ' || matches!(c, '=' | '"' | '\u{7f}'..='\u{9f}' | '\u{fffd}'));
        if plain { out.write_str(value)? } else { write_json_string(out, value)? }
    }
    out.write_char('\n')
}

fn write_json<'a>(out: &mut impl Write, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> fmt::Result {
    // Of two fields of one name the last one stays, as in a Go map.
    let sorted: BTreeMap<&str, &str> = pairs.collect();
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        out.write_char(if at == 0 { '{' } else { ',' })?;
        write_json_string(out, key)?;
        out.write_char(':')?;
        write_json_string(out, value)?;
    }
    out.write_str("}\n")
}

fn write_json_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) => write!(out, "\\u{:04x}", c as u32)?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logfmt_quotes_where_go_kit_does() {
        let mut line = String::new();
        let pairs = [("a", "plain/x:1"), ("b", "two words"), ("c", ""), ("d", "say \"x\"=\n"), ("e", "ä")];
        write_logfmt(&mut line, pairs.into_iter()).unwrap();
        assert_eq!(line, "a=plain/x:1 b=\"two words\" c= d=\"say \\\"x\\\"=\\n\" e=ä\n");
    }

    #[test]
    fn json_is_sorted_and_valid() {
        let mut line = String::new();
        write_json(&mut line, [("ts", "1"), ("caller", "a\u{1}"), ("msg", "x\\y")].into_iter()).unwrap();
        assert_eq!(line, "{\"caller\":\"a\\u0001\",\"msg\":\"x\\\\y\",\"ts\":\"1\"}\n");
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }

    #[test]
    fn levels_and_formats_by_name() {
        assert_eq!("debug".parse(), Ok(LogLevel::Debug));
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("journald".parse::<LogFormat>(), Err(LogError::Journald));
        let error = "verbose".parse::<LogLevel>().unwrap_err().to_string();
        assert_eq!(error, "enum value must be one of error,warn,info,debug, got 'verbose'");
    }
}
