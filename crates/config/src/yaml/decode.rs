//! From tree to values, gathering faults.

use super::{Content, Node, YamlError};

/// Turns nodes into values. A value of the wrong kind, or a key that nobody knows, is noted and left out; absent values
/// (`null`) leave the default.
#[derive(Debug, Default)]
pub struct Decoder {
    lenient: bool,
    faults: Vec<String>,
}

impl Decoder {
    /// Unknown keys are faults.
    pub fn strict() -> Self {
        Decoder::default()
    }

    /// Unknown keys are read past.
    pub fn lenient() -> Self {
        Decoder { lenient: true, faults: Vec::new() }
    }

    /// Fails with all faults.
    pub fn finish(self) -> Result<(), YamlError> {
        if self.faults.is_empty() { Ok(()) } else { Err(YamlError::Shape(self.faults)) }
    }

    /// Hands each key and value of a map to `take`, which says whether it knows the key. `go_type` is what stock calls the
    /// whole.
    pub fn fields(&mut self, node: &Node, go_type: &str, mut take: impl FnMut(&mut Self, &str, &Node) -> bool) {
        let Some(pairs) = self.pairs(node, go_type) else { return };
        for (index, (key, value)) in pairs.iter().enumerate() {
            let Content::Scalar { text, .. } = &key.content else {
                self.wrong(key, go_type);
                continue;
            };
            let same =
                |(earlier, _): &&(Node, Node)| matches!(&earlier.content, Content::Scalar { text: t, .. } if t == text);
            if let Some((first, _)) = pairs[..index].iter().find(same) {
                self.faults
                    .push(format!("line {}: mapping key {text:?} already defined at line {}", key.line, first.line));
            } else if !take(self, text, value) && !self.lenient {
                self.faults.push(format!("line {}: field {text} not found in type {go_type}", key.line));
            }
        }
    }

    fn pairs<'n>(&mut self, node: &'n Node, go_type: &str) -> Option<&'n [(Node, Node)]> {
        match &node.content {
            Content::Map(pairs) => return Some(pairs),
            _ if node.is_null() => {}
            _ => self.wrong(node, go_type),
        }
        None
    }

    /// The elements of a list.
    pub fn list<'n>(&mut self, node: &'n Node, go_type: &str) -> &'n [Node] {
        match &node.content {
            Content::List(nodes) => return nodes,
            _ if node.is_null() => {}
            _ => self.wrong(node, go_type),
        }
        &[]
    }

    /// A text.
    pub fn text(&mut self, node: &Node, into: &mut String) {
        match &node.content {
            _ if node.is_null() => {}
            Content::Scalar { text, .. } => into.clone_from(text),
            _ => self.wrong(node, "string"),
        }
    }

    /// A map of texts, each pair put behind those that are there.
    pub fn text_pairs(&mut self, node: &Node, into: &mut Vec<(String, String)>) {
        self.fields(node, "map[string]string", |decoder, key, value| {
            let mut text = String::new();
            decoder.text(value, &mut text);
            into.push((key.to_string(), text));
            true
        });
    }

    /// A list of texts.
    pub fn texts(&mut self, node: &Node, into: &mut Vec<String>) {
        let nodes = self.list(node, "[]string");
        *into = nodes.iter().map(|node| self.one_text(node)).collect();
    }

    fn one_text(&mut self, node: &Node) -> String {
        let mut text = String::new();
        self.text(node, &mut text);
        text
    }

    /// A whole number without a sign.
    pub fn uint(&mut self, node: &Node, into: &mut u64) {
        self.number(node, "uint64", into);
    }

    /// A whole number.
    pub fn int(&mut self, node: &Node, into: &mut i64) {
        self.number(node, "int64", into);
    }

    /// A switch.
    pub fn switch(&mut self, node: &Node, into: &mut bool) {
        match &node.content {
            _ if node.is_null() => {}
            Content::Scalar { text, plain: true } if switch(text).is_some() => *into = switch(text).unwrap_or_default(),
            _ => self.wrong(node, "bool"),
        }
    }

    /// Any value that has a text, with its own fault.
    pub fn parsed<T>(&mut self, node: &Node, into: &mut T, parse: impl FnOnce(&str) -> Option<T>, go_type: &str) {
        if node.is_null() {
            return;
        }
        let Content::Scalar { text, .. } = &node.content else { return self.wrong(node, go_type) };
        match parse(text) {
            Some(value) => *into = value,
            None => self.wrong(node, go_type),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, node: &Node, go_type: &str, into: &mut T) {
        if matches!(node.content, Content::Scalar { plain: false, .. }) {
            return self.wrong(node, go_type);
        }
        self.parsed(node, into, |text| text.parse().ok(), go_type);
    }

    fn wrong(&mut self, node: &Node, go_type: &str) {
        let shown = match &node.content {
            Content::Scalar { text, .. } if text.chars().count() > 10 => {
                format!(" `{}...`", text.chars().take(7).collect::<String>())
            }
            Content::Scalar { text, .. } => format!(" `{text}`"),
            _ => String::new(),
        };
        self.faults.push(format!("line {}: cannot unmarshal {}{shown} into {go_type}", node.line, node.tag()));
    }
}

/// The switches of YAML 1.1, which Go takes where a switch is wanted.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}
