//! Scenarios: TOML to checked plan, schedule from a seed, rule tables. Pure.
