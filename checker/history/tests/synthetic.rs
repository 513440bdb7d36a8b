//! Synthetic histories on disk are those that the stream yields, whichever way they were written.

use fissure_checker::synthetic::{Latency, Level, Spec, Stream, Workload};
use fissure_checker::{History, list_append};
use fissure_history::{HistoryWriter, read_history, synthetic};

fn written(spec: &Spec) -> History {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = HistoryWriter::create(dir.path()).unwrap();
    let expected = synthetic::write(Stream::new(spec).unwrap(), &mut writer, |_| {}).unwrap();
    let report = writer.finish().unwrap();
    assert_eq!(report.counts.ops, spec.ops);
    let mut stream = Stream::new(spec).unwrap();
    stream.by_ref().for_each(drop);
    assert_eq!(stream.expected(), expected);
    let recorded = read_history(dir.path()).unwrap();
    assert!(recorded.phases.iter().all(|phase| &**phase == synthetic::PHASE));
    recorded.history
}

fn streamed(spec: &Spec) -> History {
    History::new(Stream::new(spec).unwrap().operations().collect()).unwrap()
}

/// Tail latencies that nobody ever sees, so that the events are written and not the operations.
fn as_events(spec: &Spec) -> Spec {
    let latency = Latency { long_share: 1e-12, long_factor: 1_000_000, ..spec.latency };
    Spec { latency, ops: 70_000, ..spec.clone() }
}

#[test]
fn every_workload_is_read_back_as_it_was_made() {
    for workload in Workload::ALL {
        let spec = Spec { workload, ops: 3_000, info_share: 0.1, fail_share: 0.1, nodes: 3, ..Spec::default() };
        assert_eq!(written(&spec), streamed(&spec), "{workload}");
    }
}

#[test]
fn events_and_operations_make_the_same_files() {
    for workload in [Workload::ListAppend, Workload::Log, Workload::Lock] {
        let spec = as_events(&Spec { workload, ..Spec::default() });
        assert!(Stream::new(&spec).unwrap().longest_in_flight() > 65_536);
        let (written, streamed) = (written(&spec), streamed(&spec));
        let differs = written.ops().iter().zip(streamed.ops()).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{workload}");
        assert_eq!(written.len(), streamed.len());
    }
}

#[test]
fn operations_that_are_held_open_are_where_they_belong() {
    let plants = vec!["long-fork:80_000".parse().unwrap(), "G-single:90_000".parse().unwrap()];
    let spec = Spec { ops: 100_000, level: Level::StrictSerializable, plants, ..Spec::default() };
    let history = written(&spec);
    let longest = history.ops().iter().map(|op| op.complete_seq.unwrap() - op.invoke_seq).max().unwrap();
    assert!(longest > 150_000, "{longest} events");
    let found = list_append::check(&history, &list_append::Options::default());
    let mut stream = Stream::new(&spec).unwrap();
    stream.by_ref().for_each(drop);
    assert_eq!(found.anomaly_types, stream.expected().anomalies);
}
