//! The search: just-in-time linearization over a frontier of configurations.
//!
//! Events are walked in order. An operation is placed only when it must be: at its completion (Lowe's just-in-time
//! linearization), with any others before it that are needed. What is kept is the set of configurations after each event, not
//! the way there, so memory depends on concurrency and not on length. When the set becomes empty the operation that
//! just completed is the first that cannot be linearized.
//!
//! What keeps the set small, for registers:
//! * **looks are eager.** A read does not change the register, so it is placed the moment the register holds its value.
//! * **unseen writes are lazy.** A write that nobody sees can sit just before any other write that was placed while it was in
//!   flight, or anywhere while the register holds its very value. It is marked coverable and costs no choice until it completes; then it is either dropped as covered, or
//!   placed as the visible value.
//! * **a write is placed early only to be seen** by an operation in flight; whoever looks later can wait for it.
//! * **equal operations are used in order of their deadline.** The one that completes later can do all that the other can.
//! * **dead values are alike.** A value that no operation still in flight or to come asks for is just "something else".
//! * **dominance**: see [`Masks::dominates`].
//!
//! None of this loses an answer; the tests compare with all permutations of small histories.

mod layout;
mod moves;
mod witness;

use super::config::{Config, DEAD, Masks, SLOTS_PER_WORD};
use super::prepare::{Act, KeyHistory, NEVER, ValueId};
use layout::Layout;
use rustc_hash::{FxHashMap, FxHashSet};
use witness::{How, NO_TRACE, Step};

/// What the search may use, and what it should keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Configurations that may be made.
    pub(super) states: u64,
    /// Bytes for frontier and record.
    pub(super) bytes: u64,
    /// Keep the record from which a witness is made.
    pub(super) witness: bool,
    /// Look at dead values too: slower, and needed only to say what the register could hold.
    pub(super) exact_states: bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Linearizable; with a witness order (places in the key's operations) if one was wanted.
    Linearizable(Option<Vec<u32>>),
    /// Not linearizable.
    Violation(Violation),
    /// The budget was spent.
    Spent {
        /// Events walked.
        events: u64,
        /// What ran out, in words.
        what: String,
    },
}

/// The moment at which nothing was possible any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The first operation that could not be linearized (place in the key's operations).
    pub(super) op: u32,
    /// Values that the register could hold between its invocation and its completion (exact only with
    /// [`Limits::exact_states`]).
    pub(super) states: Vec<ValueId>,
}

/// Answer and cost.
#[derive(Clone, Debug)]
pub(super) struct Searched {
    /// The answer.
    pub(super) outcome: Outcome,
    /// Configurations made.
    pub(super) states: u64,
}

/// Widths of the frontier that are tried one after the other; the last is complete.
///
/// A history that is linearizable seldom needs more than a few configurations, and one that is left at the end shows it,
/// whatever was cut away. Only an empty frontier from which something was cut says nothing: then a wider one is tried.
const BEAMS: [usize; 4] = [8, 64, 1_024, usize::MAX];

/// Searches one key.
pub(super) fn search(key: &KeyHistory, limits: Limits) -> Searched {
    let layout = Layout::new(key, limits.exact_states);
    let mut states = 0;
    for beam in BEAMS {
        let limits = Limits { states: limits.states.saturating_sub(states), ..limits };
        let (searched, was_cut) = search_within(key, limits, &layout, beam);
        states += searched.states;
        if !was_cut || !matches!(searched.outcome, Outcome::Violation(_)) {
            return Searched { outcome: searched.outcome, states };
        }
    }
    let what = "no width of the frontier decided".to_owned();
    Searched { outcome: Outcome::Spent { events: 0, what }, states }
}

/// One pass with a frontier of at most `beam`; and whether any configuration was cut away.
fn search_within(key: &KeyHistory, limits: Limits, layout: &Layout, beam: usize) -> (Searched, bool) {
    match layout.words() {
        0..=1 => Search::<1>::new(key, limits, layout, beam).run(),
        2 => Search::<2>::new(key, limits, layout, beam).run(),
        3..=4 => Search::<4>::new(key, limits, layout, beam).run(),
        5..=10 => Search::<10>::new(key, limits, layout, beam).run(),
        11..=32 => Search::<32>::new(key, limits, layout, beam).run(),
        33..=128 => Search::<128>::new(key, limits, layout, beam).run(),
        words => {
            let what =
                format!("{words} words per configuration, at most 128 fit: too many operations in flight at once");
            (Searched { outcome: Outcome::Spent { events: 0, what }, states: 0 }, false)
        }
    }
}

/// An `ok` operation in flight.
#[derive(Clone, Copy)]
struct InFlight {
    op: u32,
    act: Act,
    slot: u32,
    ret: u32,
}

/// A kind of `info` operation that may still be of use.
struct Kind {
    act: Act,
    counter: usize,
    /// Those invoked so far, in order.
    ops: Vec<u32>,
}

struct Search<'a, const W: usize> {
    key: &'a KeyHistory,
    limits: Limits,
    last_need: &'a [u32],
    masks: Masks<W>,
    free_slots: Vec<u32>,
    /// By operation; meaningful while it is in flight.
    slot_of: Vec<u32>,
    free_counters: Vec<usize>,
    /// Writes and `cas` in flight, by completion.
    changers: Vec<InFlight>,
    /// Looks in flight.
    looks: Vec<InFlight>,
    kinds: Vec<Kind>,
    place: u32,
    frontier: Vec<Config<W>>,
    next: Vec<Config<W>>,
    stack: Vec<Config<W>>,
    /// Those that used one `info` operation more than what is on the stack.
    later: Vec<Config<W>>,
    seen: FxHashSet<Config<W>>,
    steps: Vec<Step>,
    made: u64,
    /// A counter of `info` operations is full: what follows would not be complete.
    counter_full: bool,
    /// The frontier is cut down to so many.
    beam: usize,
    /// Something was cut away.
    was_cut: bool,
}

impl<'a, const W: usize> Search<'a, W> {
    fn new(key: &'a KeyHistory, limits: Limits, layout: &'a Layout, beam: usize) -> Self {
        let masks = Masks {
            looks: [0; W],
            writes: [0; W],
            cas: [0; W],
            counters_from: layout.slot_words(),
            live_beats_dead: !key.ops.iter().any(|op| matches!(op.act, Act::NotEqual(_))),
        };
        let mut search = Self {
            key,
            limits,
            last_need: &layout.last_need,
            masks,
            free_slots: (0..layout.slots as u32).rev().collect(),
            slot_of: vec![0; key.ops.len()],
            free_counters: (0..layout.counters).rev().collect(),
            changers: Vec::new(),
            looks: Vec::new(),
            kinds: Vec::new(),
            place: 0,
            frontier: Vec::new(),
            next: Vec::new(),
            stack: Vec::new(),
            later: Vec::new(),
            seen: FxHashSet::default(),
            steps: Vec::new(),
            made: 1,
            counter_full: false,
            beam,
            was_cut: false,
        };
        let state = search.alive(key.initial);
        search.frontier.push(Config { state, trace: NO_TRACE, bits: [0; W] });
        search
    }

    fn run(mut self) -> (Searched, bool) {
        let outcome = self.walk();
        (Searched { outcome, states: self.made }, self.was_cut)
    }

    fn walk(&mut self) -> Outcome {
        let key = self.key;
        for (index, &event) in key.events.iter().enumerate() {
            self.place = index as u32 + 1;
            let op = event / 2;
            if event % 2 == 0 {
                self.invoke(op);
                continue;
            }
            let violation = self.complete(op);
            if let Some(what) = self.spent() {
                return Outcome::Spent { events: index as u64, what };
            }
            if let Some(violation) = violation {
                return Outcome::Violation(violation);
            }
        }
        Outcome::Linearizable(self.limits.witness.then(|| self.witness()))
    }

    /// What ran out, if anything did.
    fn spent(&self) -> Option<String> {
        let config_bytes = size_of::<Config<W>>() as u64;
        // The set of seen configurations is about as large as the frontier it makes.
        let held = self.frontier.capacity()
            + self.next.capacity()
            + self.stack.capacity()
            + self.later.capacity()
            + 2 * self.seen.capacity();
        let bytes = held as u64 * config_bytes + (self.steps.capacity() * size_of::<Step>()) as u64;
        if self.counter_full {
            Some(format!("{} info operations of one kind", u16::MAX))
        } else if self.made > self.limits.states {
            Some(format!("{} configurations", self.limits.states))
        } else if bytes > self.limits.bytes {
            Some(format!("{} MiB", self.limits.bytes >> 20))
        } else {
            None
        }
    }

    /// The value, or [`DEAD`] if nobody asks for it from here on.
    fn alive(&self, value: ValueId) -> ValueId {
        if self.last_need[value as usize] >= self.place.max(1) { value } else { DEAD }
    }

    fn invoke(&mut self, op: u32) {
        let KeyOpView { act, ret } = self.view(op);
        if ret == NEVER {
            self.invoke_optional(op, act);
            return;
        }
        let Some(slot) = self.free_slots.pop() else { return };
        self.slot_of[op as usize] = slot;
        let entry = InFlight { op, act, slot, ret };
        let (word, bit) = (slot as usize / SLOTS_PER_WORD, 1_u64 << (2 * (slot as usize % SLOTS_PER_WORD)));
        match act {
            Act::Read(_) | Act::NotEqual(_) => {
                self.masks.looks[word] |= bit;
                self.looks.push(entry);
                let mut frontier = std::mem::take(&mut self.frontier);
                for config in frontier.iter_mut().filter(|config| act.is_observed_in(config.state)) {
                    config.place(slot);
                    config.trace = self.step(config.trace, op, How::Placed);
                }
                self.frontier = frontier;
            }
            Act::Write(_) | Act::Cas(..) => {
                let mask = if matches!(act, Act::Write(_)) { &mut self.masks.writes } else { &mut self.masks.cas };
                mask[word] |= bit;
                let at = self.changers.partition_point(|other| other.ret < ret);
                self.changers.insert(at, entry);
                let mut frontier = std::mem::take(&mut self.frontier);
                for config in frontier.iter_mut().filter(|config| act == Act::Write(config.state)) {
                    config.cover(slot);
                    config.trace = self.step(config.trace, op, How::Anchored);
                }
                self.frontier = frontier;
            }
        }
    }

    fn invoke_optional(&mut self, op: u32, act: Act) {
        let useful = act.produces().is_some_and(|value| self.last_need[value as usize] > self.place);
        if !useful {
            return;
        }
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.act == act) {
            kind.ops.push(op);
        } else if let Some(counter) = self.free_counters.pop() {
            self.kinds.push(Kind { act, counter, ops: vec![op] });
        }
    }

    /// Walks over a completion; returns the violation if no configuration is left.
    fn complete(&mut self, op: u32) -> Option<Violation> {
        let slot = self.slot_of[op as usize];
        let KeyOpView { act, .. } = self.view(op);
        let unplaced = self.frontier.iter().any(|config| !config.is_placed(slot));
        if unplaced {
            self.force(op, act, slot);
            if self.next.is_empty() {
                let states = self.reachable_states();
                return Some(Violation { op, states });
            }
            std::mem::swap(&mut self.frontier, &mut self.next);
            self.next.clear();
        }
        for config in &mut self.frontier {
            config.clear(slot);
        }
        self.release(op, act, slot);
        self.masks.prune(&mut self.frontier);
        if self.frontier.len() > self.beam {
            self.cut();
        }
        None
    }

    /// Cuts the frontier down to the beam: those that have used up least, but some of every value.
    fn cut(&mut self) {
        let masks = &self.masks;
        let mut ranked: Vec<(u32, ValueId, usize)> =
            self.frontier.iter().enumerate().map(|(at, config)| (masks.burden(config), config.state, at)).collect();
        ranked.sort_unstable();
        let mut of_value: FxHashMap<ValueId, u32> = FxHashMap::default();
        for entry in &mut ranked {
            let before = of_value.entry(entry.1).or_default();
            // The first of a value compete with the first of another, whatever they have used up.
            entry.0 += 2 * *before;
            *before += 1;
            if *before == 1 {
                entry.0 = 0;
            }
        }
        ranked.sort_unstable();
        self.frontier = ranked.iter().take(self.beam).map(|entry| self.frontier[entry.2]).collect();
        self.was_cut = true;
    }

    /// Fills `next` with the configurations in which the operation that completes now is placed.
    fn force(&mut self, op: u32, act: Act, slot: u32) {
        let goal = InFlight { op, act, slot, ret: self.place };
        let frontier = std::mem::take(&mut self.frontier);
        // Clearing costs as much as the set once held.
        const WORTH_KEEPING: usize = 1 << 12;
        if self.seen.capacity() > WORTH_KEEPING {
            self.seen = FxHashSet::default()
        } else {
            self.seen.clear()
        }
        for &config in &frontier {
            if config.is_placed(slot) {
                self.next.push(config);
                continue;
            }
            if config.is_coverable(slot) {
                let mut covered = config;
                covered.place(slot);
                covered.trace = self.step(config.trace, op, How::Covered);
                self.next.push(covered);
                self.made += 1;
                // Shown instead of covered, it would have to be asked for later.
                if act.produces().is_some_and(|value| self.last_need[value as usize] <= self.place) {
                    continue;
                }
            }
            if self.seen.insert(config) {
                self.stack.push(config);
            }
            self.expand(goal);
            if self.spent().is_some() {
                break;
            }
        }
        self.stack.clear();
        self.frontier = frontier;
    }

    /// Gives back what the completed operation held, and forgets values that nobody asks for any more.
    fn release(&mut self, op: u32, act: Act, slot: u32) {
        let (word, bit) = (slot as usize / SLOTS_PER_WORD, 1_u64 << (2 * (slot as usize % SLOTS_PER_WORD)));
        self.masks.looks[word] &= !bit;
        self.masks.writes[word] &= !bit;
        self.masks.cas[word] &= !bit;
        self.free_slots.push(slot);
        self.looks.retain(|look| look.op != op);
        self.changers.retain(|changer| changer.op != op);
        let asked = match act {
            Act::Read(value) | Act::Cas(value, _) | Act::NotEqual(value) => value,
            Act::Write(_) => return,
        };
        if self.last_need[asked as usize] != self.place {
            return;
        }
        for config in self.frontier.iter_mut().filter(|config| config.state == asked) {
            config.state = DEAD;
        }
        let base = self.masks.counters_from;
        let (frontier, free_counters) = (&mut self.frontier, &mut self.free_counters);
        self.kinds.retain(|kind| {
            let over = kind.act.produces() == Some(asked);
            if over {
                frontier.iter_mut().for_each(|config| config.set_counter(base, kind.counter, 0));
                free_counters.push(kind.counter);
            }
            !over
        });
    }

    fn view(&self, op: u32) -> KeyOpView {
        let op = &self.key.ops[op as usize];
        KeyOpView { act: op.act, ret: op.ret }
    }
}

/// The part of an operation that the walk looks at.
struct KeyOpView {
    act: Act,
    ret: u32,
}
