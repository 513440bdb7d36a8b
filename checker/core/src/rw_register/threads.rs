//! Keys are independent of each other: work on them is shared out among threads.

use super::columns::Columns;
use std::ops::Range;

/// Micro-operations for which a second thread is worth its start. Tests are to meet several threads, too.
const MOPS_FOR_TWO: usize = if cfg!(test) { 64 } else { 1 << 16 };

/// Threads, at most: each has memory of its own.
const THREADS_MAX: usize = 8;

/// Does some work for all keys, by ranges of keys with about as many micro-operations; what comes of it stands in order of
/// the keys, and does not depend on the number of threads as long as the parts put together do not.
pub(crate) fn by_keys<T: Send>(columns: &Columns, work: impl Fn(Range<u32>) -> T + Sync) -> Vec<T> {
    each(columns.key_ranges(count(columns.len())), work)
}

/// How many threads are worth their start for so many micro-operations.
pub(crate) fn count(mops: usize) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if mops < MOPS_FOR_TWO { 1 } else { threads.clamp(1, THREADS_MAX) }
}

/// Does some work for all parts, in a thread each; what comes of it stands in their order.
pub(crate) fn each<P: Send, T: Send>(mut parts: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    let Some(last) = parts.pop() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        let last = work(last);
        let mut done: Vec<T> = others.into_iter().map(joined).collect();
        done.push(last);
        done
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
