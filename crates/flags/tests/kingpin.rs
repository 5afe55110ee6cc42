//! The corpus of stock help texts, flags and refusals against our parser.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use thanoxide_flags::{App, BuildText, CommandDef, FlagDef, Kind, Parsed, Support, tables};

fn shared(path: &str) -> PathBuf {
    let root = std::env::var_os("THANOXIDE_SHARED").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"))).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(shared(path)).unwrap()
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_string().into_boxed_str())
}

fn app() -> App {
    tables::app("thanos", BuildText { version: "1", ..Default::default() })
}

fn parse(arguments: &[&str]) -> Result<Parsed, (String, u8)> {
    let parsed = app().parse(arguments.iter().map(|a| a.to_string()));
    parsed.map_err(|error| (error.message, error.exit_code))
}

/// A stock command made of the corpus's own texts, so that only the layout is ours.
fn stock_command(name: &str, flags: &Value, about: &str) -> CommandDef {
    let own = ["help", "version"];
    let defs: Vec<FlagDef> = flags["flags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|flag| {
            let text = |key: &str| flag[key].as_str();
            let name = text("name").unwrap();
            if own.contains(&name) || flag["hidden"].as_bool().unwrap() {
                return None;
            }
            let kind = if text("kind") == Some("bool") { Kind::Bool } else { Kind::Text };
            let mut def = FlagDef::new(leak(name), kind, leak(text("help").unwrap()));
            def.repeatable = flag["repeatable"].as_bool().unwrap();
            def.placeholder = text("placeholder").map(leak);
            def.short = text("short").and_then(|letter| letter.chars().next());
            Some(def)
        })
        .collect();
    let groups: &'static [&'static [FlagDef]] = Box::leak(Box::new([&*defs.leak()]));
    CommandDef { name: leak(name), about: leak(about), flags: groups }
}

#[test]
fn help_has_the_layout_of_stock_to_the_byte() {
    let corpus: Value = serde_json::from_str(&read("corpora/help/flags.json")).unwrap();
    let bare = App { flags: &[], commands: &[], ..app() };
    for (name, flags) in corpus["components"].as_object().unwrap() {
        let expected = read(&format!("corpora/help/{}.help.txt", name.replace(' ', "-")));
        if !expected.starts_with(&format!("usage: thanos {name} [<flags>]\n")) {
            continue;
        }
        let about = expected.split("\n\n").nth(1).unwrap().replace('\n', " ");
        let command = stock_command(name, flags, &about);
        let ours = bare.help_text(Some(&command));
        for (line, (ours, expected)) in ours.lines().zip(expected.lines()).enumerate() {
            assert_eq!(ours, expected, "{name} line {}", line + 1);
        }
        assert_eq!(ours, expected, "{name}");
    }
}

#[test]
fn version_has_the_layout_of_stock() {
    let build = BuildText { compiler: "go1.26.8", ..Default::default() };
    assert_eq!(App { build, ..app() }.version_text(), read("corpora/help/thanos.version.txt"));
}

/// Whether a flag takes the values that a kind of the corpus does.
fn is_kind(flag: &FlagDef, kind: &str) -> bool {
    // The corpus leaves open what a value of a type of its own is; stock's source has Prometheus's durations here
    // (`SetValue(&model.Duration)`, `ModelDuration`), and its own times.
    match flag.name {
        "http-grace-period" | "consistency-delay" | "ignore-deletion-marks-delay" | "query.default-step" => {
            return flag.kind == Kind::Duration;
        }
        "min-time" | "max-time" => return flag.kind == Kind::Time,
        _ => {}
    }
    // What stands in brackets says more of it.
    match kind.split([' ', '(']).next().unwrap() {
        "bool" => flag.kind == Kind::Bool,
        "string" | "address" => flag.kind == Kind::Text,
        "int" | "int64" => flag.kind == Kind::Int,
        "uint" | "uint64" => flag.kind == Kind::Uint,
        "float" => flag.kind == Kind::Float,
        "bytes" => flag.kind == Kind::Bytes,
        "enum" => matches!(flag.kind, Kind::Enum(_)),
        "duration" if kind.contains("Prometheus") => flag.kind == Kind::Duration,
        "duration" => flag.kind == Kind::GoDuration,
        other => panic!("--{}: a kind {other}", flag.name),
    }
}

/// What stands left in the section `Flags:` of a help text, by name: letter, `[no-]`, placeholder, dots. The lines below a
/// flag are text unless they begin with a flag at the same place.
fn left_column(help: &str) -> BTreeMap<String, String> {
    let section = help.split("\nFlags:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let flags = section.lines().filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| line.starts_with("    --") || line.starts_with('-'))?;
        let left = line.trim_start().split("  ").next().unwrap();
        let name = left.split("--").nth(1).unwrap().trim_start_matches("[no-]").split('=').next().unwrap();
        Some((name.to_string(), left.to_string()))
    });
    flags.collect()
}

#[test]
fn help_shows_letters_negations_and_placeholders_of_stock() {
    let helps = ["receive", "store", "query"].map(|name| {
        let ours = app().help_text(app().command(name));
        (name, ours, read(&format!("corpora/help/{name}.help.txt")))
    });
    // Of the long texts only this one is in the corpus.
    let long = ("receive", app().long_help_text(app().command("receive")), read("corpora/help/receive.help-long.txt"));
    for (name, ours, stock) in helps.into_iter().chain([long]) {
        let (ours, stock) = (left_column(&ours), left_column(&stock));
        assert!(stock.len() > 50, "{name}: {}", stock.len());
        for (flag, left) in stock {
            assert_eq!(ours.get(&flag), Some(&left), "{name} --{flag}");
        }
    }
}

#[test]
fn names_and_defaults_of_stock_commands_are_those_of_stock() {
    let corpus: Value = serde_json::from_str(&read("corpora/help/flags.json")).unwrap();
    for name in ["receive", "store", "query"] {
        let command = app().command(name).unwrap();
        let ours: BTreeMap<_, _> = app().flags_of(Some(command)).into_iter().map(|flag| (flag.name, flag)).collect();
        let stock = corpus["components"][name]["flags"].as_array().unwrap();
        for flag in stock {
            let flag_name = flag["name"].as_str().unwrap();
            let our = ours.get(flag_name).unwrap_or_else(|| panic!("{name} --{flag_name}"));
            let defaults: Vec<&str> = match &flag["default"] {
                Value::String(_) if flag_name == "selector-label" => vec![],
                Value::String(text) if our.kind == Kind::Bool && text == "false" => vec![],
                Value::String(text) => vec![text],
                Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap()).collect(),
                _ => vec![],
            };
            assert_eq!(our.defaults, defaults, "{name} --{flag_name}");
            assert_eq!(our.repeatable, flag["repeatable"].as_bool().unwrap(), "{name} --{flag_name}");
            assert_eq!(our.hidden, flag["hidden"].as_bool().unwrap(), "{name} --{flag_name}");
            assert!(is_kind(our, flag["kind"].as_str().unwrap()), "{name} --{flag_name}: {:?}, {flag}", our.kind);
            assert_eq!(our.kind == Kind::Bool, flag["negatable"].as_bool().unwrap(), "{name} --{flag_name}");
            let letter = flag["short"].as_str().map(|letter| letter.chars().next().unwrap());
            assert_eq!(our.short, letter, "{name} --{flag_name}");
        }
        // Those of the application, and a hidden pair that the table of the corpus does not have.
        let others = [
            "help-long",
            "help-man",
            "store.caching-bucket.config",
            "store.caching-bucket.config-file",
            // Ours alone.
            "receive.tenant-labels",
            "receive.tenant-labels-file",
            "receive.hop-secret-file",
            "receive.memory-limit",
            "receive.tenant-deletion",
            "tsdb.flush-on-shutdown",
        ];
        let ours_alone = |name: &str| ["receive.hints-", "receive.otlp-"].iter().any(|ours| name.starts_with(ours));
        let known =
            |name: &str| others.contains(&name) || ours_alone(name) || stock.iter().any(|flag| flag["name"] == name);
        assert_eq!(ours.keys().find(|name| !known(name)), None, "{name}");
    }
}

#[test]
fn wrong_arguments_are_refused_as_by_stock() {
    let mut tried = 0;
    for line in read("corpora/objstore/invalid.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (exit, message) = (case["exit"].as_u64().unwrap(), case["message"].as_str().unwrap());
        let ours = ["receive", "store", "query"].contains(&case["component"].as_str().unwrap());
        let by_parser = case["error"].as_str().unwrap().starts_with("thanos: error: ")
            || case["error"].as_str().unwrap().starts_with("error parsing commandline arguments");
        // Refused by stock's address list, not by its parser.
        if !ours || !by_parser || message == "Address is empty." {
            continue;
        }
        let arguments: Vec<&str> = case["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let (text, code) = parse(&arguments).expect_err(&format!("{arguments:?}"));
        assert!(text.ends_with(message), "{arguments:?}: {text} / {message}");
        assert_eq!(u64::from(code), exit, "{arguments:?}");
        tried += 1;
    }
    assert!(tried > 40, "{tried}");
}

/// The table of docs/compatibility.md, printed for whoever writes it (`-- --nocapture`).
#[test]
fn what_has_no_effect_or_is_refused_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    let documented = std::fs::read_to_string(path).unwrap();
    let command = app().command("receive").unwrap();
    let mut missing = Vec::new();
    for flag in app().flags_of(Some(command)) {
        let state = match flag.support {
            Support::Served => continue,
            Support::NoOp => "no effect",
            Support::NotYet => "refused",
        };
        println!("| `--{}` | {state} |", flag.name);
        if !documented.contains(&format!("`--{}`", flag.name)) {
            missing.push(flag.name);
        }
    }
    assert!(missing.is_empty(), "docs/compatibility.md does not tell of {missing:?}");
}

#[test]
fn flags_that_are_not_served_are_refused_unless_they_say_the_default() {
    let refused = parse(&["store", "--index-cache-size=1GB"]).unwrap_err();
    assert_eq!(refused, ("thanos: error: flag --index-cache-size is not supported yet".to_string(), 1));
    for fine in ["--receive.replication-factor=1", "--tsdb.out-of-order.time-window=0h", "--no-tsdb.no-lockfile"] {
        assert!(matches!(parse(&["receive", fine]), Ok(Parsed::Run(_))), "{fine}");
    }
    assert!(parse(&["receive", "--no-tsdb.wal-compression", "--tsdb.allow-overlapping-blocks"]).is_ok());
}

#[test]
fn standalone_values_and_defaults() {
    let Ok(Parsed::Run(matches)) = parse(&[
        "standalone",
        "--no-self-scrape",
        "--data-dir",
        "/d",
        "--query.replica-label=a",
        "--query.replica-label=b",
        "--label=x=\"y\"",
        "--query.lookback-delta=90s",
    ]) else {
        panic!("refused")
    };
    assert_eq!(matches.command(), "standalone");
    assert!(!matches.switch("self-scrape") && matches.is_given("self-scrape"));
    assert_eq!(matches.text("data-dir"), "/d");
    assert_eq!(matches.texts("query.replica-label"), ["a", "b"]);
    assert_eq!(matches.duration_ms("query.lookback-delta"), 90_000);
    assert_eq!(matches.duration_ms("tsdb.retention"), 15 * 86_400_000);
    assert_eq!(matches.int("query.max-concurrent"), 20);
    assert_eq!(matches.labels("label").unwrap().len(), 1);
    assert_eq!(matches.content("objstore.config").unwrap(), None);
    let required = matches.required_content("objstore.config").unwrap_err().to_string();
    assert!(required.starts_with("flag objstore.config-file or objstore.config is required"), "{required}");
}

#[test]
fn every_default_is_a_value_of_its_flag() {
    for command in app().commands {
        for flag in app().flags_of(Some(command)) {
            for default in flag.defaults.iter().filter(|_| flag.kind != Kind::Bool) {
                let argument = format!("--{}={default}", flag.name);
                let words: Vec<&str> = command.name.split(' ').chain([argument.as_str()]).collect();
                let result = parse(&words);
                // One of several defaults alone is another value, and so refused, but it is of the right form.
                assert!(result.is_ok() || flag.defaults.len() > 1, "{argument}: {result:?}");
            }
        }
    }
}

#[test]
fn commands_of_several_words() {
    let Ok(Parsed::Run(matches)) = parse(&["tools", "--log.level=debug", "tsdb", "export-wal", "--tsdb.path=/d"])
    else {
        panic!("refused")
    };
    assert_eq!((matches.command(), matches.text("tsdb.path")), ("tools tsdb export-wal", "/d"));
    for (arguments, told) in [
        (&["tools"][..], "thanos: error: must select a subcommand of 'tools'"),
        (&["tools", "tsdb"], "thanos: error: must select a subcommand of 'tools tsdb'"),
        (&["tools", "bucket"], "thanos: error: expected command but got \"bucket\""),
    ] {
        assert_eq!(parse(arguments).err(), Some((told.to_string(), 1)), "{arguments:?}");
    }
    let Ok(Parsed::Print { text, .. }) = parse(&["tools", "tsdb", "scrub", "--help"]) else { panic!("refused") };
    assert!(text.starts_with("usage: thanos tools tsdb scrub [<flags>]\n"), "{text}");
}

#[test]
fn words_files_and_help() {
    let path = std::env::temp_dir().join(format!("thanoxide-flags-{}", std::process::id()));
    std::fs::write(&path, "--data-dir=/from-file\n# comment\n\n--no-self-scrape\n").unwrap();
    let Ok(Parsed::Run(matches)) = parse(&["--log.level=debug", "standalone", &format!("@{}", path.display())]) else {
        panic!("refused")
    };
    std::fs::remove_file(path).unwrap();
    assert_eq!((matches.text("data-dir"), matches.text("log.level")), ("/from-file", "debug"));
    for (arguments, stderr, start) in [
        (&["store", "--help"][..], true, "usage: thanos store [<flags>]\n"),
        (&["help", "store"], true, "usage: thanos store [<flags>]\n"),
        (&["-h"], true, "usage: thanos [<flags>] <command> [<args> ...]\n"),
        (&[], true, "usage: thanos [<flags>] <command> [<args> ...]\n"),
        (&["--help-long"], false, "usage: thanos [<flags>] <command> [<args> ...]\n"),
        (&["store", "--help-man"], false, ".TH thanos 1 "),
        (&["--version"], true, "thanos, version 1 (branch: "),
    ] {
        let Ok(Parsed::Print { text, to_stderr }) = parse(arguments) else { panic!("{arguments:?}") };
        assert!(text.starts_with(start) && to_stderr == stderr, "{arguments:?}: {text}");
    }
    assert_eq!(parse(&["nope"]).unwrap_err().0, "thanos: error: expected command but got \"nope\"");
    assert_eq!(parse(&["store", "--", "--x"]).unwrap_err().0, "thanos: error: unexpected --x");
}

#[test]
fn argument_lists_of_real_deployments_are_understood() {
    let (mut run, mut not_yet) = (0, 0);
    for entry in std::fs::read_dir(shared("corpora/args")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        let ours = list["component"].as_str().is_some_and(|name| ["receive", "store", "query"].contains(&name));
        if !ours || list["stock"]["starts"] != true {
            continue;
        }
        let arguments: Vec<&str> = list["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        match parse(&arguments) {
            Ok(Parsed::Run(_)) => run += 1,
            Err((message, 1)) if message.ends_with(" is not supported yet") => not_yet += 1,
            Err(refused) => panic!("{refused:?}"),
            Ok(printed) => panic!("{printed:?}"),
        }
    }
    assert!(run > 0 && run + not_yet > 30, "{run} run, {not_yet} wait for flags");
}
