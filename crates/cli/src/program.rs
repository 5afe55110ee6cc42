//! From arguments to exit status.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use thanoxide_config::Tracing;
use thanoxide_env::Env;
use thanoxide_flags::tables::app;
use thanoxide_flags::{BuildText, Matches, Parsed};
use thanoxide_server::{LogFormat, LogLevel, log};
use tokio::runtime::Runtime;

use crate::span_sender::SpanSender;
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
    let failed = |error: anyhow::Error| {
        tracing::error!(err = format!("{}\npreparing {} command failed", told(&error), matches.command()));
        ExitCode::FAILURE
    };
    let tracing = match start_log(matches).and_then(|()| Ok(matches.content("tracing.config")?)) {
        Ok(yaml) => yaml.as_deref().map(Tracing::parse).transpose(),
        Err(error) => return failed(error),
    };
    match tracing.map_err(Into::into).and_then(|config| run_traced(matches, config.as_ref())) {
        Ok(ran) => ran.map_or_else(failed, |()| ExitCode::SUCCESS),
        // As stock says it: no line of the log.
        Err(error) => {
            eprintln!("tracing failed: {error:#}");
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

/// Runs the command, sending spans; the outer error is about them.
fn run_traced(matches: &Matches, config: Option<&Tracing>) -> Result<Result<()>> {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ok(Err(error).context("cannot start threads")),
    };
    let clock = Env::system().clock;
    let spans = config.map(|config| SpanSender::start(config, &clock, runtime.handle())).transpose()?;
    let result = run_command(matches, &runtime);
    if let Some(spans) = spans {
        spans.stop();
    }
    // A blocking task that hangs on a dead disk must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(result)
}

fn run_command(matches: &Matches, runtime: &Runtime) -> Result<()> {
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
    runtime.block_on(command)
}
