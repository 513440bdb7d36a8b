//! The fast way for records of the usual form: straight from bytes to an event, without a tree.
//!
//! It understands maps whose keys are plain, with the fields in any order, and transactions of appends, writes and reads
//! over integers. Every other value goes through the general reader by itself, and every other record as a whole: the
//! answer is then `None`. Invariant: what is `Some` is what the general reader makes of the same bytes; a property test
//! compares the two.

use super::block::Item;
use super::edn::Edn;
use super::event::{Function, Kind, Process, RawEvent, RawValue, problem};
use super::reader::{Form, Notation, Reader, is_delimiter};
use super::shape::Shape;
use crate::calls::{FlatMop, FlatMops};
use fissure_checker::Names;
use std::ops::Range;
use std::sync::Arc;

/// What a record of the usual form is printed with.
const TAG: &[u8] = b"#jepsen.history.Op";

/// The bytes of which plain words are made.
static IN_WORDS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'?' | b'!');
        byte += 1;
    }
    table
};

/// The event of the record that begins at `start`, and where it ends. `base` is the offset of the bytes in the file.
/// Transactions go to `flat`; nothing is left there if the answer is `None`.
pub(crate) fn event(
    (bytes, start, base): (&[u8], usize, u64),
    notation: Notation,
    shape: &Shape,
    names: &mut Names,
    flat: &mut FlatMops,
) -> Option<(Item, usize)> {
    let mark = flat.mark();
    let read = read(bytes, start, base, notation, shape, names, flat);
    if read.is_none() {
        flat.cut(mark);
    }
    read
}

fn read(
    bytes: &[u8],
    start: usize,
    base: u64,
    notation: Notation,
    shape: &Shape,
    names: &mut Names,
    flat: &mut FlatMops,
) -> Option<(Item, usize)> {
    let mut cursor = Cursor { bytes, at: start, notation };
    if bytes[start..].starts_with(TAG) {
        cursor.at += TAG.len();
        cursor.blank();
    }
    cursor.expect(b'{')?;
    let fields = Fields::read(&mut cursor, shape, flat)?;
    let item = fields.item(base + start as u64, shape, names)?;
    Some((item, cursor.at))
}

/// Fields of a record, as far as they were read.
#[derive(Default)]
struct Fields {
    seen: u8,
    kind: Option<Kind>,
    process: Option<i64>,
    f: Option<Function>,
    value: Option<Value>,
    time_ns: Option<i64>,
    node: Option<Arc<str>>,
    error: Option<Edn>,
}

/// A value, understood or not.
enum Value {
    Txn(Range<u32>),
    Edn(Edn),
}

impl Fields {
    fn read(cursor: &mut Cursor<'_>, shape: &Shape, flat: &mut FlatMops) -> Option<Self> {
        let mut fields = Self::default();
        // Where the value is, if it stood before the type.
        let mut value_at = None;
        loop {
            cursor.blank();
            if cursor.peek()? == b'}' {
                cursor.at += 1;
                break;
            }
            let key = cursor.key()?;
            cursor.blank();
            match key {
                b"type" => {
                    fields.once(1)?;
                    fields.kind = Some(Kind::from_name(std::str::from_utf8(cursor.word()?).ok()?)?);
                }
                b"process" => {
                    fields.once(2)?;
                    fields.process = Some(cursor.int()?);
                }
                b"f" => {
                    fields.once(4)?;
                    fields.f = Some(Function::new(std::str::from_utf8(cursor.word()?).ok()?));
                }
                b"value" => {
                    fields.once(8)?;
                    match fields.kind {
                        Some(kind) => fields.value = Some(cursor.value(kind, shape, flat)?),
                        None => {
                            value_at = Some(cursor.at);
                            cursor.skip()?;
                        }
                    }
                }
                b"time" => {
                    fields.once(16)?;
                    fields.time_ns = Some(cursor.int()?);
                }
                b"error" => {
                    fields.once(32)?;
                    fields.error = Some(cursor.general()?).filter(|error| *error != Edn::Nil);
                }
                b"node" => {
                    fields.once(64)?;
                    fields.node = cursor.general()?.name().map(Arc::from);
                }
                _ => cursor.skip()?,
            }
        }
        if let (Some(at), Some(kind)) = (value_at, fields.kind) {
            let mut cursor = Cursor { bytes: cursor.bytes, at, notation: cursor.notation };
            fields.value = Some(cursor.value(kind, shape, flat)?);
        }
        Some(fields)
    }

    /// A field that stands twice is for the general reader.
    fn once(&mut self, field: u8) -> Option<()> {
        let first = self.seen & field == 0;
        self.seen |= field;
        first.then_some(())
    }

    fn item(self, offset: u64, shape: &Shape, names: &mut Names) -> Option<Item> {
        let (kind, process) = (self.kind?, Process::Number(self.process?));
        let f = self.f;
        let (mut txn, nothing) = (None, RawValue::Edn(Edn::Nil));
        let value = match self.value.unwrap_or(Value::Edn(Edn::Nil)) {
            Value::Txn(range) => {
                txn = Some(range);
                nothing
            }
            Value::Edn(_) if matches!(kind, Kind::Fail | Kind::Info) => nothing,
            Value::Edn(value) => {
                // Without a function it is open what is meant.
                let name = f.as_ref()?.name();
                RawValue::Call(super::values::call(Some(name), &value, kind == Kind::Ok, shape, names))
            }
        };
        let (error_code, error_text) = self.error.as_ref().map_or((None, None), problem);
        let (time_ns, node) = (self.time_ns, self.node);
        let event = RawEvent { offset, kind, process, f, value, time_ns, node, error_code, error_text };
        Some(match txn {
            Some(range) => Item::Txn(event, range),
            None => Item::Event(event),
        })
    }
}

/// A place in the bytes of a block.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    notation: Notation,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b',' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The key of a field, up to its value.
    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.word()?;
        if self.notation == Notation::Json {
            self.blank();
            self.expect(b':')?;
        }
        Some(key)
    }

    /// A keyword, or a string of JSON, with nothing in it that needs thought.
    #[inline]
    fn word(&mut self) -> Option<&'a [u8]> {
        let json = self.notation == Notation::Json;
        self.expect(if json { b'"' } else { b':' })?;
        let bytes: &'a [u8] = self.bytes;
        let rest = &bytes[self.at..];
        let length = rest.iter().position(|byte| !IN_WORDS[usize::from(*byte)])?;
        self.at += length;
        if json {
            self.expect(b'"')?;
        } else if !is_delimiter(rest[length]) {
            return None;
        }
        Some(&rest[..length])
    }

    /// An integer of at most 18 digits: no name looks like it.
    #[inline]
    fn int(&mut self) -> Option<i64> {
        let negative = self.peek()? == b'-';
        let start = self.at + usize::from(negative);
        let (mut at, mut value) = (start, 0_i64);
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(at) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        if at == start || at - start > 18 || !is_delimiter(*self.bytes.get(at)?) {
            return None;
        }
        self.at = at;
        Some(if negative { -value } else { value })
    }

    #[inline]
    fn nil(&mut self) -> Option<()> {
        let word: &[u8] = if self.notation == Notation::Json { b"null" } else { b"nil" };
        let rest = &self.bytes[self.at..];
        let is_nil = rest.starts_with(word) && is_delimiter(*rest.get(word.len())?);
        is_nil.then(|| self.at += word.len())
    }

    /// Any value, by the general reader.
    fn general(&mut self) -> Option<Edn> {
        let mut reader = Reader::new(self.bytes, self.notation);
        reader.at = self.at;
        match reader.next() {
            // What ends with the block may go on.
            Ok(Form::Value(value)) if reader.at < self.bytes.len() => {
                self.at = reader.at;
                Some(value)
            }
            _ => None,
        }
    }

    /// Passes a value.
    fn skip(&mut self) -> Option<()> {
        self.int().map(|_| ()).or_else(|| self.nil()).or_else(|| self.general().map(|_| ()))
    }

    fn value(&mut self, kind: Kind, shape: &Shape, flat: &mut FlatMops) -> Option<Value> {
        let start = self.at;
        if self.peek()? == b'[' && !matches!(kind, Kind::Fail | Kind::Info) {
            let mark = flat.mark();
            if let Some(()) = self.mops(kind == Kind::Ok, shape, flat) {
                return flat.since(mark).map(Value::Txn);
            }
            flat.cut(mark);
            self.at = start;
        }
        if matches!(kind, Kind::Fail | Kind::Info) {
            self.skip_flat()?;
            return Some(Value::Edn(Edn::Nil));
        }
        if let Some(value) = self.int() {
            return Some(Value::Edn(Edn::Int(value)));
        }
        self.general().map(Value::Edn)
    }

    /// Passes a value that does not matter; vectors of plain things without a tree.
    fn skip_flat(&mut self) -> Option<()> {
        if self.peek()? != b'[' {
            return self.skip();
        }
        let (mut at, mut depth) = (self.at, 0_usize);
        loop {
            match self.bytes.get(at)? {
                b'[' => depth += 1,
                b']' => depth -= 1,
                b'0'..=b'9' | b' ' | b',' | b'-' | b':' | b'a'..=b'z' if self.notation == Notation::Edn => {}
                b'0'..=b'9' | b' ' | b',' | b'-' => {}
                _ => return self.skip(),
            }
            at += 1;
            if depth > 16 {
                return self.skip();
            }
            if depth == 0 {
                self.at = at;
                return Some(());
            }
        }
    }

    /// The micro-operations of a transaction.
    fn mops(&mut self, told: bool, shape: &Shape, flat: &mut FlatMops) -> Option<()> {
        self.expect(b'[')?;
        let mut is_first = true;
        loop {
            self.blank();
            if self.peek()? == b']' && !is_first {
                self.at += 1;
                return Some(());
            }
            self.expect(b'[')?;
            self.blank();
            let f = self.word()?;
            self.blank();
            let key = self.int()?;
            self.blank();
            let mop = match f {
                b"append" => FlatMop::Append { key, value: self.int()? },
                b"w" => FlatMop::Write { key, value: self.int()? },
                b"r" => self.read(key, told, shape, flat)?,
                _ => return None,
            };
            self.blank();
            self.expect(b']')?;
            flat.push(mop);
            is_first = false;
        }
    }

    #[inline]
    fn read(&mut self, key: i64, told: bool, shape: &Shape, flat: &mut FlatMops) -> Option<FlatMop> {
        let mark = flat.mark();
        if self.peek()? == b'[' {
            self.at += 1;
            loop {
                self.blank();
                if self.peek()? == b']' {
                    self.at += 1;
                    let list = if told { Some(flat.list_since(mark)?) } else { None };
                    return Some(FlatMop::ReadList { key, list });
                }
                flat.push_item(self.int()?);
            }
        }
        if self.nil().is_none() {
            let value = self.int()?;
            return Some(FlatMop::Read { key, value: told.then_some(Some(value)) });
        }
        if shape.lists {
            let list = if told { Some(flat.list_since(mark)?) } else { None };
            return Some(FlatMop::ReadList { key, list });
        }
        let never_written = told && shape.nil_reads == super::NilReads::NeverWritten;
        Some(FlatMop::Read { key, value: never_written.then_some(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{Block, Rules, parse};
    use super::super::shape::ReadsOf;
    use super::super::text::Records;
    use super::*;
    use crate::calls::FlatTxn;
    use proptest::prelude::*;

    fn read(bytes: &[u8], rules: &Rules) -> (Vec<Item>, Names, usize, bool) {
        let mut parsed = parse(Block { offset: 7, bytes: bytes.to_vec(), last: false }, rules);
        let flat = Arc::new(std::mem::take(&mut parsed.flat));
        let as_tree = |item| match item {
            Item::Txn(event, range) => {
                let call = FlatTxn { of: flat.clone(), range }.call();
                Item::Event(RawEvent { value: RawValue::Call(call), ..event })
            }
            other => other,
        };
        (parsed.items.into_iter().map(as_tree).collect(), parsed.names, parsed.consumed, parsed.closed)
    }

    /// Both ways give the same events, names and mistakes.
    fn agree(bytes: &[u8], notation: Notation) -> Result<(), TestCaseError> {
        for (lists, independent) in [(true, false), (false, true)] {
            let shape = Shape { lists, independent, reads: ReadsOf::Set, ..Shape::default() };
            let rules = |fast| Rules { records: Records::Maps(notation), shape: Some(shape), close: None, fast };
            prop_assert_eq!(read(bytes, &rules(true)), read(bytes, &rules(false)));
        }
        Ok(())
    }

    const EDN: &[u8] = b"{:index 0, :time 12, :type :invoke, :process 0, :f :txn, :value [[:append 1 2] [:r 3 nil]]}
#jepsen.history.Op{:index 1, :time 13, :type :ok, :process 0, :f :txn, :value [[:append 1 2] [:r 3 [4 5 -6]]]}
{:type :info, :process 12, :f :txn, :value [[:w 1 2] [:r 3 nil]], :error [:timeout \"x\"], :node \"n1\"}
{:value [[:w 1 2] [:r 3 4] [:r 5 nil]], :type :ok, :process 12}
{:type :ok :f :read :value #{1 2} :process 3, :debug {:a 1}}
{:type :fail :f :cas :value [1 [2 3]] :process 3}
{:type :ok :f :write :value 5 :process -3}
";

    const JSON: &[u8] = br#"{"type":"invoke","f":"txn","value":[["append",1,2],["r",3,null]],"process":0,"index":1}
{"value":[["append", 1, 2 ] , ["r",3,[1,2]]],"type":"ok" , "f" : "txn","process":0,"time":99, "x":{"y":1}},
{"type":"fail","f":"read","process":7,"value":null,"error":["timeout","t"]}
"#;

    #[test]
    fn records_of_the_usual_form_take_the_fast_way() {
        for (bytes, notation, count) in [(EDN, Notation::Edn, 7), (JSON, Notation::Json, 3)] {
            let (shape, mut names, mut flat) =
                (Shape { lists: true, ..Shape::default() }, Names::default(), FlatMops::default());
            let (mut at, mut events) = (0, 0);
            while let Some((_, end)) = event((bytes, at, 0), notation, &shape, &mut names, &mut flat) {
                (at, events) = (end, events + 1);
                at += bytes[at..].iter().position(|byte| matches!(byte, b'{' | b'#')).unwrap_or(bytes.len() - at);
            }
            assert_eq!(events, count);
            agree(bytes, notation).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn both_ways_agree_on_changed_bytes(
            json in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..3), 1..6),
        ) {
            let (source, notation) = if json { (JSON, Notation::Json) } else { (EDN, Notation::Edn) };
            let alphabet: &[u8] = b"{}[]()\"\\:;#^_, \n-0123456789NnilraMw.e/\xc3\xa9+";
            let mut bytes = source.to_vec();
            for (at, byte, how) in changes {
                let (at, byte) = (at.index(bytes.len()), alphabet[byte.index(alphabet.len())]);
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            agree(&bytes, notation)?;
        }

        #[test]
        fn both_ways_agree_on_any_words(
            words in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ":type", ":invoke", ":ok", ":info", ":process", "0", "-7", ":f", ":read", ":txn", ":value",
                "nil", "[1 2]", "[[:r 1 nil]]", "[[:append 1 2]]", "[[:w 1 2] [:r 1 [2 3]]]", "[[:r :x nil]]", "\"x\"", "#_",
                "\n", ":error", ":time", "99999999999999999999", "-4611686018427387904", ":node", ";", "#{1}", "1.5", ":a/b",
                "{:type :ok :process 1 :f :add :value", "{:type :ok :process 1 :value [[:r 1 nil]]}",
            ]), 0..20),
        ) {
            agree(words.join(" ").as_bytes(), Notation::Edn)?;
        }
    }
}
