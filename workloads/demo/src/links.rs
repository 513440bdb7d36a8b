//! A switchboard between nodes of one process: tests cut links with it where they have no packet filter.
//!
//! A cut link swallows messages as a silent packet filter does: the sender waits until its own time is up.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Which nodes hear each other. Clones share their state. A new one has every link up.
#[derive(Clone, Debug, Default)]
pub struct Links {
    cut: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Links {
    /// Cuts the way from `from` to `to`; the way back stays.
    pub fn cut(&self, from: &str, to: &str) {
        self.lock().insert((from.to_owned(), to.to_owned()));
    }

    /// Cuts both ways between every member of `left` and every member of `right`.
    pub fn partition(&self, left: &[&str], right: &[&str]) {
        for a in left {
            for b in right {
                self.cut(a, b);
                self.cut(b, a);
            }
        }
    }

    /// Restores every link.
    pub fn heal(&self) {
        self.lock().clear();
    }

    /// Whether a message from `from` reaches `to`.
    #[must_use]
    pub fn passes(&self, from: &str, to: &str) -> bool {
        let cut = self.lock();
        cut.is_empty() || !cut.contains(&(from.to_owned(), to.to_owned()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
