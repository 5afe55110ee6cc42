//! What a long run has looked at already, so that it goes on where it was stopped: `THANOXIDE_CRASH_LEDGER` names the file.
//!
//! Each line is a life: its kind, its number, the random choices, then `phase=states` for each phase.

use std::collections::BTreeMap;
use std::io::Write;

/// The states of a life by phase: looked at now, or noted by an earlier run. Without a ledger nothing is noted.
pub(crate) fn once(
    kind: &str,
    number: usize,
    choices: usize,
    look: impl FnOnce() -> Result<BTreeMap<&'static str, usize>, String>,
) -> Result<BTreeMap<String, usize>, String> {
    let ledger = std::env::var_os("THANOXIDE_CRASH_LEDGER");
    let life = format!("{kind}\t{number}\t{choices}");
    let noted = ledger.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    if let Some(counts) = noted.lines().find_map(|line| line.strip_prefix(&life)?.strip_prefix('\t')) {
        let count = |word: &str| word.split_once('=').and_then(|(phase, n)| Some((phase.to_string(), n.parse().ok()?)));
        return Ok(counts.split('\t').filter_map(count).collect());
    }
    let counts = look()?;
    if let Some(path) = ledger {
        let words: String = counts.iter().map(|(phase, states)| format!("\t{phase}={states}")).collect();
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let written = opened.and_then(|mut file| file.write_all(format!("{life}{words}\n").as_bytes()));
        written.map_err(|e| format!("the ledger: {e}"))?;
    }
    Ok(counts.into_iter().map(|(phase, states)| (phase.to_string(), states)).collect())
}
