//! From arguments to values, by kingpin's rules and with its errors.

use std::collections::{HashMap, VecDeque};

use thiserror::Error;

use crate::app::{App, CommandDef};
use crate::flag::{FlagDef, Kind, Support};
use crate::matches::Matches;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Parsed {
    /// A command to run.
    Run(Matches),
    /// A text to print before exiting with status 0.
    Print {
        /// The text, with its last line feed.
        text: String,
        /// Whether it goes to standard error (`--help`, `--version`) or standard output (`--help-long`).
        to_stderr: bool,
    },
}

/// Arguments that cannot be served.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{message}")]
pub struct ParseError {
    /// The whole line to print.
    pub message: String,
    /// Thanos exits with 1 for arguments of the wrong form and with 2 for values of the wrong form.
    pub exit_code: u8,
}

/// Files of arguments may name further files, so deep only.
const MAX_FILE_DEPTH: usize = 8;
/// And so many arguments in all.
const MAX_ARGUMENTS: usize = 10_000;

impl App {
    /// Parses arguments; the first one is the first after the program's name.
    pub fn parse<I>(&self, arguments: I) -> Result<Parsed, ParseError>
    where
        I: IntoIterator<Item = String>,
    {
        let arguments: Vec<String> = arguments.into_iter().collect();
        let form = |text: String| ParseError { message: format!("{}: error: {text}", self.name), exit_code: 1 };
        let words = expand_files(arguments.clone()).map_err(form)?;
        let mut reader = Reader {
            app: self,
            command: None,
            flags: self.flags_of(None),
            given: Vec::new(),
            help: false,
            begun: String::new(),
        };
        reader.read(words).map_err(form)?;
        if let Some(printed) = reader.printed() {
            return Ok(printed);
        }
        if !reader.begun.is_empty() && reader.command.is_none() {
            return Err(form(format!("must select a subcommand of '{}'", reader.begun)));
        }
        let Some(command) = reader.command else {
            return Ok(Parsed::Print { text: self.help_text(None), to_stderr: true });
        };
        let value = |text: String| ParseError {
            message: format!(
                "error parsing commandline arguments: [{}]: {text}",
                [&[self.name.to_string()], &arguments[..]].concat().join(" ")
            ),
            exit_code: 2,
        };
        let given = collect(&reader.flags, reader.given).map_err(value)?;
        refuse_unserved(&reader.flags, &given).map_err(form)?;
        Ok(Parsed::Run(Matches::new(command.name, reader.flags, given)))
    }
}

/// Replaces each `@file` by the file's lines.
fn expand_files(arguments: Vec<String>) -> Result<VecDeque<String>, String> {
    let mut pending: VecDeque<(String, usize)> = arguments.into_iter().map(|argument| (argument, 0)).collect();
    let mut words = VecDeque::new();
    let mut only_text = false;
    while let Some((argument, depth)) = pending.pop_front() {
        if words.len() + pending.len() > MAX_ARGUMENTS {
            return Err(format!("more than {MAX_ARGUMENTS} arguments"));
        }
        only_text |= argument == "--";
        match argument.strip_prefix('@').filter(|_| !only_text) {
            None => words.push_back(argument),
            Some(path) if depth >= MAX_FILE_DEPTH => return Err(format!("argument files nested too deep: {path}")),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("open {path}: {error}"))?;
                for line in text.lines().rev().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                    pending.push_front((line.to_string(), depth + 1));
                }
            }
        }
    }
    Ok(words)
}

struct Reader<'a> {
    app: &'a App,
    command: Option<&'static CommandDef>,
    flags: Vec<FlagDef>,
    given: Vec<(FlagDef, String)>,
    help: bool,
    /// The first words of a command of several.
    begun: String,
}

impl Reader<'_> {
    fn read(&mut self, mut words: VecDeque<String>) -> Result<(), String> {
        let mut only_text = false;
        while let Some(word) = words.pop_front() {
            match word.as_str() {
                "--" if !only_text => only_text = true,
                long if !only_text && long.starts_with("--") => self.read_long(&long[2..], &mut words)?,
                short if !only_text && short.starts_with('-') && short.len() > 1 => {
                    self.read_short(&short[1..], &mut words)?
                }
                text => self.read_word(text)?,
            }
        }
        Ok(())
    }

    fn read_long(&mut self, text: &str, words: &mut VecDeque<String>) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (text, None),
        };
        if let Some(flag) = self.find(|flag| flag.name == name) {
            return self.take(flag, value, &format!("--{name}"), words);
        }
        let negated = name.strip_prefix("no-").filter(|_| value.is_none());
        let negated = negated.and_then(|name| self.find(|flag| flag.name == name && flag.kind == Kind::Bool));
        let flag = negated.ok_or_else(|| format!("unknown long flag '--{name}'"))?;
        self.given.push((flag, "false".to_string()));
        Ok(())
    }

    /// `-h`, several switches in one word, or a letter and its value.
    fn read_short(&mut self, text: &str, words: &mut VecDeque<String>) -> Result<(), String> {
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let flag = self.find(|flag| flag.short == Some(letter));
            let flag = flag.ok_or_else(|| format!("unknown short flag '-{letter}'"))?;
            let attached = if flag.kind == Kind::Bool { "" } else { std::mem::take(&mut rest) };
            let value = (!attached.is_empty()).then(|| attached.to_string());
            self.take(flag, value, &format!("-{letter}"), words)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        flag: FlagDef,
        value: Option<String>,
        shown: &str,
        words: &mut VecDeque<String>,
    ) -> Result<(), String> {
        let value = match (flag.kind, value) {
            // kingpin reads the value after a switch as a word of its own.
            (Kind::Bool, Some(value)) => return Err(format!("unexpected {value}")),
            (Kind::Bool, None) => "true".to_string(),
            (_, Some(value)) => value,
            (_, None) => {
                let next = words.pop_front().filter(|next| next == "-" || !next.starts_with('-'));
                next.ok_or_else(|| format!("expected argument for flag '{shown}'"))?
            }
        };
        self.given.push((flag, value));
        Ok(())
    }

    fn read_word(&mut self, word: &str) -> Result<(), String> {
        if self.command.is_some() {
            return Err(format!("unexpected {word}"));
        }
        if word == "help" && !self.help {
            self.help = true;
            return Ok(());
        }
        let name = if self.begun.is_empty() { word.to_string() } else { format!("{} {word}", self.begun) };
        let Some(command) = self.app.command(&name) else {
            if !self.app.commands.iter().any(|command| command.name.starts_with(&format!("{name} "))) {
                return Err(format!("expected command but got {word:?}"));
            }
            self.begun = name;
            return Ok(());
        };
        self.command = Some(command);
        self.flags = self.app.flags_of(Some(command));
        Ok(())
    }

    fn find(&self, matches: impl Fn(&FlagDef) -> bool) -> Option<FlagDef> {
        self.flags.iter().copied().find(matches)
    }

    /// The text that `--help` and its relatives ask for.
    fn printed(&self) -> Option<Parsed> {
        let asked = |name: &str| self.given.iter().any(|(flag, value)| flag.name == name && value == "true");
        if asked("help-long") {
            return Some(Parsed::Print { text: self.app.long_help_text(self.command), to_stderr: false });
        }
        if asked("help-man") {
            return Some(Parsed::Print { text: self.app.man_text(), to_stderr: false });
        }
        if asked("help") || self.help {
            return Some(Parsed::Print { text: self.app.help_text(self.command), to_stderr: true });
        }
        asked("version").then(|| Parsed::Print { text: self.app.version_text(), to_stderr: true })
    }
}

/// Checks all values and puts them together by flag.
fn collect(flags: &[FlagDef], given: Vec<(FlagDef, String)>) -> Result<HashMap<&'static str, Vec<String>>, String> {
    let mut values: HashMap<&'static str, Vec<String>> = HashMap::with_capacity(flags.len());
    for (flag, value) in given {
        let of_flag = values.entry(flag.name).or_default();
        if !of_flag.is_empty() && !flag.repeatable {
            return Err(format!("flag '{}' cannot be repeated", flag.name));
        }
        flag.kind.check(&value).map_err(|error| error.to_string())?;
        of_flag.push(value);
    }
    Ok(values)
}

fn refuse_unserved(flags: &[FlagDef], given: &HashMap<&'static str, Vec<String>>) -> Result<(), String> {
    for flag in flags.iter().filter(|flag| flag.support == Support::NotYet) {
        let Some(values) = given.get(flag.name) else { continue };
        // No default means the zero value.
        let defaults = match (flag.kind, flag.defaults) {
            (Kind::Bool, []) => &["false"],
            (_, []) => &[""],
            (_, defaults) => defaults,
        };
        let same = values.len() == defaults.len()
            && values.iter().zip(defaults).all(|(value, default)| flag.kind.same(value, default));
        if !same {
            return Err(format!("flag --{} is not supported yet", flag.name));
        }
    }
    Ok(())
}
