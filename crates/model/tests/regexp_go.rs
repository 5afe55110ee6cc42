//! Regular expressions beside Go's: random patterns over random texts, and every character class at its borders.
//! `THANOXIDE_REGEXPS` says how many patterns, `THANOXIDE_SEED` repeats a run.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use thanoxide_model::Regexp;

const TEXTS: usize = 12;
const PATTERNS_AT_A_TIME: usize = 500;
const TEMPLATE: &[u8] = b"$0|$1|${n}|$2";

/// Asks the oracle one thing.
fn ask(question: &Value) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin/oracle-batch");
    let mut command = Command::new(&path);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{e}: `cargo xtask prepare` builds {}", path.display()));
    writeln!(child.stdin.take().unwrap(), "{question}").unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    child.wait().unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers by chance (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.roll() % count as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const ATOMS: &str = "a b ab foo A é ß ſ K \u{212a} Σ ς 😀 \u{fffd} . \\. [a-c] [^a] [[:alpha:]] [^[:word:]] \\d \\W \\s \\pL \
                     \\P{Greek} \\p{Lu} [\\w-] [\\x00-\\x7f] \\x{e9} \\xe9 \\n \\Qa.b\\E ^ $ \\b \\B \\A \\z (?:) [^\\n] []a] \
                     [^\\x00-\\x{10FFFF}] \\C \\101 [^\\x{fffd}] [\\x80-\\xff]";
const REPEATS: &str = "* + ? *? +? ?? {2} {0} {1,2} {,2} {2,}? {1001} { {0,1}";
const FLAGS: &str = "(?i) (?s) (?-s) (?m) (?U) (?i-s) (?i: (?-s:";
const BAD: &str = "( ) [ \\ * (?=a) \\p{Nope} [b-a] (?P<n \\Z";
const LETTERS: &str = "a b c A foo é É ß ſ s k \u{212a} Σ ς 😀 \u{fffd} 7 . a.b ab \u{10ffff}";

/// Words to choose from.
struct Words([Vec<&'static str>; 5]);

impl Words {
    fn new() -> Self {
        Words([ATOMS, REPEATS, FLAGS, BAD, LETTERS].map(|words| words.split(' ').collect()))
    }

    fn pattern(&self, dice: &mut Dice, depth: usize) -> String {
        let Words([atoms, repeats, ..]) = self;
        let mut text = String::new();
        for _ in 0..1 + dice.below(4) {
            let (atom, repeatable) = match dice.below(24) {
                0..=8 if depth > 0 => self.group(dice, depth - 1),
                9 => ("|".into(), false),
                10 if dice.below(12) == 0 => (dice.pick(&self.0[3]).into(), false),
                _ => (dice.pick(atoms).into(), true),
            };
            text.push_str(&atom);
            if repeatable && dice.below(3) == 0 {
                text.push_str(dice.pick(repeats));
            }
        }
        text
    }

    fn group(&self, dice: &mut Dice, depth: usize) -> (String, bool) {
        let inner = self.pattern(dice, depth);
        match dice.below(8) {
            0..=3 => (format!("({inner})"), true),
            4 => (format!("(?P<n>{inner})"), true),
            5 => (format!("(?:{inner})"), true),
            _ => match dice.pick(&self.0[2]) {
                flags if flags.ends_with(':') => (format!("{flags}{inner})"), true),
                flags => (format!("{flags}{inner}"), false),
            },
        }
    }

    /// Text that may match: letters, some bytes that are no UTF-8.
    fn text(&self, dice: &mut Dice) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..dice.below(6) {
            match dice.below(10) {
                0 => text.push(0x80 + dice.below(0x80) as u8),
                1 => text.push(b"\n\0 "[dice.below(3)]),
                _ => text.extend(dice.pick(&self.0[4]).bytes()),
            }
        }
        text
    }
}

/// How far it got.
#[derive(Debug, Default)]
struct Tally {
    patterns: usize,
    refused: usize,
    texts: usize,
    matched: usize,
}

impl Tally {
    fn compare(&mut self, pattern: &str, texts: &[Vec<u8>], go: &Value) {
        self.patterns += 1;
        let ours = Regexp::new(pattern.as_bytes());
        let error = ours.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_eq!(error, go["error"], "{pattern:?}");
        let Ok(ours) = ours else {
            self.refused += 1;
            return;
        };
        for (text, go) in texts.iter().zip(go["expanded"].as_array().unwrap()) {
            let expanded = ours.captures_expand(text, TEMPLATE);
            assert_eq!(expanded.is_some(), ours.is_match(text), "{pattern:?} over {text:?}");
            let expanded = expanded.map_or(Value::Null, |bytes| json!(hex(&bytes)));
            assert_eq!(expanded, *go, "{pattern:?} over {text:?}");
            (self.texts, self.matched) = (self.texts + 1, self.matched + usize::from(!go.is_null()));
        }
    }
}

#[test]
fn random_patterns_match_as_in_go() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("THANOXIDE_SEED").unwrap_or(20_261_121);
    let patterns = number("THANOXIDE_REGEXPS").unwrap_or(5_000) as usize;
    println!("THANOXIDE_SEED={seed}");
    let (words, mut dice, mut tally) = (Words::new(), Dice(seed), Tally::default());
    for _ in 0..patterns.div_ceil(PATTERNS_AT_A_TIME) {
        let asked: Vec<(String, Vec<Vec<u8>>)> = (0..PATTERNS_AT_A_TIME)
            .map(|_| (words.pattern(&mut dice, 3), (0..TEXTS).map(|_| words.text(&mut dice)).collect()))
            .collect();
        let question = |(pattern, texts): &(String, Vec<Vec<u8>>)| {
            let texts: Vec<String> = texts.iter().map(|text| hex(text)).collect();
            json!({ "pattern": hex(pattern.as_bytes()), "template": hex(TEMPLATE), "texts": texts })
        };
        let answers = ask(&json!({ "patterns": asked.iter().map(question).collect::<Vec<_>>() }));
        for ((pattern, texts), go) in asked.iter().zip(answers.as_array().unwrap()) {
            tally.compare(pattern, texts, go);
        }
    }
    println!("{tally:?}");
    assert!(tally.matched * 50 > tally.texts, "too few match");
}

/// Where a class begins or ends, and the characters beside: between them nothing changes.
fn at_borders(ranges: &[Value]) -> impl Iterator<Item = (char, bool)> {
    let bound = |value: &Value| value.as_u64().unwrap() as u32;
    let bounds: Vec<(u32, u32)> = ranges.chunks(2).map(|pair| (bound(&pair[0]), bound(&pair[1]))).collect();
    let near = |(low, high): &(u32, u32)| [low.saturating_sub(1), *low, *high, high + 1];
    let near: Vec<u32> = bounds.iter().flat_map(near).collect();
    near.into_iter().filter_map(move |c| {
        let inside = bounds.iter().any(|(low, high)| (*low..=*high).contains(&c));
        char::from_u32(c).map(|c| (c, inside))
    })
}

#[test]
fn classes_are_those_of_gos_tables() {
    let (mut characters, mut wrong) = (0, Vec::new());
    for class in ask(&json!({ "classes": true })).as_array().unwrap() {
        let name = class["name"].as_str().unwrap();
        let Ok(regexp) = Regexp::new(name.as_bytes()) else {
            wrong.push(format!("{name} is refused"));
            continue;
        };
        for (c, inside) in at_borders(class["ranges"].as_array().unwrap()) {
            characters += 1;
            if regexp.is_match(c.to_string().as_bytes()) != inside {
                wrong.push(format!("{name} {:x}", u32::from(c)));
            }
        }
    }
    println!("{characters} characters at the borders of classes");
    assert!(wrong.is_empty(), "{} differ: {:?}", wrong.len(), &wrong[..wrong.len().min(50)]);
}
