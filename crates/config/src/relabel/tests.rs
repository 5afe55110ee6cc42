use super::*;

fn apply(yaml: &str, labels: &[(&str, &str)]) -> Option<String> {
    let relabel = Relabel::parse(yaml).unwrap();
    let mut edit = LabelEdit::new(labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    relabel.apply(&mut edit).then(|| {
        let mut pairs = edit.pairs();
        pairs.sort();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let texts: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
        texts.join(",")
    })
}

#[test]
fn actions_do_what_prometheus_documents() {
    let labels = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    for (rule, result) in [
        (
            "source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'",
            "a=foo,b=bar,c=baz,d=choo-choo",
        ),
        (
            "source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'",
            "a=boobam,b=bar,c=baz",
        ),
        ("source_labels: [a], regex: 'o$', action: drop", "a=foo,b=bar,c=baz"),
        ("source_labels: [a], regex: 'f.*', action: drop", "-"),
        ("source_labels: [a], regex: 'f.*', action: keep", "a=foo,b=bar,c=baz"),
        ("source_labels: [a], regex: 'no', action: keep", "-"),
        ("source_labels: [z], target_label: t, replacement: fixed", "a=foo,b=bar,c=baz,t=fixed"),
        ("source_labels: [a], regex: foo, target_label: b, replacement: ''", "a=foo,c=baz"),
        ("source_labels: [a], regex: '(f)(.*)', target_label: '${2}', replacement: '${1}'", "a=foo,b=bar,c=baz,oo=f"),
        ("source_labels: [c], target_label: d, action: hashmod, modulus: 1000", "a=foo,b=bar,c=baz,d=976"),
        ("regex: '(b|c)', action: labelmap, replacement: 'x_$1'", "a=foo,b=bar,c=baz,x_b=bar,x_c=baz"),
        ("regex: '[bc]', action: labeldrop", "a=foo"),
        ("regex: '[bc]', action: labelkeep", "b=bar,c=baz"),
        ("source_labels: [a, b], target_label: u, action: Uppercase", "a=foo,b=bar,c=baz,u=FOO;BAR"),
        ("source_labels: [a], target_label: b, action: keepequal", "-"),
        ("source_labels: [a], target_label: a, action: dropequal", "-"),
        ("source_label: [a], action: keep", "a=foo,b=bar,c=baz"),
    ] {
        assert_eq!(apply(&format!("- {{{rule}}}"), &labels).as_deref().unwrap_or("-"), result, "{rule}");
    }
    assert!(Relabel::parse("").unwrap().is_empty() && Relabel::parse("[]").unwrap().is_empty());
}

#[test]
fn unchanged_labels_are_told_apart() {
    let relabel = Relabel::parse("- {regex: z, action: labeldrop}\n- {source_labels: [a], target_label: a}").unwrap();
    let mut edit = LabelEdit::new([(b"a".as_slice(), b"1".as_slice())]);
    assert!(relabel.apply(&mut edit) && edit.into_changed().is_none());
}

#[test]
fn refusals_have_stocks_words() {
    const PARSING: &str = "\nparsing relabel configuration";
    const VALIDATE: &str = "\nvalidate relabel config";
    for (yaml, text, rest) in [
        ("a: b", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into []*relabel.Config", PARSING),
        ("- {action: nope}", "unknown relabel action \"nope\"", PARSING),
        ("- {action: keep, regex: '('}", "error parsing regexp: missing closing ): `^(?s:()$`", PARSING),
        (
            "- {action: hashmod, target_label: b}",
            "relabel configuration for hashmod requires non-zero modulus",
            VALIDATE,
        ),
        (
            "- {action: hashmod, modulus: 2}",
            "relabel configuration for hashmod action requires 'target_label' value",
            VALIDATE,
        ),
        (
            "- {action: labeldrop, source_labels: [a], regex: b}",
            "labeldrop action requires only 'regex', and no other fields",
            VALIDATE,
        ),
    ] {
        assert_eq!(Relabel::parse(yaml).unwrap_err().to_string(), format!("{text}{rest}"), "{yaml}");
    }
}
