//! The loops, by what a sample meets on its way: request, head, chunk, block, query, answer.

mod chunks;
mod head;
mod query;
mod requests;

/// One run over the same amount of work each time; how many items that is.
pub(crate) type Prepared = Box<dyn FnMut() -> usize>;

/// A loop's name, and what prepares it.
pub(crate) type Loop = (&'static str, fn() -> Prepared);

/// All of them.
pub(crate) const LOOPS: [Loop; 12] = [
    ("decode-write-1.0", requests::decode_first),
    ("decode-write-2.0", requests::decode_second),
    ("append-sample", head::append),
    ("new-series", head::new_series),
    ("matchers", head::matchers),
    ("xor-append", chunks::xor_append),
    ("xor-decode", chunks::xor_decode),
    ("histogram-decode", chunks::histogram_decode),
    ("merge-blocks", head::merge),
    ("rate", query::rate),
    ("sum-by", query::sum_by),
    ("json", query::json),
];
