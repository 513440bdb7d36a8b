//! Histories made of arbitrary bytes: whatever they hold, the checkers of transactions answer, the same every time, and
//! what they answer fits together.

use fissure_checker::consistency::{Model, boundary};
use fissure_checker::{Call, CheckResult, History, Mop, Names, Operation, Outcome, Validity};
use fissure_checker::{closed_predicate, list_append, rw_register};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes as a source of choices; zeros after the last one.
struct Bytes<'b>(std::slice::Iter<'b, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// A number below `sides`.
    fn below(&mut self, sides: u8) -> u8 {
        self.next() % sides
    }

    /// Mostly small, sometimes as far away as can be.
    fn number(&mut self) -> i64 {
        match self.next() {
            250 => i64::MIN,
            251 => i64::MAX,
            252 => -1,
            253 => i64::MIN + 1,
            254 => 1 << 62,
            255 => fissure_checker::names::NAMES_LAST,
            small => i64::from(small % 6),
        }
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.below(8) == 0 { None } else { Some(one(self)) }
    }
}

/// What the histories are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    Lists,
    Registers,
    Objects,
    Anything,
}

/// What decides how wild a history is.
struct Maker<'b> {
    bytes: Bytes<'b>,
    family: Family,
    /// Whether values are written once, so that checkers go on and judge.
    unique: bool,
    next_value: i64,
    predicates: Vec<i64>,
}

impl Maker<'_> {
    fn written(&mut self) -> i64 {
        self.next_value += 1;
        if self.unique { self.next_value } else { self.bytes.number() }
    }

    /// A value that may have been written, or will be.
    fn seen(&mut self) -> i64 {
        let last = self.next_value.clamp(1, 250) as u8;
        if self.bytes.below(16) == 0 { self.bytes.number() } else { i64::from(1 + self.bytes.below(last)) }
    }

    fn mop(&mut self) -> Mop {
        let key = self.bytes.number();
        let kind = match self.family {
            Family::Lists => self.bytes.below(2),
            Family::Registers => 2 + self.bytes.below(2),
            Family::Objects => 2 + self.bytes.below(5),
            Family::Anything => self.bytes.below(9),
        };
        match kind {
            0 => Mop::Append { key, value: self.written() },
            1 => {
                let length = self.bytes.below(6);
                let list = (0..length).map(|_| self.seen()).collect();
                Mop::ReadList { key, list: self.bytes.maybe(|_| list) }
            }
            2 => Mop::Write { key, value: self.written() },
            3 => {
                let value = self.seen();
                let value = self.bytes.maybe(|_| value);
                Mop::Read { key, value: self.bytes.maybe(|_| value) }
            }
            4 => Mop::Insert { key, value: self.written() },
            5 => Mop::Delete { key },
            6 => {
                let count = self.bytes.below(4);
                let matched = (0..count).map(|_| (self.bytes.number(), self.seen())).collect();
                let which = self.bytes.below(self.predicates.len() as u8);
                let predicate = self.predicates[which as usize];
                Mop::ReadPredicate { predicate, matched: self.bytes.maybe(|_| matched) }
            }
            7 => Mop::Send { key, value: self.bytes.number(), offset: None },
            _ => Mop::Poll { records: None },
        }
    }

    fn call(&mut self) -> Call {
        if self.family == Family::Anything && self.bytes.below(8) == 0 {
            return Call::Write { key: self.bytes.number(), value: self.bytes.number() };
        }
        let count = self.bytes.below(6);
        Call::Txn((0..count).map(|_| self.mop()).collect())
    }
}

const PREDICATES: [&str; 7] =
    [":true", "[:= 3]", "[:mod 2 1]", "[:mod -9223372036854775808 0]", "[:= :name]", "[:mod 0 1]", "nonsense"];

/// The history that bytes describe; `None` where it breaks an invariant.
fn history(bytes: &[u8]) -> Option<History> {
    let mut names = Names::default();
    let known = if bytes.first().is_some_and(|byte| byte % 8 == 0) { 7 } else { 5 };
    let predicates = PREDICATES[..known].iter().map(|text| names.number(text)).collect();
    let mut bytes = Bytes(bytes.iter());
    bytes.next();
    let family = match bytes.below(8) {
        0..=2 => Family::Lists,
        3..=5 => Family::Registers,
        6 => Family::Objects,
        _ => Family::Anything,
    };
    let unique = bytes.below(8) > 0;
    let real_time = bytes.below(4) > 0;
    // Places in the order of events: near zero, or as late as there are any.
    let origin: u64 = if bytes.below(8) == 0 { u64::MAX - 5_000_000 } else { 0 };
    let ns: i64 = if bytes.below(8) == 0 { i64::MAX - 5_000_000 } else { i64::from(bytes.next()) };
    // Clocks that say anything.
    let is_wild = bytes.below(16) == 0;
    let mut maker = Maker { bytes, family, unique, next_value: 0, predicates };
    let mut ops = Vec::new();
    let mut place = 0;
    while maker.bytes.0.len() > 0 && ops.len() < 300 {
        let outcome = [Outcome::Fail, Outcome::Info, Outcome::Info];
        let outcome = outcome.get(maker.bytes.below(16) as usize).copied().unwrap_or(Outcome::Ok);
        place += 2 + 2 * u64::from(maker.bytes.below(3));
        let lasts = 1 + 2 * u64::from(maker.bytes.below(if outcome == Outcome::Ok { 12 } else { 60 }));
        let told = outcome != Outcome::Info || maker.bytes.below(2) == 0;
        let process = maker.bytes.below(8);
        // Completions are odd, and none of them is shared.
        let end = (place + lasts) * 512 + ops.len() as u64;
        let (begun, ended) = (ns.wrapping_add(place as i64), ns.wrapping_add(end as i64));
        let times = if is_wild { (maker.bytes.number(), maker.bytes.number()) } else { (begun, ended) };
        let fresh = i64::from(process) * 1_000 + ops.len() as i64;
        ops.push(Operation {
            op_id: 0,
            process: if process == 0 { maker.bytes.number() } else { fresh },
            node: None,
            call: maker.call(),
            invoke_seq: origin + place * 512,
            complete_seq: told.then_some(origin + end),
            invoke_ns: times.0,
            complete_ns: told.then_some(times.1),
            outcome,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        });
    }
    Some(History::new(ops).ok()?.with_names(Arc::new(names)).with_real_time_order(real_time))
}

/// What any answer must be, whatever was asked.
fn assert_fits_together(history: &History, result: &CheckResult, model: Model) -> Result<(), TestCaseError> {
    let proscribed = model.proscribed();
    let broken = result.anomaly_types.iter().any(|name| proscribed.contains(name.as_str()));
    prop_assert_eq!(result.is_invalid(), broken, "{:?} {:?}", result.verdict, &result.anomaly_types);
    prop_assert!(result.verdict.validity != Validity::Valid || result.verdict.reasons.is_empty());
    prop_assert!(result.verdict.validity != Validity::Unknown || !result.verdict.reasons.is_empty());
    let (not, also_not) = boundary(result.anomaly_types.iter().map(String::as_str));
    prop_assert_eq!(not, result.not.iter().map(String::as_str).collect::<BTreeSet<_>>());
    prop_assert_eq!(also_not, result.also_not.iter().map(String::as_str).collect::<BTreeSet<_>>());
    for name in &result.anomaly_types {
        prop_assert!(result.findings.iter().any(|finding| finding.anomaly == *name), "{} is not told", name);
    }
    for finding in &result.findings {
        prop_assert!(result.anomaly_types.contains(&finding.anomaly));
        prop_assert!(finding.ops.iter().all(|op| (*op as usize) < history.len()), "{:?}", finding);
        for (place, edge) in finding.cycle.iter().enumerate() {
            prop_assert_eq!(edge.from, finding.ops[place]);
            prop_assert_eq!(edge.to, finding.ops[(place + 1) % finding.ops.len()]);
        }
    }
    for level in &result.levels {
        let (told, asked) = (level.validity, result.verdict.validity);
        let is_doubt = told == Validity::Unknown || asked == Validity::Unknown;
        prop_assert!(level.model != model || told == asked || is_doubt, "{}: {:?} and {:?}", model, told, asked);
    }
    Ok(())
}

fn each_checker(bytes: &[u8], model: Model, flags: u8) -> Result<Option<Vec<CheckResult>>, TestCaseError> {
    let Some(history) = history(bytes) else { return Ok(None) };
    let findings_per_anomaly = usize::from(flags % 4);
    let most = if findings_per_anomaly == 0 { 16 } else { findings_per_anomaly };
    let registers = rw_register::Options {
        model,
        wfr_keys: flags & 4 > 0,
        sequential_keys: flags & 8 > 0,
        linearizable_keys: flags & 16 > 0,
        transaction_order: (flags & 32 > 0).then(|| (0..40).map(|op| (op, (op as i64 * 7) % 11 - 3)).collect()),
        findings_per_anomaly: most,
        solver_steps_max: if flags & 64 > 0 { 3 } else { 100_000 },
    };
    let lists = list_append::Options { model, findings_per_anomaly: most };
    let objects = closed_predicate::Options { model, findings_per_anomaly: most };
    let results = vec![
        list_append::check(&history, &lists),
        rw_register::check(&history, &registers),
        closed_predicate::check(&history, &objects),
    ];
    for result in &results {
        assert_fits_together(&history, result, model)?;
    }
    prop_assert_eq!(&results[1], &rw_register::check(&history, &registers));
    Ok(Some(results))
}

fn model(number: usize) -> Model {
    let count = Model::all().count();
    Model::all().nth(number % count).unwrap_or(Model::STRICT_SERIALIZABLE)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_answered(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_500),
        number in any::<usize>(),
        flags in any::<u8>(),
    ) {
        each_checker(&bytes, model(number), flags)?;
    }

    #[test]
    fn few_bytes_are_answered(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        number in any::<usize>(),
        flags in any::<u8>(),
    ) {
        each_checker(&bytes, model(number), flags)?;
    }
}

/// Most bytes make a history that is judged and not refused, of each family, and with anomalies of many kinds.
#[test]
fn the_bytes_reach_the_checkers() {
    let (mut histories, mut judged, mut names) = (0, [0; 3], BTreeSet::new());
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..1_000 {
        let bytes: Vec<u8> = (0..round % 400).map(|_| byte()).collect();
        let Some(results) = each_checker(&bytes, model(round), byte()).expect("answers fit together") else { continue };
        histories += 1;
        for (result, judged) in results.into_iter().zip(&mut judged) {
            *judged += usize::from(!result.levels.is_empty());
            names.extend(result.anomaly_types);
        }
    }
    assert!(histories > 700, "{histories}");
    assert!(judged.iter().all(|count| *count > 60), "{judged:?}");
    assert!(names.len() > 25, "{names:?}");
}
