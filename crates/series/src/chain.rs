//! All samples of all replicas in one row, as Prometheus chains series.
//!
//! Where several replicas have a sample at the same time, one of them is taken: the one read at the moment if it is alone
//! at that time, else the one that a binary heap gives first. That order decides between different values, so the heap
//! here goes through the same steps as Go's `container/heap`.

use thanoxide_model::series::Columns;

use crate::cursor::Cursor;

/// Appends the samples of two or more replicas to `into`.
pub(crate) fn chain(replicas: &[&Columns], into: &mut Columns) {
    let mut waiting = Heap(Vec::with_capacity(replicas.len()));
    for replica in &replicas[1..] {
        waiting.push(Cursor::new(replica));
    }
    let mut current = Cursor::new(replicas[0]);
    let mut follows_neighbour = false;
    let mut last_ms = None;
    loop {
        match current.time_ms() {
            Some(time_ms) if Some(time_ms) == last_ms => {
                current.advance();
                continue;
            }
            // Alone ahead of all others: the usual case.
            Some(time_ms) if waiting.first_ms().is_none_or(|first| time_ms < first) => {
                current.push_to(into, current.value().unwrap_or_default(), follows_neighbour);
                last_ms = Some(time_ms);
                follows_neighbour = true;
                current.advance();
                continue;
            }
            Some(_) => waiting.push(current),
            None => {}
        }
        // Whoever is first now gives its sample, unless that time has been given.
        let Some(first) = waiting.pop() else { return };
        current = first;
        follows_neighbour = false;
        if current.time_ms() != last_ms {
            current.push_to(into, current.value().unwrap_or_default(), false);
            last_ms = current.time_ms();
            follows_neighbour = true;
        }
        current.advance();
    }
}

/// A binary heap of cursors that stand on a sample, the earliest first.
struct Heap<'a>(Vec<Cursor<'a>>);

impl<'a> Heap<'a> {
    fn first_ms(&self) -> Option<i64> {
        self.0.first().and_then(Cursor::time_ms)
    }

    fn earlier(&self, left: usize, right: usize) -> bool {
        self.0[left].time_ms() < self.0[right].time_ms()
    }

    fn push(&mut self, cursor: Cursor<'a>) {
        if cursor.time_ms().is_none() {
            return;
        }
        self.0.push(cursor);
        let mut child = self.0.len() - 1;
        while child > 0 && self.earlier(child, (child - 1) / 2) {
            self.0.swap(child, (child - 1) / 2);
            child = (child - 1) / 2;
        }
    }

    fn pop(&mut self) -> Option<Cursor<'a>> {
        let first = (!self.0.is_empty()).then(|| self.0.swap_remove(0))?;
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= self.0.len() {
                return Some(first);
            }
            let child = if right < self.0.len() && self.earlier(right, left) { right } else { left };
            if !self.earlier(child, parent) {
                return Some(first);
            }
            self.0.swap(child, parent);
            parent = child;
        }
    }
}
