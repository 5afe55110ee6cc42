//! From arguments to exit status.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use thanoxide_flags::tables::app;
use thanoxide_flags::{BuildText, Matches, Parsed};
use thanoxide_server::{LogFormat, LogLevel, log};

use crate::{query, receive, standalone, store};

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
    match start_log(matches).and_then(|()| run_command(matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(err = format!("{error:#}"), "{} command failed", matches.command());
            ExitCode::FAILURE
        }
    }
}

fn start_log(matches: &Matches) -> Result<()> {
    let level: LogLevel = matches.text("log.level").parse()?;
    let format: LogFormat = matches.text("log.format").parse()?;
    log::init(level, format).context("cannot start the log")
}

fn run_command(matches: &Matches) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let command = async {
        match matches.command() {
            "standalone" => standalone::run(matches).await,
            "receive" => receive::run(matches).await,
            "store" => store::run(matches).await,
            "query" => query::run(matches).await,
            other => bail!("unknown command {other}"),
        }
    };
    let result = runtime.block_on(command);
    // A blocking task that hangs on a dead disk must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}
