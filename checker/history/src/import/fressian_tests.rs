//! Every code of Fressian against bytes that were computed by hand, and hostile streams.

use super::super::fressian_writer::FressianWriter;
use super::*;
use proptest::prelude::*;

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// All objects of a stream.
fn read_all(bytes: &[u8]) -> Result<Vec<Edn>, BinaryError> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some(value) = reader.next_object()? {
        found.push(value);
    }
    Ok(found)
}

#[track_caller]
fn shows(hex: &str, shown: &str) {
    let values = read_all(&bytes_of(hex)).unwrap();
    let text: Vec<String> = values.iter().map(ToString::to_string).collect();
    assert_eq!(text.join(" "), shown, "{hex}");
}

#[test]
fn integers_of_every_length_computed_by_hand() {
    shows("00 01 3f ff", "0 1 63 -1");
    // One byte more: 0x50 is zero, 0x40 and 0x5f are the ends.
    shows("5040 5fff 4fff 4ffe 4000", "64 4095 -1 -2 -4096");
    shows("681000 6fffff 67efff 600000", "4096 524287 -4097 -524288");
    shows("72080000 73ffffff 71f7ffff 70000000", "524288 33554431 -524289 -33554432");
    shows("7602000000 77ffffffff 75fdffffff 7400000000", "33554432 8589934591 -33554433 -8589934592");
    shows("7a0200000000 7bffffffffff 780000000000", "8589934592 2199023255551 -2199023255552");
    shows("7e020000000000 7fffffffffffff 7c000000000000", "2199023255552 562949953421311 -562949953421312");
    shows("f80002000000000000", "562949953421312");
    shows("f87fffffffffffffff f88000000000000000", "9223372036854775807 -9223372036854775808");
}

#[test]
fn simple_values_computed_by_hand() {
    shows("f7 f5 f6", "nil true false");
    shows("fa3ff8000000000000 fb fc f93fc00000", "1.5 0.0 1.0 1.5");
    shows("fa7ff0000000000000 fafff0000000000000 fa7ff8000000000000", "##Inf ##-Inf ##NaN");
    shows("da db61 dc6f6b e168656c6c6f2121", "\"\" \"a\" \"ok\" \"hello!!\"");
    shows("e308 6162636465666768", "\"abcdefgh\"");
    // Chunks: two that go on, and the three ways to end.
    shows("e2026162 e20163 e30164", "\"abcd\"");
    shows("e2026162 db63", "\"abc\"");
    shows("e2026162 da", "\"ab\"");
    // Two and three bytes, half a pair each in two chunks, and plain UTF-8.
    shows("dcc3a9 dde282ac", "\"é\" \"€\"");
    shows("e203eda0bd ddedb880", "\"😀\"");
    shows("def09f9880", "\"😀\"");
    shows("d0 d1ff d70102030405060a", "#bytes \"\" #bytes \"ff\" #bytes \"0102030405060a\"");
    shows("d908 0102030405060708", "#bytes \"0102030405060708\"");
    shows("d80101 d80102 d902aabb", "#bytes \"0102aabb\"");
    shows("d80101 d1ff", "#bytes \"01ff\"");
}

#[test]
fn collections_computed_by_hand() {
    shows("e4 e50a eb01020304050607", "[] [10] [1 2 3 4 5 6 7]");
    shows("ec08 0001020304050607", "[0 1 2 3 4 5 6 7]");
    shows("ed fd ed0102fd ee01fd", "[] [1 2] [1]");
    // An open list may end with the bytes.
    shows("ee0102", "[1 2]");
    shows("c0e4 c0e8 db61 01 db62 02", "{} {\"a\" 1 \"b\" 2}");
    shows("c1e60102", "#{1 2}");
    shows("c0 ed db61 01 fd", "{\"a\" 1}");
    shows("b0 02 01ff b3 01 5040 b2 02 f5f6", "[1 -1] [64] [true false]");
    shows("b1 02 fb fa4000000000000000 b4 01 f93f800000 b5 02 f7 da", "[0.0 2.0] [1.0] [nil \"\"]");
}

#[test]
fn structs_of_the_format_computed_by_hand() {
    shows("c3 d910 00112233445566778899aabbccddeeff", "#uuid \"00112233-4455-6677-8899-aabbccddeeff\"");
    shows("c4 dc612b c5 dd613a62", "\"a+\" #uri \"a:b\"");
    assert_eq!(read_all(&bytes_of("c6 d0")).unwrap_err().offset, 0);
}

#[test]
fn big_numbers_computed_by_hand() {
    shows("c6 d101 c6 d1ff c6 d20080 c6 d180", "1 -1 128 -128");
    shows("c6 d9 09 010000000000000000", "18446744073709551616N");
    shows("c6 d9 09 ff0000000000000000", "-18446744073709551616N");
    shows("c6 d9 09 00ffffffffffffffff", "18446744073709551615N");
    shows("c6 d9 09 ff8000000000000000", "-9223372036854775808");
    shows("c6 d9 0d 0c9f2c9cd04674edea40000000", "1000000000000000000000000000000N");
    shows("c7 d17b 02 c7 d185 02 c7 d105 03 c7 d107 00 c7 d107 ff", "1.23M -1.23M 0.005M 7M 7E1M");
    shows(
        "c8 00 c8 f8000001a1d5b2c3d4",
        "#inst \"1970-01-01T00:00:00.000-00:00\" #inst \"2026-11-13T16:17:04.980-00:00\"",
    );
}

#[test]
fn caches_computed_by_hand() {
    // :ok put into the cache; its name is the second value of the cache; both again.
    shows("cdcaf7cddc6f6b 80 81 caf781 cc00", ":ok :ok \"ok\" :ok :ok");
    shows("cadb61db62 c9f7db78 c9db61db78", ":a/b x a/x");
    // Kinds of structs by their number; a struct that nobody knows keeps its tag.
    shows("ef dd666f6f 02 0102 a0 0304 f000 0506", "#foo [1 2] #foo [3 4] #foo [5 6]");
    shows("ef dd666f6f 01 f7 ef db62 00 a1", "#foo nil #b [] #b []");
    // Both caches are empty after a reset.
    assert_eq!(read_all(&bytes_of("cddb61 fe 80")).unwrap_err().offset, 4);
    assert_eq!(read_all(&bytes_of("ef db62 00 fe a0")).unwrap_err().offset, 5);
    shows("cddb61 80 fe cddb62 80", "\"a\" \"a\" \"b\" \"b\"");
    // The place in the cache is taken before the value is read.
    assert!(read_all(&bytes_of("cd e580")).unwrap_err().detail.contains("contains itself"));
}

#[test]
fn structs_of_clojure_and_jepsen_computed_by_hand() {
    let tag = |name: &str, components: u8, rest: &str| {
        let mut hex = format!("ef e3 {:02x}", name.len());
        for byte in name.bytes() {
            hex.push_str(&format!("{byte:02x}"));
        }
        format!("{hex} {components:02x} {rest}")
    };
    shows(&tag("char", 1, "5061"), "\\a");
    shows(&tag("ratio", 2, "c6d101 c6d103"), "1/3");
    shows(&tag("byte", 1, "07"), "7");
    shows(&tag("vec", 1, "e60102"), "[1 2]");
    shows(&tag("atom", 1, "07"), "7");
    shows(&tag("map-entry", 2, "0102"), "[1 2]");
    shows(&tag("persistent-hash-set", 1, "e50a"), "#{10}");
    shows(&tag("persistent-sorted-set", 1, "f7"), "#{}");
    shows(&tag("multiset", 1, "c0e60a02"), "#multiset {10 2}");
    shows(&tag("instant", 1, "dd626c61"), "#instant \"bla\"");
    shows(&tag("date-time", 1, "dd626c61"), "#date-time \"bla\"");
    shows(&tag("throwable", 1, "c0e4"), "#throwable {}");
    shows(&tag("block-ref", 1, "09"), "#block-ref 9");
    shows(&tag("record", 2, "cdc9f7dd612e42 c0ed cdcaf7db78 01 fd"), "#a.B {:x 1}");
    let op = tag("jepsen.history.Op", 7, "05 5040 cdcaf7cddc6f6b 03 cdcaf7cddc7478 f7 c0e6 caf7db65 07");
    shows(&op, "{:index 5 :time 64 :type :ok :process 3 :f :tx :value nil :e 7}");
}

#[test]
fn a_footer_is_checked_and_starts_anew() {
    let mut bytes = bytes_of("cddb61");
    bytes.extend([0xcf, 0xcf, 0xcf, 0xcf, 0, 0, 0, 3]);
    let sum = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    bytes.extend((sum.1 << 16 | sum.0).to_be_bytes());
    let mut good = bytes.clone();
    good.push(7);
    assert_eq!(read_all(&good).unwrap(), [Edn::Str("a".to_owned()), Edn::Int(7)]);
    let mut reference = bytes.clone();
    reference.push(0x80);
    assert!(read_all(&reference).unwrap_err().detail.contains("of the cache"));
    for at in [1, 2, 5, 10, 12] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(read_all(&bad).is_err() || at < 3 && read_all(&bad).unwrap() != read_all(&good).unwrap(), "{at}");
    }
    let mut bad = good.clone();
    bad[2] = b'b';
    assert!(read_all(&bad).unwrap_err().detail.contains("checksum"));
}

#[test]
fn what_is_broken_is_refused_at_its_place() {
    let offset = |hex: &str| read_all(&bytes_of(hex)).unwrap_err().offset;
    for hex in ["b6", "c2", "cb", "ce", "f1", "f4", "fd"] {
        assert_eq!(offset(hex), 0, "{hex}");
    }
    assert_eq!(offset("01 02 e5"), 3);
    assert_eq!(offset("e303 6162"), 4);
    assert_eq!(offset("ec ff"), 1);
    assert_eq!(offset("c0e501"), 0);
    assert_eq!(offset("b2 01 07"), 2);
    assert_eq!(offset("c0 da"), 0);
    assert_eq!(offset("e2 01 61 07"), 3);
    let nested: Vec<u8> = std::iter::repeat_n(0xe5, 10_000).collect();
    assert!(read_all(&nested).unwrap_err().detail.contains("nested"));
    let cached: Vec<u8> = std::iter::repeat_n(0xcd, 10_000).collect();
    assert!(read_all(&cached).unwrap_err().detail.contains("nested"));
    let reset: Vec<u8> = std::iter::repeat_n(0xfe, 10_000).collect();
    assert!(read_all(&reset).unwrap_err().detail.contains("nested"));
}

#[test]
fn announced_lengths_take_no_memory() {
    for hex in ["e3 f87fffffffffffffff", "d9 76 7fffffff", "ec 76 7fffffff", "b0 767fffffff", "efdb61 767fffffff"] {
        assert!(read_all(&bytes_of(hex)).is_err(), "{hex}");
    }
    assert!(read_all(&bytes_of("e3 767fffffff")).unwrap_err().detail.contains("2147483647 more"));
}

/// Each cached list refers ten times to the one before: 10^30 values in 300 bytes.
#[test]
fn references_that_unfold_without_end_are_refused() {
    let mut writer = FressianWriter::default();
    writer.raw(&[0xcd]).list(1).int(1);
    for level in 0..30 {
        writer.raw(&[0xcd]).list(10);
        for _ in 0..10 {
            writer.raw(&[0x80 + level]);
        }
    }
    assert!(read_all(&writer.out).unwrap_err().detail.contains("unfold"));
}

/// A value, and how it is written.
fn written() -> impl Strategy<Value = Edn> {
    let leaf = prop_oneof![
        Just(Edn::Nil),
        any::<bool>().prop_map(Edn::Bool),
        any::<i64>().prop_map(Edn::Int),
        (0_u32..63, any::<bool>(), -2_i64..3).prop_map(|(bits, negative, off)| {
            let value = (1_i64 << bits).saturating_add(off);
            Edn::Int(if negative { -value } else { value })
        }),
        "[a-c€😀]{0,12}".prop_map(Edn::Str),
        "[a-c]{1,3}".prop_map(Edn::Keyword),
    ];
    leaf.prop_recursive(4, 64, 10, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..10).prop_map(Edn::Seq),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Edn::Set),
            proptest::collection::vec(pair, 0..6).prop_map(Edn::Map),
            inner.prop_map(|inner| Edn::Tagged("thing".to_owned(), Box::new(inner))),
        ]
    })
}

fn write(writer: &mut FressianWriter, value: &Edn) {
    match value {
        Edn::Nil => {
            writer.nil();
        }
        Edn::Bool(value) => {
            writer.bool(*value);
        }
        Edn::Int(value) => {
            writer.int(*value);
        }
        Edn::Str(text) => {
            writer.string_in_chunks(text, 10);
        }
        Edn::Keyword(name) if name.len() == 2 => {
            writer.keyword(name);
        }
        Edn::Keyword(name) => {
            writer.cached_keyword(name);
        }
        Edn::Seq(items) => {
            writer.list(items.len());
            items.iter().for_each(|item| write(writer, item));
        }
        Edn::Set(items) => {
            writer.raw(&[0xc1]).list(items.len());
            items.iter().for_each(|item| write(writer, item));
        }
        Edn::Map(pairs) => {
            writer.map(pairs.len());
            for (key, value) in pairs {
                write(writer, key);
                write(writer, value);
            }
        }
        Edn::Tagged(tag, inner) => {
            writer.tag(tag, 1);
            write(writer, inner);
        }
        other => unreachable!("{other}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in proptest::collection::vec(written(), 0..6)) {
        let mut writer = FressianWriter::default();
        values.iter().for_each(|value| write(&mut writer, value));
        prop_assert_eq!(read_all(&writer.out).unwrap(), values);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_all(&bytes);
    }

    /// Mostly codes and small numbers: gets further than any bytes.
    #[test]
    fn no_mutation_makes_the_reader_panic(
        values in proptest::collection::vec(written(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut writer = FressianWriter::default();
        values.iter().for_each(|value| write(&mut writer, value));
        for (at, byte) in changes {
            let at = at.index(writer.out.len());
            writer.out[at] = byte;
        }
        let _ = read_all(&writer.out);
    }
}
