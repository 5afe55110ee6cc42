use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, value: &str) -> bool {
    Regexp::new(pattern.as_bytes()).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(value.as_bytes())
}

fn error(pattern: &str) -> String {
    Regexp::new(pattern.as_bytes()).expect_err(pattern).to_string()
}

#[test]
fn go_accepts_what_rust_does_not() {
    for (pattern, value) in [
        (r"\Qa.b\E", "a.b"),
        ("a{,3}", "a{,3}"),
        ("a{", "a{"),
        ("[[a]", "["),
        (r"\123", "S"),
        (r"\p{^Greek}", "a"),
        ("[]a]", "]"),
        ("[a-]", "-"),
        (r"\Qab+\E+", "ab++"),
        ("(?<n>a)(?P<n>b)", "ab"),
        ("(|a)*", "aa"),
        ("a(?i)b", "aB"),
        ("(?i:a)b", "Ab"),
        (r"[[:^digit:]\d]", "7"),
        (r"\x{1F600}", "😀"),
        (r"\pL\p{Lu}\p{letter}", "aBc"),
    ] {
        assert!(matches(pattern, value), "{pattern}");
    }
}

#[test]
fn rust_accepts_what_go_does_not() {
    for (pattern, text) in [
        ("x{1001}", "invalid repeat count: `{1001}`"),
        ("(x{100}){11}", "invalid repeat count: `{11}`"),
        ("x{2,1}", "invalid repeat count: `{2,1}`"),
        ("(?x)", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?R)", "invalid or unsupported Perl syntax: `(?R`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"\u0041", r"invalid escape sequence: `\u`"),
        (r"\U00000041", r"invalid escape sequence: `\U`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        ("(", "missing closing ): `(`"),
        ("a)b", "unexpected ): `a)b`"),
        ("[a", "missing closing ]: `[a`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Nope}", r"invalid character class range: `\p{Nope}`"),
        (r"\p{sc=Greek}", r"invalid character class range: `\p{sc=Greek}`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+?{2}", "invalid nested repetition operator: `+?{2}`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?P<n-m>a)", "invalid named capture: `(?P<n-m>`"),
        ("a\\", "trailing backslash at end of expression: ``"),
    ] {
        assert_eq!(error(pattern), format!("error parsing regexp: {text}"));
    }
    assert!(!matches(r"\b{start}", "start"), "a boundary, then text");
}

#[test]
fn same_text_other_meaning() {
    assert!(matches("[a&&b]", "&") && matches("[a&&b]", "a"));
    assert!(matches("[+--b]", ",") && matches("[+--b]", "b") && !matches("[a~~b]", "c"));
    assert!(matches(r"\<a\>", "<a>"));
    assert!(!matches(r"\d", "٣") && !matches(r"\w", "é") && !matches(r"\s", "\x0b"));
    assert!(matches("(?i)k", "\u{212a}") && matches(r"(?i)\w", "\u{17f}"));
}

#[test]
fn anchored_and_dotall() {
    assert!(matches("a.c", "a\nc") && !matches("b", "abc") && !matches("a|b", "ab"));
    assert!(!matches("(?-s)a.c", "a\nc"));
    assert!(matches("(?m)a$\n^b", "a\nb") && !matches("a$\n^b", "a\nb"));
}

#[test]
fn a_byte_that_is_not_utf8_is_one_character() {
    let re = |pattern: &str| Regexp::new(pattern.as_bytes()).unwrap();
    assert!(re("a.b").is_match(b"a\xffb") && !re("a.b").is_match(b"a\xff\xfeb"));
    assert!(re("..").is_match(b"\xe2\x82") && re(".").is_match("é".as_bytes()) && !re("..").is_match("é".as_bytes()));
    assert!(re("\u{fffd}").is_match(b"\xff") && re("[^a]").is_match(b"\xff"));
    assert_eq!(re("(.*)(b)(.)").captures_expand(b"\xff\xfeb\xc0", b"$3$2$1"), Some(b"\xc0b\xff\xfe".to_vec()));
}

#[test]
fn sets_are_found() {
    let set = |pattern: &str| -> Option<Vec<String>> {
        let re = Regexp::new(pattern.as_bytes()).unwrap();
        Some(re.set_matches()?.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect())
    };
    let of = |literals: &[&str]| Some(literals.iter().map(|l| l.to_string()).collect::<Vec<_>>());
    assert_eq!(set("foo"), of(&["foo"]));
    assert_eq!(set("foo|bar|(?:fo|ba)z?"), of(&["ba", "bar", "baz", "fo", "foo", "foz"]));
    assert_eq!(set("(a|b)[0-2]"), of(&["a0", "a1", "a2", "b0", "b1", "b2"]));
    assert_eq!(set("(?i)ab"), of(&["AB", "Ab", "aB", "ab"]));
    assert_eq!(set(""), of(&[""]));
    assert_eq!(set("^a$"), None);
    assert_eq!(set("a.*"), None);
    assert_eq!(set("[a-z]{2}"), None);
    let many: Vec<String> = (0..256).map(|i| format!("instance-{i}")).collect();
    assert_eq!(set(&many.join("|")).map(|s| s.len()), Some(256));
    assert_eq!(set(&format!("{}|x", many.join("|"))), None);
}

#[test]
fn hints_are_found() {
    let re = Regexp::new(b"foo[0-9]+bar.*\\bbaz").unwrap();
    assert_eq!((re.prefix(), re.suffix()), (b"foo".as_slice(), b"baz".as_slice()));
    assert_eq!(re.contained.iter().map(|literal| literal.needle()).collect::<Vec<_>>(), [b"bar"]);
    assert!(re.is_match(b"foo1bar baz") && !re.is_match(b"foo1barbaz"));
}

#[test]
fn groups_are_expanded() {
    let expand = |pattern: &str, value: &str, template: &str| {
        let re = Regexp::new(pattern.as_bytes()).unwrap();
        re.captures_expand(value.as_bytes(), template.as_bytes()).map(|v| String::from_utf8(v).unwrap())
    };
    let some = |s: &str| Some(s.to_owned());
    assert_eq!(expand("(.*):(.*)", "host:80", "$2-$1"), some("80-host"));
    assert_eq!(expand("(?P<host>.*):.*", "host:80", "${host}x $host_x $1x"), some("hostx  "));
    assert_eq!(expand("(a)|(b)", "b", "[$1$2$3$0]"), some("[bb]"));
    assert_eq!(expand("a", "a", "$$ $ ${ ${a $-"), some("$ $ ${ ${a $-"));
    assert_eq!(expand("(a)", "a", "$01${1}"), some("a"));
    assert_eq!(expand("(a+?)(a*)", "aaa", "$1,$2"), some("a,aa"));
    assert_eq!(expand("(?U)(a+)(a*)", "aaa", "$1,$2"), some("a,aa"));
    assert_eq!(expand("(a){0}(b)", "b", "$1,$2"), some(",b"));
    assert_eq!(expand("a", "b", "x"), None);
}

#[test]
fn hostile_patterns_end() {
    assert_eq!(
        error(&"(".repeat(100_000)),
        format!("error parsing regexp: missing closing ): `{}`", "(".repeat(100_000))
    );
    let nested = |n: usize| format!("{}a{}", "(?:".repeat(n), "b)*".repeat(n));
    assert!(matches(&nested(490), ""));
    let groups = format!("{}a*{}", "(".repeat(990), ")".repeat(990));
    assert_eq!(Regexp::new(groups.as_bytes()).unwrap().captures_expand(b"aa", b"$990"), Some(b"aa".to_vec()));
    assert!(error(&nested(1100)).contains("expression nests too deeply"));
    assert_eq!(error("a{1000}{1000}"), "error parsing regexp: invalid nested repetition operator: `{1000}{1000}`");
    assert!(error(r"(?i)(\pL{50}|\pN{49}){20}").contains("expression too large"));
    assert!(matches(&vec!["abc"; 100_000].join("|"), "abc"));
    let value = "x".repeat(10_000);
    assert!(!matches(".*.*.*.*=.*", &value) && !matches("(x+x+)+y", &value));
}

fn globs() -> impl Strategy<Value = String> {
    let part = prop_oneof![Just("a"), Just("b"), Just("é"), Just(".*"), Just(".+"), Just("(.*)"), Just("(ab)")];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn patterns() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[a-cé]",
        "\\PC",
        r"\\[dswDSWbBAzQEpPx0-9{}]",
        Just("(".into()),
        Just(")".into()),
        Just("(?:".into()),
        Just("(?i)".into()),
        Just("[".into()),
        Just("]".into()),
        Just("|".into()),
        Just("*".into()),
        Just("{2,3}".into()),
        Just("[^a-b]".into()),
        Just(".+?".into()),
        Just("$".into()),
        Just("^".into()),
        Just("-".into()),
        Just("[[:alpha:]]".into()),
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens: Vec<String>| tokens.concat())
}

proptest! {
    #[test]
    fn fast_paths_agree_with_the_program(pattern in globs(), value in "[abé]{0,8}") {
        let re = Regexp::new(pattern.as_bytes()).unwrap();
        let program = compile(parse::parse(&pattern).unwrap().hir, WhichCaptures::None, MAX_PROGRAM_BYTES).unwrap();
        prop_assert!(!matches!(re.plan, Plan::Program(_)) || pattern.contains(".+"));
        prop_assert_eq!(re.is_match(value.as_bytes()), program.is_match(&value), "{} {}", pattern, value);
    }

    #[test]
    fn no_pattern_panics(pattern in patterns(), value in prop::collection::vec(any::<u8>(), 0..8)) {
        if let Ok(re) = Regexp::new(pattern.as_bytes()) {
            let hit = re.is_match(&value);
            prop_assert_eq!(re.captures_expand(&value, b"$1${2}$x").is_some(), hit);
            prop_assert_eq!(re.captures_expand(&value, b"$0"), hit.then_some(value));
        }
    }

    #[test]
    fn no_bytes_panic(pattern in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = Regexp::new(&pattern);
    }
}
