use super::*;

#[test]
fn the_order_of_packed_labels_is_that_of_their_pairs() {
    let long = "x".repeat(300);
    let values = ["", "a", "aa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b", "b\u{1}", long.as_str()];
    let mut all = Vec::new();
    for a in values {
        for b in values {
            for c in values {
                all.push(Labels::from_pairs([("a", a), ("ab", b), ("b", c)]));
            }
        }
    }
    for left in &all {
        for right in &all {
            assert_eq!(left.cmp(right), compare_pairs(left.iter(), right.iter()), "{left} {right}");
        }
    }
}

#[test]
fn one_label_is_set() {
    let names = ["a", "b", "c", "d"];
    for mask in 0..16 {
        let some = || names.iter().enumerate().filter(move |(i, _)| mask >> i & 1 == 1).map(|(_, n)| (*n, "old"));
        let labels = Labels::from_pairs(some());
        for name in names {
            let set = Labels::from_pairs(some().chain([(name, "new")]));
            assert_eq!(labels.with(name.as_bytes(), b"new"), set, "{labels} {name}");
            assert_eq!(labels.with(name.as_bytes(), b""), labels.without(&[name]), "{labels} {name}");
            let mut kept = Vec::new();
            labels.filter_into(&mut kept, |n| n != name.as_bytes());
            assert_eq!(Labels::from_packed(&kept), Labels::from_pairs(some().filter(|(n, _)| *n != name)));
            assert_eq!(Labels::from_packed(&kept), labels.without(&[name]));
        }
    }
}

#[test]
fn order_is_prometheus_order() {
    let a = Labels::from_pairs([("a", "1")]);
    let ab = Labels::from_pairs([("b", "2"), ("a", "1")]);
    let a2 = Labels::from_pairs([("a", "2")]);
    assert!(a < ab && ab < a2);
}

#[test]
fn long_values_survive_packing() {
    for len in [1, 254, 255, 256, 70_000] {
        let value = "x".repeat(len);
        let labels = Labels::from_pairs([("a", value.as_str()), ("b", "1")]);
        assert_eq!(labels.get("a"), Some(value.as_bytes()));
        assert_eq!(labels.get("b"), Some(b"1".as_slice()));
    }
}

#[test]
fn overlay_wins_and_empty_removes() {
    let base = Labels::from_pairs([("a", "1"), ("z", "9")]);
    let over = Labels::from_pairs([("a", "2"), ("b", "3")]);
    assert_eq!(base.overlay(&over).to_string(), r#"{a="2", b="3", z="9"}"#);
    let mut builder = LabelsBuilder::from(&base);
    builder.set("a", "");
    assert_eq!(builder.build().to_string(), r#"{z="9"}"#);
}

#[test]
fn quoting_is_gos() {
    assert_eq!(go_quote(b"a\"\n\xff\x01"), "\"a\\\"\\n\\xff\\x01\"");
    assert_eq!(go_quote("é\u{200b}".as_bytes()), "\"é\\u200b\"");
}
