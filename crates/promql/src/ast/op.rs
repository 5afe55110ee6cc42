//! Operators and their properties.

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`, with the sign of the dividend
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `</`: the part of a histogram below a value
    TrimUpper,
    /// `>/`: the part of a histogram above a value
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// The operator as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// `== != < <= > >=`; the trim operators are none.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// `and or unless`
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// How tightly it binds: `or` 1 … `^` 6.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::TrimUpper | BinaryOp::TrimLower => 3,
            op if op.is_comparison() => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Pow => 6,
            _ => 5,
        }
    }

    /// Only `^` groups from the right.
    pub fn is_right_associative(self) -> bool {
        self == BinaryOp::Pow
    }
}

/// A sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

impl UnaryOp {
    /// The operator as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            UnaryOp::Plus => "+",
            UnaryOp::Minus => "-",
        }
    }
}

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `avg`
    Avg,
    /// `bottomk`
    BottomK,
    /// `count`
    Count,
    /// `count_values`
    CountValues,
    /// `group`
    Group,
    /// `limitk`
    LimitK,
    /// `limit_ratio`
    LimitRatio,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `quantile`
    Quantile,
    /// `stddev`
    StdDev,
    /// `stdvar`
    StdVar,
    /// `sum`
    Sum,
    /// `topk`
    TopK,
}

impl AggregateOp {
    /// The operator as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Avg => "avg",
            AggregateOp::BottomK => "bottomk",
            AggregateOp::Count => "count",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Group => "group",
            AggregateOp::LimitK => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
            AggregateOp::Max => "max",
            AggregateOp::Min => "min",
            AggregateOp::Quantile => "quantile",
            AggregateOp::StdDev => "stddev",
            AggregateOp::StdVar => "stdvar",
            AggregateOp::Sum => "sum",
            AggregateOp::TopK => "topk",
        }
    }

    /// The aggregation of a lower-case name.
    pub(crate) fn of_name(name: &str) -> Option<AggregateOp> {
        Some(match name {
            "avg" => AggregateOp::Avg,
            "bottomk" => AggregateOp::BottomK,
            "count" => AggregateOp::Count,
            "count_values" => AggregateOp::CountValues,
            "group" => AggregateOp::Group,
            "limitk" => AggregateOp::LimitK,
            "limit_ratio" => AggregateOp::LimitRatio,
            "max" => AggregateOp::Max,
            "min" => AggregateOp::Min,
            "quantile" => AggregateOp::Quantile,
            "stddev" => AggregateOp::StdDev,
            "stdvar" => AggregateOp::StdVar,
            "sum" => AggregateOp::Sum,
            "topk" => AggregateOp::TopK,
            _ => return None,
        })
    }

    /// Whether it takes a parameter before the vector.
    pub fn takes_param(self) -> bool {
        use AggregateOp::{BottomK, CountValues, LimitK, LimitRatio, Quantile, TopK};
        matches!(self, BottomK | CountValues | LimitK | LimitRatio | Quantile | TopK)
    }

    /// Whether it needs the flag for experimental functions.
    pub fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::LimitK | AggregateOp::LimitRatio)
    }
}
