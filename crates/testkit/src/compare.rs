//! Whether two answers of Prometheus's API are equal.

use std::collections::BTreeMap;

use serde_json::Value;

/// How near two numbers must be.
const RELATIVE: f64 = 1e-9;

/// Says what differs between the data of two answers; `None` is equal. `ignored` labels are set aside on both sides, and
/// the order of series does not count.
pub fn difference(ours: &Value, theirs: &Value, ignored: &[&str]) -> Option<String> {
    if ours["status"] != theirs["status"] {
        return Some(format!("status {} against {}: {ours} against {theirs}", ours["status"], theirs["status"]));
    }
    let (ours, theirs) = (&ours["data"], &theirs["data"]);
    if ours["resultType"] != theirs["resultType"] {
        return Some(format!("type {} against {}", ours["resultType"], theirs["resultType"]));
    }
    if !matches!(ours["resultType"].as_str(), Some("vector" | "matrix")) {
        return differing(&ours["result"], &theirs["result"], "result");
    }
    let (left, right) = (by_labels(&ours["result"], ignored), by_labels(&theirs["result"], ignored));
    let only_left = left.keys().find(|k| !right.contains_key(*k)).map(|k| format!("only ours: {k}"));
    let only_right = || right.keys().find(|k| !left.contains_key(*k)).map(|k| format!("only theirs: {k}"));
    let inside = || left.iter().find_map(|(k, v)| differing(v, right.get(k)?, k));
    only_left.or_else(only_right).or_else(inside)
}

/// How many series an answer has.
pub fn series_count(answer: &Value) -> usize {
    answer["data"]["result"].as_array().map_or(0, Vec::len)
}

/// Series without their labels, by what is left of the labels. Equal label sets stay apart by a number.
fn by_labels(result: &Value, ignored: &[&str]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for series in result.as_array().into_iter().flatten() {
        let labels: BTreeMap<&str, &Value> = series["metric"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !ignored.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let mut rest = series.clone();
        if let Some(object) = rest.as_object_mut() {
            object.remove("metric");
        }
        let mut key = format!("{labels:?}");
        while all.contains_key(&key) {
            key.push('+');
        }
        all.insert(key, rest);
    }
    all
}

fn differing(left: &Value, right: &Value, place: &str) -> Option<String> {
    match (left, right) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| differing(a, b, &format!("{place}[{i}]")))
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().find_map(|(k, v)| differing(v, b.get(k).unwrap_or(&Value::Null), &format!("{place}.{k}")))
        }
        (Value::String(a), Value::String(b)) if near(a, b) => None,
        (a, b) if a == b => None,
        (a, b) => Some(format!("{place}: {} against {}", short(a), short(b))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}

fn near(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= RELATIVE * a.abs().max(b.abs()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vector(value: &str, extra: &str) -> Value {
        json!({"status": "success", "data": {"resultType": "vector",
            "result": [{"metric": {"a": "1", "ext": extra}, "value": [1, value]}]}})
    }

    #[test]
    fn near_numbers_are_equal_and_others_are_not() {
        assert_eq!(difference(&vector("1", "x"), &vector("1.0000000001", "y"), &["ext"]), None);
        assert!(difference(&vector("1", "x"), &vector("1.1", "x"), &[]).is_some());
        assert!(difference(&vector("1", "x"), &vector("1", "y"), &[]).is_some());
        assert!(difference(&vector("NaN", ""), &vector("NaN", ""), &[]).is_none());
    }
}
