//! Jepsen's own files: `test.jepsen`, versions 0 and 1, and the `test.fressian` that came before them.
//!
//! A `.jepsen` file is a header and blocks. An index, itself a block, says where each block begins and which one is the
//! test; the test's `:history` refers to the block of the history: one list of operations (version 0), or a vector whose
//! chunks are streams of operations, each a block of its own (version 1). Every block has a length and a CRC-32, which is
//! checked before a single value of it is decoded.
//!
//! ```text
//! "JEPSEN" version:4 index-offset:8   then blocks   length:8 crc:4 type:2 zeros:14 data
//! ```
//!
//! Invariants: integers are big-endian; a length counts its header; the CRC is that of the data followed by the header
//! with zeros for the CRC. Operations come one at a time, in the order of the history: memory is that of one operation
//! and of the caches of one block. After an error the operations go on with the next block.

use super::edn::Edn;
use super::fressian::{BinaryError, Elements, Reader};
use super::fressian_codes as code;
use super::jepsen_blocks::{Block, BlockKind, Blocks, Step};
use std::io::{BufRead, BufReader, Read, Seek, Take};

/// One operation as its map, and the offset in the file at which it begins.
pub(crate) type Operation = (u64, Edn);

/// Bytes of one block.
type BlockInput<F> = BufReader<Take<F>>;

/// Where the reading stands.
enum State<F> {
    /// Between two blocks.
    Between(F),
    /// Within a block that begins at this offset: a stream, or a list that was entered.
    Within(Box<Reader<BlockInput<F>>>, u64, Option<Elements>),
    /// The file cannot be read any more.
    Lost,
}

/// The operations of a `.jepsen` file, in order.
pub(crate) struct JepsenFile<F> {
    blocks: Blocks,
    steps: std::vec::IntoIter<Step>,
    state: State<F>,
    /// Operations so far.
    count: u64,
    /// An error has made the count worthless up to the next place that a vector states.
    gap: bool,
}

impl<F: Read + Seek> JepsenFile<F> {
    /// Reads header, index, test and the outline of the history.
    ///
    /// # Errors
    /// If one of them is damaged or not understood.
    pub(crate) fn open(mut file: F) -> Result<Self, BinaryError> {
        let blocks = Blocks::open(&mut file)?;
        let steps = match blocks.history(&mut file)? {
            Some(id) => blocks.steps(&mut file, id)?,
            None => Vec::new(),
        };
        Ok(Self { blocks, steps: steps.into_iter(), state: State::Between(file), count: 0, gap: false })
    }

    fn enter(&mut self, mut file: F, id: i32) -> Result<(), BinaryError> {
        let opened = self.blocks.block(&mut file, id).and_then(|block| match block.kind {
            BlockKind::Fressian | BlockKind::Stream => Ok(block),
            other => Err(BinaryError {
                offset: block.start,
                detail: format!("a block of kind {other:?} where operations are expected"),
            }),
        });
        let block = match opened {
            Ok(block) => block,
            Err(error) => {
                (self.state, self.gap) = (State::Between(file), true);
                return Err(error);
            }
        };
        self.state = State::Lost;
        let reader = Reader::new(block.into_input(file)?);
        self.enter_elements(reader, block)
    }

    /// A stream is read as it is; the only object of another block is nil or a list, which is entered.
    fn enter_elements(&mut self, mut reader: Reader<BlockInput<F>>, block: Block) -> Result<(), BinaryError> {
        if block.kind == BlockKind::Stream {
            self.state = State::Within(Box::new(reader), block.start, None);
            return Ok(());
        }
        let problem = match reader.enter_list() {
            Ok(Some(elements)) => {
                self.state = State::Within(Box::new(reader), block.start, Some(elements));
                return Ok(());
            }
            Ok(None) => match reader.object() {
                Ok(Edn::Nil) => None,
                Ok(other) => Some(BinaryError { offset: 0, detail: format!("the history is `{other}`, not a list") }),
                Err(problem) => Some(problem),
            },
            Err(problem) => Some(problem),
        };
        self.state = State::Between(reader.into_input().into_inner().into_inner());
        match problem {
            None => Ok(()),
            Some(problem) => Err(self.within(problem, block.start)),
        }
    }

    fn within(&mut self, problem: BinaryError, start: u64) -> BinaryError {
        self.gap = true;
        BinaryError { offset: start + problem.offset, ..problem }
    }

    /// The next operation of the block that is being read; `None` at its end.
    fn next_within(
        &mut self,
        mut reader: Box<Reader<BlockInput<F>>>,
        start: u64,
        mut elements: Option<Elements>,
    ) -> Option<Result<Operation, BinaryError>> {
        let at = start + reader.offset();
        let next = match &mut elements {
            Some(elements) => reader.next_element(elements),
            None => reader.next_object(),
        };
        match next {
            Ok(Some(value)) => {
                self.count += 1;
                self.state = State::Within(reader, start, elements);
                Some(Ok((at, value)))
            }
            other => {
                self.state = State::Between(reader.into_input().into_inner().into_inner());
                other.err().map(|problem| Err(self.within(problem, start)))
            }
        }
    }

    fn expect(&mut self, index: u64) -> Result<(), BinaryError> {
        let fits = self.gap || self.count == index;
        let count = std::mem::replace(&mut self.count, index);
        self.gap = false;
        if fits {
            return Ok(());
        }
        let detail = format!("{count} operations were read up to here, where the history says that there are {index}");
        Err(BinaryError { offset: 0, detail })
    }
}

impl<F: Read + Seek> Iterator for JepsenFile<F> {
    type Item = Result<Operation, BinaryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let done = match std::mem::replace(&mut self.state, State::Lost) {
                State::Lost => return None,
                State::Within(reader, start, elements) => match self.next_within(reader, start, elements) {
                    Some(found) => return Some(found),
                    None => Ok(()),
                },
                State::Between(file) => match self.steps.next()? {
                    Step::Block(id) => self.enter(file, id),
                    Step::Expect(index) => {
                        self.state = State::Between(file);
                        self.expect(index)
                    }
                },
            };
            if let Err(problem) = done {
                return Some(Err(problem));
            }
        }
    }
}

/// The operations of a `test.fressian`: one map, of which the history is read element by element.
pub(crate) struct FressianTest<R> {
    reader: Reader<R>,
    history: Option<Elements>,
}

impl<R: BufRead> FressianTest<R> {
    /// Reads up to the history.
    ///
    /// # Errors
    /// If this is not a map in Fressian.
    pub(crate) fn open(input: R) -> Result<Self, BinaryError> {
        let mut reader = Reader::new(input);
        let elements = if reader.enter_struct(code::MAP)? { reader.enter_list()? } else { None };
        let Some(mut elements) = elements else {
            return Err(BinaryError { offset: 0, detail: "this is not a test of Jepsen in Fressian".to_owned() });
        };
        while let Some(key) = reader.next_element(&mut elements)? {
            if key == Edn::Keyword("history".to_owned()) {
                let history = reader.enter_list()?;
                return Ok(Self { reader, history });
            }
            if reader.next_element(&mut elements)?.is_none() {
                break;
            }
        }
        Ok(Self { reader, history: None })
    }
}

impl<R: BufRead> Iterator for FressianTest<R> {
    type Item = Result<Operation, BinaryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.reader.offset();
        let next = self.reader.next_element(self.history.as_mut()?);
        if !matches!(next, Ok(Some(_))) {
            self.history = None;
        }
        next.map(|value| value.map(|value| (at, value))).transpose()
    }
}

#[cfg(test)]
#[path = "jepsen_tests.rs"]
mod tests;
