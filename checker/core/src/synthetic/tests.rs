//! Synthetic histories are what they say: held to the checkers, and to judges that share nothing with either.

mod levels;
mod mutations;
mod objects;
mod oracle;
mod plants;
mod streams;

use super::*;
use crate::consistency::Model;
use crate::list_append;
use crate::{CheckResult, History};

/// The history of a specification, with the invariants of histories checked, and what is expected of it.
#[track_caller]
fn generate(spec: &Spec) -> (History, Expected) {
    let mut operations = Stream::new(spec).unwrap().operations();
    let ops: Vec<_> = operations.by_ref().collect();
    assert_eq!(ops.len() as u64, spec.ops);
    assert!(
        ops.windows(2).all(|pair| pair[0].invoke_seq < pair[1].invoke_seq && pair[0].invoke_ns <= pair[1].invoke_ns)
    );
    assert!(ops.iter().enumerate().all(|(at, op)| op.op_id == at as u64 && op.complete_seq.is_some()));
    (History::new(ops).unwrap(), operations.expected())
}

fn judge(history: &History, model: &str) -> CheckResult {
    let options = list_append::Options { model: Model::parse(model).unwrap(), ..list_append::Options::default() };
    list_append::check(history, &options)
}

fn names(result: &CheckResult) -> Vec<&str> {
    result.anomaly_types.iter().map(String::as_str).collect()
}
