//! The rules' YAML, and what stock checks of it.

use thanoxide_model::Regexp;

use super::{Action, RelabelError, Rule};
use crate::yaml::{Decoder, Node};

const ANY: &str = "(.*)";
const FIRST_GROUP: &str = "$1";
const SEMICOLON: &str = ";";

/// A rule as written, with stock's defaults.
struct Raw {
    action: String,
    sources: Option<Vec<String>>,
    separator: String,
    regex: String,
    modulus: u64,
    target: String,
    replacement: String,
}

pub(super) fn parse(yaml: &str) -> Result<Vec<Rule>, RelabelError> {
    let Some(node) = Node::parse(yaml)? else { return Ok(Vec::new()) };
    let mut decoder = Decoder::lenient();
    let nodes = decoder.list(&node, "[]*relabel.Config");
    let raw: Vec<Raw> = nodes.iter().map(|node| read(&mut decoder, node)).collect();
    decoder.finish()?;
    let rules: Vec<Rule> = raw.iter().map(compile).collect::<Result<_, _>>()?;
    for (raw, rule) in raw.iter().zip(&rules) {
        check(raw, rule.action).map_err(RelabelError::Invalid)?;
    }
    Ok(rules)
}

fn read(decoder: &mut Decoder, node: &Node) -> Raw {
    let mut raw = Raw {
        action: "replace".to_string(),
        sources: None,
        separator: SEMICOLON.to_string(),
        regex: ANY.to_string(),
        modulus: 0,
        target: String::new(),
        replacement: FIRST_GROUP.to_string(),
    };
    decoder.fields(node, "relabel.Config", |decoder, key, value| {
        match key {
            "action" => decoder.text(value, &mut raw.action),
            "source_labels" => decoder.texts(value, raw.sources.insert(Vec::new())),
            "separator" => decoder.text(value, &mut raw.separator),
            "regex" => decoder.text(value, &mut raw.regex),
            "modulus" => decoder.uint(value, &mut raw.modulus),
            "target_label" => decoder.text(value, &mut raw.target),
            "replacement" => decoder.text(value, &mut raw.replacement),
            _ => return false,
        }
        true
    });
    raw
}

fn compile(raw: &Raw) -> Result<Rule, RelabelError> {
    let name = raw.action.to_lowercase();
    let action = Action::NAMES.iter().find(|(known, _)| *known == name).map(|(_, action)| *action);
    let action = action.ok_or_else(|| RelabelError::Value(format!("unknown relabel action {:?}", raw.action)))?;
    let regex = Regexp::new(raw.regex.as_bytes()).map_err(|error| {
        // Stock shows the expression with the anchors that it puts around.
        let shown = error.to_string().replace(&format!("`{}`", raw.regex), &format!("`^(?s:{})$`", raw.regex));
        RelabelError::Value(shown)
    })?;
    let sets_absent = raw.regex == ANY && !raw.target.contains('$') && !raw.replacement.contains('$');
    Ok(Rule {
        action,
        sources: raw.sources.clone().unwrap_or_default(),
        separator: raw.separator.clone(),
        regex,
        modulus: raw.modulus,
        target: raw.target.clone(),
        replacement: raw.replacement.clone(),
        sets_absent,
    })
}

/// Stock's checks, in its order.
fn check(raw: &Raw, action: Action) -> Result<(), String> {
    use Action::*;
    let name = action.name();
    let fail = |text: String| Err(text);
    if action == HashMod && raw.modulus == 0 {
        return fail("relabel configuration for hashmod requires non-zero modulus".to_string());
    }
    let sets_target = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if sets_target && raw.target.is_empty() {
        return fail(format!("relabel configuration for {name} action requires 'target_label' value"));
    }
    let takes_value = matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual);
    if takes_value && raw.replacement != FIRST_GROUP && !raw.replacement.is_empty() {
        return fail(format!("'replacement' can not be set for {name} action"));
    }
    if action == LabelMap && raw.replacement.is_empty() {
        return fail(format!("{:?} is invalid 'replacement' for {name} action", raw.replacement));
    }
    let others_default = raw.modulus == 0 && raw.separator == SEMICOLON && raw.replacement == FIRST_GROUP;
    if matches!(action, KeepEqual | DropEqual) && !(others_default && raw.regex == ANY) {
        return fail(format!("{name} action requires only 'source_labels' and `target_label`, and no other fields"));
    }
    if matches!(action, LabelDrop | LabelKeep) && !(others_default && raw.sources.is_none() && raw.target.is_empty()) {
        return fail(format!("{name} action requires only 'regex', and no other fields"));
    }
    Ok(())
}
