//! Taking the last steps back, once nothing may be executed any more.
//!
//! Where an execution is stuck, following who waits for whom leads to a write that cannot overwrite what its register
//! holds, because somebody who waits as well has yet to read that. Then what the register holds came too early: the steps
//! back to it are undone, and from then on it waits for the write. Such an order is a guess and may be wrong; whatever
//! comes of it is put to the test like everything else. Where no such write is left the last steps are tried in an order
//! that has nothing to do with time.
//!
//! Bounded: no more than [`WINDOW`] steps are taken back at once, no pair of writers is tried twice in a row, and after
//! [`ATTEMPTS_MAX`] attempts without a further step the execution goes on by force.

use super::{NEVER, NONE, Opening, Run};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// Steps that can be taken back.
const WINDOW: usize = 512;

/// Attempts at one place, at most.
const ATTEMPTS_MAX: u32 = 128;

/// Steps by force after which half as many attempts are made at a place, and attempts in any case.
const FORCED_PATIENCE: u64 = 8;
const ATTEMPTS_MIN: u32 = 4;

/// The same where only a witness is wanted: then there is one such place.
const THOROUGH_ATTEMPTS_MAX: u32 = 1024;

/// Steps that are taken back at first to be tried in another order.
const SHUFFLED_MIN: u32 = 8;

/// Transactions that are looked at to find out why nothing goes on, at most.
const CHASED_MAX: usize = 256;

/// Readers of a version that are looked at, at most.
const READERS_MAX: usize = 1024;

/// One step, and where the opening stood before it.
#[derive(Debug)]
struct Step {
    txn: u32,
    done: usize,
    next: u32,
}

/// What it takes to go back.
#[derive(Debug, Default)]
pub(super) struct Repair {
    steps: VecDeque<Step>,
    /// What registers held before the writes of these steps, and how many readers of that were left.
    pub(super) overwritten: VecDeque<(u32, u32)>,
    /// Guessed orders: who must wait for each transaction, and whom each must wait for.
    after: FxHashMap<u32, Vec<u32>>,
    before: FxHashMap<u32, Vec<u32>>,
    tried: FxHashSet<(u32, u32)>,
    /// The furthest that the execution came, and the attempts since.
    furthest: u32,
    attempts: u32,
    /// Not 0 while steps are tried in another order.
    salt: u32,
    /// Whether only a witness is wanted. Else the order is a guess even where it fails, and keeps to what looks likely.
    pub(super) is_thorough: bool,
}

impl Repair {
    /// What ranks transactions that may be executed: the deadline, or anything once that has led nowhere.
    pub(super) fn urgency(&self, txn: u32, deadline: u32) -> u32 {
        if self.salt == 0 { deadline } else { (txn ^ self.salt.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b) }
    }

    /// Who waits for a transaction by a guessed order.
    pub(super) fn followers(&self, txn: u32) -> Vec<u32> {
        // Almost always empty, and then nothing is allocated.
        if self.after.is_empty() { Vec::new() } else { self.after.get(&txn).cloned().unwrap_or_default() }
    }
}

impl Run<'_> {
    /// Remembers a step that is about to be made.
    pub(super) fn note(&mut self, txn: u32) {
        let (done, next) = match &self.opening {
            Opening::Realtime { done, next, .. } => (*done, *next),
            _ => (0, 0),
        };
        self.repair.steps.push_back(Step { txn, done, next });
        if self.repair.steps.len() > WINDOW
            && let Some(oldest) = self.repair.steps.pop_front()
        {
            let writes = self.steps.page(oldest.txn).writes(oldest.txn).count();
            self.repair.overwritten.drain(..writes);
        }
    }

    /// Nothing may be executed, and `stuck` is open: goes back to a step that came too early, if one is found.
    pub(super) fn repair(&mut self, stuck: u32) -> bool {
        if self.executed > self.repair.furthest {
            (self.repair.furthest, self.repair.attempts, self.repair.salt) = (self.executed, 0, 0);
        }
        self.repair.attempts += 1;
        let attempts_max = match self.repair.is_thorough {
            true => THOROUGH_ATTEMPTS_MAX,
            // Where no serial order exists at many places, less is tried at each: what is wanted is a guess.
            false => (ATTEMPTS_MAX >> (self.forced / FORCED_PATIENCE).min(31)).max(ATTEMPTS_MIN),
        };
        if self.repair.attempts > attempts_max {
            return false;
        }
        // It was taken out to be looked at, and still waits.
        self.opened.push(Reverse((self.steps.deadline[stuck as usize], stuck)));
        let mut chased = Vec::new();
        match self.culprit(stuck, &mut chased) {
            Some((late, early)) => {
                self.repair.tried.insert((late, early));
                self.repair.after.entry(late).or_default().push(early);
                self.repair.before.entry(early).or_default().push(late);
                self.undo(self.place[early as usize]);
                self.before[early as usize] += 1;
                if self.repair.is_thorough {
                    self.take_back(early, late);
                }
                true
            }
            None => {
                if !self.forget_guesses(&chased) {
                    self.shuffle();
                }
                true
            }
        }
    }

    /// Goes back, the further the more attempts failed, to try the same steps in another order.
    fn shuffle(&mut self) {
        let tenacity = self.repair.attempts / 16;
        let steps = SHUFFLED_MIN << if self.repair.is_thorough { tenacity % 6 } else { tenacity.min(5) };
        self.repair.tried.clear();
        self.repair.salt += 1;
        self.undo(self.executed.saturating_sub(steps));
        if !self.repair.is_thorough {
            return;
        }
        // Guesses that others led to bind nobody any more.
        let waiting: Vec<u32> =
            self.repair.before.keys().copied().filter(|txn| self.place[*txn as usize] == NONE).collect();
        self.forget_guesses(&waiting);
    }

    /// Drops the guess that one transaction comes before another one, if there is such; the first one has not been executed.
    fn take_back(&mut self, first: u32, second: u32) {
        let drop = |guesses: &mut FxHashMap<u32, Vec<u32>>, of: u32, guess: u32| {
            guesses.get_mut(&of).and_then(|all| Some(all.swap_remove(all.iter().position(|one| *one == guess)?)))
        };
        if drop(&mut self.repair.before, second, first).is_some() {
            drop(&mut self.repair.after, first, second);
            self.precede(second);
        }
    }

    /// Drops the guessed orders for which these transactions wait; whether there were any.
    fn forget_guesses(&mut self, waiting: &[u32]) -> bool {
        let mut any = false;
        for early in waiting {
            let Some(guessed) = self.repair.before.get_mut(early) else { continue };
            let left: Vec<u32> = guessed.extract_if(.., |late| self.place[*late as usize] == NONE).collect();
            for late in left {
                any = true;
                if let Some(after) = self.repair.after.get_mut(&late) {
                    after.retain(|one| one != early);
                }
                self.precede(*early);
            }
        }
        any
    }

    /// A write that has to wait, and the latest step that it should have preceded.
    /// Whoever waits is added to `chased`.
    fn culprit(&mut self, stuck: u32, chased: &mut Vec<u32>) -> Option<(u32, u32)> {
        chased.push(stuck);
        let mut best: Option<(u32, u32)> = None;
        let mut at = 0;
        while let Some(txn) = chased.get(at).copied().filter(|_| at < CHASED_MAX) {
            at += 1;
            for blocker in self.blockers(txn) {
                match blocker {
                    Blocker::Waits(other) if !chased.contains(&other) => chased.push(other),
                    Blocker::Waits(_) => {}
                    Blocker::Early(early) => {
                        // Once that has led nowhere, any may be the one.
                        let anyone = self.repair.is_thorough && self.repair.salt != 0;
                        let rank = |late: u32, early: u32| match anyone {
                            true => self.repair.urgency(late ^ early.rotate_left(16), 0),
                            false => self.place[early as usize],
                        };
                        let later = best.is_none_or(|(late, known)| rank(late, known) < rank(txn, early));
                        if later && self.can_precede(txn, early) && !self.repair.tried.contains(&(txn, early)) {
                            best = Some((txn, early));
                        }
                    }
                }
            }
        }
        best
    }

    /// Whether a transaction may be put before one that was executed not long ago.
    fn can_precede(&self, late: u32, early: u32) -> bool {
        let place = self.place[early as usize];
        let near = place != NONE && (self.executed - place) as usize <= self.repair.steps.len();
        let txns = self.steps.txns;
        let opened_after = match &self.opening {
            Opening::Free => false,
            Opening::Process(_) => txns.process(early) == txns.process(late) && early < late,
            Opening::Realtime { timed, .. } => {
                timed[early as usize] && timed[late as usize] && txns.precedes(early, late)
            }
        };
        near && !opened_after
    }

    /// What keeps a transaction from being executed.
    fn blockers(&mut self, txn: u32) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        if !self.is_open[txn as usize] {
            if let Opening::Realtime { by_end, done, .. } = &self.opening {
                blockers.extend(by_end.get(*done).map(|first| Blocker::Waits(*first)));
            }
            return blockers;
        }
        if self.before[txn as usize] > 0 {
            self.unexecuted_before(txn, &mut blockers);
        }
        let page = self.steps.page(txn);
        for access in page.accesses(txn).iter().filter(|access| !self.fits(&page, txn, **access)) {
            let current = self.current[access.key()];
            if access.is_write() {
                if current != NEVER {
                    blockers.push(Blocker::Early(current));
                }
                self.readers_left(access.key(), current, txn, &mut blockers);
            } else if access.source() != NEVER && self.place[access.source() as usize] == NONE {
                blockers.push(Blocker::Waits(access.source()));
            }
        }
        blockers
    }

    fn unexecuted_before(&self, txn: u32, blockers: &mut Vec<Blocker>) {
        let page = self.steps.page(txn);
        let guessed = self.repair.before.get(&txn).into_iter().flatten();
        let left = page.before(txn).iter().chain(guessed).filter(|other| self.place[**other as usize] == NONE);
        blockers.extend(left.map(|other| Blocker::Waits(*other)));
    }

    /// Who has yet to read what a register holds.
    fn readers_left(&self, key: usize, current: u32, but: u32, blockers: &mut Vec<Blocker>) {
        let readers = if current == NEVER {
            self.steps.readers_of_initial(key)
        } else {
            let page = self.steps.page(current);
            let write = page.writes(current).find(|write| write.key() == key);
            write.map(|write| page.readers(write).to_vec()).unwrap_or_default()
        };
        let from = readers.partition_point(|reader| *reader < but);
        let near = &readers[from.saturating_sub(READERS_MAX / 2)..(from + READERS_MAX / 2).min(readers.len())];
        let left = near.iter().filter(|reader| **reader != but && self.place[**reader as usize] == NONE);
        blockers.extend(left.map(|reader| Blocker::Waits(*reader)));
    }

    /// Takes steps back, the one at `place` being the last.
    fn undo(&mut self, place: u32) {
        let mut undone = Vec::new();
        while self.executed > place
            && let Some(step) = self.repair.steps.pop_back()
        {
            undone.push(step.txn);
            self.undo_step(&step);
        }
        for txn in undone {
            if self.is_open[txn as usize] {
                self.opened.push(Reverse((self.steps.deadline[txn as usize], txn)));
                self.look(txn);
            }
        }
    }

    fn undo_step(&mut self, step: &Step) {
        let txn = step.txn;
        self.place[txn as usize] = NONE;
        self.executed -= 1;
        match &mut self.opening {
            Opening::Free => {}
            Opening::Process(next) => {
                if let Some(next) = Some(next[txn as usize]).filter(|next| *next != NONE) {
                    self.is_open[next as usize] = false;
                }
            }
            Opening::Realtime { timed, done, next, .. } => {
                (step.next..*next)
                    .filter(|one| timed[*one as usize])
                    .for_each(|one| self.is_open[one as usize] = false);
                (*done, *next) = (step.done, step.next);
            }
        }
        let page = self.steps.page(txn);
        page.after(txn).iter().for_each(|next| self.before[*next as usize] += 1);
        for next in self.repair.followers(txn) {
            self.before[next as usize] += 1;
        }
        self.undo_data(txn);
    }

    fn undo_data(&mut self, txn: u32) {
        let page = self.steps.page(txn);
        for access in page.writes(txn).rev() {
            if let Some((before, left)) = self.repair.overwritten.pop_back() {
                (self.current[access.key()], self.left[access.key()]) = (before, left);
            }
            self.wake(access.key());
        }
        for access in page.accesses(txn).iter().filter(|access| !access.is_write()) {
            let key = access.key();
            if self.current[key] == access.source() {
                self.left[key] += 1;
            } else if let Some(astray) = self.astray.get_mut(&(key as u32, access.source())) {
                *astray -= 1;
            }
        }
    }
}

/// Why a transaction is not executed.
enum Blocker {
    /// Another one must come first, and has not been executed either.
    Waits(u32),
    /// What a register holds came too early: the writer of that.
    Early(u32),
}
