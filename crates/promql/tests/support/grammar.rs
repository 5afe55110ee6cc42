//! Random queries, well-typed, over the metrics of [`crate::dataset`].

use crate::dice::Dice;

const FLOATS: [&str; 9] =
    ["g1", "g2", "small", "special", "c1_total", "c2_total", "h_bucket", "h_count", "target_info"];
const HISTOGRAMS: [&str; 6] = ["nh1", "nh2", "gh", "ch1", "ch2", "mix"];
const MATH: [&str; 24] = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor", "ln",
    "log10", "log2", "rad", "sgn", "sin", "sinh", "sqrt", "tan", "tanh", "round",
];
const OVER_TIME: [&str; 26] = [
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "first_over_time",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "increase",
    "absent_over_time",
];
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];
const DATES: [&str; 8] =
    ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
const AGGREGATIONS: [&str; 9] = ["sum", "sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"];
const ARITHMETIC: [&str; 7] = ["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", ">", "<=", ">="];
const NUMBERS: [&str; 18] = [
    "0", "1", "2", "-1", "0.5", "1e3", "100", "0.1", "Inf", "-Inf", "NaN", "0x10", "5m", "1e-9", "3.7", "-0",
    "4.9e-324", "1.7e-310",
];
const RANGES: [&str; 13] = ["15s", "1m", "90s", "2m", "5m", "10m", "20m", "1h", "301s", "30s", "7m30s", "5m", "15m"];
const STEPS: [&str; 7] = ["", "15s", "30s", "1m", "2m", "5m", "13s"];
const OFFSETS: [&str; 8] = ["1m", "5m", "-1m", "-5m", "30s", "-15s", "7s", "(1m + 30s)"];
const LABELS: [&str; 7] = ["a", "b", "instance", "job", "le", "version", "missing"];

/// What a vector holds, mostly.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Histogram,
}

/// Writes queries.
pub(crate) struct Grammar<'d> {
    pub(crate) dice: &'d mut Dice,
    /// The times that `@` takes.
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

impl Grammar<'_> {
    /// A whole query; `instant` ones may also be ranges and strings.
    pub(crate) fn query(&mut self, instant: bool) -> String {
        let depth = self.dice.pick(&[1, 1, 1, 2, 2, 2, 3, 3, 4]);
        match self.dice.below(100) {
            0..=3 => self.scalar(depth),
            4..=6 if instant => self.any_matrix(depth),
            7 if instant => format!("\"{}\"", self.dice.pick(&["x", "\\xff", "ü\\n"])),
            _ => self.any_vector(depth),
        }
    }

    fn any_vector(&mut self, depth: usize) -> String {
        let kind = if self.dice.percent(25) { Kind::Histogram } else { Kind::Float };
        self.vector(depth, kind)
    }

    fn any_matrix(&mut self, depth: usize) -> String {
        let kind = if self.dice.percent(25) { Kind::Histogram } else { Kind::Float };
        self.matrix(depth, kind, "")
    }

    fn vector(&mut self, depth: usize, kind: Kind) -> String {
        if depth == 0 {
            return self.selector(kind);
        }
        let inner = depth - 1;
        match self.dice.weighted(&[8, 26, 10, 22, 14, 10, 9, 5, 2, 3, 6, 3, 3, 3]) {
            0 => self.selector(kind),
            1 => self.over_time(inner, kind),
            2 => self.math(inner),
            3 => self.aggregation(inner, kind),
            4 => self.vector_vector(inner, kind),
            5 => self.vector_scalar(inner, kind),
            6 => self.of_histograms(inner),
            7 => self.relabel(inner, kind),
            8 => self.sort(inner, kind),
            9 => self.date(inner),
            10 => self.various(inner, kind),
            11 => format!("{}{}", self.dice.pick(&["-", "+"]), self.vector(inner, kind)),
            12 => format!("({})", self.vector(inner, kind)),
            _ => self.info(inner, kind),
        }
    }

    fn name(&mut self, kind: Kind) -> &'static str {
        match kind {
            // Some of the other kind, for what it is told then.
            _ if self.dice.percent(3) => self.dice.pick(&["mix", "nh1", "g1", "h_bucket"]),
            Kind::Float => self.dice.pick(&FLOATS),
            Kind::Histogram => self.dice.pick(&HISTOGRAMS),
        }
    }

    fn matchers(&mut self) -> String {
        let all = [
            "a=\"x\"",
            "a!=\"x\"",
            "a=~\"x|y\"",
            "a!~\"z\"",
            "b=\"1\"",
            "b!=\"\"",
            "b=~\"1.*\"",
            "job=\"j\"",
            "instance=~\"i[12]\"",
            "b!=\"10\"",
            "missing=\"\"",
            "instance!=\"i3\"",
            "a!=\"nothing\"",
            "job=~\".+\"",
        ];
        match self.dice.weighted(&[68, 25, 7]) {
            0 => String::new(),
            1 => self.dice.pick(&all).to_string(),
            _ => format!("{},{}", self.dice.pick(&all), self.dice.pick(&all)),
        }
    }

    /// A name and matchers, nothing behind them.
    fn bare(&mut self, kind: Kind) -> String {
        let matchers = self.matchers();
        if self.dice.percent(3) {
            let names = self.dice.pick(&["g.", "c.*", "g1|c1_total", "nh.|ch.", "h_.*", "gh|mix", "small|special"]);
            let more = if matchers.is_empty() { "" } else { "," };
            return format!("{{__name__=~\"{names}\"{more}{matchers}}}");
        }
        let name = self.name(kind);
        match matchers.is_empty() {
            true if self.dice.percent(5) => format!("{{\"{name}\"}}"),
            true => name.into(),
            false => format!("{name}{{{matchers}}}"),
        }
    }

    fn selector(&mut self, kind: Kind) -> String {
        let smoothed = if self.dice.percent(3) { " smoothed" } else { "" };
        let modifiers = self.modifiers();
        format!("{}{smoothed}{modifiers}", self.bare(kind))
    }

    /// `offset` and `@`, or nothing.
    fn modifiers(&mut self) -> String {
        let offset =
            if self.dice.percent(14) { format!(" offset {}", self.dice.pick(&OFFSETS)) } else { String::new() };
        let at = if self.dice.percent(8) { format!(" @ {}", self.time()) } else { String::new() };
        if self.dice.percent(50) { format!("{offset}{at}") } else { format!("{at}{offset}") }
    }

    fn time(&mut self) -> String {
        match self.dice.below(4) {
            0 => "start()".into(),
            1 => "end()".into(),
            _ => {
                let time_ms = self.start_ms + self.dice.below((self.end_ms - self.start_ms) as usize) as i64;
                format!("{}.{:03}", time_ms / 1000, time_ms % 1000)
            }
        }
    }

    fn range(&mut self) -> String {
        match self.dice.below(40) {
            0 => "5m + step()".into(),
            1 => "step() * 2 + 1m".into(),
            2 => "max_of(range(), 1m)".into(),
            3 => "min_of(10m, step() + 2m)".into(),
            4 => "300".into(),
            _ => self.dice.pick(&RANGES).into(),
        }
    }

    fn matrix(&mut self, depth: usize, kind: Kind, function: &str) -> String {
        if depth > 0 && self.dice.percent(25) {
            let inner = self.vector(depth - 1, kind);
            let (range, step) = (self.range(), self.dice.pick(&STEPS));
            return format!("({inner})[{range}:{step}]{}", self.modifiers());
        }
        let extended = match self.dice.below(10) {
            0 if ANCHORED.contains(&function) => " anchored",
            1 | 2 if SMOOTHED.contains(&function) => " smoothed",
            _ => "",
        };
        let (bare, range) = (self.bare(kind), self.range());
        format!("{bare}[{range}]{extended}{}", self.modifiers())
    }

    fn over_time(&mut self, depth: usize, kind: Kind) -> String {
        match self.dice.below(12) {
            0 => format!("quantile_over_time({}, {})", self.scalar(0), self.matrix(depth, Kind::Float, "")),
            1 => format!("predict_linear({}, {})", self.matrix(depth, Kind::Float, ""), self.scalar(0)),
            2 if self.dice.percent(50) => {
                let (smoothing, trend) =
                    (self.dice.pick(&["0.1", "0.5", "0.9"]), self.dice.pick(&["0.1", "0.5", "0.9"]));
                format!("double_exponential_smoothing({}, {smoothing}, {trend})", self.matrix(depth, Kind::Float, ""))
            }
            _ => {
                let function = self.dice.pick(&OVER_TIME);
                format!("{function}({})", self.matrix(depth, kind, function))
            }
        }
    }

    fn math(&mut self, depth: usize) -> String {
        let function = self.dice.pick(&MATH);
        format!("{function}({})", self.vector(depth, Kind::Float))
    }

    fn labels(&mut self) -> String {
        let n = self.dice.weighted(&[1, 5, 4, 1]);
        (0..n).map(|_| self.dice.pick(&LABELS)).collect::<Vec<_>>().join(", ")
    }

    fn grouping(&mut self) -> String {
        match self.dice.below(10) {
            0..=2 => String::new(),
            3..=7 => format!(" by ({})", self.labels()),
            _ => format!(" without ({})", self.labels()),
        }
    }

    fn aggregation(&mut self, depth: usize, kind: Kind) -> String {
        let grouping = self.grouping();
        let inner = self.vector(depth, kind);
        let (function, param) = match self.dice.below(20) {
            0 => ("topk", self.whole(depth)),
            1 => ("bottomk", self.whole(depth)),
            2 => ("limitk", self.whole(depth)),
            3 => ("limit_ratio", self.dice.pick(&["0.5", "-0.5", "0.1", "1", "-0.9", "0.33"]).to_string()),
            4 => ("quantile", self.scalar(0)),
            5 => ("count_values", self.dice.pick(&["\"v\"", "\"a\"", "\"le\""]).to_string()),
            _ => (self.dice.pick(&AGGREGATIONS), String::new()),
        };
        let separator = if param.is_empty() { "" } else { ", " };
        if self.dice.percent(30) {
            return format!("{function}({param}{separator}{inner}){grouping}");
        }
        format!("{function}{grouping} ({param}{separator}{inner})")
    }

    fn whole(&mut self, depth: usize) -> String {
        if self.dice.percent(10) { self.scalar(depth) } else { self.dice.pick(&["1", "2", "3", "5", "100"]).into() }
    }

    fn vector_scalar(&mut self, depth: usize, kind: Kind) -> String {
        let (vector, scalar) = (self.vector(depth, kind), self.scalar(depth));
        let op = match self.dice.below(10) {
            0..=5 => self.dice.pick(&ARITHMETIC).to_string(),
            6 => self.dice.pick(&COMPARISONS).to_string(),
            7 => self.dice.pick(&["</", ">/"]).to_string(),
            _ => format!("{} bool", self.dice.pick(&COMPARISONS)),
        };
        if op.ends_with('/') && op.len() == 2 {
            return format!("({vector}) {op} {scalar}");
        }
        if self.dice.percent(30) { format!("{scalar} {op} ({vector})") } else { format!("({vector}) {op} {scalar}") }
    }

    fn vector_vector(&mut self, depth: usize, kind: Kind) -> String {
        let lhs = self.vector(depth, kind);
        let rhs = if self.dice.percent(8) { lhs.clone() } else { self.related(depth, kind) };
        if self.dice.percent(8) {
            return self.twice(&lhs, &rhs);
        }
        if self.dice.percent(25) {
            let op = self.dice.pick(&["and", "or", "unless", "or"]);
            let matching = match self.dice.below(4) {
                0 => format!(" on ({})", self.labels()),
                1 => format!(" ignoring ({})", self.labels()),
                _ => String::new(),
            };
            return format!("({lhs}) {op}{matching} ({rhs})");
        }
        let op = match self.dice.below(4) {
            0 => format!("{} bool", self.dice.pick(&COMPARISONS)),
            1 if self.dice.percent(50) => self.dice.pick(&COMPARISONS).to_string(),
            _ => self.dice.pick(&ARITHMETIC).to_string(),
        };
        let fill = match self.dice.below(12) {
            0 => format!(" fill ({})", self.dice.pick(&NUMBERS)),
            1 => format!(" fill_left ({})", self.dice.pick(&["0", "1", "-1"])),
            2 => format!(" fill_right ({})", self.dice.pick(&["0", "1", "NaN"])),
            _ => String::new(),
        };
        match self.dice.below(10) {
            0..=3 => {
                format!("({lhs}) {op} ignoring ({}){fill} ({rhs})", self.dice.pick(&["missing", "le", "b", "version"]))
            }
            4 | 5 => {
                let (l, by) = (self.dice.pick(&AGGREGATIONS), self.dice.pick(&["a", "a, b", "instance", "job"]));
                let r = self.dice.pick(&AGGREGATIONS);
                format!("{l} by ({by}) ({lhs}) {op}{fill} {r} by ({by}) ({rhs})")
            }
            6 | 7 => {
                let (by, r) = (self.dice.pick(&["a", "instance", "job", "a, b"]), self.dice.pick(&AGGREGATIONS));
                let include = self.dice.pick(&["", "(a)", "(version)", "(b)", "(job, missing)"]);
                if self.dice.percent(50) {
                    format!("({lhs}) {op} on ({by}) group_left {include}{fill} {r} by ({by}) ({rhs})")
                } else {
                    format!("{r} by ({by}) ({rhs}) {op} on ({by}) group_right {include}{fill} ({lhs})")
                }
            }
            8 => format!("({lhs}) {op} on ({}) ({rhs})", self.labels()),
            _ => format!("({lhs}) {op}{fill} ({rhs})"),
        }
    }

    /// Mostly of the same kind.
    /// An aggregation that stands there twice, with something between.
    fn twice(&mut self, of: &str, other: &str) -> String {
        let (aggregation, by) =
            (self.dice.pick(&AGGREGATIONS), self.dice.pick(&["a", "a, b", "instance", "job", "le"]));
        let one = format!("{aggregation} by ({by}) ({of})");
        match self.dice.below(8) {
            0 => format!("{one} and {one}"),
            1 => format!("({one} > {}) or ({one} < {})", self.dice.pick(&NUMBERS), self.dice.pick(&NUMBERS)),
            2 => format!("{one} / ignoring (a) group_left () sum without (a) ({one})"),
            3 => format!("max_over_time(({one})[5m:1m]) - {one}"),
            4 => format!("({one} - sum({one})) or -{one}"),
            5 => format!("({other}) and on ({by}) {one} unless on ({by}) {one} > bool 1"),
            6 => format!("({other}) * on ({by}) group_left () {one} + on ({by}) group_left () {one}"),
            _ => format!("{one} + scalar({one}) + ({one})"),
        }
    }

    fn related(&mut self, depth: usize, kind: Kind) -> String {
        let other = if self.dice.percent(10) { Kind::Float } else { kind };
        self.vector(depth, other)
    }

    fn of_histograms(&mut self, depth: usize) -> String {
        let classic = self.dice.percent(35);
        let vector = if classic {
            match self.dice.below(3) {
                0 => format!("h_bucket{}", self.modifiers()),
                1 => format!("rate(h_bucket[{}])", self.range()),
                _ => format!("sum by (le) (increase(h_bucket[{}]))", self.range()),
            }
        } else {
            self.vector(depth, Kind::Histogram)
        };
        let quantile = self.dice.pick(&["0.5", "0.9", "0.99", "0", "1", "-1", "2", "NaN", "0.001"]);
        match self.dice.below(10) {
            0..=2 => format!("histogram_quantile({quantile}, {vector})"),
            3 => format!("histogram_quantile({}, {vector})", self.scalar(depth.min(1))),
            4 => format!("histogram_quantiles({vector}, \"q\", {quantile}, 0.25)"),
            5 | 6 => format!("histogram_fraction({}, {}, {vector})", self.scalar(0), self.scalar(0)),
            _ => {
                let names =
                    ["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"];
                format!("{}({vector})", self.dice.pick(&names))
            }
        }
    }

    fn relabel(&mut self, depth: usize, kind: Kind) -> String {
        let vector = self.vector(depth, kind);
        let target = self.dice.pick(&["new", "a", "b", "__name__", "missing"]);
        if self.dice.percent(50) {
            let (replacement, regex) = self.dice.pick(&[
                ("$1", "(.*)"),
                ("r-$1", "i(.)"),
                ("", ".*"),
                ("${n}!", "(?P<n>.).*"),
                ("k", "nothing"),
                ("$0$0", "x|y"),
            ]);
            let source = self.dice.pick(&LABELS);
            return format!("label_replace({vector}, \"{target}\", \"{replacement}\", \"{source}\", \"{regex}\")");
        }
        let n = self.dice.below(4);
        let sources: String = (0..n).map(|_| format!(", \"{}\"", self.dice.pick(&LABELS))).collect();
        format!("label_join({vector}, \"{target}\", \"-\"{sources})")
    }

    fn sort(&mut self, depth: usize, kind: Kind) -> String {
        let vector = self.vector(depth, kind);
        match self.dice.below(4) {
            0 => format!("sort({vector})"),
            1 => format!("sort_desc({vector})"),
            2 => format!("sort_by_label({vector}, \"{}\", \"{}\")", self.dice.pick(&LABELS), self.dice.pick(&LABELS)),
            _ => format!("sort_by_label_desc({vector}, \"{}\")", self.dice.pick(&LABELS)),
        }
    }

    fn date(&mut self, depth: usize) -> String {
        let function = self.dice.pick(&DATES);
        match self.dice.below(3) {
            0 => format!("{function}()"),
            1 => format!("{function}(timestamp({}))", self.vector(depth, Kind::Float)),
            _ => format!("{function}({})", self.vector(depth, Kind::Float)),
        }
    }

    fn various(&mut self, depth: usize, kind: Kind) -> String {
        let vector = self.vector(depth, kind);
        match self.dice.below(10) {
            0 => format!("absent({vector})"),
            1 => format!("vector({})", self.scalar(depth)),
            2 => format!("clamp({vector}, {}, {})", self.scalar(0), self.scalar(0)),
            3 => format!("clamp_min({vector}, {})", self.scalar(depth)),
            4 => format!("clamp_max({vector}, {})", self.scalar(depth)),
            5 => format!("round({vector}, {})", self.scalar(0)),
            6 => format!("start_timestamp({})", self.selector(kind)),
            7 => format!("timestamp({vector})"),
            _ => format!("timestamp({})", self.selector(kind)),
        }
    }

    fn info(&mut self, depth: usize, kind: Kind) -> String {
        let vector = self.vector(depth, kind);
        let selectors = [
            "",
            ", {version=\"v1\"}",
            ", {version=~\".+\"}",
            ", {__name__=\"build_info\"}",
            ", {data=~\"i.\"}",
            ", {__name__=~\".+_info\", build=~\".*\"}",
            ", {missing=\"\"}",
        ];
        format!("info({vector}{})", self.dice.pick(&selectors))
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 || self.dice.percent(50) {
            return match self.dice.below(12) {
                0 => self.dice.pick(&["time()", "pi()", "start()", "end()", "step()", "range()"]).into(),
                _ => self.dice.pick(&NUMBERS).into(),
            };
        }
        let inner = depth - 1;
        match self.dice.below(8) {
            0 => format!("({} {} {})", self.scalar(inner), self.dice.pick(&ARITHMETIC), self.scalar(inner)),
            1 => format!("({} {} bool {})", self.scalar(inner), self.dice.pick(&COMPARISONS), self.scalar(inner)),
            2 => format!("-({})", self.scalar(inner)),
            3 => format!("{}({}, {})", self.dice.pick(&["max_of", "min_of"]), self.scalar(inner), self.scalar(inner)),
            4 => format!("scalar({})", self.vector(inner, Kind::Float)),
            5 => format!("scalar(sum({}))", self.vector(inner, Kind::Float)),
            _ => format!("scalar({}{{a=\"x\",b=\"1\"}})", self.dice.pick(&["g1", "g2", "small", "c1_total"])),
        }
    }
}
