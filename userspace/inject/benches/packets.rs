//! Costs of the programs.
fn main() {}
