//! YAML as Go's library reads it: a tree with line numbers, and errors in its words.
//!
//! A document is read in two steps: [`Node::parse`] makes the tree, a [`Decoder`] turns nodes into values and gathers
//! what does not fit, so that one error names all faults (`line 3: cannot unmarshal !!str `many` into uint64`).

mod decode;
mod parse;

use thiserror::Error;

pub use decode::Decoder;

/// Why a text is not what was wanted. The texts are those of Go's library.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum YamlError {
    /// Not YAML.
    #[error("yaml: line {line}: {text}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        text: String,
    },
    /// YAML of another shape.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    Shape(Vec<String>),
}

/// A value of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its line, counted from 1.
    pub line: usize,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A text, quoted or not.
    Scalar {
        /// After escapes.
        text: String,
        /// Whether it stands without quotes, so that it may be a number or a switch.
        plain: bool,
    },
    /// `- a`.
    List(Vec<Node>),
    /// `a: b`, in the order of the document.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Reads the first document; `None` where there is none.
    pub fn parse(text: &str) -> Result<Option<Node>, YamlError> {
        parse::parse(text)
    }

    /// Whether there is no value: nothing at all, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The short form of its tag, as Go writes it.
    fn tag(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "!!map",
            Content::List(_) => "!!seq",
            Content::Scalar { plain: false, .. } => "!!str",
            Content::Scalar { .. } if self.is_null() => "!!null",
            Content::Scalar { text, .. } if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() => "!!int",
            Content::Scalar { text, .. } if is_float(text) => "!!float",
            Content::Scalar { text, .. } if decode::switch(text).is_some() => "!!bool",
            Content::Scalar { .. } => "!!str",
        }
    }
}

/// A decimal number: what Rust calls a number besides (`inf`, `nan`) is text in YAML.
fn is_float(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests;
