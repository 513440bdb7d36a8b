//! The run: one loop over one event enum; time, seed, phases, shutdown, clean-up.
