//! `label_replace` and `label_join`: they look at labels alone.

use thanoxide_model::{Labels, Regexp};

use super::{Batch, Context, Stream};
use crate::engine::QueryError;

/// How a label is made.
pub(crate) enum Relabel {
    /// From another one, if that matches.
    Replace { source: Vec<u8>, pattern: Box<Regexp>, replacement: Vec<u8> },
    /// From others, joined.
    Join { sources: Vec<Vec<u8>>, separator: Vec<u8> },
}

/// Sets one label of each series. Series that come to have the same labels are merged by the operator above.
pub(crate) struct RelabelStream {
    pub(crate) inner: Box<dyn Stream>,
    pub(crate) target: Vec<u8>,
    pub(crate) relabel: Relabel,
}

impl RelabelStream {
    fn value(&self, labels: &Labels) -> Option<Vec<u8>> {
        match &self.relabel {
            Relabel::Replace { source, pattern, replacement } => {
                pattern.captures_expand(labels.value(source), replacement)
            }
            Relabel::Join { sources, separator } => {
                let values: Vec<&[u8]> = sources.iter().map(|s| labels.value(s)).collect();
                Some(values.join(separator.as_slice()))
            }
        }
    }
}

impl Stream for RelabelStream {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut batch) = self.inner.next(cx)? else { return Ok(None) };
        for series in &mut batch.series {
            cx.deadline.check()?;
            let Some(value) = self.value(&series.labels) else { continue };
            series.labels = series.labels.with(&self.target, &value);
            if self.target == b"__name__" {
                series.drop_name = false;
            }
        }
        Ok(Some(batch))
    }
}
