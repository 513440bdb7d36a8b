//! A full disk, and a recorder that is faster than the disk.

use super::*;

#[test]
fn a_full_disk_stops_the_journal_and_everybody_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer::Writer::create(dir.path(), SegmentLimits::default(), None).unwrap();
    writer.fill_the_disk();
    let journal = Journal::start(writer).unwrap();
    let recorder = journal.recorder();
    let (phase, call) = (Arc::from("faults"), Call::Write { key: 1, value: 1 });
    let invoke = |op_id: u64| {
        let (process, seq) = (op_id.cast_signed(), op_id);
        let event =
            InvokeEvent { op_id, process, node: None, phase: &phase, call: &call, seq, t_ns: 0, conn_cookie: None };
        recorder.invoke(event)
    };
    invoke(0).unwrap();
    assert!(matches!(recorder.flush(), Err(RecordError::Write(_))));
    let error = invoke(1).unwrap_err().to_string();
    assert!(error.contains("cannot write") && error.contains("No space left"), "{error}");
    assert!(recorder.error().is_some_and(|error| error.is_disk_full()));
    assert_eq!(recorder.acknowledged(), None);
    assert!(recorder.error().is_some());
    assert!(journal.finish().is_err());
}

#[test]
fn a_recorder_that_is_faster_than_the_disk_waits_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(writer::Writer::create(dir.path(), SegmentLimits::default(), None).unwrap()).unwrap();
    let count = (BATCH_EVENTS * FULL_FACTOR * 3) as u64;
    let row = |t_ns| ClockRow { t_ns, wall_ns: 0 };
    let (phase, call) = (Arc::from("faults"), Call::Read { key: 1, value: Some(None) });
    let recorder = journal.recorder();
    for op_id in 0..count / 2 {
        let (process, seq, conn_cookie) = (0, op_id * 2, None);
        let event = InvokeEvent { op_id, process, node: None, phase: &phase, call: &call, seq, t_ns: 0, conn_cookie };
        recorder.invoke(event).unwrap();
        let completed = Completed::Ok(&call);
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns: 0, completed, conn_cookie }).unwrap();
    }
    recorder.clock(row(1)).unwrap();
    assert_eq!(journal.finish().unwrap().recorded, count + 1);
    let path = segments::segment_path(dir.path(), crate::Table::Ops, 0);
    let mut reader = frames::FrameReader::open(&path).unwrap();
    let mut rows = 0;
    while let Some((_, batch)) = reader.next_batch().unwrap() {
        rows += batch.num_rows() as u64;
    }
    assert_eq!((rows, reader.finished), (count, true));
}
