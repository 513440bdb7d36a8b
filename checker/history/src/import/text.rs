//! Texts of one record after the other, read in parallel with bounded memory.
//!
//! A text is cut into blocks where a record seems to end, and threads read the blocks. The cuts are guesses, and need
//! not be right: a block that begins where a record begins, and is read to its last byte without anything being open,
//! ends where a record ends. So the first block tells whether the second began rightly, and so on; what remains of a
//! block that ends within a record is put before the next, which is then read again. Events therefore do not depend on
//! the cuts. At most [`RECORD_BYTES_MAX`] bytes of one record are held.

use super::block::{Block, Item, Parsed, Rules, parse};
use super::event::{Character, EventSource, Mistake, RawEvent, RawValue, SourceError};
use super::input::Input;
use super::reader::Notation;
use super::renumber::renumber;
use super::shape::Shape;
use crate::calls::{FlatMops, FlatTxn};
use crate::error::Error;
use fissure_checker::Names;
use fissure_checker::names::NAMES_FIRST;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

/// Bytes of a block.
const BLOCK_BYTES: usize = 2 << 20;

/// Longest record that is read: 64 MiB.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// How far back a place for a cut is looked for.
const CUT_WINDOW: usize = 256 << 10;

/// What the lines or values of a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// Maps, one event each: one after the other, or in one vector or list.
    Maps(Notation),
    /// Lines of Jepsen's old text log.
    JepsenLog,
}

/// A text as a source of events.
pub(crate) struct TextSource {
    input: Input,
    records: Records,
    blocks: Blocks,
    workers: Vec<Worker>,
    /// Blocks that are being read, in order: the worker that has each.
    in_flight: VecDeque<usize>,
    next_worker: usize,
    items: std::vec::IntoIter<Item>,
    /// The transactions of these items.
    flat: Arc<FlatMops>,
    /// For each name of the block, its number in the history.
    numbers: Vec<i64>,
    /// What remains of a block that ended within a record, and where it begins.
    rest: Option<(u64, Vec<u8>)>,
    record_bytes_max: usize,
    rules: Rules,
    other_lines: u64,
    /// The bracket that ends the history was read.
    closed: bool,
    finished: bool,
}

/// A thread that reads blocks.
struct Worker {
    blocks: Option<SyncSender<Block>>,
    parsed: Receiver<Parsed>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Worker {
    fn start(rules: Rules) -> std::io::Result<Self> {
        let (blocks, receiver) = sync_channel::<Block>(4);
        let (sender, parsed) = channel();
        let thread = std::thread::Builder::new().name("import".to_owned()).spawn(move || {
            for block in receiver {
                // The other end is gone when the import ended early.
                if sender.send(parse(block, &rules)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { blocks: Some(blocks), parsed, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl TextSource {
    /// Opens a text. Without a `shape`, values are left as they are written.
    pub(crate) fn open(input: &Input, records: Records, shape: Option<Shape>) -> Result<Self, Error> {
        Self::open_with(input, records, shape, (BLOCK_BYTES, RECORD_BYTES_MAX))
    }

    /// As [`open`](Self::open), with blocks of so many bytes, and records of at most so many.
    pub(crate) fn open_with(
        input: &Input,
        records: Records,
        shape: Option<Shape>,
        (block_bytes, record_bytes_max): (usize, usize),
    ) -> Result<Self, Error> {
        let mut blocks = Blocks::new(input, block_bytes)?;
        let close = match records {
            Records::Maps(notation) => blocks.enter(notation)?,
            Records::JepsenLog => None,
        };
        Ok(Self {
            input: input.clone(),
            records,
            blocks,
            workers: Vec::new(),
            in_flight: VecDeque::new(),
            next_worker: 0,
            items: Vec::new().into_iter(),
            flat: Arc::default(),
            numbers: Vec::new(),
            rest: None,
            record_bytes_max,
            rules: Rules { records, shape, close, fast: true },
            other_lines: 0,
            closed: false,
            finished: false,
        })
    }

    /// The next block in the order of the file, read by a thread or, if there is only one, here.
    fn next_parsed(&mut self) -> Result<Option<Parsed>, Error> {
        if self.workers.is_empty() {
            let Some(block) = self.blocks.next()? else { return Ok(None) };
            if block.last {
                return Ok(Some(parse(block, &self.rules)));
            }
            let count = std::thread::available_parallelism().map_or(1, usize::from).min(16);
            for _ in 0..count {
                let worker =
                    Worker::start(self.rules).map_err(Error::io("start a thread to read", self.input.path()))?;
                self.workers.push(worker);
            }
            self.dispatch(block)?;
        }
        while self.in_flight.len() < self.workers.len() * 2 {
            let Some(block) = self.blocks.next()? else { break };
            self.dispatch(block)?;
        }
        let Some(worker) = self.in_flight.pop_front() else { return Ok(None) };
        self.workers[worker].parsed.recv().map(Some).map_err(|_| self.died())
    }

    fn dispatch(&mut self, block: Block) -> Result<(), Error> {
        let worker = self.next_worker;
        self.next_worker = (worker + 1) % self.workers.len();
        let sent = self.workers[worker].blocks.as_ref().is_some_and(|blocks| blocks.send(block).is_ok());
        if !sent {
            return Err(self.died());
        }
        self.in_flight.push_back(worker);
        Ok(())
    }

    fn died(&self) -> Error {
        Error::format(self.input.path())("a thread that reads this file died")
    }

    /// A block after the end of the history: it must be blank.
    fn after_close(&mut self, parsed: &Parsed) -> Result<bool, SourceError> {
        self.finished = parsed.block.last;
        match parsed.block.bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
            None => Ok(true),
            Some(at) => {
                self.finished = true;
                let detail = format!("found `{}` after the end of the history", char::from(parsed.block.bytes[at]));
                Err(SourceError::Broken(Mistake { offset: parsed.block.offset + at as u64, detail }))
            }
        }
    }

    /// Gets the items of the next block; false at the end of the file.
    fn advance(&mut self, names: &mut Names) -> Result<bool, SourceError> {
        if self.finished {
            return Ok(false);
        }
        let Some(mut parsed) = self.next_parsed().map_err(SourceError::File)? else {
            self.finished = true;
            return Ok(false);
        };
        if self.closed {
            return self.after_close(&parsed);
        }
        if let Some((offset, mut bytes)) = self.rest.take() {
            if bytes.len() > self.record_bytes_max {
                self.finished = true;
                let detail = format!("this record is longer than {} bytes, or does not end", self.record_bytes_max);
                return Err(SourceError::Broken(Mistake { offset, detail }));
            }
            bytes.append(&mut parsed.block.bytes);
            parsed = parse(Block { offset, bytes, last: parsed.block.last }, &self.rules);
        }
        self.finished = parsed.block.last;
        if !parsed.block.last && parsed.consumed < parsed.block.bytes.len() {
            self.rest =
                Some((parsed.block.offset + parsed.consumed as u64, parsed.block.bytes.split_off(parsed.consumed)));
        }
        // One that grew for a long record is let go.
        if parsed.block.bytes.capacity() <= 2 * self.blocks.block_bytes {
            self.blocks.spare = parsed.block.bytes;
        }
        self.closed = parsed.closed;
        self.numbers.clear();
        self.numbers.extend(parsed.names.iter().map(|(_, text)| names.number(text)));
        self.other_lines += parsed.other_lines;
        self.items = parsed.items.into_iter();
        self.flat = Arc::new(parsed.flat);
        Ok(true)
    }
}

impl EventSource for TextSource {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            match self.items.next() {
                Some(Item::Txn(mut event, range)) => {
                    event.value = RawValue::Txn(FlatTxn { of: self.flat.clone(), range });
                    return Ok(Some(event));
                }
                Some(Item::Event(mut event)) => {
                    if let (RawValue::Call(call), false) = (&mut event.value, self.numbers.is_empty()) {
                        renumber(call, &mut |number| {
                            let place = usize::try_from(number.wrapping_sub(NAMES_FIRST)).ok();
                            if let Some(global) = place.and_then(|place| self.numbers.get(place)) {
                                *number = *global;
                            }
                        });
                    }
                    return Ok(Some(event));
                }
                Some(Item::Mistake(mistake)) => return Err(SourceError::Mistake(mistake)),
                None if self.advance(names)? => {}
                None => return Ok(None),
            }
        }
    }

    fn character(&self) -> Character {
        Character {
            failed_cas_is_mismatch: self.records == Records::JepsenLog,
            other_lines: self.other_lines,
            ..Character::default()
        }
    }
}

/// Cuts a text into blocks.
struct Blocks {
    reader: Box<dyn Read + Send>,
    input: Input,
    block_bytes: usize,
    /// What was read and is in no block yet.
    pending: Vec<u8>,
    offset: u64,
    ended: bool,
    finished: bool,
    /// Memory of a block that was read.
    spare: Vec<u8>,
}

impl Blocks {
    fn new(input: &Input, block_bytes: usize) -> Result<Self, Error> {
        let reader = input.open_text()?;
        let input = input.clone();
        let (pending, spare) = (Vec::new(), Vec::new());
        Ok(Self { reader, input, block_bytes, pending, offset: 0, ended: false, finished: false, spare })
    }

    fn fill(&mut self) -> Result<(), Error> {
        let wanted = self.block_bytes.saturating_sub(self.pending.len());
        if wanted > 0 && !self.ended {
            let read = (&mut self.reader).take(wanted as u64).read_to_end(&mut self.pending);
            self.ended = read.map_err(Error::io("read", self.input.path()))? < wanted;
        }
        Ok(())
    }

    /// If the text is one vector or list, goes into it and gives its closing bracket.
    fn enter(&mut self, notation: Notation) -> Result<Option<u8>, Error> {
        // What stands before it may be longer than a block.
        let block_bytes = self.block_bytes;
        let (start, at) = loop {
            self.fill()?;
            let start = if self.pending.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let mut reader = super::reader::Reader::new(&self.pending[start..], notation);
            let at = start + reader.skip_blank();
            if at < self.pending.len() || self.ended || self.block_bytes > RECORD_BYTES_MAX {
                break (start, at);
            }
            self.block_bytes *= 2;
        };
        self.block_bytes = block_bytes;
        let close = match self.pending.get(at) {
            Some(b'[') => Some(b']'),
            Some(b'(') => Some(b')'),
            _ => None,
        };
        let from = if close.is_some() { at + 1 } else { start };
        self.pending.drain(..from);
        self.offset = from as u64;
        Ok(close)
    }

    fn next(&mut self) -> Result<Option<Block>, Error> {
        if self.finished {
            return Ok(None);
        }
        self.fill()?;
        self.finished = self.ended;
        let end = if self.ended { self.pending.len() } else { cut(&self.pending) };
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.reserve(self.block_bytes.max(self.pending.len() - end));
        bytes.extend_from_slice(&self.pending[end..]);
        std::mem::swap(&mut bytes, &mut self.pending);
        bytes.truncate(end);
        let offset = self.offset;
        self.offset += end as u64;
        Ok(Some(Block { offset, bytes, last: self.finished }))
    }
}

/// Where a record seems to end last: before a line that begins as one, or between two brackets.
fn cut(bytes: &[u8]) -> usize {
    let window = bytes.len().saturating_sub(CUT_WINDOW);
    let begins = |at: usize| {
        let rest = bytes[at..].iter().find(|byte| !matches!(byte, b' ' | b',' | b'\t'));
        matches!(rest, Some(b'{' | b'#' | b'I'))
    };
    let line = (window..bytes.len()).rev().find(|at| bytes[*at] == b'\n' && begins(at + 1));
    let bracket = || (window..bytes.len()).rev().find(|at| bytes[*at] == b'}' && begins(at + 1));
    line.or_else(bracket).map_or(bytes.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EDN: &str = "; words
{:index 0, :time 12, :type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r 3 nil]]}
{:index 1, :time 13, :type :invoke,
   :process 1, :f :read
   :value nil} ; and {more
#_ {:discarded 1}
{:type :ok :process 1, :f :read, :value #{1 2
  {:a 1} \"a } { string
{of lines\" } :debug {:x {:y 1}}}{:type :invoke :process 1, :f :write :value \\a}
#jepsen.history.Op{:index 2, :time 14, :type :ok, :process 0, :f :txn, :value [[:append :x 1] [:r 3 [4 5]]]}
{:type :info :process :nemesis :f :start :value {:n1 [\"é\"]}}
";

    const JSON: &str = r#"{"type":"invoke","f":"txn","value":[["append","x",1],["r",3,null]],"process":0},
{"type":"ok","f":"txn","value":[["append","x",1],["r",3,[1]]],"process":0},{"type":"invoke","f":"read","process":1,
"value":null},{"type":"ok","f":"read","process":1,"value":{"0":1,"1":-2}} , {"type":"invoke","f":"add","value":"a\\\"}{","process":1}
"#;

    const LOG: &str = "INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:ok\t:read\t3
INFO  something else
INFO  jepsen.util - 1   :invoke :cas    [3 0]
INFO  jepsen.util - :nemesis :info :start \"[:n1 {\"
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
";

    /// What a text gives with blocks of so many bytes: events, mistakes, names.
    fn all(text: &str, records: Records, block_bytes: usize) -> (Vec<String>, Vec<String>, u64) {
        let input = Input::bytes("h".as_ref(), text.as_bytes());
        let shape = Some(Shape { lists: true, ..Shape::default() });
        let mut source = TextSource::open_with(&input, records, shape, (block_bytes, 1 << 20)).unwrap();
        let (mut events, mut names) = (Vec::new(), Names::default());
        loop {
            match source.next_event(&mut names) {
                Ok(Some(mut event)) => {
                    if let RawValue::Txn(txn) = &event.value {
                        event.value = RawValue::Call(txn.call());
                    }
                    // Numbers depend on what else is in the block; what they stand for does not.
                    if let RawValue::Call(call) = &mut event.value {
                        let mut texts = Vec::new();
                        renumber(call, &mut |number| {
                            texts.push(names.display(*number).to_string());
                            *number = 0;
                        });
                        events.push(texts.join(" "));
                    }
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(SourceError::Mistake(mistake) | SourceError::Broken(mistake)) => {
                    events.push(format!("{mistake:?}"))
                }
                Err(SourceError::File(error)) => panic!("{error}"),
            }
        }
        let mut texts: Vec<String> = names.iter().map(|(_, text)| text.to_owned()).collect();
        texts.sort();
        (events, texts, source.character().other_lines)
    }

    const TEXTS: [(&str, Records); 3] =
        [(EDN, Records::Maps(Notation::Edn)), (JSON, Records::Maps(Notation::Json)), (LOG, Records::JepsenLog)];

    #[test]
    fn what_a_text_says_does_not_depend_on_where_it_is_cut() {
        for (text, records) in TEXTS {
            let wrapped = if records == Records::JepsenLog { text.to_owned() } else { format!(" [{text}] \n") };
            for text in [text, &wrapped] {
                let whole = all(text, records, 1 << 20);
                assert!(whole.0.iter().all(|event| !event.contains("Mistake")), "{whole:?}");
                for block_bytes in (1..40).chain([64, 100, 150, 211, 300, 500]) {
                    assert_eq!(all(text, records, block_bytes), whole, "{block_bytes}");
                }
            }
        }
    }

    #[test]
    fn a_record_that_does_not_end_is_refused_before_it_fills_the_memory() {
        for text in [format!("{{:type \"{}", "x\n".repeat(40_000)), "{:a [1 2] ".repeat(10_000), "[[1 ".repeat(10_000)]
        {
            let input = Input::bytes("h".as_ref(), text.as_bytes());
            let records = Records::Maps(Notation::Edn);
            let mut source = TextSource::open_with(&input, records, None, (1000, 5000)).unwrap();
            let mut refused = String::new();
            loop {
                match source.next_event(&mut Names::default()) {
                    Ok(None) => break,
                    Ok(Some(event)) => panic!("{event:?}"),
                    Err(error) => refused += &format!("{error:?}"),
                }
            }
            assert!(refused.contains("longer than 5000 bytes") || refused.contains("nested deeper"), "{refused}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_change_that_leaves_no_mistake_does_not_depend_on_where_it_is_cut(
            which in 0_usize..3,
            at in any::<prop::sample::Index>(),
            with in "[\\[\\](){}\"; \n:,#a1]",
            block_bytes in 1_usize..200,
        ) {
            let (text, records) = TEXTS[which];
            let at = at.index(text.len());
            prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(at + 1));
            let text = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            let (whole, parts) = (all(&text, records, 1 << 20), all(&text, records, block_bytes));
            if whole.0.iter().all(|event| !event.contains("Mistake")) {
                prop_assert_eq!(parts, whole);
            } else {
                prop_assert!(parts.0.iter().any(|event| event.contains("Mistake")));
            }
        }
    }
}
