//! The workloads in a simulated world: what they ask, how often, and that the checkers can judge it.

use fissure_checker::{
    CheckResult, History, Validity, linearizable, list_append,
    op::{Call, Mop, Outcome},
    rw_register,
};
use fissure_suite::{
    KeyDistribution, Kind, Limit, ListAppendOptions, Mix, Rate, RegisterOptions, RwRegisterOptions, Staggered,
    TimeLimit, Values, list_append::ListAppend, register::Register, workload,
};
use fissure_workloads::{
    Generator, Next, Worker,
    simulate::{Options, PerfectStore, Simulation, Store},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SECOND: u64 = 1_000_000_000;
const RATE: Rate = Rate { count: 2000, per_ns: SECOND };

/// Two seconds of the workload on `store`, then its final reads.
fn simulate<S: Store>(kind: &Kind, store: S, options: Options) -> History {
    let mut made = workload(kind, Some(RATE), options.seed);
    let mut simulation = Simulation::new(store, options);
    simulation.run(&mut made.generator, 2 * SECOND);
    let until_ns = simulation.now_ns() + 10 * SECOND;
    simulation.run(&mut made.final_generator, until_ns);
    simulation.into_history().expect("the invariants of a history")
}

fn register(options: RegisterOptions) -> Kind {
    Kind::Register(options)
}

fn check_register(history: &History) -> CheckResult {
    linearizable::check_register(history, &linearizable::Options { threads: 1, ..linearizable::Options::default() })
}

fn check_lists(history: &History) -> CheckResult {
    list_append::check(history, &list_append::Options::default())
}

fn check_txn_registers(history: &History) -> CheckResult {
    rw_register::check(history, &rw_register::Options { linearizable_keys: true, ..rw_register::Options::default() })
}

fn assert_valid(result: &CheckResult) {
    assert_eq!(result.verdict.validity, Validity::Valid, "{:?} {:?}", result.verdict, result.findings);
}

/// A store whose reads are sometimes answered from before the last write of the key.
#[derive(Default)]
struct StaleStore {
    now: PerfectStore,
    before: BTreeMap<i64, Option<i64>>,
    reads: u64,
}

impl Store for StaleStore {
    fn apply(&mut self, node: usize, call: &Call) -> Result<Call, &'static str> {
        match *call {
            Call::Read { key, .. } => {
                self.reads += 1;
                match self.before.get(&key) {
                    Some(old) if self.reads.is_multiple_of(50) => Ok(Call::Read { key, value: Some(*old) }),
                    _ => self.now.apply(node, call),
                }
            }
            Call::Write { key, .. } | Call::Cas { key, .. } => {
                let old = self.now.register(key);
                let result = self.now.apply(node, call)?;
                self.before.insert(key, old);
                Ok(result)
            }
            _ => self.now.apply(node, call),
        }
    }
}

/// A store that forgets an append now and then, after having acknowledged it.
#[derive(Default)]
struct ForgetfulStore {
    inner: PerfectStore,
    txns: u64,
}

impl Store for ForgetfulStore {
    fn apply(&mut self, node: usize, call: &Call) -> Result<Call, &'static str> {
        self.txns += 1;
        if !self.txns.is_multiple_of(100) {
            return self.inner.apply(node, call);
        }
        let before = self.inner.clone();
        let result = self.inner.apply(node, call);
        self.inner = before;
        result
    }
}

#[test]
fn a_perfect_store_is_linearizable_whatever_is_written() {
    for values in [Values::Unique, Values::Small(5)] {
        for (fail_ppm, info_ppm) in [(0, 0), (50_000, 0), (20_000, 5_000)] {
            for seed in 0..3 {
                let kind = register(RegisterOptions { values, keys: 4, ..RegisterOptions::default() });
                let options = Options { seed, fail_ppm, info_ppm, ..Options::default() };
                let result = check_register(&simulate(&kind, PerfectStore::default(), options));
                assert_valid(&result);
                assert!(result.reads_checked > 500, "{}", result.evidence);
            }
        }
    }
}

#[test]
fn stale_reads_are_found() {
    for values in [Values::Unique, Values::Small(5)] {
        for seed in 0..3 {
            let kind = register(RegisterOptions { values, keys: 4, ..RegisterOptions::default() });
            let options = Options { seed, info_ppm: 2_000, ..Options::default() };
            let result = check_register(&simulate(&kind, StaleStore::default(), options));
            assert!(result.is_invalid(), "{values:?}: {:?}", result.verdict);
            if values == Values::Unique {
                // Stale reads of keys under compare-and-set may also show as values that fit no order.
                assert!(result.anomaly_types.contains("stale-read"), "{:?}", result.anomaly_types);
                let named = |name: &String| ["stale-read", "nonlinearizable"].contains(&name.as_str());
                assert!(result.anomaly_types.iter().all(named), "{:?}", result.anomaly_types);
            }
        }
    }
}

#[test]
fn a_perfect_store_is_strict_serializable() {
    for key_distribution in [KeyDistribution::Exponential, KeyDistribution::Uniform] {
        for (fail_ppm, info_ppm) in [(0, 0), (20_000, 5_000)] {
            let kind = Kind::ListAppend(ListAppendOptions { key_distribution, ..ListAppendOptions::default() });
            let options = Options { fail_ppm, info_ppm, ..Options::default() };
            let result = check_lists(&simulate(&kind, PerfectStore::default(), options));
            assert_valid(&result);
            assert!(result.reads_checked > 500, "{}", result.evidence);
        }
    }
}

#[test]
fn registers_of_a_perfect_store_are_strict_serializable_and_forgotten_writes_are_found() {
    let kind = Kind::RwRegister(RwRegisterOptions::default());
    for (fail_ppm, info_ppm) in [(0, 0), (20_000, 5_000)] {
        let result = check_txn_registers(&simulate(
            &kind,
            PerfectStore::default(),
            Options { fail_ppm, info_ppm, ..Options::default() },
        ));
        assert_valid(&result);
        assert!(result.reads_checked > 500, "{}", result.evidence);
    }
    let result = check_txn_registers(&simulate(&kind, ForgetfulStore::default(), Options::default()));
    assert!(result.is_invalid(), "{:?}", result.verdict);
}

#[test]
fn forgotten_appends_are_found() {
    let kind = Kind::ListAppend(ListAppendOptions::default());
    let result = check_lists(&simulate(&kind, ForgetfulStore::default(), Options::default()));
    assert!(result.is_invalid(), "{:?}", result.verdict);
}

#[test]
fn every_key_is_read_at_the_end() {
    let lossy = Options { fail_ppm: 20_000, info_ppm: 5_000, ..Options::default() };
    for (kind, name) in [
        (register(RegisterOptions { ops_per_key: 50, ..RegisterOptions::default() }), "register"),
        (Kind::ListAppend(ListAppendOptions { max_writes_per_key: 20, ..ListAppendOptions::default() }), "list-append"),
        (Kind::RwRegister(RwRegisterOptions { max_writes_per_key: 20, ..RwRegisterOptions::default() }), "rw-register"),
    ] {
        let mut made = workload(&kind, Some(RATE), 1);
        let mut simulation = Simulation::new(PerfectStore::default(), lossy.clone());
        simulation.run(&mut made.generator, SECOND);
        let main = simulation.operations();
        let until_ns = simulation.now_ns() + 10 * SECOND;
        simulation.run(&mut made.final_generator, until_ns);
        let history = simulation.into_history().expect("history");
        let (before, after) = history.ops().split_at(main);
        let used: BTreeSet<i64> = before.iter().flat_map(|op| keys(&op.call)).collect();
        let read: BTreeSet<i64> =
            after.iter().filter(|op| op.outcome == Outcome::Ok).flat_map(|op| keys(&op.call)).collect();
        assert!(used.len() > 20, "{name}: {} keys", used.len());
        assert_eq!(used.difference(&read).next(), None, "{name}");
        let writes_something = |call: &Call| match call {
            Call::Txn(mops) => mops.iter().any(|mop| matches!(mop, Mop::Append { .. } | Mop::Write { .. })),
            call => ["write", "cas"].contains(&call.f()),
        };
        let writes = after.iter().filter(|op| writes_something(&op.call)).count();
        assert_eq!(writes, 0, "{name}: the end only reads");
        assert!(after.len() < 2 * read.len(), "{name}: reads are repeated only if they failed");
    }
}

fn keys(call: &Call) -> Vec<i64> {
    match call {
        Call::Txn(mops) => mops.iter().filter_map(Mop::key).collect(),
        single => single.key().into_iter().collect(),
    }
}

#[test]
fn a_final_read_that_never_works_ends() {
    let options = Options { fail_ppm: 1_000_000, ..Options::default() };
    let mut made = workload(&register(RegisterOptions::default()), None, 1);
    let mut simulation = Simulation::new(PerfectStore::default(), options);
    simulation.run(&mut Asked(&mut made.generator, 100), u64::MAX);
    let main = simulation.operations();
    simulation.run(&mut made.final_generator, u64::MAX);
    assert_eq!(simulation.operations() - main, 10 * 3, "three attempts for each of ten keys");
}

/// The first so many operations of a boxed generator.
struct Asked<'g>(&'g mut Box<dyn Generator>, u64);

impl Generator for Asked<'_> {
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next {
        if self.1 == 0 {
            return Next::Done;
        }
        self.1 -= 1;
        self.0.next(worker, now_ns)
    }
}

#[test]
fn written_values_are_unique_per_key() {
    let options = Options { info_ppm: 20_000, ..Options::default() };
    let registers = simulate(&register(RegisterOptions::default()), PerfectStore::default(), options.clone());
    let mut written = BTreeSet::new();
    for op in registers.ops() {
        if let Call::Write { key, value } | Call::Cas { key, value, .. } = op.call {
            assert!(written.insert((key, value)), "{value} written twice to {key}");
        }
    }
    let lists = Kind::ListAppend(ListAppendOptions::default());
    let registers = Kind::RwRegister(RwRegisterOptions::default());
    for (kind, is_list) in [(lists, true), (registers, false)] {
        let history = simulate(&kind, PerfectStore::default(), options.clone());
        let mut written: BTreeMap<i64, i64> = BTreeMap::new();
        for op in history.ops() {
            let Call::Txn(mops) = &op.call else { panic!("not a transaction") };
            for mop in mops {
                assert_eq!(is_list, matches!(mop, Mop::Append { .. } | Mop::ReadList { .. }), "{mop:?}");
                if let Mop::Append { key, value } | Mop::Write { key, value } = mop {
                    let last = written.insert(*key, *value).unwrap_or(0);
                    assert_eq!(*value, last + 1, "values of key {key} count up in the order of asking");
                }
            }
        }
        assert!(written.len() > 20 && written.values().all(|count| *count <= 64), "a key is retired after 64 writes");
    }
}

#[test]
fn the_mix_is_what_was_asked_for() {
    let mix = Mix { read: 5, write: 3, cas: 2 };
    let generator = Register::new(RegisterOptions { mix, ..RegisterOptions::default() }, 3);
    let mut simulation = Simulation::new(PerfectStore::default(), Options::default());
    simulation.run(&mut Limit::new(generator, 20_000), u64::MAX);
    let history = simulation.into_history().expect("history");
    let share = |f: &str| history.ops().iter().filter(|op| op.call.f() == f).count() as f64 / 20_000.0;
    // A key begins with a write where a compare-and-set has nothing to expect: a little more writes, a little less cas.
    assert!((share("read") - 0.5).abs() < 0.02, "{}", share("read"));
    assert!((share("write") - 0.3).abs() < 0.03, "{}", share("write"));
    assert!((share("cas") - 0.2).abs() < 0.03, "{}", share("cas"));
    let done = history.ops().iter().filter(|op| op.call.f() == "cas" && op.outcome == Outcome::Ok).count();
    assert!(done > 400, "only {done} compare-and-sets took effect: they test nothing");
}

#[test]
fn reads_only_is_possible() {
    let mut generator =
        Register::new(RegisterOptions { mix: Mix { read: 1, write: 0, cas: 0 }, ..Default::default() }, 1);
    let worker = Worker { process: 0, thread: 0, concurrency: 1, node: 0 };
    assert!((0..100).all(|_| matches!(generator.next(worker, 0), Next::Call(Call::Read { .. }))));
}

#[test]
fn groups_of_workers_have_keys_of_their_own() {
    let options = RegisterOptions { keys: 7, ops_per_key: 10, group_size: 6, ..RegisterOptions::default() };
    let mut generator = Register::new(options, 1);
    let mut groups: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for turn in 0..20_000_usize {
        let worker = Worker { process: 0, thread: turn % 15, concurrency: 15, node: turn % 3 };
        let Next::Call(call) = generator.next(worker, 0) else { panic!("always has something to do") };
        groups.entry(call.key().expect("a key")).or_default().insert(worker.thread / 6);
    }
    assert!(groups.len() > 1000, "keys are retired");
    assert!(groups.values().all(|groups| groups.len() == 1));
    assert_eq!(groups.values().flatten().collect::<BTreeSet<_>>().len(), 3, "all groups have keys");
}

#[test]
fn hot_keys_are_twice_as_hot() {
    let options = ListAppendOptions { max_writes_per_key: u64::MAX, keys: 4, ..ListAppendOptions::default() };
    let mut generator = ListAppend::new(options, 1);
    let worker = Worker { process: 0, thread: 0, concurrency: 1, node: 0 };
    let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
    let mut lengths = BTreeSet::new();
    for _ in 0..20_000 {
        let Next::Call(Call::Txn(mops)) = generator.next(worker, 0) else { panic!("a transaction") };
        lengths.insert(mops.len());
        for mop in mops {
            *counts.entry(mop.key().unwrap()).or_default() += 1.0;
        }
    }
    assert_eq!(lengths, BTreeSet::from([1, 2, 3, 4]));
    for key in 0..3 {
        let ratio = counts[&(key + 1)] / counts[&key];
        assert!((1.8..2.2).contains(&ratio), "key {key}: {ratio}");
    }
}

/// Counts how often it is asked.
struct Counted {
    asked: u64,
}

impl Generator for Counted {
    fn next(&mut self, _worker: Worker, _now_ns: u64) -> Next {
        self.asked += 1;
        Next::Call(Call::Read { key: 0, value: None })
    }
}

#[test]
fn the_rate_is_kept_without_a_flood_after_a_stall() {
    for concurrency in [1, 7, 200] {
        let rate = Rate { count: 1000, per_ns: SECOND };
        let mut generator = TimeLimit::new(Staggered::new(Counted { asked: 0 }, rate, 5), 10 * SECOND);
        let options = Options { concurrency, latency_ns_max: 200_000, ..Options::default() };
        let mut simulation = Simulation::new(PerfectStore::default(), options);
        simulation.run(&mut generator, u64::MAX);
        let history = simulation.into_history().expect("history");
        assert!((9_600..10_400).contains(&history.len()), "{concurrency} workers: {} operations", history.len());
        let mut per_second = BTreeMap::new();
        for op in history.ops() {
            *per_second.entry(op.invoke_ns / SECOND as i64).or_insert(0) += 1;
        }
        assert!(per_second.values().all(|count| (900..1100).contains(count)), "{per_second:?}");
    }
    let mut generator = Staggered::new(Counted { asked: 0 }, Rate { count: 1000, per_ns: SECOND }, 5);
    let worker = |thread| Worker { process: 0, thread, concurrency: 100, node: 0 };
    assert!(matches!(generator.next(worker(0), 0), Next::Call(_)));
    let flood = (0..100).filter(|thread| matches!(generator.next(worker(*thread), 10 * SECOND), Next::Call(_))).count();
    assert!((2..20).contains(&flood), "{flood} operations at once after a stall of ten seconds");
}

#[test]
fn a_waiting_worker_is_not_asked_in_vain() {
    let mut generator = Staggered::new(Counted { asked: 0 }, Rate { count: 100, per_ns: SECOND }, 1);
    let mut turns = 0;
    for thread in 0..1000 {
        let worker = Worker { process: 0, thread, concurrency: 1000, node: 0 };
        if let Next::Wait { until_ns } = generator.next(worker, 0) {
            assert!(matches!(generator.next(worker, until_ns), Next::Call(_)), "its turn has come");
            turns += 1;
        }
    }
    assert!(turns > 990);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_same_seed_asks_the_same(seed: u64, lists: bool) {
        let kind = if lists { Kind::ListAppend(ListAppendOptions::default()) } else { register(RegisterOptions::default()) };
        let options = Options { seed, info_ppm: 10_000, fail_ppm: 10_000, ..Options::default() };
        let first = simulate(&kind, PerfectStore::default(), options.clone());
        let again = simulate(&kind, PerfectStore::default(), options.clone());
        prop_assert_eq!(&first, &again);
        let other = simulate(&kind, PerfectStore::default(), Options { seed: seed ^ 1, ..options });
        prop_assert_ne!(&first, &other);
    }

    #[test]
    fn extreme_options_do_not_panic(
        seed: u64, keys in 0_usize..100, ops_per_key in 0_u64..4, count in 0_u64..3, group_size in 0_usize..5,
        min in 0_usize..4, max in 0_usize..4,
    ) {
        let mut register = Register::new(
            RegisterOptions { keys, ops_per_key, values: Values::Small(count), group_size, ..RegisterOptions::default() }, seed,
        );
        let lists = ListAppendOptions { keys, max_writes_per_key: ops_per_key, txn_length_min: min, txn_length_max: max,
            key_distribution: KeyDistribution::Exponential };
        let mut lists = ListAppend::new(lists, seed);
        for thread in 0..100 {
            let worker = Worker { process: 0, thread: thread % 9, concurrency: 9, node: 0 };
            prop_assert!(matches!(register.next(worker, 0), Next::Call(_)));
            let Next::Call(Call::Txn(mops)) = lists.next(worker, 0) else { panic!("a transaction") };
            prop_assert!(!mops.is_empty());
        }
    }
}
