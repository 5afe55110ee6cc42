//! Functions from one float to one float.

use super::date::DatePart;
use super::{go_math, math};

/// Such a function.
pub(crate) type FloatFunction = fn(f64) -> f64;

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<FloatFunction> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "sqrt" => f64::sqrt,
        "exp" => go_math::exp,
        "ln" => go_math::ln,
        "log2" => go_math::log2,
        "log10" => go_math::log10,
        "sgn" => math::sign,
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        "sin" => go_math::sin,
        "cos" => go_math::cos,
        "tan" => go_math::tan,
        "asin" => go_math::asin,
        "acos" => go_math::acos,
        "atan" => go_math::atan,
        "sinh" => go_math::sinh,
        "cosh" => go_math::cosh,
        "tanh" => go_math::tanh,
        "asinh" => go_math::asinh,
        "acosh" => go_math::acosh,
        "atanh" => go_math::atanh,
        "minute" => |v| DatePart::Minute.of_seconds(v),
        "hour" => |v| DatePart::Hour.of_seconds(v),
        "day_of_week" => |v| DatePart::DayOfWeek.of_seconds(v),
        "day_of_month" => |v| DatePart::DayOfMonth.of_seconds(v),
        "day_of_year" => |v| DatePart::DayOfYear.of_seconds(v),
        "days_in_month" => |v| DatePart::DaysInMonth.of_seconds(v),
        "month" => |v| DatePart::Month.of_seconds(v),
        "year" => |v| DatePart::Year.of_seconds(v),
        _ => return None,
    })
}
