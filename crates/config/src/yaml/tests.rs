use proptest::prelude::*;

use super::*;

fn faults(text: &str) -> String {
    let node = match Node::parse(text) {
        Ok(node) => node.unwrap(),
        Err(error) => return error.to_string(),
    };
    let (mut decoder, mut count, mut on) = (Decoder::strict(), 0, false);
    decoder.fields(&node, "receive.Limits", |decoder, key, value| match key {
        "count" => {
            decoder.uint(value, &mut count);
            true
        }
        "on" => {
            decoder.switch(value, &mut on);
            true
        }
        _ => false,
    });
    decoder.finish().map_or_else(|error| error.to_string(), |()| format!("{count} {on}"))
}

#[test]
fn faults_are_told_in_gos_words() {
    for (text, told) in [
        ("count: 3\non: yes\n", "3 true"),
        ("count:\non: ~\n", "0 false"),
        (
            "a: 1\ncount: many\n",
            "yaml: unmarshal errors:\n  line 1: field a not found in type receive.Limits\n  line 2: cannot unmarshal !!str `many` into uint64",
        ),
        ("count: -1", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `-1` into uint64"),
        ("count: \"1\"", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `1` into uint64"),
        ("- 1", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into receive.Limits"),
        ("count: 1\ncount: 2", "yaml: unmarshal errors:\n  line 2: mapping key \"count\" already defined at line 1"),
        ("count: [\n", "yaml: line 1: did not find expected node content"),
    ] {
        assert_eq!(faults(text), told, "{text:?}");
    }
}

#[test]
fn empty_texts_have_no_document() {
    assert!(Node::parse("").unwrap().is_none());
    assert!(Node::parse("# nothing\n").unwrap().is_none_or(|node| node.is_null()));
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(", "));
    }
    assert!(Node::parse(&text).is_err());
    assert!(Node::parse(&"[".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn arbitrary_texts_never_panic(text in "[a-z:\\[\\]{}&*!|> \n\"'#,-]{0,60}") {
        let _ = Node::parse(&text);
    }
}
