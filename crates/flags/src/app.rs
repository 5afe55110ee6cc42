//! A program and its commands.

use crate::flag::{FlagDef, Kind};

/// A command: its name, what it does and its flags.
#[derive(Clone, Copy, Debug)]
pub struct CommandDef {
    /// One word, or several with a space between.
    pub name: &'static str,
    /// What the help says about it.
    pub about: &'static str,
    /// Its flags in groups, in the order of the help.
    pub flags: &'static [&'static [FlagDef]],
}

/// What `--version` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildText {
    /// The release.
    pub version: &'static str,
    /// The branch it was built from.
    pub branch: &'static str,
    /// The commit.
    pub revision: &'static str,
    /// When it was built.
    pub date: &'static str,
    /// The compiler.
    pub compiler: &'static str,
}

/// A program.
#[derive(Clone, Copy, Debug)]
pub struct App {
    /// The name it is called by: the base name of the program.
    pub name: &'static str,
    /// What the help says about it.
    pub about: &'static str,
    /// Flags of the program and of all its commands.
    pub flags: &'static [FlagDef],
    /// Its commands.
    pub commands: &'static [CommandDef],
    /// What `--version` says.
    pub build: BuildText,
}

/// `--help` and its relatives: part of every program.
pub(crate) const HELP_FLAGS: [FlagDef; 4] = [
    FlagDef::new("help", Kind::Bool, "Show context-sensitive help (also try --help-long and --help-man).").short('h'),
    FlagDef::new("help-long", Kind::Bool, "Generate long help.").hidden(),
    FlagDef::new("help-man", Kind::Bool, "Generate a man page.").hidden(),
    FlagDef::new("version", Kind::Bool, "Show application version."),
];

impl App {
    /// The command of a name.
    pub fn command(&self, name: &str) -> Option<&'static CommandDef> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The flags of the program, in the order of the help.
    pub fn own_flags(&self) -> impl Iterator<Item = FlagDef> {
        HELP_FLAGS.into_iter().chain(self.flags.iter().copied())
    }

    /// The flags of the program and of `command`.
    pub fn flags_of(&self, command: Option<&CommandDef>) -> Vec<FlagDef> {
        let flags = command.into_iter().flat_map(|command| command.flags.iter().copied().flatten().copied());
        self.own_flags().chain(flags).collect()
    }
}
