//! Files of Jepsen: blocks, references, histories in chunks, and damaged ones.

use super::super::fressian_writer::{FressianWriter, JepsenWriter, Op};
use super::*;
use std::io::Cursor;

fn nil(writer: &mut FressianWriter) {
    writer.nil();
}

/// `count` operations from `first` on: `:invoke` and `:ok` of reads in turn.
fn ops(first: i64, count: i64) -> Vec<Op<'static>> {
    let op = |index: i64| {
        let kind = if index % 2 == 0 { "invoke" } else { "ok" };
        Op { index, time: index * 1000, kind, process: Some(index / 2 % 3), f: "read", value: &nil }
    };
    (first..first + count).map(op).collect()
}

fn read(bytes: &[u8]) -> Result<Vec<String>, BinaryError> {
    JepsenFile::open(Cursor::new(bytes))?.map(|op| op.map(|(_, op)| op.to_string())).collect()
}

fn version_1() -> JepsenWriter {
    let mut file = JepsenWriter::new(1);
    file.block(1, 2, &[0xf7]).test(2, 1).index(2);
    file.stream(3, &ops(0, 4)).padding(7).stream(4, &ops(4, 3)).vector(1, 7, &[(0, 3), (4, 4)]).index(2);
    file
}

#[test]
fn version_1_is_read_chunk_by_chunk() {
    let found = read(&version_1().out).unwrap();
    assert_eq!(found.len(), 7);
    assert_eq!(found[0], "{:index 0 :time 0 :type :invoke :process 0 :f :read :value nil}");
    assert_eq!(found[6], "{:index 6 :time 6000 :type :invoke :process 0 :f :read :value nil}");
}

#[test]
fn vectors_within_vectors_and_tests_in_parts_are_read() {
    let mut file = JepsenWriter::new(1);
    file.stream(3, &ops(0, 4)).stream(4, &ops(4, 3)).stream(5, &ops(7, 2));
    file.vector(6, 5, &[(0, 4), (3, 5)]).vector(1, 9, &[(0, 3), (4, 6)]).test_in_parts(10, 1).index(10);
    let found = read(&file.out).unwrap();
    assert_eq!(found.len(), 9);
    assert!(found[8].starts_with("{:index 8 "), "{}", found[8]);
}

#[test]
fn version_0_is_one_list() {
    let mut writer = FressianWriter::default();
    writer.list(10);
    for op in ops(0, 10) {
        op.write_map(&mut writer);
    }
    let mut file = JepsenWriter::new(0);
    file.block(1, 2, &writer.out).test(2, 1).index(2);
    let found = read(&file.out).unwrap();
    assert_eq!(found.len(), 10);
    assert_eq!(found[9], "{:type :ok :f :read :value nil :process 1 :time 9000}");
    // A test that crashed before its first operation.
    let mut file = JepsenWriter::new(0);
    file.block(1, 2, &[0xf7]).test(2, 1).index(2);
    assert_eq!(read(&file.out).unwrap(), Vec::<String>::new());
}

#[test]
fn a_test_in_one_object_is_read() {
    let mut writer = FressianWriter::default();
    writer.map(3).keyword("name").string("old").keyword("history").list(5);
    for op in ops(0, 5) {
        op.write_map(&mut writer);
    }
    writer.keyword("results").map(0);
    let found: Result<Vec<_>, _> = FressianTest::open(writer.out.as_slice()).unwrap().collect();
    assert_eq!(found.unwrap().len(), 5);
    // The history is cut off: what is there is given, and then the error.
    let end = writer.out.len() - 40;
    let cut: Vec<_> = FressianTest::open(&writer.out[..end]).unwrap().collect();
    assert_eq!((cut.len(), cut.last().unwrap().is_err()), (5, true));
    assert!(FressianTest::open(&b"\xe4"[..]).is_err());
}

#[test]
fn damage_is_named_with_its_place_and_the_rest_is_read() {
    let whole = version_1();
    let good = read(&whole.out).unwrap();
    let mut bytes = whole.out.clone();
    // The fifth operation, in the second chunk: the first four and nothing else.
    let at = bytes.windows(17).rposition(|window| window == b"jepsen.history.Op").unwrap();
    bytes[at] ^= 1;
    let found: Vec<_> = JepsenFile::open(Cursor::new(&bytes)).unwrap().collect();
    assert_eq!(found.len(), 5);
    assert!(found[4].as_ref().unwrap_err().detail.contains("checksum"));
    // The first chunk: the second one is still read.
    let at = bytes.windows(17).position(|window| window == b"jepsen.history.Op").unwrap();
    let mut bytes = whole.out.clone();
    bytes[at] ^= 1;
    let found: Vec<_> = JepsenFile::open(Cursor::new(&bytes)).unwrap().collect();
    assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, true]);
    // Every byte that is flipped anywhere gives an error or the same history, and never a panic.
    for at in 0..whole.out.len() {
        for bit in [1, 0x80] {
            let mut bytes = whole.out.clone();
            bytes[at] ^= bit;
            if let Ok(found) = read(&bytes) {
                assert!(found == good, "byte {at}: another history without an error");
            }
        }
    }
    for end in 0..whole.out.len() {
        assert!(read(&whole.out[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let detail = |file: &JepsenWriter| read(&file.out).unwrap_err().detail;
    let mut newer = version_1();
    newer.out[9] = 2;
    assert!(detail(&newer).contains("version 2"));
    let mut none = JepsenWriter::new(1);
    none.block(1, 2, &[0xf7]);
    assert!(detail(&none).contains("no index"));
    let mut short = JepsenWriter::new(1);
    short.stream(3, &ops(0, 4)).vector(1, 5, &[(0, 3)]).test(2, 1).index(2);
    assert!(detail(&short).contains("4 operations were read"));
    let mut twice = JepsenWriter::new(1);
    twice.stream(3, &ops(0, 4)).vector(1, 8, &[(0, 3), (4, 3)]).test(2, 1).index(2);
    assert!(detail(&twice).contains("twice"));
    let mut itself = JepsenWriter::new(1);
    itself.vector(1, 8, &[(0, 1)]).test(2, 1).index(2);
    assert!(detail(&itself).contains("twice"));
    let mut missing = JepsenWriter::new(1);
    missing.vector(1, 8, &[(0, 77)]).test(2, 1).index(2);
    assert!(detail(&missing).contains("block 77"));
    let mut parts = JepsenWriter::new(1);
    let mut part = 10_i32.to_be_bytes().to_vec();
    part.extend([0xc0, 0xe4]);
    parts.block(10, 3, &part).index(10);
    assert!(detail(&parts).contains("part of itself"));
    // Lengths that announce more than there is.
    let mut long = version_1();
    let start = 18;
    long.out[start..start + 8].copy_from_slice(&(1_u64 << 60).to_be_bytes());
    assert_eq!(read(&long.out).map(|ops| ops.len()), Ok(7));
    let mut index = version_1();
    index.out[10..18].copy_from_slice(&(u64::MAX - 3).to_be_bytes());
    assert!(detail(&index).contains("outside the file"));
}
