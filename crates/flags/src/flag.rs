//! A flag: its name, the grammar of its value, its default and what `--help` says.

/// The grammar of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A switch: `--x` and `--no-x`, no value.
    Bool,
    /// Any text.
    Text,
    /// A decimal integer with a sign.
    Int,
    /// A decimal integer without a sign.
    Uint,
    /// A decimal number.
    Float,
    /// A Prometheus duration: `15d`, `1h30m`.
    Duration,
    /// A Go duration: `1.5h`, `300ms`, a sign allowed.
    GoDuration,
    /// A size in powers of 1024: `250MB`.
    Bytes,
    /// RFC 3339, or a Prometheus duration relative to now, a sign allowed.
    Time,
    /// One of these.
    Enum(&'static [&'static str]),
}

/// Whether a flag that we know does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it says.
    Served,
    /// It has no meaning here and is taken with any value.
    NoOp,
    /// Thanos has it, we do not yet: refused unless given its default.
    NotYet,
}

/// A flag as data.
#[derive(Clone, Copy, Debug)]
pub struct FlagDef {
    /// Without the dashes.
    pub name: &'static str,
    /// The one-letter form.
    pub short: Option<char>,
    /// The grammar of one value.
    pub kind: Kind,
    /// Whether it may be given several times.
    pub repeatable: bool,
    /// What holds if it is not given; several only where it is repeatable.
    pub defaults: &'static [&'static str],
    /// What stands for the value in the help.
    pub placeholder: Option<&'static str>,
    /// What the help says.
    pub help: &'static str,
    /// Whether the help leaves it out.
    pub hidden: bool,
    /// Whether it does anything.
    pub support: Support,
}

impl FlagDef {
    /// A flag that is served, with no default.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        FlagDef {
            name,
            short: None,
            kind,
            repeatable: false,
            defaults: &[],
            placeholder: None,
            help,
            hidden: false,
            support: Support::Served,
        }
    }

    /// A flag of Thanos that is not served yet.
    pub const fn not_yet(name: &'static str, kind: Kind, defaults: &'static [&'static str]) -> Self {
        let mut flag = Self::new(name, kind, "Known to Thanos, not supported yet: only its default value is accepted.");
        flag.defaults = defaults;
        flag.support = Support::NotYet;
        flag
    }

    /// A flag of Thanos that has no meaning here.
    pub const fn no_op(name: &'static str, kind: Kind, defaults: &'static [&'static str]) -> Self {
        let mut flag = Self::new(name, kind, "Accepted for compatibility, no effect.");
        flag.defaults = defaults;
        flag.support = Support::NoOp;
        flag
    }

    /// With a default.
    pub const fn default(mut self, defaults: &'static [&'static str]) -> Self {
        self.defaults = defaults;
        self
    }

    /// With a one-letter form.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// May be given several times.
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// With a placeholder in the help.
    pub const fn placeholder(mut self, text: &'static str) -> Self {
        self.placeholder = Some(text);
        self
    }

    /// Left out of the help.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}
