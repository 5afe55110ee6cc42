//! From arguments to exit status.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use thanoxide_config::yaml::{Decoder, Node};
use thanoxide_flags::tables::app;
use thanoxide_flags::{BuildText, Matches, Parsed};
use thanoxide_server::{LogFormat, LogLevel, log};

use crate::{query, receive, standalone, store, tools};

/// What `--version` says.
const BUILD: BuildText =
    BuildText { version: env!("CARGO_PKG_VERSION"), branch: "", revision: "", date: "", compiler: "rustc" };

/// Runs the program with the process's arguments. `command` fixes the command, for programs of one role.
pub fn main(command: Option<&'static str>) -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    let path = arguments.first().cloned().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or("thanoxide").to_string();
    // The application's table wants a name for the life of the program.
    let app = app(String::leak(name), BUILD);
    arguments.splice(..1, command.map(str::to_string));
    match app.parse(arguments) {
        Ok(Parsed::Print { text, to_stderr }) => {
            if to_stderr {
                eprint!("{text}");
            } else {
                print!("{text}");
            }
            ExitCode::SUCCESS
        }
        Ok(Parsed::Run(matches)) => run(&matches),
        Err(error) => {
            eprintln!("{}", error.message);
            ExitCode::from(error.exit_code)
        }
    }
}

fn run(matches: &Matches) -> ExitCode {
    match start_log(matches).and_then(|()| check_tracing(matches)).and_then(|()| run_command(matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(err = format!("{}\npreparing {} command failed", told(&error), matches.command()));
            ExitCode::FAILURE
        }
    }
}

/// An error as stock tells it: the cause first, what was being done after it, a line each.
fn told(error: &anyhow::Error) -> String {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    texts.into_iter().rev().fold(String::new(), |told, text| match told.as_str() {
        // Some errors tell their cause themselves.
        "" => text,
        cause if text.contains(cause) => text,
        cause => format!("{cause}\n{text}"),
    })
}

fn start_log(matches: &Matches) -> Result<()> {
    let level: LogLevel = matches.text("log.level").parse()?;
    let format: LogFormat = matches.text("log.format").parse()?;
    log::init(level, format).context("cannot start the log")?;
    let name = matches.text("debug.name");
    if !name.is_empty() {
        tracing::info!(name, "starting");
    }
    Ok(())
}

/// Types of tracing that stock knows.
const TRACING_TYPES: [&str; 6] = ["OTLP", "JAEGER", "STACKDRIVER", "GOOGLE_CLOUD", "ELASTIC_APM", "LIGHTSTEP"];

/// Refuses what stock refuses; there are no spans yet, which is said once.
fn check_tracing(matches: &Matches) -> Result<()> {
    let Some(yaml) = matches.content("tracing.config")? else { return Ok(()) };
    let mut kind = String::new();
    if let Some(node) = Node::parse(&yaml).context("parsing config tracing YAML")? {
        let mut decoder = Decoder::strict();
        decoder.fields(&node, "client.TracingConfig", |decoder, key, value| match key {
            "type" => {
                decoder.text(value, &mut kind);
                true
            }
            key => key == "config",
        });
        decoder.finish().context("parsing config tracing YAML")?;
    }
    if !TRACING_TYPES.contains(&kind.to_uppercase().as_str()) {
        bail!("tracing failed: tracing with type {kind} is not supported");
    }
    tracing::warn!(kind, "tracing is configured and not supported yet: no spans are sent");
    Ok(())
}

fn run_command(matches: &Matches) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let command = async {
        match matches.command() {
            "standalone" => standalone::run(matches).await,
            "receive" => receive::run(matches).await,
            "store" => store::run(matches).await,
            "query" => query::run(matches).await,
            "tools tsdb export-wal" => tools::export_wal(matches),
            "tools tsdb scrub" => tools::scrub(matches),
            other => bail!("unknown command {other}"),
        }
    };
    let result = runtime.block_on(command);
    // A blocking task that hangs on a dead disk must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}
