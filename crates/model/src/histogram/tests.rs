use proptest::prelude::*;

use super::*;
use crate::STALE_NAN_BITS;

fn float(schema: i32, offset: i32, counts: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        count: counts.iter().sum(),
        sum: 1.0,
        positive_spans: vec![Span { offset, length: counts.len() as u32 }],
        positive_buckets: counts.to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    FloatHistogram { custom_values: Arc::from(bounds), ..float(CUSTOM_BUCKETS_SCHEMA, 0, counts) }
}

#[test]
fn deltas_become_absolute() {
    let histogram = Histogram {
        schema: 1,
        count: 6,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
        positive_buckets: vec![1, 1, 1],
        ..Histogram::default()
    };
    assert_eq!(histogram.validate(), Ok(()));
    assert_eq!(histogram.to_float().positive_buckets, [1.0, 2.0, 3.0]);
    let mut coarse = histogram.clone();
    coarse.reduce_resolution(0).unwrap();
    assert_eq!(coarse.to_float().positive_buckets, [1.0, 2.0, 3.0]);
    assert_eq!(coarse.positive_spans, [Span { offset: 0, length: 3 }]);
}

#[test]
fn stale_markers_are_seen() {
    let histogram = Histogram { sum: f64::from_bits(STALE_NAN_BITS), ..Histogram::default() };
    assert!(histogram.is_stale() && histogram.to_float().is_stale());
    assert!(!FloatHistogram { sum: f64::NAN, ..FloatHistogram::default() }.is_stale());
}

#[test]
fn validation_speaks_prometheus() {
    let broken = FloatHistogram { count: 1.0, ..float(0, 0, &[1.0, -1.0]) };
    assert_eq!(
        broken.validate().unwrap_err().to_string(),
        "positive side: bucket number 2 has observation count of -1: histogram has a bucket whose observation count is negative"
    );
    let unsorted = custom(&[2.0, 1.0], &[1.0]);
    assert_eq!(
        unsorted.validate().unwrap_err().to_string(),
        "custom buckets: previous bound is 2.000000 and current is 1.000000: histogram custom bounds must be in strictly increasing order"
    );
    let mismatch = Histogram { count: 3, ..Histogram::default() };
    assert_eq!(
        mismatch.validate().unwrap_err().to_string(),
        "0 observations found in buckets, but the Count field is 3: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
    );
    assert_eq!(
        Histogram { schema: 9, ..Histogram::default() }.validate().unwrap_err().to_string(),
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema 9"
    );
}

#[test]
fn printed_as_prometheus_prints() {
    let mut histogram = float(0, 0, &[1.0, 0.0, 2.5]);
    histogram.zero_threshold = 0.001;
    histogram.zero_count = 4.0;
    histogram.negative_spans = vec![Span { offset: 1, length: 2 }];
    histogram.negative_buckets = vec![1.0, 2.0];
    assert_eq!(
        histogram.to_string(),
        "{count:3.5, sum:1, [-4,-2):2, [-2,-1):1, [-0.001,0.001]:4, (0.5,1]:1, (2,4]:2.5}"
    );
    let mut json = String::new();
    histogram.push_json(&mut json);
    assert_eq!(
        json,
        r#"{"count":"3.5","sum":"1","buckets":[[1,"-4","-2","2"],[1,"-2","-1","1"],[3,"-0.001","0.001","4"],[0,"0.5","1","1"],[0,"2","4","2.5"]]}"#
    );
    assert_eq!(custom(&[5.0], &[1.0, 2.0]).to_string(), "{count:3, sum:1, [-Inf,5]:1, (5,+Inf]:2}");
}

#[test]
fn reversed_buckets_are_the_buckets_reversed() {
    let mut histogram = float(2, -3, &[1.0, 2.0, 3.0]);
    histogram.positive_spans = vec![
        Span { offset: -3, length: 1 },
        Span { offset: 2, length: 0 },
        Span { offset: 2, length: 2 },
        Span { offset: 3, length: 0 },
    ];
    let forward: Vec<Bucket> = histogram.all_buckets().collect();
    let mut backward: Vec<Bucket> = histogram.all_buckets_reversed().collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.iter().map(|b| b.index).collect::<Vec<_>>(), [-3, 2, 3]);
}

#[test]
fn sums_reconcile_schemas() {
    let mut sum = float(1, 0, &[1.0, 2.0, 3.0]);
    assert_eq!(sum.add(&float(0, 3, &[5.0])), Ok(Combined::default()));
    sum.compact(0);
    assert_eq!((sum.schema, sum.count), (0, 11.0));
    assert_eq!(sum.positive_buckets, [1.0, 5.0, 5.0]);
    assert_eq!(sum.positive_spans, [Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }]);
}

#[test]
fn sums_reconcile_zero_buckets() {
    let mut sum = float(0, -2, &[1.0, 2.0, 3.0]);
    let other = FloatHistogram { zero_threshold: 0.3, zero_count: 7.0, count: 7.0, ..FloatHistogram::default() };
    sum.add(&other).unwrap();
    assert_eq!((sum.zero_threshold, sum.zero_count), (0.5, 10.0));
    assert_eq!(sum.positive_buckets, [3.0]);
    let mut reverse = other;
    reverse.add(&float(0, -2, &[1.0, 2.0, 3.0])).unwrap();
    assert_eq!(sum, reverse);
}

#[test]
fn sums_intersect_custom_bounds() {
    let mut sum = custom(&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0, 1.0]);
    let combined = sum.add(&custom(&[2.0, 4.0], &[10.0, 10.0, 10.0])).unwrap();
    assert!(combined.bounds_reconciled);
    assert_eq!(*sum.custom_values, [2.0]);
    assert_eq!(sum.positive_buckets, [12.0, 22.0]);
    assert_eq!(sum.add(&float(0, 0, &[1.0])), Err(HistogramError::IncompatibleSchema));
}

#[test]
fn hints_combine() {
    use CounterResetHint::*;
    for (left, right, both, collision) in [
        (Unknown, CounterReset, Unknown, false),
        (CounterReset, NotCounterReset, Unknown, true),
        (Gauge, CounterReset, Gauge, false),
        (NotCounterReset, NotCounterReset, NotCounterReset, false),
    ] {
        for (left, right) in [(left, right), (right, left)] {
            let mut sum = FloatHistogram { counter_reset_hint: left, ..float(0, 0, &[1.0]) };
            let other = FloatHistogram { counter_reset_hint: right, ..float(0, 0, &[1.0]) };
            assert_eq!(sum.add(&other).unwrap().reset_collision, collision);
            assert_eq!(sum.counter_reset_hint, both);
        }
    }
}

#[test]
fn compensated_sums_lose_nothing() {
    let mut sum = float(0, 0, &[1e100]);
    let mut lost = None;
    for other in [float(1, 1, &[1.0, 1.0]), float(0, 0, &[1.0]), float(0, 0, &[-1e100])] {
        sum.add_compensated(&other, &mut lost).unwrap();
    }
    sum.add(&lost.unwrap()).unwrap();
    assert_eq!(sum.positive_buckets, [1.0, 2.0]);
}

#[test]
fn resets_are_detected() {
    let before = float(1, 0, &[1.0, 2.0, 3.0]);
    assert!(!before.detect_reset(&before));
    assert!(!float(0, 0, &[1.0, 5.0]).detect_reset(&before));
    assert!(float(0, 0, &[1.0, 4.0, 9.0]).detect_reset(&before));
    assert!(float(2, 0, &[9.0, 9.0, 9.0]).detect_reset(&before));
    assert!(FloatHistogram { count: 9.0, ..float(1, 1, &[5.0, 5.0]) }.detect_reset(&before));
    let mut widened = float(1, 1, &[2.0, 3.0]);
    (widened.zero_threshold, widened.zero_count, widened.count) = (1.0, 1.0, 6.0);
    assert!(!widened.detect_reset(&before));
    widened.zero_count = 0.0;
    assert!(widened.detect_reset(&before));
    let buckets = custom(&[1.0, 2.0], &[1.0, 1.0, 1.0]);
    assert!(!custom(&[2.0], &[2.0, 1.0]).detect_reset(&buckets));
    assert!(custom(&[2.0], &[1.0, 2.0]).detect_reset(&buckets));
}

#[test]
fn trimming_cuts_and_reestimates() {
    let mut histogram = custom(&[1.0, 2.0, 3.0], &[0.0, 4.0, 4.0]);
    histogram.trim(5.0, Keep::Below);
    assert_eq!((histogram.count, histogram.sum), (8.0, 1.0));
    histogram.trim(1.5, Keep::Below);
    assert_eq!((histogram.count, histogram.sum), (2.0, 2.5));
    let mut zero = float(0, 5, &[2.0]);
    (zero.zero_threshold, zero.zero_count) = (1.0, 2.0);
    zero.trim(0.5, Keep::Above);
    assert_eq!(zero.zero_count, 1.0);
}

#[test]
fn division_by_zero_drops_buckets() {
    let mut histogram = float(0, 0, &[1.0]);
    histogram.div(0.0);
    assert!(histogram.positive_buckets.is_empty() && histogram.count.is_infinite());
    histogram.mul(-1.0);
    assert_eq!(histogram.counter_reset_hint, CounterResetHint::Gauge);
}

fn side() -> impl Strategy<Value = (Vec<Span>, Vec<f64>)> {
    let span = (-3..6i32, 0..4u32).prop_map(|(offset, length)| Span { offset, length });
    (prop::collection::vec(span, 0..4), prop::collection::vec((-1..3i32).prop_map(f64::from), 0..12))
}

fn any_histogram() -> impl Strategy<Value = FloatHistogram> {
    let schema = prop_oneof![-9..53i32, Just(CUSTOM_BUCKETS_SCHEMA), any::<i32>()];
    let bounds = prop::collection::vec(any::<f64>(), 0..4);
    (schema, side(), side(), 0.0..2.0f64, bounds).prop_map(|(schema, positive, negative, zero_threshold, bounds)| {
        FloatHistogram {
            schema,
            zero_threshold,
            zero_count: 1.0,
            count: 5.0,
            positive_spans: positive.0,
            positive_buckets: positive.1,
            negative_spans: negative.0,
            negative_buckets: negative.1,
            custom_values: Arc::from(bounds),
            ..FloatHistogram::default()
        }
    })
}

proptest! {
    #[test]
    fn no_histogram_panics(a in any_histogram(), b in any_histogram(), value in any::<f64>()) {
        let _ = (a.validate(), a.to_string(), a.detect_reset(&b), a == b, a.all_buckets().count());
        for keep in [Keep::Below, Keep::Above] {
            a.clone().trim(value, keep);
        }
        let (mut sum, mut lost) = (a.clone(), None);
        let _ = (sum.sub(&b), sum.add_compensated(&b, &mut lost), sum.add_compensated(&a, &mut lost));
        sum.compact(1);
        let _ = (sum.reduce_to_supported(), sum.reduce_resolution(-4));
    }

    #[test]
    fn compacting_keeps_counts(a in any_histogram(), max_empty in 0..4usize) {
        let full = |h: &FloatHistogram| h.positive().filter(|b| b.count != 0.0).map(|b| (b.index, b.count)).collect::<Vec<_>>();
        let mut compact = a.clone();
        compact.compact(max_empty);
        if a.positive_spans.iter().skip(1).all(|s| s.offset >= 0) {
            prop_assert_eq!(full(&compact), full(&a));
        }
        let mut again = compact.clone();
        again.compact(max_empty);
        prop_assert_eq!(again, compact);
    }

    #[test]
    fn a_sum_minus_a_part_is_the_rest(a in side(), b in side(), schemas in (-4..9i32, -4..9i32)) {
        let make = |(spans, counts): (Vec<Span>, Vec<f64>), schema| {
            let mut h = FloatHistogram { schema, positive_spans: spans, positive_buckets: counts, ..FloatHistogram::default() };
            h.positive_spans.iter_mut().for_each(|s| s.offset = s.offset.abs());
            h.positive_buckets.truncate(h.positive_spans.iter().map(|s| s.length as usize).sum());
            h.compact(0);
            h
        };
        let (a, b) = (make(a, schemas.0), make(b, schemas.1));
        let mut sum = a.clone();
        sum.add(&b).unwrap();
        sum.sub(&b).unwrap();
        sum.compact(0);
        let mut rest = a.copy_to_schema(schemas.0.min(schemas.1)).unwrap();
        rest.compact(0);
        prop_assert_eq!(sum, rest);
    }
}
