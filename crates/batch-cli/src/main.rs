//! The `bex` binary.
fn main() {}
