//! From text to tree.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Content, Node, YamlError};

/// Deeper documents are refused, and larger ones: aliases can make a short text a huge tree.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 1 << 18;

pub(super) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut builder =
        Builder { lines: text.lines().count().max(1), anchors: HashMap::new(), open: Vec::new(), nodes: 0, root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| builder.syntax(&error))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.take(event, span)?;
    }
    Ok(builder.root)
}

/// A list or map under construction.
struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    nodes: Vec<Node>,
}

struct Builder {
    lines: usize,
    anchors: HashMap<usize, (Node, usize)>,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    /// The parsers word their complaints each in their own way; Go's most common one stands for all.
    fn syntax(&self, error: &ScanError) -> YamlError {
        let line = error.marker().line().min(self.lines);
        YamlError::Syntax { line, text: "did not find expected node content".to_string() }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                self.add(Node { line, content: Content::Scalar { text: text.into_owned(), plain } }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(line, anchor, false),
            Event::MappingStart(_, anchor, _) => self.open(line, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let unknown = || YamlError::Syntax { line, text: "unknown anchor".to_string() };
                let (node, size) = self.anchors.get(&anchor).cloned().ok_or_else(unknown)?;
                self.add(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, is_map: bool) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::Syntax { line, text: "exceeded max depth".to_string() });
        }
        self.open.push(Open { line, anchor, is_map, nodes: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Open { line, anchor, is_map, nodes }) = self.open.pop() else { return Ok(()) };
        let content = if is_map { Content::Map(pairs(nodes)) } else { Content::List(nodes) };
        self.add(Node { line, content }, anchor, 1)
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlError> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(YamlError::Syntax {
                line: node.line,
                text: "document contains excessive aliasing".to_string(),
            });
        }
        if anchor != 0 {
            let size = count(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

fn pairs(nodes: Vec<Node>) -> Vec<(Node, Node)> {
    let mut nodes = nodes.into_iter();
    std::iter::from_fn(|| Some((nodes.next()?, nodes.next()?))).collect()
}

/// How many nodes a tree has; no deeper than [`MAX_DEPTH`] for each alias in it.
fn count(node: &Node) -> usize {
    1 + match &node.content {
        Content::Scalar { .. } => 0,
        Content::List(nodes) => nodes.iter().map(count).sum(),
        Content::Map(pairs) => pairs.iter().map(|(key, value)| count(key) + count(value)).sum(),
    }
}
