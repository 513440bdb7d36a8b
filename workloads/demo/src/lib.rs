//! The demo store: a small replicated key-value store with switchable, realistic bugs.
