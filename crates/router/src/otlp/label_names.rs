//! Names of labels, as Prometheus makes them from OpenTelemetry's keys.

use super::settings::OtlpSettings;

/// Makes names of labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelNamer {
    escapes: bool,
    key_before_underscore: bool,
    keep_underscores: bool,
}

impl LabelNamer {
    pub(super) fn new(settings: &OtlpSettings) -> Self {
        LabelNamer {
            escapes: settings.strategy.escapes(),
            key_before_underscore: settings.key_before_underscore,
            keep_underscores: settings.keep_underscores,
        }
    }

    /// The label of a point's or a resource's attribute. Where names stay as they are, Prometheus checks none of these.
    pub(super) fn of_attribute(self, key: &str) -> Result<String, String> {
        if self.escapes || key.is_empty() { self.name(key) } else { Ok(key.to_string()) }
    }

    /// The name of a label. The error is the translator's.
    pub(super) fn name(self, key: &str) -> Result<String, String> {
        if key.is_empty() {
            return Err("label name is empty".to_string());
        }
        if !self.escapes {
            return match only_underscores(key) {
                true => Err(format!("label name {key:?} contains only underscores")),
                false => Ok(key.to_string()),
            };
        }
        let mut legal = if self.keep_underscores { legal_by_character(key) } else { legal(key) };
        if legal.starts_with(|first: char| first.is_ascii_digit()) {
            legal.insert_str(0, "key_");
        } else if self.key_before_underscore && legal.starts_with('_') && !legal.starts_with("__") {
            legal.insert_str(0, "key");
        }
        if only_underscores(&legal) {
            return Err(format!("normalization for label name {key:?} resulted in invalid name {legal:?}"));
        }
        Ok(legal)
    }
}

fn only_underscores(name: &str) -> bool {
    name.bytes().all(|byte| byte == b'_')
}

fn legal_by_character(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Runs of other characters than letters and digits become one `_`; names in double underscores keep those.
fn legal(key: &str) -> String {
    let reserved = key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let mut legal = String::with_capacity(key.len());
    for c in reserved.unwrap_or(key).chars() {
        match c.is_ascii_alphanumeric() {
            true => legal.push(c),
            false if !legal.ends_with('_') => legal.push('_'),
            false => {}
        }
    }
    if reserved.is_some() { format!("__{legal}__") } else { legal }
}

#[cfg(test)]
mod tests {
    use super::super::names::TranslationStrategy;
    use super::*;

    #[test]
    fn labels_become_legal() {
        let escaped = |key| LabelNamer::new(&OtlpSettings::default()).name(key);
        for (key, result) in [
            ("http.method", "http_method"),
            ("5", "key_5"),
            ("_a", "_a"),
            ("a__b", "a_b"),
            ("äa", "_a"),
            ("__a.b__", "__a_b__"),
        ] {
            assert_eq!(escaped(key).unwrap(), result);
        }
        assert!(escaped("ä").is_err() && escaped("").is_err() && escaped("____").is_err());
        let settings = OtlpSettings { key_before_underscore: true, keep_underscores: true, ..OtlpSettings::default() };
        let other = |key| LabelNamer::new(&settings).name(key).unwrap();
        assert_eq!([other("a..b"), other("_a"), other("__a_"), other("ä")], ["a__b", "key_a", "__a_", "key_"]);
        let settings = OtlpSettings { strategy: TranslationStrategy::NoTranslation, ..OtlpSettings::default() };
        let plain = LabelNamer::new(&settings);
        assert_eq!((plain.name("ä").unwrap(), plain.of_attribute("__").unwrap()), ("ä".into(), "__".into()));
        assert!(plain.name("__").is_err() && plain.of_attribute("").is_err());
    }
}
