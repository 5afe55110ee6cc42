//! Sums, means and variances of several windows at a time.
//!
//! A compensated sum is one long chain of dependent additions, in an order that must not change. Neighbouring windows are
//! independent of each other, though: summing eight of them in step keeps the processor busy. What rounding takes away is
//! found without a look at which number is larger, which gives the same as long as nothing overflows; where a result is no
//! longer finite, the window is left to [`super::over_time`].

/// How many windows go together.
pub(crate) const LANES: usize = 8;

/// Bounds of windows.
pub(crate) type Bounds = [(usize, usize); LANES];

/// What a window's values are taken into, one after another: `N` numbers, of `W` windows side by side.
trait Step<const N: usize> {
    /// The numbers before the first value.
    const BEGIN: [f64; N];

    /// Takes the value number `i`, from 0 on, of each window.
    fn step<const W: usize>(states: &mut [[f64; W]; N], values: &[f64; W], i: usize);
}

/// A sum and what rounding took from it.
struct Compensated;

impl Step<2> for Compensated {
    // -0 is the only number that changes nothing, not even the sign of a zero.
    const BEGIN: [f64; 2] = [-0.0, 0.0];

    #[inline(always)]
    fn step<const W: usize>([sums, lost]: &mut [[f64; W]; 2], values: &[f64; W], _: usize) {
        for lane in 0..W {
            (sums[lane], lost[lane]) = add(values[lane], sums[lane], lost[lane]);
        }
    }
}

/// A sum.
struct Plain;

impl Step<1> for Plain {
    const BEGIN: [f64; 1] = [-0.0];

    #[inline(always)]
    fn step<const W: usize>([sums]: &mut [[f64; W]; 1], values: &[f64; W], _: usize) {
        for lane in 0..W {
            sums[lane] += values[lane];
        }
    }
}

/// Welford's mean and sum of squares, each with what rounding took from it.
struct Welford;

impl Step<4> for Welford {
    const BEGIN: [f64; 4] = [0.0; 4];

    #[inline(always)]
    fn step<const W: usize>([means, mean_rests, squares, rests]: &mut [[f64; W]; 4], values: &[f64; W], i: usize) {
        let count = (i + 1) as f64;
        for lane in 0..W {
            let delta = values[lane] - (means[lane] + mean_rests[lane]);
            (means[lane], mean_rests[lane]) = add(delta / count, means[lane], mean_rests[lane]);
            let square = delta * (values[lane] - (means[lane] + mean_rests[lane]));
            (squares[lane], rests[lane]) = add(square, squares[lane], rests[lane]);
        }
    }
}

/// Adds to a sum and to what rounding took from it.
#[inline(always)]
fn add(value: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + value;
    let added = total - sum;
    (total, lost + ((sum - (total - added)) + (value - added)))
}

/// Takes in all values of each window.
#[inline(always)]
fn run<const N: usize, S: Step<N>>(values: &[f64], windows: &Bounds) -> [[f64; LANES]; N] {
    let mut states = S::BEGIN.map(|begin| [begin; LANES]);
    let shared = windows.iter().map(|(start, end)| end - start).min().unwrap_or(0);
    let base = windows[0].0;
    if windows.iter().all(|(start, _)| *start == base) {
        // Up to where the first window ends they are all the same.
        let mut state = S::BEGIN.map(|begin| [begin]);
        for (i, value) in values[base..base + shared].iter().enumerate() {
            S::step(&mut state, &[*value], i);
        }
        states = state.map(|[number]| [number; LANES]);
    } else if shared > 0 && windows.iter().enumerate().all(|(lane, (start, _))| *start == base + lane) {
        for (i, row) in values[base..base + shared + LANES - 1].array_windows::<LANES>().enumerate() {
            S::step(&mut states, row, i);
        }
    } else {
        let slices = windows.map(|(start, _)| &values[start..start + shared]);
        for i in 0..shared {
            S::step(&mut states, &slices.map(|slice| slice[i]), i);
        }
    }
    for (lane, (start, end)) in windows.iter().enumerate() {
        if end - start > shared {
            let mut state = states.map(|state| [state[lane]]);
            for (i, value) in values[*start..*end].iter().enumerate().skip(shared) {
                S::step(&mut state, &[*value], i);
            }
            states.iter_mut().zip(state).for_each(|(to, [from])| to[lane] = from);
        }
    }
    states
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// `sum_over_time` of each window; `None` where the sum is not finite.
pub(crate) fn sum(values: &[f64], windows: &Bounds) -> [Option<f64>; LANES] {
    let [sums, lost] = run::<2, Compensated>(values, windows);
    // Sums begin at 0, which makes a zero positive.
    std::array::from_fn(|lane| finite(sums[lane] + 0.0 + lost[lane]))
}

/// The sum of each window without compensation; the sign of a zero is that of `avg_over_time`.
pub(crate) fn plain(values: &[f64], windows: &Bounds) -> [f64; LANES] {
    let [sums] = run::<1, Plain>(values, windows);
    sums
}

/// `avg_over_time` of each window, none of them empty; `None` where the sum is not finite.
pub(crate) fn avg(values: &[f64], windows: &Bounds) -> [Option<f64>; LANES] {
    let [sums, lost] = run::<2, Compensated>(values, windows);
    std::array::from_fn(|lane| {
        let count = (windows[lane].1 - windows[lane].0) as f64;
        finite(sums[lane] + lost[lane]).map(|_| sums[lane] / count + lost[lane] / count)
    })
}

/// `stdvar_over_time` of each window; `None` where anything on the way is not finite.
pub(crate) fn variance(values: &[f64], windows: &Bounds) -> [Option<f64>; LANES] {
    let [means, mean_rests, squares, rests] = run::<4, Welford>(values, windows);
    std::array::from_fn(|lane| {
        let count = (windows[lane].1 - windows[lane].0) as f64;
        finite(means[lane] + mean_rests[lane]).and(finite(squares[lane] + rests[lane])).map(|sum| sum / count)
    })
}

#[cfg(test)]
mod tests {
    use super::super::over_time::{Mean, float_variance};
    use super::*;
    use thanoxide_model::kahan;

    fn check(values: &[f64], windows: Bounds) {
        let (sums, means) = (sum(values, &windows), avg(values, &windows));
        let (variances, plain) = (variance(values, &windows), plain(values, &windows));
        for (lane, (start, end)) in windows.into_iter().enumerate() {
            let window = &values[start..end];
            let (total, lost) = window.iter().fold((0.0, 0.0), |(s, c), v| kahan::add(*v, s, c));
            let mut mean = Mean::new(window[0]);
            window[1..].iter().for_each(|v| mean.add(*v));
            assert_eq!(sums[lane].is_none(), total.is_infinite());
            assert_eq!(plain[lane].to_bits(), total.to_bits());
            assert!(sums[lane].is_none_or(|s| s.to_bits() == (total + lost).to_bits()));
            assert!(means[lane].is_none_or(|m| m.to_bits() == mean.value().to_bits()));
            assert!(variances[lane].is_none_or(|v| v.to_bits() == float_variance(window).to_bits()));
        }
    }

    #[test]
    fn as_one_by_one() {
        let mut values: Vec<f64> = (0..200).map(|i| (i as f64 * 0.7).sin() * 10f64.powi(i % 40 - 20)).collect();
        check(&values, std::array::from_fn(|lane| (lane * 9, lane * 9 + 5 + lane * 3)));
        check(&values, std::array::from_fn(|lane| (lane + 3, lane + 40 + lane % 3)));
        check(&values, std::array::from_fn(|lane| (3, lane + 40)));
        values[77] = f64::INFINITY;
        check(&values, std::array::from_fn(|lane| (lane * 9, lane * 9 + 5 + lane * 3)));
        check(&values, std::array::from_fn(|lane| (lane + 60, lane + 72)));
    }
}
