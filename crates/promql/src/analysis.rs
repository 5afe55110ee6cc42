//! What the operators of a query are, and what each of them took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thanoxide_env::clock::Clock;

use crate::engine::QueryError;
use crate::exec::{Batch, Context, Stream};

/// An operator and those that it takes its series from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnalysisNode {
    /// The part of the expression that it evaluates.
    pub name: String,
    /// Time spent in it and below it.
    pub execution: Duration,
    /// Series that it gave.
    pub series: u64,
    /// Values that it gave.
    pub samples: u64,
    /// The most values that it gave in one batch.
    pub peak_samples: u64,
    /// Its inputs.
    pub children: Vec<AnalysisNode>,
}

/// The tree while it grows: operators are entered and left as the plan is made.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    nodes: Vec<Recorded>,
    open: Vec<usize>,
}

#[derive(Debug)]
struct Recorded {
    name: String,
    parent: Option<usize>,
    figures: Arc<Figures>,
}

#[derive(Debug, Default)]
struct Figures {
    nanoseconds: AtomicU64,
    series: AtomicU64,
    samples: AtomicU64,
    peak_samples: AtomicU64,
}

impl Recorder {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Recorder { clock, nodes: Vec::new(), open: Vec::new() }
    }

    /// An operator begins; what is entered until it is left is below it.
    pub(crate) fn enter(&mut self, name: String) -> usize {
        let parent = self.open.last().copied();
        self.nodes.push(Recorded { name, parent, figures: Arc::default() });
        self.open.push(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// The operator entered last is made: it is measured from now on.
    pub(crate) fn leave(&mut self, node: usize, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        self.open.pop();
        let figures = Arc::clone(&self.nodes[node].figures);
        Box::new(Measured { inner: stream, figures, clock: Arc::clone(&self.clock) })
    }

    /// The tree with its figures as they are now; `name` for a query without any vector.
    pub(crate) fn tree(&self, name: &str) -> AnalysisNode {
        let mut built: Vec<AnalysisNode> = self.nodes.iter().map(Recorded::node).collect();
        let mut roots = Vec::new();
        // Parents come before their children, so the last node has no children left to wait for.
        while let Some(mut node) = built.pop() {
            node.children.reverse();
            match self.nodes[built.len()].parent {
                Some(parent) => built[parent].children.push(node),
                None => roots.push(node),
            }
        }
        roots.reverse();
        match <[AnalysisNode; 1]>::try_from(roots) {
            Ok([root]) => root,
            Err(children) => AnalysisNode { name: name.to_string(), children, ..AnalysisNode::default() },
        }
    }
}

impl Recorded {
    fn node(&self) -> AnalysisNode {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        AnalysisNode {
            name: self.name.clone(),
            execution: Duration::from_nanos(read(&self.figures.nanoseconds)),
            series: read(&self.figures.series),
            samples: read(&self.figures.samples),
            peak_samples: read(&self.figures.peak_samples),
            children: Vec::new(),
        }
    }
}

/// An operator that is watched.
struct Measured {
    inner: Box<dyn Stream>,
    figures: Arc<Figures>,
    clock: Arc<dyn Clock>,
}

impl Stream for Measured {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let start = self.clock.monotonic();
        let batch = self.inner.next(cx);
        let took = self.clock.monotonic().saturating_sub(start);
        let add = |figure: &AtomicU64, n: u64| figure.fetch_add(n, Ordering::Relaxed);
        add(&self.figures.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Ok(Some(batch)) = &batch {
            let samples = batch.series.iter().map(|s| s.column.present().count() as u64).sum();
            add(&self.figures.series, batch.series.len() as u64);
            add(&self.figures.samples, samples);
            self.figures.peak_samples.fetch_max(samples, Ordering::Relaxed);
        }
        batch
    }
}
