//! Compiled patterns, made when the first value needs them: many a pattern is only read, printed or sent on.

use std::sync::OnceLock;

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::RegexpError;

/// The largest program, bytes. Patterns come from users.
pub(super) const MAX_PROGRAM_BYTES: usize = 32 << 20;
/// A program with at most so many states is far below the limit, whatever the states are.
const SURE_STATES: usize = 1 << 16;
/// The most states that a range of characters takes: it falls into a few ranges of up to four bytes.
const STATES_OF_RANGE: usize = 24;

/// A program that tests values, without groups.
#[derive(Clone, Debug)]
pub(super) struct Program {
    hir: Hir,
    made: OnceLock<meta::Regex>,
}

impl Program {
    /// Fails where the program would be too large, which is known without making it but for large ones.
    pub(super) fn new(hir: Hir) -> Result<Self, RegexpError> {
        let made = match most_states(&hir) {
            0..=SURE_STATES => OnceLock::new(),
            _ => OnceLock::from(compile(hir.clone(), WhichCaptures::None, MAX_PROGRAM_BYTES)?),
        };
        Ok(Program { hir, made })
    }

    /// Whether the whole value matches.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        let make = || compile(self.hir.clone(), WhichCaptures::None, MAX_PROGRAM_BYTES);
        self.made.get_or_init(|| make().expect("so few states are below the limit")).is_match(value)
    }
}

/// Compiles a pattern, anchored.
pub(super) fn compile(hir: Hir, groups: WhichCaptures, limit_bytes: usize) -> Result<meta::Regex, RegexpError> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    let config = meta::Config::new().nfa_size_limit(Some(limit_bytes)).which_captures(groups);
    let mut builder = meta::Builder::new();
    builder.configure(config).syntax(syntax::Config::new().utf8(false));
    builder.build_from_hir(&anchored).map_err(|_| RegexpError { message: "expression too large".into() })
}

/// An upper bound of the states of a program.
fn most_states(hir: &Hir) -> usize {
    let all = |parts: &[Hir]| parts.iter().map(most_states).fold(parts.len(), usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() + 1,
        HirKind::Class(Class::Bytes(_)) => 2,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().saturating_mul(STATES_OF_RANGE),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(repetition.min) as usize + 1;
            most_states(&repetition.sub).saturating_add(2).saturating_mul(times)
        }
        HirKind::Capture(capture) => most_states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => all(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hir(pattern: &str) -> Hir {
        super::super::parse::parse(pattern).unwrap().hir
    }

    #[test]
    fn large_programs_are_made_or_refused_at_once() {
        assert!(Program::new(hir("a.*b")).unwrap().made.get().is_none());
        assert!(
            Program::new(hir("[a-c]{30}(x|y{1000})*z{900}w{900}".repeat(30).as_str())).unwrap().made.get().is_some()
        );
        assert!(Program::new(hir(r"\pL{1000}")).is_err());
    }

    #[test]
    fn the_bound_holds() {
        for pattern in ["a", "a.*b", r"\pL{3}", "[a-z]+|b{2,7}", r"(?i)straße\d*", "(x|y(z|[^a])?)*", r"\PL", "."] {
            let nfa = regex_automata::nfa::thompson::Compiler::new();
            let states = nfa.build_from_hir(&hir(pattern)).unwrap().states().len();
            // Start, end and prefix are not of the pattern.
            assert!(states <= most_states(&hir(pattern)) + 8, "{pattern}: {states}");
        }
    }
}
