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

use super::config::{COUNTERS_PER_WORD, Config, DEAD, Masks, SLOTS_PER_WORD};
use super::prepare::{Act, KeyHistory, NEVER, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

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

/// How configurations of a key are laid out.
struct Layout {
    /// Slots for operations in flight.
    slots: usize,
    /// Counters for kinds of `info` operations.
    counters: usize,
    /// By value: place of the last event at which somebody may ask for it; 0 if nobody does.
    last_need: Vec<u32>,
}

impl Layout {
    fn new(key: &KeyHistory, exact_states: bool) -> Self {
        let mut last_need = vec![if exact_states { NEVER } else { 0 }; key.values.len()];
        for op in &key.ops {
            let asked = match op.act {
                Act::Read(value) | Act::Cas(value, _) | Act::NotEqual(value) => value,
                Act::Write(_) => continue,
            };
            last_need[asked as usize] = last_need[asked as usize].max(op.ret);
        }
        // Where inequality is observed, any other value may serve.
        if key.ops.iter().any(|op| matches!(op.act, Act::NotEqual(_))) {
            last_need.fill(NEVER);
        }
        let mut open = 0_usize;
        let mut slots = 0;
        let mut kinds: FxHashMap<Act, u32> = FxHashMap::default();
        let mut moves: Vec<(u32, i32)> = Vec::new();
        for &event in &key.events {
            let op = &key.ops[(event / 2) as usize];
            if op.is_optional() {
                let until = op.act.produces().map_or(0, |value| last_need[value as usize]);
                if until > op.call && kinds.insert(op.act, 0).is_none() {
                    moves.push((op.call, 1));
                    moves.push((until, -1));
                }
            } else if event % 2 == 0 {
                open += 1;
                slots = slots.max(open);
            } else {
                open -= 1;
            }
        }
        moves.sort_unstable();
        let (mut live, mut counters) = (0_i32, 0_i32);
        for (_, step) in moves {
            live += step;
            counters = counters.max(live);
        }
        Self { slots, counters: counters as usize, last_need }
    }

    fn slot_words(&self) -> usize {
        self.slots.div_ceil(SLOTS_PER_WORD)
    }

    fn words(&self) -> usize {
        self.slot_words() + self.counters.div_ceil(COUNTERS_PER_WORD)
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

/// One step on the way to a configuration.
#[derive(Clone, Copy)]
struct Step {
    parent: u32,
    op: u32,
    how: How,
}

/// Where a step puts its operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// At the end.
    Placed,
    /// Nowhere yet: but it may be put here, where it changes nothing.
    Anchored,
    /// Where it was anchored, else just before the last plain write.
    Covered,
}

/// Under a beam: how many configurations one may lead to at one completion before the rest is cut away.
const REACHED_PER_PLACE: usize = 16;

/// Under a beam: how many may be made on the way there.
const MADE_PER_PLACE: u64 = 1_024;

/// No step.
const NO_TRACE: u32 = u32::MAX;

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

    /// Follows everything on the stack until the goal is placed, those that used fewer `info` operations first. Stops early
    /// when the budget is spent or when this configuration has had its share of the beam.
    fn expand(&mut self, goal: InFlight) {
        let (reached_before, made_before) = (self.next.len(), self.made);
        loop {
            let Some(config) = self.stack.pop() else {
                if self.later.is_empty() {
                    return;
                }
                std::mem::swap(&mut self.stack, &mut self.later);
                continue;
            };
            let is_share_used =
                self.next.len() - reached_before >= REACHED_PER_PLACE || self.made - made_before >= MADE_PER_PLACE;
            let is_cut = self.beam != usize::MAX && is_share_used;
            self.was_cut |= is_cut;
            if is_cut || self.made > self.limits.states {
                self.stack.clear();
                self.later.clear();
                return;
            }
            self.place_one_in_flight(config, goal);
            self.place_one_info(config, goal);
        }
    }

    /// Every sensible way to go on with a write or `cas` in flight. Of equal ones only that with the earliest deadline.
    fn place_one_in_flight(&mut self, config: Config<W>, goal: InFlight) {
        let mut tried: [Option<Act>; 8] = [None; 8];
        let mut tries = 0;
        for at in 0..self.changers.len() {
            let entry = self.changers[at];
            if config.is_placed(entry.slot)
                || tried.contains(&Some(entry.act))
                || !self.is_sensible(&config, entry, goal)
            {
                continue;
            }
            tried[tries % tried.len()] = Some(entry.act);
            tries += 1;
            let mut after = config;
            after.place(entry.slot);
            self.apply(&mut after, entry.act, entry.op);
            if self.seen.insert(after) {
                if after.is_placed(goal.slot) { self.next.push(after) } else { self.stack.push(after) }
            }
        }
    }

    /// Every sensible way to go on with an `info` operation: not while an equal one in flight waits to be placed, and no
    /// write where a `cas` that is good for nothing else does the same.
    fn place_one_info(&mut self, config: Config<W>, goal: InFlight) {
        let base = self.masks.counters_from;
        for at in 0..self.kinds.len() {
            let Kind { act, counter, ref ops } = self.kinds[at];
            let used = config.counter(base, counter);
            let Some(&op) = ops.get(used as usize) else { continue };
            let sensible = match act {
                Act::Write(value) => {
                    self.is_write_sensible(&config, value)
                        && (self.has_uncovered_write(&config) || !self.has_info_cas(&config, value))
                }
                Act::Cas(expected, value) => expected == config.state && self.is_asked_for(&config, value),
                Act::Read(_) | Act::NotEqual(_) => false,
            };
            if !sensible || self.changers.iter().any(|other| other.act == act && !config.is_placed(other.slot)) {
                continue;
            }
            if used == u16::MAX {
                self.counter_full = true;
                continue;
            }
            let mut after = config;
            after.set_counter(base, counter, used + 1);
            self.apply(&mut after, act, op);
            if self.seen.insert(after) {
                if after.is_placed(goal.slot) { self.next.push(after) } else { self.later.push(after) }
            }
        }
    }

    /// Whether an `info` `cas` that is left leads from the present value to `value`.
    fn has_info_cas(&self, config: &Config<W>, value: ValueId) -> bool {
        let base = self.masks.counters_from;
        self.kinds.iter().any(|kind| {
            kind.act == Act::Cas(config.state, value)
                && usize::from(config.counter(base, kind.counter)) < kind.ops.len()
        })
    }

    /// Whether placing a write or `cas` in flight before (or as) the goal can lead anywhere.
    fn is_sensible(&self, config: &Config<W>, entry: InFlight, goal: InFlight) -> bool {
        match entry.act {
            Act::Cas(expected, _) => expected == config.state,
            _ if entry.slot == goal.slot => true,
            Act::Write(value) => self.is_write_sensible(config, value),
            Act::Read(_) | Act::NotEqual(_) => false,
        }
    }

    /// A write that changes nothing can still cover others.
    fn is_write_sensible(&self, config: &Config<W>, value: ValueId) -> bool {
        if value == config.state { self.has_uncovered_write(config) } else { self.is_asked_for(config, value) }
    }

    /// Whether a write in flight is neither placed nor coverable.
    fn has_uncovered_write(&self, config: &Config<W>) -> bool {
        let masks = &self.masks;
        (0..masks.counters_from).any(|word| masks.writes[word] & !config.bits[word] & !(config.bits[word] >> 1) != 0)
    }

    /// Whether an operation in flight would make use of this value, if it came now.
    fn is_asked_for(&self, config: &Config<W>, value: ValueId) -> bool {
        value != config.state
            && (self.looks.iter().any(|look| look.act.is_observed_in(value) && !config.is_placed(look.slot))
                || self.changers.iter().any(|other| other.act.needs() == Some(value) && !config.is_placed(other.slot))
                || self.kinds.iter().any(|kind| {
                    kind.act.needs() == Some(value)
                        && usize::from(config.counter(self.masks.counters_from, kind.counter)) < kind.ops.len()
                }))
    }

    /// Puts the value there, and places the looks that were waiting for it.
    fn apply(&mut self, config: &mut Config<W>, act: Act, op: u32) {
        self.made += 1;
        config.trace = self.step(config.trace, op, How::Placed);
        let Some(value) = act.produces() else { return };
        if matches!(act, Act::Write(_)) {
            self.masks.cover_writes(config);
        }
        config.state = self.alive(value);
        for at in 0..self.looks.len() {
            let look = self.looks[at];
            if look.act.is_observed_in(config.state) && !config.is_placed(look.slot) {
                config.place(look.slot);
                config.trace = self.step(config.trace, look.op, How::Placed);
            }
        }
        for at in 0..self.changers.len() {
            let other = self.changers[at];
            let waits = !config.is_placed(other.slot) && !config.is_coverable(other.slot);
            if waits && other.act == Act::Write(config.state) {
                config.cover(other.slot);
                config.trace = self.step(config.trace, other.op, How::Anchored);
            }
        }
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

    /// Values that the register can hold just now, whatever else is placed first.
    fn reachable_states(&mut self) -> Vec<ValueId> {
        let mut seen: FxHashSet<Config<W>> = self.frontier.iter().copied().collect();
        let mut stack = self.frontier.clone();
        const FOLLOWED: usize = 10_000;
        while let Some(config) = stack.pop() {
            if seen.len() > FOLLOWED {
                break;
            }
            for at in 0..self.changers.len() {
                let entry = self.changers[at];
                let enabled = entry.act.needs().is_none_or(|value| value == config.state);
                if enabled && !config.is_placed(entry.slot) {
                    let mut after = config;
                    after.place(entry.slot);
                    after.state = entry.act.produces().map_or(config.state, |value| self.alive(value));
                    if seen.insert(after) {
                        stack.push(after);
                    }
                }
            }
            for kind in &self.kinds {
                let used = config.counter(self.masks.counters_from, kind.counter);
                let enabled = kind.act.needs().is_none_or(|value| value == config.state);
                if enabled && usize::from(used) < kind.ops.len() && used < u16::MAX {
                    let mut after = config;
                    after.set_counter(self.masks.counters_from, kind.counter, used + 1);
                    after.state = kind.act.produces().map_or(config.state, |value| self.alive(value));
                    if seen.insert(after) {
                        stack.push(after);
                    }
                }
            }
        }
        let mut states: Vec<ValueId> = seen.iter().map(|config| config.state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }

    fn view(&self, op: u32) -> KeyOpView {
        let op = &self.key.ops[op as usize];
        KeyOpView { act: op.act, ret: op.ret }
    }

    fn step(&mut self, parent: u32, op: u32, how: How) -> u32 {
        if !self.limits.witness {
            return NO_TRACE;
        }
        self.steps.push(Step { parent, op, how });
        (self.steps.len() - 1) as u32
    }

    /// The order of the first configuration that is left.
    fn witness(&self) -> Vec<u32> {
        let mut path: Vec<Step> = Vec::new();
        let mut at = self.frontier.first().map_or(NO_TRACE, |config| config.trace);
        while at != NO_TRACE {
            let step = self.steps[at as usize];
            path.push(step);
            at = step.parent;
        }
        // Each entry: operations covered by it, and itself (but for an anchor).
        let mut order: Vec<(Vec<u32>, Option<u32>)> = Vec::with_capacity(path.len());
        let mut last_write = None;
        let mut anchors: FxHashMap<u32, usize> = FxHashMap::default();
        for step in path.iter().rev() {
            match step.how {
                How::Covered => {
                    if let Some(at) = anchors.get(&step.op).copied().or(last_write) {
                        let entry: &mut (Vec<u32>, Option<u32>) = &mut order[at];
                        entry.0.push(step.op);
                    }
                }
                How::Anchored => {
                    anchors.insert(step.op, order.len());
                    order.push((Vec::new(), None));
                }
                How::Placed => {
                    if matches!(self.key.ops[step.op as usize].act, Act::Write(_)) {
                        last_write = Some(order.len());
                    }
                    order.push((Vec::new(), Some(step.op)));
                }
            }
        }
        order.into_iter().flat_map(|(covered, op)| covered.into_iter().chain(op)).collect()
    }
}

/// The part of an operation that the walk looks at.
struct KeyOpView {
    act: Act,
    ret: u32,
}
