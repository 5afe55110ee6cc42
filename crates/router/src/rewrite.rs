//! Changes to a batch before it is stored: relabelling, and series that name their own tenant.

use thanoxide_config::Relabel;
use thanoxide_config::relabel::LabelEdit;
use thanoxide_model::write_batch::{LabelSpan, TextSpan};
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_server::TenancyError;

use crate::refusal::Refusal;

/// Text that rules made, behind the text of the batch.
struct Tail {
    start: usize,
    text: Vec<u8>,
}

impl Tail {
    fn push(&mut self, text: &[u8]) -> Result<TextSpan, Refusal> {
        let start = self.start + self.text.len();
        self.text.extend_from_slice(text);
        // Spans hold 32 bits.
        if start + text.len() > u32::MAX as usize {
            return Err(Refusal::Relabelled);
        }
        Ok(TextSpan { start: start as u32, len: text.len() as u32 })
    }
}

/// Applies rules to every series; those that they drop are gone.
pub fn relabel(batch: &mut WriteBatch, rules: &Relabel) -> Result<(), Refusal> {
    if rules.is_empty() {
        return Ok(());
    }
    let mut tail = Tail { start: batch.text.len(), text: Vec::new() };
    let (mut series, mut labels) = (Vec::with_capacity(batch.series.len()), Vec::new());
    for span in &batch.series {
        let mut edit = LabelEdit::new(batch.labels_of(span));
        if !rules.apply(&mut edit) {
            continue;
        }
        let mut span = span.clone();
        if let Some(pairs) = edit.into_changed() {
            let first = batch.labels.len() + labels.len();
            for (name, value) in &pairs {
                labels.push(LabelSpan { name: tail.push(name)?, value: tail.push(value)? });
            }
            span.labels = first as u32..(first + pairs.len()) as u32;
            span.plain = TextSpan::default();
        }
        series.push(span);
    }
    batch.series = series;
    batch.labels.extend(labels);
    if !tail.text.is_empty() {
        batch.text = [&batch.text[..], &tail.text].concat().into();
    }
    Ok(())
}

/// The series of one tenant.
#[derive(Debug)]
pub struct TenantPart {
    /// Whose they are.
    pub tenant: TenantId,
    /// Their places in the request.
    pub places: Vec<u32>,
}

/// Gives each series to the tenant that its label `name` names, and takes the label away; others go to `tenant`.
pub fn split(batch: &mut WriteBatch, name: &str, tenant: TenantId) -> Result<Vec<TenantPart>, Refusal> {
    let mut tenants: Vec<(TenantId, Vec<u32>)> = vec![(tenant, Vec::new())];
    let mut last = 0;
    for index in 0..batch.series.len() {
        let owner = match take_label(batch, index, name.as_bytes()) {
            None => 0,
            Some(text) => {
                let owner = batch.text(text);
                let is = |of: &(TenantId, Vec<u32>)| of.0.as_str().as_bytes() == owner;
                if is(&tenants[last]) { last } else { find_or_add(&mut tenants, owner, is)? }
            }
        };
        tenants[owner].1.push(index as u32);
        last = owner;
    }
    tenants.retain(|(_, series)| !series.is_empty());
    Ok(tenants.into_iter().map(|(tenant, places)| TenantPart { tenant, places }).collect())
}

fn find_or_add(
    tenants: &mut Vec<(TenantId, Vec<u32>)>,
    owner: &[u8],
    is: impl Fn(&(TenantId, Vec<u32>)) -> bool,
) -> Result<usize, Refusal> {
    if let Some(found) = tenants.iter().position(is) {
        return Ok(found);
    }
    let tenant = TenantId::from_bytes(owner).map_err(TenancyError::from)?;
    tenants.push((tenant, Vec::new()));
    Ok(tenants.len() - 1)
}

/// Takes a label away from a series; its value, where it has one.
fn take_label(batch: &mut WriteBatch, index: usize, name: &[u8]) -> Option<TextSpan> {
    let range = batch.series[index].labels.clone();
    let labels = &batch.labels[range.start as usize..range.end as usize];
    let at = labels.iter().position(|label| batch.text(label.name) == name)?;
    let value = labels[at].value;
    let labels = &mut batch.labels[range.start as usize..range.end as usize];
    labels[..=at].rotate_right(1);
    batch.series[index].labels.start += 1;
    batch.series[index].plain = TextSpan::default();
    (value.len > 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use thanoxide_model::{Labels, Sample, write_batch::WriteBatchBuilder};

    use super::*;

    fn batch(series: &[&[(&str, &str)]]) -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for (at, labels) in series.iter().enumerate() {
            let labels = Labels::from_pairs(labels.iter().copied());
            builder.push(&labels, &[Sample { timestamp_ms: at as i64, value: 1.0 }]);
        }
        builder.build()
    }

    fn shown(batch: &WriteBatch) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let series = batch.series.iter().map(|series| {
            let labels = batch.labels_of(series).map(|(name, value)| format!("{}={}", text(name), text(value)));
            format!("{} @{}", labels.collect::<Vec<_>>().join(","), batch.samples_of(series)[0].timestamp_ms)
        });
        series.collect()
    }

    #[test]
    fn rules_change_and_drop_series() {
        let mut batch = batch(&[&[("a", "1"), ("b", "2")], &[("a", "drop")], &[("a", "3")]]);
        let rules =
            "- {action: drop, source_labels: [a], regex: drop}\n- {source_labels: [b], regex: (.+), target_label: A}";
        relabel(&mut batch, &Relabel::parse(rules).unwrap()).unwrap();
        assert_eq!(shown(&batch), ["A=2,a=1,b=2 @0", "a=3 @2"]);
    }

    #[test]
    fn series_go_to_the_tenant_they_name() {
        let series: [&[(&str, &str)]; 4] =
            [&[("a", "1"), ("t", "x"), ("z", "1")], &[("a", "2")], &[("a", "3"), ("t", "x")], &[("t", "d")]];
        let mut whole = batch(&series);
        let parts = split(&mut whole, "t", TenantId::new("d").unwrap()).unwrap();
        let parts: Vec<_> =
            parts.iter().map(|part| (part.tenant.as_str(), shown(&whole.select(&part.places)))).collect();
        assert_eq!(
            parts,
            [
                ("d", vec!["a=2 @1".to_string(), " @3".to_string()]),
                ("x", vec!["a=1,z=1 @0".to_string(), "a=3 @2".to_string()]),
            ]
        );
    }

    #[test]
    fn names_that_no_tenant_may_have_are_refused() {
        for bad in ["..", "../x", "a/b"] {
            let mut whole = batch(&[&[("t", bad)]]);
            assert!(split(&mut whole, "t", TenantId::new("d").unwrap()).is_err(), "{bad}");
        }
        let mut whole = batch(&[&[("t", "ab")]]);
        whole.text = whole.text.iter().map(|byte| if *byte == b'b' { 0xff } else { *byte }).collect::<Vec<_>>().into();
        assert!(split(&mut whole, "t", TenantId::new("d").unwrap()).is_err(), "not UTF-8");
    }
}
