//! Which checkers judge a history, and with which options.
//!
//! A history is taken apart by what its operations are about; every part has its own checker, and what no checker
//! understands is said. A flag or a scenario may name the checker instead.

use crate::args::WorkloadName;
use crate::exit::Failure;
use crate::transaction_order::TransactionOrder;
use fissure_checker::consistency::{Model, implied_anomalies};
use fissure_checker::{
    Call, CheckResult, History, Mop, Operation, Reason, Validity, Verdict, closed_predicate, linearizable, list_append,
    rw_register,
};
use fissure_history::check;
use fissure_plan::{Plan, WorkloadKind};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What is relied on about the versions of a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assumptions {
    /// A transaction that read one version of a key and wrote another made it from the first.
    pub(crate) wfr_keys: bool,
    /// Each key by itself is sequentially consistent.
    pub(crate) sequential_keys: bool,
    /// Each key by itself is linearizable.
    pub(crate) linearizable_keys: bool,
}

/// How to judge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judging {
    /// The only checker to ask; those that the operations call for otherwise.
    pub(crate) workload: Option<WorkloadName>,
    /// Model of the transactions, unless [`models`](Self::models) has one for their workload.
    pub(crate) model: Option<Model>,
    /// Models by workload.
    pub(crate) models: BTreeMap<&'static str, Model>,
    /// Workloads that there should be operations of.
    pub(crate) expected: BTreeSet<&'static str>,
    /// For single registers.
    pub(crate) registers: linearizable::Options,
    /// For transactions over registers.
    pub(crate) assumptions: Assumptions,
    /// For transactions over registers.
    pub(crate) transaction_order: Option<TransactionOrder>,
    /// Anomalies that fail whatever the model permits.
    pub(crate) anomalies: BTreeSet<String>,
}

impl Judging {
    /// As a scenario wants it.
    pub(crate) fn of_plan(plan: Option<&Plan>) -> Self {
        let mut judging = Self::default();
        for workload in plan.map(|plan| plan.workloads.as_slice()).unwrap_or_default() {
            let name = workload.kind.name();
            judging.expected.insert(name);
            if let Ok(model) = Model::parse(&workload.model) {
                judging.models.entry(name).or_insert(model);
            }
            if let WorkloadKind::RwRegister(registers) = &workload.kind {
                let assumed = &mut judging.assumptions;
                assumed.wfr_keys |= registers.wfr_keys;
                assumed.sequential_keys |= registers.sequential_keys;
                assumed.linearizable_keys |= registers.linearizable_keys;
            }
        }
        judging
    }

    fn model(&self, workload: WorkloadName) -> Model {
        self.models.get(workload.name()).copied().or(self.model).unwrap_or(Model::STRICT_SERIALIZABLE)
    }

    /// Judges a history: one result for each of its parts, at least one.
    ///
    /// # Errors
    /// When a flag means nothing to this history.
    pub(crate) fn judge(&self, history: &History) -> Result<Vec<CheckResult>, Failure> {
        let parts = Parts::of(history, self.workload);
        let has_registers = parts.of.iter().any(|(workload, _)| *workload == WorkloadName::RwRegister);
        if !has_registers && let Some(flag) = self.flag_of_registers() {
            let error = anyhow::anyhow!("{flag} is about transactions over registers, and there are none");
            return Err(Failure::usage(error).help("leave it out, or name the checker with --workload rw-register"));
        }
        let order = match &self.transaction_order {
            Some(order) => Some(order.of(history)?),
            None => None,
        };
        let expected = |workload: &WorkloadName| self.expected.contains(workload.name()) && self.workload.is_none();
        let mut results = Vec::new();
        let missing = history.ops().iter().filter(|op| is_text_txn(&op.call)).count();
        for workload in WorkloadName::ALL {
            let part = parts.of.iter().find(|(known, _)| *known == workload).map(|(_, part)| part);
            match part {
                Some(part) => {
                    let result = self.check(workload, part, order.as_deref());
                    let is_whole = missing == 0 || workload == WorkloadName::Register;
                    results.push(if is_whole { result } else { without_some(result, missing) });
                }
                None if expected(&workload) => results.push(self.check(workload, &History::default(), None)),
                None => {}
            }
        }
        results.extend(parts.unchecked);
        if results.is_empty() {
            let reason = Reason::new("NOTHING_CHECKED", "the history has no operations");
            results.push(CheckResult::unknown("none", self.model.map_or("none", Model::name), reason));
        }
        Ok(results)
    }

    /// The checker of one result, for smaller histories.
    pub(crate) fn again<'a>(&'a self, result: &CheckResult) -> impl Fn(&History) -> CheckResult + 'a {
        let workload = WorkloadName::ALL.into_iter().find(|workload| workload.checker() == result.checker);
        move |history| {
            let Some(workload) = workload else {
                let reason = Reason::new("NO_CHECKER", "no checker is known by this name");
                return CheckResult::unknown("none", "none", reason);
            };
            // The order names operations that a smaller history may not have.
            let order = self.transaction_order.as_ref().map(|order| order.of_some(history));
            self.check(workload, history, order.as_deref())
        }
    }

    fn flag_of_registers(&self) -> Option<&'static str> {
        let Assumptions { wfr_keys, sequential_keys, linearizable_keys } = self.assumptions;
        let flags = [
            ("--wfr-keys", wfr_keys),
            ("--sequential-keys", sequential_keys),
            ("--linearizable-keys", linearizable_keys),
            ("--transaction-order", self.transaction_order.is_some()),
        ];
        // A scenario may assume what its history then has no use for.
        let asked = self.expected.is_empty();
        flags.into_iter().find(|(_, given)| *given && asked).map(|(flag, _)| flag)
    }

    /// Asks one checker; a panic of it is a doubt, never a pass.
    fn check(&self, workload: WorkloadName, history: &History, order: Option<&[(u64, i64)]>) -> CheckResult {
        let model = self.model(workload);
        let result = match workload {
            WorkloadName::Register => {
                guarded(workload.checker(), "linearizable", || linearizable::check_register(history, &self.registers))
            }
            WorkloadName::ListAppend => {
                guarded(workload.checker(), model.name(), || list_append::check(history, &self.list_options()))
            }
            WorkloadName::RwRegister => {
                guarded(workload.checker(), model.name(), || rw_register::check(history, &self.register_options(order)))
            }
            WorkloadName::ClosedPredicate => guarded(workload.checker(), model.name(), || {
                closed_predicate::check(history, &closed_predicate::Options { model, ..Default::default() })
            }),
        };
        self.with_anomalies(result)
    }

    /// The result, invalid if it has one of the anomalies that were named.
    pub(crate) fn with_anomalies(&self, mut result: CheckResult) -> CheckResult {
        if !self.anomalies.is_disjoint(&result.anomaly_types) {
            result.verdict.validity = Validity::Invalid;
        }
        result
    }

    /// What is asked of checkers that read sealed columns themselves.
    pub(crate) fn column_options(&self) -> check::Options {
        let asked = |workload: WorkloadName| self.workload.is_none_or(|wanted| wanted == workload);
        // Flags of registers are an error elsewhere, and an order of transactions names operations.
        let lists = asked(WorkloadName::ListAppend) && self.flag_of_registers().is_none();
        let registers = asked(WorkloadName::RwRegister) && self.transaction_order.is_none();
        check::Options {
            lists: lists.then(|| self.list_options()),
            registers: registers.then(|| self.register_options(None)),
            ..check::Options::default()
        }
    }

    fn list_options(&self) -> list_append::Options {
        list_append::Options { model: self.model(WorkloadName::ListAppend), ..Default::default() }
    }

    fn register_options(&self, order: Option<&[(u64, i64)]>) -> rw_register::Options {
        let Assumptions { wfr_keys, sequential_keys, linearizable_keys } = self.assumptions;
        rw_register::Options {
            model: self.model(WorkloadName::RwRegister),
            wfr_keys,
            sequential_keys,
            linearizable_keys,
            transaction_order: order.map(<[_]>::to_vec),
            ..Default::default()
        }
    }
}

/// Names of anomalies, separated by commas; a name that is of none is refused.
///
/// # Errors
/// With the name.
pub(crate) fn anomalies(text: &str) -> Result<BTreeSet<String>, Failure> {
    let names = text.split([',', ' ']).map(|name| name.trim().trim_start_matches(':')).filter(|name| !name.is_empty());
    let known =
        |name: &str| match implied_anomalies(name).is_empty() {
            false => Ok(name.to_owned()),
            true => Err(Failure::usage(anyhow::anyhow!("`{name}` is no anomaly"))
                .help("such as G1c, G-single-item, lost-update")),
        };
    names.map(known).collect()
}

fn guarded(checker: &str, model: &str, check: impl FnOnce() -> CheckResult) -> CheckResult {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it ended without a word".to_owned());
        CheckResult::unknown(checker, model, Reason::new("CHECKER_FAILED", format!("the checker failed: {text}")))
    })
}

/// Whether an operation is a transaction that is kept as text, since some of what it does is not understood.
fn is_text_txn(call: &Call) -> bool {
    !matches!(call, Call::Txn(_)) && call.f() == "txn"
}

/// What may be said of transactions among which some are missing: these may have written what others read, or have come
/// between, so that nothing that was found is certain, and no absence of it either.
fn without_some(mut result: CheckResult, missing: usize) -> CheckResult {
    let text = format!(
        "{missing} transactions are not understood and may have written what others read: what is told of the others is \
         no more than a hint; mend these transactions, or leave what they do not need out of them"
    );
    for level in &mut result.levels {
        (level.validity, level.witness) = (Validity::Unknown, None);
        level.assumed = vec!["some transactions are not understood".to_owned()];
    }
    result.not.clear();
    result.also_not.clear();
    result.verdict = Verdict::unknown(Reason::new("TRANSACTIONS_MISSING", text));
    result
}

/// A history taken apart by what can judge it.
struct Parts<'h> {
    /// Borrowed where it is the whole.
    of: Vec<(WorkloadName, Cow<'h, History>)>,
    /// What is said of the operations that no checker understands; `None` if there are none.
    unchecked: Option<CheckResult>,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Register,
    Lists,
    /// Writes and reads of registers, which predicates may read as well.
    Registers,
    Predicates,
    /// A transaction that does nothing: it belongs to whatever the others are about.
    Nothing,
    Other,
}

impl About {
    fn of(call: &Call) -> About {
        match call {
            Call::Read { .. } | Call::Write { .. } | Call::Cas { .. } => About::Register,
            Call::Txn(mops) if mops.is_empty() => About::Nothing,
            Call::Txn(mops) if mops.iter().all(|mop| matches!(mop, Mop::Append { .. } | Mop::ReadList { .. })) => {
                About::Lists
            }
            Call::Txn(mops) if mops.iter().all(|mop| matches!(mop, Mop::Write { .. } | Mop::Read { .. })) => {
                About::Registers
            }
            Call::Txn(mops) if mops.iter().all(|mop| ["registers", "predicates"].contains(&kind(mop))) => {
                About::Predicates
            }
            _ => About::Other,
        }
    }
}

impl<'h> Parts<'h> {
    /// Takes a history apart; everything that could be meant goes to `workload` if it is named. A read of a key that is
    /// also added to, or enqueued into, is no read of a register.
    fn of(history: &'h History, workload: Option<WorkloadName>) -> Self {
        let is_txn = |op: &Operation| matches!(op.call, Call::Txn(_));
        if let Some(workload) = workload.filter(|workload| *workload != WorkloadName::Register) {
            return Parts { of: vec![(workload, only(history, is_txn))], unchecked: None };
        }
        let is_single = |op: &Operation| !is_txn(op) && About::of(&op.call) != About::Register;
        let others: BTreeSet<i64> =
            history.ops().iter().filter(|op| is_single(op)).filter_map(|op| op.call.key()).collect();
        let of_other_object = |op: &Operation| op.call.key().is_some_and(|key| others.contains(&key));
        let is_register = |op: &Operation| About::of(&op.call) == About::Register && !of_other_object(op);
        if workload.is_some() {
            return Parts { of: vec![(WorkloadName::Register, only(history, is_register))], unchecked: None };
        }
        let has = |about: About| history.ops().iter().any(|op| About::of(&op.call) == about);
        // Objects that predicates read are written and read as registers are.
        let registers = if has(About::Predicates) { About::Predicates } else { About::Registers };
        let idle = if has(About::Lists) || !has(registers) { About::Lists } else { registers };
        let is_about = |op: &Operation, wanted: About| match About::of(&op.call) {
            About::Nothing => idle == wanted,
            About::Registers => registers == wanted,
            about => about == wanted,
        };
        let mut of = vec![
            (WorkloadName::Register, only(history, is_register)),
            (WorkloadName::ListAppend, only(history, |op| is_about(op, About::Lists))),
            (WorkloadName::RwRegister, only(history, |op| is_about(op, About::Registers))),
            (WorkloadName::ClosedPredicate, only(history, |op| is_about(op, About::Predicates))),
        ];
        of.retain(|(_, part)| !part.is_empty());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for op in history.ops() {
            let about = About::of(&op.call);
            if about == About::Other || (about == About::Register && !is_register(op)) {
                *counts.entry(called(&op.call)).or_default() += 1;
            }
        }
        let unchecked = (!counts.is_empty()).then(|| {
            let counts: Vec<String> = counts.iter().map(|(f, count)| format!("{f} ×{count}")).collect();
            let text = format!("no checker of this version understands these operations: {}", counts.join(", "));
            CheckResult::unknown("none", "none", Reason::new("NO_CHECKER", text))
        });
        Parts { of, unchecked }
    }
}

/// Some of the operations of a history; not a copy of it where they are all.
fn only(history: &History, keep: impl Fn(&Operation) -> bool) -> Cow<'_, History> {
    if history.ops().iter().all(&keep) { Cow::Borrowed(history) } else { Cow::Owned(history.only(keep)) }
}

/// What kind of operation it is: its f, and of a transaction what it is made of.
fn called(call: &Call) -> String {
    let Call::Txn(mops) = call else { return call.f().to_owned() };
    let kinds: BTreeSet<&str> = mops.iter().map(kind).collect();
    format!("txn of {}", kinds.into_iter().collect::<Vec<_>>().join(" and "))
}

fn kind(mop: &Mop) -> &'static str {
    match mop {
        Mop::Append { .. } | Mop::ReadList { .. } => "lists",
        Mop::Write { .. } | Mop::Read { .. } => "registers",
        Mop::Send { .. } | Mop::Poll { .. } => "logs",
        Mop::Insert { .. } | Mop::Delete { .. } | Mop::ReadPredicate { .. } => "predicates",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fissure_history::{ImportOptions, import::import_bytes};

    fn history(lines: &[&str]) -> History {
        let events: Vec<String> = lines
            .iter()
            .enumerate()
            .flat_map(|(process, line)| {
                ["invoke", "ok"].map(|kind| format!("{{:type :{kind}, :process {process}, {line}}}"))
            })
            .collect();
        import_bytes("h.edn".as_ref(), events.join("\n").as_bytes(), &ImportOptions::default()).unwrap().history
    }

    fn checkers(judging: &Judging, history: &History) -> Vec<(String, u64, Vec<String>)> {
        let results = judging.judge(history).unwrap_or_else(|failure| panic!("{}", failure.error));
        let codes = |result: &CheckResult| result.verdict.reasons.iter().map(|reason| reason.code.clone()).collect();
        results.iter().map(|result| (result.checker.clone(), result.ops_checked, codes(result))).collect()
    }

    fn told(checker: &str, ops: u64, codes: &[&str]) -> (String, u64, Vec<String>) {
        (checker.to_owned(), ops, codes.iter().map(|code| (*code).to_owned()).collect())
    }

    const APPEND: &str = ":f :txn, :value [[:append 1 1] [:r 1 [1]]]";
    const WRITE: &str = ":f :txn, :value [[:w 8 1] [:r 8 1]]";

    /// Histories one after the other, as two workloads of one run; files of others hold one kind of transactions.
    fn joined(parts: &[History]) -> History {
        let mut ops: Vec<Operation> = Vec::new();
        for (part, history) in (0_u32..).zip(parts) {
            let seq = ops.iter().filter_map(|op| op.complete_seq).max().map_or(0, |seq| seq + 1);
            ops.extend(history.ops().iter().cloned().map(|op| Operation {
                process: op.process + i64::from(part) * 100,
                invoke_seq: op.invoke_seq + seq,
                complete_seq: op.complete_seq.map(|complete| complete + seq),
                ..op
            }));
        }
        History::new(ops).unwrap()
    }

    #[test]
    fn transactions_that_are_not_understood_leave_no_certainty_about_the_others() {
        // The second one writes nothing at all, and the read after it finds that.
        let lost = [":f :txn, :value [[:w 8 1]]", ":f :txn, :value [[:w 8 nil]]", ":f :txn, :value [[:r 8 nil]]"];
        let results = Judging::default().judge(&history(&lost)).unwrap_or_else(|failure| panic!("{}", failure.error));
        let registers = results.iter().find(|result| result.checker == "rw-register").unwrap();
        assert_eq!(registers.verdict.validity, Validity::Unknown);
        assert_eq!(registers.verdict.reasons[0].code, "TRANSACTIONS_MISSING");
        assert!(registers.levels.iter().all(|level| level.validity == Validity::Unknown) && registers.not.is_empty());
        let whole = Judging::default().judge(&history(&[lost[0], lost[2]])).unwrap_or_else(|_| panic!("judged"));
        assert!(whole[0].is_invalid());
    }

    #[test]
    fn a_mixed_history_is_split_and_every_part_judged() {
        let lists = history(&[APPEND, APPEND.replace("1 1", "1 2").replace("[1]", "[1 2]").as_str()]);
        let registers = history(&[WRITE]);
        let found = checkers(&Judging::default(), &joined(&[lists.clone(), registers]));
        let found: Vec<(&str, u64)> = found.iter().map(|part| (part.0.as_str(), part.1)).collect();
        assert_eq!(found, [("list-append", 2), ("rw-register", 1)]);
        let mut both = lists.ops().to_vec();
        both[1].call = Call::Txn(vec![Mop::Write { key: 9, value: 1 }, Mop::Append { key: 7, value: 1 }]);
        let found = checkers(&Judging::default(), &History::new(both).unwrap());
        assert_eq!((found[0].0.as_str(), found[0].1), ("list-append", 1));
        assert_eq!(found[1], told("none", 0, &["NO_CHECKER"]));
    }

    #[test]
    fn registers_that_are_read_by_predicate_go_to_the_checker_of_predicates() {
        let insert = ":f :txn, :value [[:insert 1 5]]";
        let read = ":f :txn, :value [[:rp :true {1 5}]]";
        let write = ":f :txn, :value [[:w 1 6] [:r 1 6]]";
        let found = checkers(&Judging::default(), &history(&[insert, read, write]));
        assert_eq!(found.iter().map(|part| (part.0.as_str(), part.1)).collect::<Vec<_>>(), [("closed-predicate", 3)]);
    }

    #[test]
    fn a_wrong_choice_is_said_and_judges_nothing() {
        let as_lists = Judging { workload: Some(WorkloadName::ListAppend), ..Judging::default() };
        assert_eq!(checkers(&as_lists, &history(&[WRITE])), [told("list-append", 0, &["WRONG_WORKLOAD"])]);
        let as_registers = Judging { workload: Some(WorkloadName::RwRegister), ..Judging::default() };
        assert_eq!(checkers(&as_registers, &history(&[APPEND])), [told("rw-register", 0, &["WRONG_WORKLOAD"])]);
        let as_single = Judging { workload: Some(WorkloadName::Register), ..Judging::default() };
        assert_eq!(checkers(&as_single, &history(&[APPEND]))[0].2, ["NOTHING_CHECKED"]);
        let assumptions = Assumptions { wfr_keys: true, ..Assumptions::default() };
        let failure = Judging { assumptions, ..Judging::default() }.judge(&history(&[APPEND])).unwrap_err();
        assert!(failure.error.to_string().contains("--wfr-keys is about transactions over registers"));
    }

    #[test]
    fn named_anomalies_fail_whatever_the_model_permits() {
        let skew =
            history(&[":f :txn, :value [[:append 1 1] [:append 2 1]]", ":f :txn, :value [[:r 1 [1]] [:r 2 []]]"]);
        let model = Some(Model::READ_COMMITTED);
        let permitted = Judging { model, ..Judging::default() };
        assert!(!permitted.judge(&skew).unwrap_or_else(|_| panic!("it is judged"))[0].is_invalid());
        let named = Judging { anomalies: anomalies(":G-single-item").unwrap_or_default(), ..permitted.clone() };
        assert!(named.judge(&skew).unwrap_or_else(|_| panic!("it is judged"))[0].is_invalid());
        let other = Judging { anomalies: anomalies("G0, G1c").unwrap_or_default(), ..permitted };
        assert!(!other.judge(&skew).unwrap_or_else(|_| panic!("it is judged"))[0].is_invalid());
        assert!(anomalies("G9").is_err());
    }
}
