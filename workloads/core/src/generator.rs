//! Generators: what to ask next, decided purely from a seed and from what was told.

use fissure_checker::op::{Call, Outcome};

/// The worker that is free and asks for something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Logical process that would run the operation.
    pub process: i64,
    /// Worker slot, `0..concurrency`; stays when the process number changes.
    pub thread: usize,
    /// Number of worker slots.
    pub concurrency: usize,
    /// Index of the node the worker talks to.
    pub node: usize,
}

/// A generator's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this now.
    Call(Call),
    /// Nothing for this worker now; ask again at this time (ns since the start of the run).
    Wait {
        /// When to ask again, ns.
        until_ns: u64,
    },
    /// Nothing for this worker, ever.
    Done,
}

/// Decides what to ask next. No I/O, no clock, no thread; the same seed and the same calls give the same answers.
pub trait Generator: Send {
    /// What `worker` should do at `now_ns` (ns since the start of the run).
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next;

    /// Told of each completion.
    fn complete(&mut self, worker: Worker, call: &Call, outcome: Outcome, now_ns: u64) {
        let _ = (worker, call, outcome, now_ns);
    }
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next {
        (**self).next(worker, now_ns)
    }

    fn complete(&mut self, worker: Worker, call: &Call, outcome: Outcome, now_ns: u64) {
        (**self).complete(worker, call, outcome, now_ns);
    }
}
