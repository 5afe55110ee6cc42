//! Random expressions of every production of the grammar, for the parser and the printer: nobody evaluates them.

use crate::dice::Dice;

const NAMES: [&str; 14] = [
    "a",
    "b:c",
    "_x",
    "sum",
    "by",
    "offset",
    "anchored",
    "fill",
    "fill_left",
    "start",
    "range",
    "and",
    "unless",
    "step",
];
const LABELS: [&str; 9] = ["a", "le", "sum", "on", "bool", "by", "\"b.c\"", "\"é\"", "group_left"];
const STRINGS: [&str; 9] =
    ["\"x\"", "'y'", "`z\\n`", "\"\\xff\\n\\\"\"", "\"é\"", "\"\"", "'a|b'", "\"\\u00e9\\t\"", "`\"`"];
const NUMBERS: [&str; 18] = [
    "0", "1", "-1", "+2", "0.5", "1e3", "1e-9", "0x1F", "017", "1_000", "Inf", "-inf", "NaN", "5m", "1h30m", "500ms",
    "1w2d", "1e308",
];
const DURATIONS: [&str; 12] = [
    "5m",
    "1h30m",
    "300",
    "1.5",
    "500ms",
    "1y",
    "(5m)",
    "step()",
    "range()",
    "step() + 1m",
    "max_of(step(), 5m)",
    "2 * 1m ^ 1",
];
const OFFSETS: [&str; 10] =
    ["5m", "-5m", "1h30m", "-1.5", "+7", "(1m + step())", "-(1m)", "min_of(1m, range())", "step()", "(5m % 3m)"];
const OPERATORS: [&str; 15] = ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "</", ">/"];
const AGGREGATIONS: [&str; 9] = ["sum", "avg", "MIN", "max", "count", "group", "stddev", "stdvar", "Sum"];
const FUNCTIONS: [&str; 8] = ["abs", "ceil", "sort", "timestamp", "absent", "histogram_avg", "minute", "sgn"];
const OF_RANGES: [&str; 6] = ["rate", "changes", "last_over_time", "absent_over_time", "deriv", "mad_over_time"];
const SPACES: [&str; 6] = [" ", " ", "  ", "\n", "\t", " # c\n"];

/// Writes expressions.
pub(crate) struct Syntax<'d> {
    pub(crate) dice: &'d mut Dice,
}

impl Syntax<'_> {
    /// An instant vector, at most this deep.
    pub(crate) fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        let inner = depth - 1;
        match self.dice.below(14) {
            0 | 1 => self.selector(),
            2..=4 => self.binary(inner),
            5 => self.set(inner),
            6 => format!("{}{}", self.dice.pick(&["-", "+", "- "]), self.vector(inner)),
            7 => format!("({}{})", self.vector(inner), self.space()),
            8 | 9 => self.aggregation(inner),
            10 => format!("{}({})", self.dice.pick(&FUNCTIONS), self.vector(inner)),
            11 => format!("{}({})", self.dice.pick(&OF_RANGES), self.range(inner)),
            12 => self.with_text(inner),
            _ => format!("clamp({}, {}, {})", self.vector(inner), self.scalar(inner), self.scalar(inner)),
        }
    }

    fn space(&mut self) -> &'static str {
        self.dice.pick(&SPACES)
    }

    fn bare(&mut self) -> String {
        let (name, count) = (self.dice.pick(&NAMES), self.dice.below(4));
        let matchers: Vec<String> = (0..count).map(|_| self.matcher()).collect();
        let comma = if count > 0 && self.dice.percent(10) { "," } else { "" };
        match self.dice.below(6) {
            0 => format!("{{\"{name}.é\", {}}}", matchers.join(",")),
            1 => format!("{{__name__=~\"{name}.*\"{}{}}}", if count > 0 { "," } else { "" }, matchers.join(" , ")),
            _ if count == 0 => name.into(),
            _ => format!("{name}{}{{{}{comma}}}", if self.dice.percent(10) { " " } else { "" }, matchers.join(",")),
        }
    }

    fn matcher(&mut self) -> String {
        let (label, op) = (self.dice.pick(&LABELS), self.dice.pick(&["=", "!=", "=~", "!~"]));
        let value = if op.contains('~') { "'a|b.*'" } else { self.dice.pick(&STRINGS) };
        format!("{label}{op}{value}")
    }

    fn selector(&mut self) -> String {
        let smoothed = self.dice.pick(&["", "", "", "", " smoothed", " anchored"]);
        format!("{}{smoothed}{}", self.bare(), self.modifiers())
    }

    fn modifiers(&mut self) -> String {
        let offset = match self.dice.below(5) {
            0 => format!("{}offset {}", self.space(), self.dice.pick(&OFFSETS)),
            _ => String::new(),
        };
        // `@` is printed first. Behind it, an offset in parentheses would reach to the operator that follows.
        let at = match self.dice.below(8) {
            0 if !offset.contains(" (") && !offset.contains("-(") => {
                format!(" @ {}", self.dice.pick(&["start()", "end()", "0", "1.5", "-3", "+1e3", "0x10"]))
            }
            _ => String::new(),
        };
        if self.dice.percent(50) { offset + &at } else { at + &offset }
    }

    fn range(&mut self, depth: usize) -> String {
        let range = self.dice.pick(&DURATIONS);
        if self.dice.percent(40) {
            let step = if self.dice.percent(50) { self.dice.pick(&DURATIONS) } else { "" };
            return format!("({})[{range}:{step}]{}", self.vector(depth), self.modifiers());
        }
        let extended = self.dice.pick(&["", "", "", " anchored", " smoothed"]);
        format!("{}[{range}]{extended}{}", self.bare(), self.modifiers())
    }

    fn labels(&mut self) -> String {
        let count = self.dice.below(4);
        let labels: Vec<&str> = (0..count).map(|_| self.dice.pick(&LABELS)).collect();
        format!("({}{})", labels.join(", "), if count > 0 && self.dice.percent(10) { "," } else { "" })
    }

    /// A group modifier may name no label that `on` has.
    fn matching(&mut self) -> String {
        match self.dice.below(8) {
            0 => format!(" on {}", self.labels()),
            1 => format!(" ignoring {}", self.labels()),
            2 => " on (x, \"y.z\") group_left (a, le)".into(),
            3 => " ignoring (x) group_right".into(),
            4 => " on () group_left ()".into(),
            5 => " ignoring (x) GROUP_LEFT (by)".into(),
            _ => String::new(),
        }
    }

    fn binary(&mut self, depth: usize) -> String {
        let op = self.dice.pick(&OPERATORS);
        let compares = matches!(op, "==" | "!=" | "<" | "<=" | ">" | ">=");
        let bool = if compares && self.dice.percent(40) { " bool" } else { "" };
        if self.dice.percent(25) {
            let (vector, scalar) = (self.vector(depth), self.scalar(depth));
            let (lhs, rhs) = if self.dice.percent(50) { (vector, scalar) } else { (scalar, vector) };
            return format!("{lhs} {op}{bool} {rhs}");
        }
        let fill = self.dice.pick(&[
            "",
            "",
            "",
            " fill (1)",
            " fill_left (-0.5)",
            " fill_right (NaN)",
            " fill_left (1) fill_right (2)",
            " fill_right (+1) fill_left (Inf)",
            " fill(0x10)",
        ]);
        let (lhs, matching, space) = (self.vector(depth), self.matching(), self.space());
        format!("{lhs} {op}{bool}{matching}{fill}{space}{}", self.vector(depth))
    }

    fn set(&mut self, depth: usize) -> String {
        let op = self.dice.pick(&["and", "or", "unless", "AND"]);
        let matching = match self.dice.below(4) {
            0 => format!(" on {}", self.labels()),
            1 => format!(" ignoring {}", self.labels()),
            _ => String::new(),
        };
        format!("{} {op}{matching} {}", self.vector(depth), self.vector(depth))
    }

    fn aggregation(&mut self, depth: usize) -> String {
        let (op, param) = match self.dice.below(8) {
            0 => (self.dice.pick(&["topk", "bottomk", "quantile", "limitk", "limit_ratio"]), self.scalar(depth)),
            1 => ("count_values", self.dice.pick(&STRINGS).to_string()),
            _ => (self.dice.pick(&AGGREGATIONS), String::new()),
        };
        let comma = if param.is_empty() { "" } else { ", " };
        let clause = match self.dice.below(3) {
            0 => String::new(),
            1 => format!(" by {}", self.labels()),
            _ => format!(" without {}", self.labels()),
        };
        let inner = self.vector(depth);
        if self.dice.percent(50) {
            format!("{op}{clause} ({param}{comma}{inner})")
        } else {
            format!("{op}({param}{comma}{inner}){clause}")
        }
    }

    fn with_text(&mut self, depth: usize) -> String {
        let vector = self.vector(depth);
        match self.dice.below(4) {
            0 => format!("label_replace({vector}, \"d\", {}, 's', \"(.*)\")", self.dice.pick(&STRINGS)),
            1 => format!("label_join({vector}, \"d\", {}, 's', `t`)", self.dice.pick(&STRINGS)),
            2 => format!("histogram_quantiles({vector}, \"q\", 0.5, {})", self.scalar(depth)),
            _ => format!("info({vector}, {{a=~\"b|c\"}})"),
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        match self.dice.below(10) {
            0 if depth > 0 => format!("({} {} {})", self.scalar(depth - 1), "+", self.scalar(depth - 1)),
            1 if depth > 0 => format!("{} < bool {}", self.scalar(depth - 1), self.scalar(depth - 1)),
            2 if depth > 0 => format!("-({})", self.scalar(depth - 1)),
            3 if depth > 0 => format!("scalar({})", self.vector(depth - 1)),
            4 if depth > 0 => format!("max_of({}, {})", self.scalar(depth - 1), self.scalar(depth - 1)),
            5 => self.dice.pick(&["time()", "pi()", "start()", "end()", "step()", "range()"]).into(),
            _ => self.dice.pick(&NUMBERS).into(),
        }
    }
}
