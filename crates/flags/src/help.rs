//! `--help`, `--help-long`, `--help-man` and `--version` in kingpin's layout, 80 columns wide.

use std::fmt::Write;

use crate::app::{App, CommandDef};
use crate::flag::{FlagDef, Kind};
use crate::wrap::wrap;

const WIDTH: usize = 80;
/// Flags longer than this have their text below them.
const MAX_LEFT: usize = 30;

impl App {
    /// What `--help` prints, for the program or one of its commands.
    pub fn help_text(&self, command: Option<&CommandDef>) -> String {
        let Some(command) = command else {
            let mut out = self.header("\n\n");
            write_flags(&mut out, &self.own_flags().collect::<Vec<_>>(), 0);
            out.push_str("\nCommands:\n");
            self.write_commands(&mut out, |out, command| write_command(out, command, false));
            return out;
        };
        let mut out = format!("usage: {} {} [<flags>]\n\n", self.name, command.name);
        push_paragraph(&mut out, command.about, WIDTH, 0);
        out.push_str("\n\n");
        write_flags(&mut out, &self.flags_of(Some(command)), 0);
        out.push('\n');
        out
    }

    /// What `--help-long` prints.
    pub fn long_help_text(&self, command: Option<&CommandDef>) -> String {
        let mut out = self.header("\n");
        write_flags(&mut out, &self.flags_of(command), 0);
        out.push_str("\nCommands:\n");
        self.write_commands(&mut out, |out, command| write_command(out, command, true));
        out
    }

    /// What `--help-man` prints: a page in troff.
    pub fn man_text(&self) -> String {
        let mut out = format!(".TH {0} 1 {1}\n.SH \"NAME\"\n{0}\n", self.name, self.version_text().trim_end());
        let _ = writeln!(out, ".SH \"SYNOPSIS\"\n.TP\n\\fB{} [<flags>] <command> [<args> ...]\\fR", self.name);
        let _ = writeln!(out, "\n.SH \"DESCRIPTION\"\n{}\n.SH \"OPTIONS\"", self.about);
        self.own_flags().for_each(|flag| man_flag(&mut out, &flag));
        out.push_str(".SH \"COMMANDS\"\n.SS\n\\fBhelp [<command>...]\\fR\n.PP\nShow help.\n");
        for command in self.commands {
            let _ = writeln!(out, ".SS\n\\fB{} [<flags>]\\fR\n.PP\n{}", command.name, command.about);
            command.flags.iter().copied().flatten().for_each(|flag| man_flag(&mut out, flag));
        }
        out
    }

    /// What `--version` prints.
    pub fn version_text(&self) -> String {
        let build = &self.build;
        format!(
            "{}, version {} (branch: {}, revision: {})\n  build user:       \n  build date:       {}\n  \
             go version:       {}\n  platform:         {}/{}\n  tags:             unknown\n",
            self.name,
            build.version,
            build.branch,
            if build.revision.is_empty() { "unknown" } else { build.revision },
            build.date,
            build.compiler,
            std::env::consts::OS,
            go_arch(),
        )
    }

    fn header(&self, end: &str) -> String {
        let mut out = format!("usage: {} [<flags>] <command> [<args> ...]\n\n", self.name);
        push_paragraph(&mut out, self.about, WIDTH, 0);
        out.push_str(end);
        out
    }

    fn write_commands(&self, out: &mut String, write: impl Fn(&mut String, &CommandDef)) {
        out.push_str("help [<command>...]\n    Show help.\n\n");
        self.commands.iter().for_each(|command| write(out, command));
    }
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_command(out: &mut String, command: &CommandDef, with_flags: bool) {
    if with_flags {
        out.push('\n');
    }
    let _ = writeln!(out, "{} [<flags>]", command.name);
    push_paragraph(out, command.about, WIDTH - 4, 4);
    out.push('\n');
    if with_flags {
        let flags: Vec<FlagDef> = command.flags.iter().copied().flatten().copied().collect();
        write_two_columns(out, &flags, 4, |flag| {
            let short = flag.short.map_or(String::new(), |letter| format!("-{letter}, "));
            format!("{short}{}", flag_text(flag))
        });
        out.push('\n');
    }
}

fn write_flags(out: &mut String, flags: &[FlagDef], indent: usize) {
    out.push_str("Flags:\n");
    let any_short = flags.iter().any(|flag| flag.short.is_some());
    write_two_columns(out, flags, indent + 2, |flag| {
        let no_short = if any_short { "    " } else { "" };
        let short = flag.short.map_or(no_short.to_string(), |letter| format!("-{letter}, "));
        format!("{short}{}", flag_text(flag))
    });
}

fn write_two_columns(out: &mut String, flags: &[FlagDef], indent: usize, left: impl Fn(&FlagDef) -> String) {
    let rows: Vec<(String, &str)> =
        flags.iter().filter(|flag| !flag.hidden).map(|flag| (left(flag), flag.help)).collect();
    let left_width = rows.iter().map(|(left, _)| left.chars().count()).filter(|len| *len < MAX_LEFT).max().unwrap_or(0);
    let right_at = indent + left_width + 2;
    for (left, help) in rows {
        let _ = write!(out, "{:indent$}{left:left_width$}  ", "");
        let mut lines = wrap(help, WIDTH - right_at).into_iter();
        if left.chars().count() >= MAX_LEFT {
            let _ = write!(out, "\n{:right_at$}", "");
        }
        let _ = writeln!(out, "{}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(out, "{:right_at$}{line}", "");
        }
    }
}

/// `--name=PLACEHOLDER`, `--[no-]name`, with ` ...` where it may be repeated.
fn flag_text(flag: &FlagDef) -> String {
    if flag.kind == Kind::Bool {
        return format!("--[no-]{}", flag.name);
    }
    let dots = if flag.repeatable { " ..." } else { "" };
    format!("--{}={}{dots}", flag.name, placeholder(flag))
}

fn placeholder(flag: &FlagDef) -> String {
    match (flag.placeholder, flag.defaults, flag.kind) {
        (Some(text), _, _) => text.to_string(),
        (None, [default], Kind::Text) if !flag.repeatable => format!("{default:?}"),
        (None, [default], _) => default.to_string(),
        (None, [default, ..], _) => format!("{default}..."),
        (None, [], _) => flag.name.to_uppercase(),
    }
}

fn push_paragraph(out: &mut String, text: &str, width: usize, indent: usize) {
    for line in wrap(text, width) {
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}

fn man_flag(out: &mut String, flag: &FlagDef) {
    if flag.hidden {
        return;
    }
    let short = flag.short.map_or(String::new(), |letter| format!("-{letter}, "));
    let text = match flag.kind {
        Kind::Bool => format!("--{}", flag.name),
        _ => flag_text(flag),
    };
    let _ = writeln!(out, ".TP\n\\fB{short}{text}\\fR\n{}", flag.help);
}
