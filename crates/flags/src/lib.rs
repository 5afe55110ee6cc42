//! Command-line flags as data, in kingpin's form
