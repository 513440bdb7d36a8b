//! The memory of a session, shared by the operators of its statements.
//!
//! Operators that can put data aside on disk get equal shares of three quarters; one quarter is always left to those that
//! cannot, such as the merging of what was put aside. Otherwise a sort that has used its whole share could not be merged.

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A pool with a limit.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Consumers that can spill.
    spillers: usize,
    /// Bytes of those that can.
    spillable: usize,
    /// Bytes of those that cannot.
    fixed: usize,
}

impl SharedMemory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers are never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), crate::limits::size(self.bytes as u64))
    }
}

impl MemoryPool for SharedMemory {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.state().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.spillers = state.spillers.saturating_sub(usize::from(consumer.can_spill()));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        if reservation.consumer().can_spill() {
            state.spillable += additional;
        } else {
            state.fixed += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        if reservation.consumer().can_spill() {
            state.spillable = state.spillable.saturating_sub(shrink);
        } else {
            state.fixed = state.fixed.saturating_sub(shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        if reservation.consumer().can_spill() {
            let for_all = self.bytes.saturating_sub(state.fixed).min(self.bytes / 4 * 3);
            let share = for_all / state.spillers.max(1);
            if reservation.size().saturating_add(additional) > share {
                return Err(refused(reservation, additional));
            }
            state.spillable += additional;
        } else {
            let used = state.fixed + state.spillable;
            if self.bytes.saturating_sub(used) < additional {
                return Err(refused(reservation, additional));
            }
            state.fixed += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.state();
        state.spillable + state.fixed
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

/// Operators that can spill take this as the sign to do so.
fn refused(reservation: &MemoryReservation, additional: usize) -> DataFusionError {
    let (has, name) = (reservation.size(), reservation.consumer().name());
    DataFusionError::ResourcesExhausted(format!("{additional} bytes beside {has} failed for {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_quarter_is_left_to_those_that_cannot_spill() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(4_000));
        let first = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        let second = MemoryConsumer::new("group").with_can_spill(true).register(&pool);
        assert!(first.try_grow(1_501).is_err());
        first.try_grow(1_500).unwrap();
        second.try_grow(1_500).unwrap();
        let fixed = MemoryConsumer::new("merge").register(&pool);
        fixed.try_grow(1_000).unwrap();
        let error = fixed.try_grow(1).unwrap_err();
        assert!(
            matches!(error.find_root(), DataFusionError::ResourcesExhausted(text) if text.contains("failed for merge"))
        );
        assert_eq!(pool.reserved(), 4_000);
        drop(second);
        fixed.try_grow(1_500).unwrap();
        // What the others hold is not shared out.
        assert!(first.try_grow(1).is_err());
        drop((first, fixed));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn a_consumer_alone_has_it_all_but_the_quarter() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(4_000));
        let only = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        only.try_grow(3_000).unwrap();
        assert!(only.try_grow(1).is_err());
        only.shrink(1_000);
        assert_eq!(pool.reserved(), 2_000);
    }
}
