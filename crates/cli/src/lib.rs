//! The thanoxide programs
