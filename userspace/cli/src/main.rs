//! The binary `fissure`.
fn main() {}
