//! How many series of a head have each label.

use super::Head;

impl Head {
    /// Calls `each` with name and value of every label and the number of series that have it, in no order.
    pub fn for_each_label(&self, mut each: impl FnMut(&[u8], &[u8], u64)) {
        for pair in self.labels.pairs() {
            let (name, value) = self.labels.text(pair);
            each(name, value, self.labels.count(pair));
        }
    }
}
