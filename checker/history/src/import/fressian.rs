//! A reader of Fressian, the binary form in which Jepsen keeps tests and histories.
//!
//! One byte says what follows; small integers, short strings, short lists and much used structs are part of that byte.
//! Two caches, of values and of kinds of structs, make what comes again a reference. The caches live as long as the
//! [`Reader`], so that the objects of one stream share them.
//!
//! The reader takes its bytes from anything buffered, and holds one object at a time. It trusts nothing: lengths are not
//! allocated before their bytes are there, nesting has a limit, and so has what references may unfold to.
//!
//! ```text
//! c0 e4            an empty map             { }
//! e6 01 df hello   a list of two            [1 "hello"]
//! cd ca f7 cd dc ok  a keyword, put into the cache together with its name;  80  the same keyword again
//! ```

use super::edn::Edn;
use super::fressian_codes as code;
use super::fressian_tags::{self as tags, Tag};
use std::io::{BufRead, Read};

/// Objects nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// What the references of one object may unfold to, in bytes: many small values, or a few big ones.
const UNFOLDED_BYTES_MAX: usize = 64 << 20;

/// What the cache may hold in all, in bytes. Jepsen keeps keywords and their names there.
const CACHE_BYTES_MAX: usize = 256 << 20;

/// Bytes that are taken on trust of a length; more are allocated as they arrive.
const TRUSTED_BYTES: usize = 64 << 10;

/// Where bytes cannot be understood, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BinaryError {
    /// Offset of the byte, from the start of what is read.
    pub(crate) offset: u64,
    /// What is wrong there.
    pub(crate) detail: String,
}

/// A value of the cache, and what a reference to it costs.
struct Cached {
    /// `None` while it is read: it cannot contain itself.
    value: Option<Edn>,
    bytes: usize,
}

/// A kind of struct: its tag, and the number of its components.
#[derive(Clone)]
struct StructType {
    tag: Tag,
    components: usize,
}

/// How the elements of a list that was entered end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Elements {
    /// After so many.
    Counted(u64),
    /// At a mark.
    Closed,
    /// At a mark, or where the bytes end.
    Open,
}

/// Reads objects.
pub(super) struct Reader<R> {
    input: R,
    offset: u64,
    /// Where the bytes that a footer speaks of begin, and their Adler-32 so far.
    footer_start: u64,
    adler: Adler32,
    cache: Vec<Cached>,
    cache_bytes: usize,
    structs: Vec<StructType>,
    unfolded_bytes: usize,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            footer_start: 0,
            adler: Adler32::default(),
            cache: Vec::new(),
            cache_bytes: 0,
            structs: Vec::new(),
            unfolded_bytes: 0,
        }
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn error<T>(&self, offset: u64, detail: impl Into<String>) -> Result<T, BinaryError> {
        Err(BinaryError { offset, detail: detail.into() })
    }

    /// Whether no byte is left.
    pub(super) fn at_end(&mut self) -> Result<bool, BinaryError> {
        Ok(self.peek()?.is_none())
    }

    fn peek(&mut self) -> Result<Option<u8>, BinaryError> {
        match self.input.fill_buf() {
            Ok(buffer) => Ok(buffer.first().copied()),
            Err(error) => Err(BinaryError { offset: self.offset, detail: format!("cannot be read: {error}") }),
        }
    }

    fn byte(&mut self) -> Result<u8, BinaryError> {
        let Some(byte) = self.peek()? else { return self.error(self.offset, "the bytes end within a value") };
        self.input.consume(1);
        self.offset += 1;
        self.adler.add(&[byte]);
        Ok(byte)
    }

    /// `count` bytes as an unsigned number, the most significant first.
    fn number(&mut self, count: usize) -> Result<u64, BinaryError> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 8 | u64::from(self.byte()?);
        }
        Ok(number)
    }

    /// Appends `count` bytes to `bytes`. Memory is taken as they arrive, not as they are announced.
    fn take(&mut self, count: u64, bytes: &mut Vec<u8>) -> Result<(), BinaryError> {
        let before = bytes.len();
        bytes.reserve(count.min(TRUSTED_BYTES as u64) as usize);
        let read = (&mut self.input).take(count).read_to_end(bytes);
        let got = (bytes.len() - before) as u64;
        self.adler.add(&bytes[before..]);
        self.offset += got;
        match read {
            Ok(_) if got == count => Ok(()),
            Ok(_) => self.error(self.offset, format!("the bytes end where {} more are announced", count - got)),
            Err(error) => self.error(self.offset, format!("cannot be read: {error}")),
        }
    }

    /// The next object. Structs become what Clojure makes of them; those that are not known become tagged lists.
    pub(super) fn object(&mut self) -> Result<Edn, BinaryError> {
        self.unfolded_bytes = 0;
        self.value(0)
    }

    /// An object within another one.
    pub(super) fn value(&mut self, depth: usize) -> Result<Edn, BinaryError> {
        let code = self.byte()?;
        self.value_of(code, depth)
    }

    fn value_of(&mut self, code: u8, depth: usize) -> Result<Edn, BinaryError> {
        let start = self.offset - 1;
        if depth > DEPTH_MAX {
            return self.error(start, format!("values are nested deeper than {DEPTH_MAX}"));
        }
        Ok(match code {
            0x00..0x80 | code::INT | code::MINUS_1 => Edn::Int(self.integer(code)?),
            code::CACHED..code::STRUCT_CACHED => self.cached(start, u64::from(code - code::CACHED))?,
            code::GET_CACHED => {
                let index = self.count(depth)?;
                self.cached(start, index)?
            }
            code::PUT_CACHED => self.put_cached(depth)?,
            code::STRUCT_CACHED..code::LONGS | code::STRUCT | code::STRUCT_TYPE => {
                let StructType { tag, components } = self.struct_type(code, depth)?;
                tags::read(self, start, &tag, components, depth + 1)?
            }
            code::LONGS..=code::OBJECTS => self.array(code, depth)?,
            code::MAP | code::SET | code::UUID..=code::KEY => {
                let tag = Tag::of_code(code);
                tags::read(self, start, &tag, tag.components(), depth + 1)?
            }
            code::BYTES_SHORT..=code::BYTES => tags::bytes(&self.bytes(code, depth)?),
            code::STRING_SHORT..=code::STRING => Edn::Str(self.string(code, depth)?),
            code::LIST_SHORT..=code::LIST_OPEN => {
                let elements = self.elements_of(code, depth)?;
                Edn::Seq(self.collect(elements, depth)?)
            }
            code::TRUE => Edn::Bool(true),
            code::FALSE => Edn::Bool(false),
            code::NULL => Edn::Nil,
            code::FLOAT => tags::float(f64::from(f32::from_bits(self.number(4)? as u32))),
            code::DOUBLE => tags::float(f64::from_bits(self.number(8)?)),
            code::DOUBLE_0 => tags::float(0.0),
            code::DOUBLE_1 => tags::float(1.0),
            code::FOOTER => {
                self.footer(start)?;
                self.value(depth + 1)?
            }
            code::RESET => {
                self.reset_caches();
                self.value(depth + 1)?
            }
            other => return self.error(start, format!("{other:#04x} does not begin a value")),
        })
    }

    /// An integer in one of its lengths. The first byte has the sign and the highest bits of those between.
    fn integer(&mut self, code: u8) -> Result<i64, BinaryError> {
        let (zero, rest) = match code {
            0x00..code::INT_2 => return Ok(i64::from(code)),
            code::MINUS_1 => return Ok(-1),
            code::INT_2..code::INT_3 => (0x50, 1),
            code::INT_3..code::INT_4 => (0x68, 2),
            code::INT_4..code::INT_5 => (0x72, 3),
            code::INT_5..code::INT_6 => (0x76, 4),
            code::INT_6..code::INT_7 => (0x7a, 5),
            code::INT_7..code::CACHED => (0x7e, 6),
            _ => return Ok(self.number(8)? as i64),
        };
        let high = i64::from(code) - zero;
        Ok(high << (8 * rest) | self.number(rest)? as i64)
    }

    /// An integer where the format wants one; it may come out of the cache.
    pub(super) fn int(&mut self, depth: usize) -> Result<i64, BinaryError> {
        let start = self.offset;
        match self.value(depth + 1)? {
            Edn::Int(value) => Ok(value),
            other => self.error(start, format!("`{other}` where an integer is expected")),
        }
    }

    /// A length or an index.
    pub(super) fn count(&mut self, depth: usize) -> Result<u64, BinaryError> {
        let start = self.offset;
        let count = self.int(depth)?;
        // The format's own limit: it is made for Java.
        match u64::try_from(count) {
            Ok(count) if count <= i32::MAX as u64 => Ok(count),
            _ => self.error(start, format!("{count} is not a length")),
        }
    }

    fn cached(&mut self, start: u64, index: u64) -> Result<Edn, BinaryError> {
        let cached = usize::try_from(index).ok().and_then(|index| self.cache.get(index));
        let Some(cached) = cached else {
            let detail = format!("value {index} of the cache, which holds {}", self.cache.len());
            return self.error(start, detail);
        };
        let Some(value) = &cached.value else {
            return self.error(start, format!("value {index} of the cache contains itself"));
        };
        self.unfolded_bytes += cached.bytes;
        if self.unfolded_bytes > UNFOLDED_BYTES_MAX {
            let detail = format!("the references of this object unfold to more than {UNFOLDED_BYTES_MAX} bytes");
            return Err(BinaryError { offset: start, detail });
        }
        Ok(value.clone())
    }

    fn put_cached(&mut self, depth: usize) -> Result<Edn, BinaryError> {
        let start = self.offset - 1;
        // Its place is taken before it is read: values within it come after it.
        let place = self.cache.len();
        self.cache.push(Cached { value: None, bytes: 0 });
        let value = self.value(depth + 1)?;
        // A footer or a reset within the value empties the cache.
        if let Some(cached) = self.cache.get_mut(place) {
            let bytes = tags::memory_bytes(&value);
            *cached = Cached { value: Some(value.clone()), bytes };
            self.cache_bytes += bytes;
        }
        if self.cache_bytes > CACHE_BYTES_MAX {
            return self.error(start, format!("the cache would hold more than {CACHE_BYTES_MAX} bytes"));
        }
        Ok(value)
    }

    fn struct_type(&mut self, code: u8, depth: usize) -> Result<StructType, BinaryError> {
        let start = self.offset - 1;
        let index = match code {
            code::STRUCT_TYPE => {
                let tag = self.value(depth + 1)?;
                let components = self.count(depth)? as usize;
                let found = StructType { tag: Tag::of_value(&tag), components };
                self.structs.push(found.clone());
                return Ok(found);
            }
            code::STRUCT => self.count(depth)?,
            _ => u64::from(code - code::STRUCT_CACHED),
        };
        let found = usize::try_from(index).ok().and_then(|index| self.structs.get(index)).cloned();
        match found {
            Some(found) => Ok(found),
            None => self.error(start, format!("kind {index} of structs, of which there are {}", self.structs.len())),
        }
    }

    fn array(&mut self, code: u8, depth: usize) -> Result<Edn, BinaryError> {
        let count = self.count(depth)?;
        let start = self.offset;
        let items = self.collect(Elements::Counted(count), depth)?;
        let fits = |item: &Edn| match code {
            code::LONGS | code::INTS => matches!(item, Edn::Int(_)),
            code::BOOLS => matches!(item, Edn::Bool(_)),
            code::DOUBLES | code::FLOATS => matches!(item, Edn::Number(_)),
            _ => true,
        };
        match items.iter().find(|item| !fits(item)) {
            Some(item) => self.error(start, format!("`{item}` does not fit into this array")),
            None => Ok(Edn::Seq(items)),
        }
    }

    /// If a list begins here, goes into it.
    pub(super) fn enter_list(&mut self) -> Result<Option<Elements>, BinaryError> {
        match self.peek()? {
            Some(code @ code::LIST_SHORT..=code::LIST_OPEN) => {
                self.byte()?;
                self.elements_of(code, 0).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The next element of a list that was entered, as an object of its own.
    pub(super) fn next_element(&mut self, elements: &mut Elements) -> Result<Option<Edn>, BinaryError> {
        self.unfolded_bytes = 0;
        self.element(elements, 0)
    }

    /// The next object; `None` where the bytes end.
    pub(super) fn next_object(&mut self) -> Result<Option<Edn>, BinaryError> {
        if self.at_end()? { Ok(None) } else { self.object().map(Some) }
    }

    /// Gives the rest of the bytes back.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// If a struct of this code begins here, goes into it.
    pub(super) fn enter_struct(&mut self, wanted: u8) -> Result<bool, BinaryError> {
        let found = self.peek()? == Some(wanted);
        if found {
            self.byte()?;
        }
        Ok(found)
    }

    fn elements_of(&mut self, code: u8, depth: usize) -> Result<Elements, BinaryError> {
        Ok(match code {
            code::LIST => Elements::Counted(self.count(depth)?),
            code::LIST_CLOSED => Elements::Closed,
            code::LIST_OPEN => Elements::Open,
            short => Elements::Counted(u64::from(short - code::LIST_SHORT)),
        })
    }

    /// The next element of a list that was entered; `None` at its end.
    pub(super) fn element(&mut self, elements: &mut Elements, depth: usize) -> Result<Option<Edn>, BinaryError> {
        match elements {
            Elements::Counted(0) => return Ok(None),
            Elements::Counted(left) => *left -= 1,
            Elements::Open if self.at_end()? => return Ok(None),
            Elements::Closed | Elements::Open => {
                if self.peek()? == Some(code::END) {
                    self.byte()?;
                    return Ok(None);
                }
            }
        }
        self.value(depth + 1).map(Some)
    }

    pub(super) fn collect(&mut self, mut elements: Elements, depth: usize) -> Result<Vec<Edn>, BinaryError> {
        let mut items = match elements {
            Elements::Counted(count) => Vec::with_capacity(count.min(64) as usize),
            _ => Vec::new(),
        };
        while let Some(item) = self.element(&mut elements, depth)? {
            items.push(item);
        }
        Ok(items)
    }

    /// Bytes in all their chunks.
    fn bytes(&mut self, code: u8, depth: usize) -> Result<Vec<u8>, BinaryError> {
        let (mut bytes, mut code) = (Vec::new(), code);
        loop {
            let start = self.offset - 1;
            let (count, last) = match code {
                code::BYTES_CHUNK => (self.count(depth)?, false),
                code::BYTES => (self.count(depth)?, true),
                code::BYTES_SHORT..code::BYTES_CHUNK => (u64::from(code - code::BYTES_SHORT), true),
                _ => return self.error(start, "the next chunk of these bytes is missing"),
            };
            self.take(count, &mut bytes)?;
            if last {
                return Ok(bytes);
            }
            code = self.byte()?;
        }
    }

    /// A string in all its chunks.
    fn string(&mut self, code: u8, depth: usize) -> Result<String, BinaryError> {
        let (mut bytes, mut code) = (Vec::new(), code);
        loop {
            let start = self.offset - 1;
            let (count, last) = match code {
                code::STRING_CHUNK => (self.count(depth)?, false),
                code::STRING => (self.count(depth)?, true),
                code::STRING_SHORT..code::STRING_CHUNK => (u64::from(code - code::STRING_SHORT), true),
                _ => return self.error(start, "the next chunk of this string is missing"),
            };
            self.take(count, &mut bytes)?;
            if last {
                let end = self.offset;
                return tags::text(bytes).ok_or(BinaryError { offset: end, detail: "this is not a string".to_owned() });
            }
            code = self.byte()?;
        }
    }

    /// Length and Adler-32 of what came before; the caches begin anew behind it.
    fn footer(&mut self, start: u64) -> Result<(), BinaryError> {
        if self.number(3)? != 0x00cf_cfcf {
            return self.error(start, "this is not a footer");
        }
        let length = self.number(4)?;
        let sum = self.adler.value();
        let stated = self.number(4)? as u32;
        if length != (start - self.footer_start) & 0xffff_ffff {
            let detail = format!("the footer speaks of {length} bytes, but there are {}", start - self.footer_start);
            return self.error(start, detail);
        }
        if sum != stated {
            return self.error(start, "the checksum of the footer does not fit: the bytes were changed");
        }
        self.footer_start = self.offset;
        self.adler = Adler32::default();
        self.reset_caches();
        Ok(())
    }

    fn reset_caches(&mut self) {
        self.cache.clear();
        self.cache_bytes = 0;
        self.structs.clear();
    }
}

/// The checksum of a footer.
struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler32 {
    fn add(&mut self, bytes: &[u8]) {
        // So many sums of bytes stay below 2^32.
        for part in bytes.chunks(5552) {
            for byte in part {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= 65_521;
            self.b %= 65_521;
        }
    }

    fn value(&self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
#[path = "fressian_tests.rs"]
mod tests;
