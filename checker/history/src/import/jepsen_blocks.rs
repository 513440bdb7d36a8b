//! The blocks of a `.jepsen` file: where they are, whether they are whole, and which of them hold the history.
//!
//! Nothing here decodes an operation; [`super::jepsen`] does, block by block, along the [`Step`]s found here.

use super::edn::Edn;
use super::fressian::{BinaryError, Reader};
use super::fressian_tags::BLOCK_REF;
use rustc_hash::{FxHashMap, FxHashSet};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};

/// What a `.jepsen` file begins with.
pub(super) const MAGIC: &[u8] = b"JEPSEN";

/// Where the first block may begin: after magic, version and the offset of the index.
const FIRST_BLOCK: u64 = 18;

/// Length of the header of a block.
const HEADER_BYTES: u64 = 28;

/// Length of an entry of an index or a vector: a number of 32 and one of 64 bits.
const ENTRY_BYTES: u64 = 12;

/// Entries of an index or a vector beyond which it is refused.
const ENTRIES_MAX: u64 = 1 << 24;

/// Vectors within vectors beyond which they are refused.
const DEPTH_MAX: usize = 8;

/// Bytes read at a time.
const BUFFER_BYTES: u64 = 1 << 16;

fn error<T>(offset: u64, detail: impl Into<String>) -> Result<T, BinaryError> {
    Err(BinaryError { offset, detail: detail.into() })
}

fn unreadable(offset: u64) -> impl Fn(std::io::Error) -> BinaryError {
    move |source| {
        let detail = match source.kind() {
            std::io::ErrorKind::UnexpectedEof => "the file ends here, too early".to_owned(),
            _ => format!("cannot be read: {source}"),
        };
        BinaryError { offset, detail }
    }
}

/// The big-endian numbers that a header or an entry has at `at`; 0 where there are no bytes, which callers exclude.
fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    found.unwrap_or([0; N])
}

/// Kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Where the other blocks are.
    Index,
    /// One object.
    Fressian,
    /// A part of a map, and the number of the block that goes on.
    PartialMap,
    /// Objects, one after the other.
    Stream,
    /// Numbers of the blocks that hold the elements.
    BigVector,
}

impl BlockKind {
    fn of_header(header: &[u8]) -> Option<Self> {
        Some(match i16::from_be_bytes(number(header, 12)) {
            1 => BlockKind::Index,
            2 => BlockKind::Fressian,
            3 => BlockKind::PartialMap,
            4 => BlockKind::Stream,
            5 => BlockKind::BigVector,
            _ => return None,
        })
    }
}

/// A block whose checksum was found right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// Where its data begin.
    pub(super) start: u64,
    /// How many bytes of data it has.
    length: u64,
}

impl Block {
    /// Its data.
    pub(super) fn into_input<F: Read + Seek>(self, mut file: F) -> Result<BufReader<Take<F>>, BinaryError> {
        file.seek(SeekFrom::Start(self.start)).map_err(unreadable(self.start))?;
        let capacity = self.length.clamp(1, BUFFER_BYTES) as usize;
        Ok(BufReader::with_capacity(capacity, file.take(self.length)))
    }
}

/// What to do next to read a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the operations of this block.
    Block(i32),
    /// So many operations must have been read.
    Expect(u64),
}

/// Where the blocks of a file are.
pub(super) struct Blocks {
    file_bytes: u64,
    offsets: FxHashMap<i32, u64>,
    root: i32,
}

impl Blocks {
    /// Reads header and index.
    pub(super) fn open<F: Read + Seek>(file: &mut F) -> Result<Self, BinaryError> {
        let file_bytes = file.seek(SeekFrom::End(0)).map_err(unreadable(0))?;
        let mut header = [0; FIRST_BLOCK as usize];
        read_at(file, 0, &mut header)?;
        if !header.starts_with(MAGIC) {
            return error(0, "this does not begin with JEPSEN");
        }
        let version = i32::from_be_bytes(number(&header, 6));
        if !(0..=1).contains(&version) {
            return error(6, format!("version {version} of Jepsen's format; 0 and 1 are understood"));
        }
        let index = u64::from_be_bytes(number(&header, 10));
        if index == 0 {
            return error(10, "this file has no index: its test ended before its first operations were saved");
        }
        let mut blocks = Self { file_bytes, offsets: FxHashMap::default(), root: 0 };
        let block = blocks.block_at(file, index)?;
        if block.kind != BlockKind::Index {
            return error(index, format!("a block of kind {:?} where the index is expected", block.kind));
        }
        let (root, entries) = entries::<F, 4>(file, block)?;
        blocks.root = i32::from_be_bytes(root);
        blocks.offsets = entries
            .map(|entry| (i32::from_be_bytes(number(&entry, 0)), u64::from_be_bytes(number(&entry, 4))))
            .collect();
        Ok(blocks)
    }

    fn header_at<F: Read + Seek>(&self, file: &mut F, offset: u64) -> Result<[u8; HEADER_BYTES as usize], BinaryError> {
        if offset < FIRST_BLOCK || offset > self.file_bytes.saturating_sub(HEADER_BYTES) {
            return error(offset, "a block is said to begin here, outside the file");
        }
        let mut header = [0; HEADER_BYTES as usize];
        read_at(file, offset, &mut header)?;
        Ok(header)
    }

    /// The block that begins at `offset`, once its checksum has been found right. Reads all of it.
    fn block_at<F: Read + Seek>(&self, file: &mut F, offset: u64) -> Result<Block, BinaryError> {
        let mut header = self.header_at(file, offset)?;
        let length = u64::from_be_bytes(number(&header, 0));
        let left = self.file_bytes - offset;
        if !(HEADER_BYTES..=left).contains(&length) {
            return error(offset, format!("a block of {length} bytes, where the file has {left} more"));
        }
        let Some(kind) = BlockKind::of_header(&header) else {
            return error(offset + 12, "this is not a kind of block");
        };
        let block = Block { kind, start: offset + HEADER_BYTES, length: length - HEADER_BYTES };
        let mut crc = crc32fast::Hasher::new();
        let mut data = block.into_input(&mut *file)?;
        loop {
            let buffer = data.fill_buf().map_err(unreadable(offset))?;
            let taken = buffer.len();
            if taken == 0 {
                break;
            }
            crc.update(buffer);
            data.consume(taken);
        }
        let stated = u32::from_be_bytes(number(&header, 8));
        header[8..12].fill(0);
        crc.update(&header);
        if crc.finalize() != stated {
            return error(offset, "the checksum of this block does not fit: the file was damaged after it was written");
        }
        Ok(block)
    }

    fn offset_of(&self, id: i32) -> Result<u64, BinaryError> {
        match self.offsets.get(&id) {
            Some(offset) => Ok(*offset),
            None => error(0, format!("block {id} is referred to, but the index does not have it")),
        }
    }

    /// The block with this number, once its checksum has been found right.
    pub(super) fn block<F: Read + Seek>(&self, file: &mut F, id: i32) -> Result<Block, BinaryError> {
        self.block_at(file, self.offset_of(id)?)
    }

    /// The object of a Fressian block, or of all parts of a map.
    fn object<F: Read + Seek>(&self, file: &mut F, id: i32) -> Result<Edn, BinaryError> {
        let (mut id, mut pairs, mut seen) = (id, Vec::new(), FxHashSet::default());
        while id != 0 {
            if !seen.insert(id) {
                return error(self.offset_of(id)?, format!("block {id} is a part of itself"));
            }
            let block = self.block(file, id)?;
            let rest_bytes = match block.kind {
                BlockKind::Fressian => 0,
                BlockKind::PartialMap if block.length >= 4 => 4,
                other => return error(block.start, format!("a block of kind {other:?} where a map is expected")),
            };
            let mut rest = [0; 4];
            read_at(file, block.start, &mut rest[..rest_bytes])?;
            let map =
                Block { start: block.start + rest_bytes as u64, length: block.length - rest_bytes as u64, ..block };
            let found = Reader::new(map.into_input(&mut *file)?).object();
            match found.map_err(|problem| BinaryError { offset: map.start + problem.offset, ..problem })? {
                Edn::Map(more) => pairs.extend(more),
                other => return error(map.start, format!("`{other}` where a map is expected")),
            }
            id = i32::from_be_bytes(rest);
        }
        Ok(Edn::Map(pairs))
    }

    /// Number of the block of the history, as the test says. `None`: it has none.
    pub(super) fn history<F: Read + Seek>(&self, file: &mut F) -> Result<Option<i32>, BinaryError> {
        let Edn::Map(pairs) = self.object(file, self.root)? else { return Ok(None) };
        let history = pairs.into_iter().find(|(key, _)| *key == Edn::Keyword("history".to_owned()));
        let Some((_, history)) = history else { return Ok(None) };
        let id = match &history {
            Edn::Nil => return Ok(None),
            Edn::Tagged(tag, id) if tag == BLOCK_REF => match **id {
                Edn::Int(id) => i32::try_from(id).ok(),
                _ => None,
            },
            _ => None,
        };
        match id {
            Some(id) => Ok((id != 0).then_some(id)),
            None => error(self.offset_of(self.root)?, format!("the history of this test is `{history}`, not a block")),
        }
    }

    /// How to read the history that block `id` is or refers to.
    pub(super) fn steps<F: Read + Seek>(&self, file: &mut F, id: i32) -> Result<Vec<Step>, BinaryError> {
        let mut outline = Outline { steps: Vec::new(), seen: FxHashSet::default() };
        self.outline(file, id, 0, 0, &mut outline)?;
        Ok(outline.steps)
    }

    fn outline<F: Read + Seek>(
        &self,
        file: &mut F,
        id: i32,
        base: u64,
        depth: usize,
        outline: &mut Outline,
    ) -> Result<(), BinaryError> {
        let offset = self.offset_of(id)?;
        if !outline.seen.insert(id) || depth > DEPTH_MAX {
            return error(offset, format!("block {id} is in the history twice, or too deep in it"));
        }
        let header = self.header_at(file, offset)?;
        if BlockKind::of_header(&header) != Some(BlockKind::BigVector) {
            // Whether it is whole and of the right kind is seen when its turn comes.
            outline.steps.push(Step::Block(id));
            return Ok(());
        }
        let block = self.block_at(file, offset)?;
        let (count, chunks) = entries::<F, 8>(file, block)?;
        for chunk in chunks {
            let first = base.saturating_add(u64::from_be_bytes(number(&chunk, 0)));
            outline.steps.push(Step::Expect(first));
            self.outline(file, i32::from_be_bytes(number(&chunk, 8)), first, depth + 1, outline)?;
        }
        outline.steps.push(Step::Expect(base.saturating_add(u64::from_be_bytes(count))));
        Ok(())
    }
}

/// The way through a history, and the blocks that are on it.
struct Outline {
    steps: Vec<Step>,
    seen: FxHashSet<i32>,
}

fn read_at<F: Read + Seek>(file: &mut F, offset: u64, bytes: &mut [u8]) -> Result<(), BinaryError> {
    file.seek(SeekFrom::Start(offset)).map_err(unreadable(offset))?;
    file.read_exact(bytes).map_err(unreadable(offset))
}

/// An entry of an index or a vector.
type Entry = [u8; ENTRY_BYTES as usize];

/// The head, of `N` bytes, and the entries of an index or a vector.
fn entries<F: Read + Seek, const N: usize>(
    file: &mut F,
    block: Block,
) -> Result<([u8; N], impl Iterator<Item = Entry> + use<F, N>), BinaryError> {
    let entries_bytes = block.length.checked_sub(N as u64).filter(|bytes| bytes % ENTRY_BYTES == 0);
    let Some(bytes) = entries_bytes.filter(|bytes| bytes / ENTRY_BYTES <= ENTRIES_MAX) else {
        return error(block.start, format!("{} bytes are not the length of an index or a vector", block.length));
    };
    let mut head = [0; N];
    read_at(file, block.start, &mut head)?;
    let mut data = vec![0; bytes as usize];
    read_at(file, block.start + N as u64, &mut data)?;
    let mut at = 0;
    Ok((
        head,
        std::iter::from_fn(move || {
            let entry = data.get(at..at + ENTRY_BYTES as usize)?;
            at += ENTRY_BYTES as usize;
            entry.try_into().ok()
        }),
    ))
}
