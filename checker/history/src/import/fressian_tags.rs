//! What the structs of Fressian stand for: those of the format, of Clojure and of Jepsen.

use super::edn::Edn;
use super::fressian::{BinaryError, Reader};
use super::fressian_codes as code;
use std::io::BufRead;
use std::sync::Arc;

/// Bytes of an integer beyond which it is not written out as a number.
const BIG_INT_BYTES_MAX: usize = 4096;

/// Components of a struct that is not known, beyond which it is refused.
const COMPONENTS_MAX: usize = 1 << 20;

/// Name of the tag of a reference to a block.
pub(super) const BLOCK_REF: &str = "block-ref";

/// The tag of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Map,
    Set,
    Uuid,
    Uri,
    BigInt,
    BigDec,
    Inst,
    Symbol,
    Keyword,
    /// One component which is all there is to it: `atom`, `vec`, `byte`, `regex`.
    Transparent,
    /// A set that is written as a list or nil.
    SetOfList,
    MapEntry,
    Char,
    Ratio,
    Record,
    Op,
    Other(Arc<str>),
}

impl Tag {
    /// The tag that has a code of its own.
    pub(super) fn of_code(code: u8) -> Self {
        match code {
            code::MAP => Tag::Map,
            code::SET => Tag::Set,
            code::UUID => Tag::Uuid,
            code::URI => Tag::Uri,
            code::BIGINT => Tag::BigInt,
            code::BIGDEC => Tag::BigDec,
            code::INST => Tag::Inst,
            code::SYM => Tag::Symbol,
            code::KEY => Tag::Keyword,
            _ => Tag::Transparent,
        }
    }

    /// The tag of this name.
    pub(super) fn of_value(value: &Edn) -> Self {
        match value.name().unwrap_or_default() {
            "map" => Tag::Map,
            "set" => Tag::Set,
            "uuid" => Tag::Uuid,
            "uri" => Tag::Uri,
            "bigint" => Tag::BigInt,
            "bigdec" => Tag::BigDec,
            "inst" => Tag::Inst,
            "sym" => Tag::Symbol,
            "key" => Tag::Keyword,
            "atom" | "vec" | "byte" | "regex" => Tag::Transparent,
            "persistent-hash-set" | "persistent-sorted-set" => Tag::SetOfList,
            // Jepsen writes the tuples of independent keys as entries of maps.
            "map-entry" => Tag::MapEntry,
            "char" => Tag::Char,
            "ratio" => Tag::Ratio,
            "record" => Tag::Record,
            "jepsen.history.Op" => Tag::Op,
            "" => Tag::Other(Arc::from(value.to_string())),
            other => Tag::Other(Arc::from(other)),
        }
    }

    /// How many components a struct of a tag of the format has; what is written down is not always true to it.
    pub(super) fn components(&self) -> usize {
        match self {
            Tag::BigDec | Tag::Symbol | Tag::Keyword | Tag::MapEntry | Tag::Ratio | Tag::Record => 2,
            Tag::Op => 7,
            _ => 1,
        }
    }
}

/// Reads the components of a struct that begins at `start`.
pub(super) fn read<R: BufRead>(
    reader: &mut Reader<R>,
    start: u64,
    tag: &Tag,
    components: usize,
    depth: usize,
) -> Result<Edn, BinaryError> {
    if let Tag::Other(name) = tag {
        return other(reader, start, name, components, depth);
    }
    // Java's writer says that an UUID has two components, and writes one.
    if components != tag.components() && *tag != Tag::Uuid {
        let detail = format!("a struct {tag:?} of {components} components, where {} are expected", tag.components());
        return reader.error(start, detail);
    }
    let first = reader.value(depth)?;
    let wrong = |what: &str, found: &Edn| BinaryError { offset: start, detail: format!("`{found}` is not {what}") };
    Ok(match (tag, first) {
        (Tag::Transparent, first) => first,
        (Tag::Map, Edn::Seq(items)) => map(items).ok_or_else(|| wrong("a map", &Edn::Nil))?,
        (Tag::Set | Tag::SetOfList, Edn::Seq(items)) => Edn::Set(items),
        (Tag::SetOfList, Edn::Nil) => Edn::Set(Vec::new()),
        (Tag::Uuid, first) => uuid(&first).ok_or_else(|| wrong("a UUID", &first))?,
        (Tag::Uri, first) => Edn::Tagged("uri".to_owned(), Box::new(first)),
        (Tag::BigInt, first) => {
            let bytes = bytes_of(&first).ok_or_else(|| wrong("an integer", &first))?;
            big_int(&bytes).ok_or_else(|| wrong("an integer of at most 4096 bytes", &Edn::Nil))?
        }
        (Tag::BigDec, first) => {
            let scale = reader.int(depth)?;
            let bytes = bytes_of(&first).ok_or_else(|| wrong("a decimal number", &first))?;
            let digits = big_int(&bytes).ok_or_else(|| wrong("a decimal number of at most 4096 bytes", &Edn::Nil))?;
            Edn::Number(decimal(digits.to_string().trim_end_matches('N'), scale))
        }
        (Tag::Inst, Edn::Int(millis)) => Edn::Tagged("inst".to_owned(), Box::new(Edn::Str(instant(millis)))),
        (Tag::Symbol | Tag::Keyword, namespace) => {
            let name = match (namespace, reader.value(depth)?) {
                (Edn::Nil, Edn::Str(name)) => name,
                (Edn::Str(namespace), Edn::Str(name)) => format!("{namespace}/{name}"),
                (_, other) => return Err(wrong("the name of a keyword or symbol", &other)),
            };
            if *tag == Tag::Symbol { Edn::Symbol(name) } else { Edn::Keyword(name) }
        }
        (Tag::MapEntry, key) => {
            let value = reader.value(depth)?;
            Edn::Entry(Box::new((key, value)))
        }
        (Tag::Char, Edn::Int(unit)) => {
            let unit = u16::try_from(unit).map_err(|_| wrong("a character", &Edn::Int(unit)))?;
            Edn::Char(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
        }
        (Tag::Ratio, numerator) => Edn::Number(format!("{numerator}/{}", reader.value(depth)?)),
        (Tag::Record, class) => {
            let name = class.name().ok_or_else(|| wrong("the name of a record", &class))?.to_owned();
            Edn::Tagged(name, Box::new(reader.value(depth)?))
        }
        (Tag::Op, index) => operation(reader, index, depth)?,
        (tag, found) => return Err(wrong(&format!("what a struct {tag:?} holds"), &found)),
    })
}

fn other<R: BufRead>(
    reader: &mut Reader<R>,
    start: u64,
    name: &Arc<str>,
    components: usize,
    depth: usize,
) -> Result<Edn, BinaryError> {
    if components > COMPONENTS_MAX {
        return reader.error(start, format!("a struct {name} of {components} components"));
    }
    let mut items = Vec::with_capacity(components.min(16));
    for _ in 0..components {
        items.push(reader.value(depth)?);
    }
    let inner = match <[Edn; 1]>::try_from(items) {
        Ok([only]) => only,
        Err(items) => Edn::Seq(items),
    };
    Ok(Edn::Tagged(name.to_string(), Box::new(inner)))
}

/// An operation of a history, as the map that it prints as.
fn operation<R: BufRead>(reader: &mut Reader<R>, index: Edn, depth: usize) -> Result<Edn, BinaryError> {
    let mut pairs = Vec::with_capacity(8);
    pairs.push((Edn::Keyword("index".to_owned()), index));
    for name in ["time", "type", "process", "f", "value"] {
        pairs.push((Edn::Keyword(name.to_owned()), reader.value(depth)?));
    }
    match reader.value(depth)? {
        Edn::Nil => {}
        Edn::Map(more) => pairs.extend(more),
        other => {
            let detail = format!("`{other}` is not a map of further fields of an operation");
            return reader.error(reader.offset(), detail);
        }
    }
    Ok(Edn::Map(pairs))
}

fn map(items: Vec<Edn>) -> Option<Edn> {
    if items.len() % 2 == 1 {
        return None;
    }
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    Some(Edn::Map(pairs))
}

/// Bytes as a value: hexadecimal digits under a tag.
pub(super) fn bytes(bytes: &[u8]) -> Edn {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            digits.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    Edn::Tagged("bytes".to_owned(), Box::new(Edn::Str(digits)))
}

fn bytes_of(value: &Edn) -> Option<Vec<u8>> {
    let Edn::Tagged(tag, inner) = value else { return None };
    let Edn::Str(digits) = &**inner else { return None };
    if tag != "bytes" {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

fn uuid(value: &Edn) -> Option<Edn> {
    let bytes = bytes_of(value).filter(|bytes| bytes.len() == 16)?;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(Edn::Tagged("uuid".to_owned(), Box::new(Edn::Str(text))))
}

/// A big-endian integer in two's complement. `None`: it is empty, or too long to be written out.
fn big_int(bytes: &[u8]) -> Option<Edn> {
    let negative = *bytes.first()? >= 0x80;
    if bytes.len() > BIG_INT_BYTES_MAX {
        return None;
    }
    if bytes.len() <= 8 {
        let start = if negative { -1_i64 } else { 0 };
        return Some(Edn::Int(bytes.iter().fold(start, |value, byte| value << 8 | i64::from(*byte))));
    }
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
        if carry {
            magnitude.insert(0, 1);
        }
    }
    let text = format!("{}{}", if negative { "-" } else { "" }, decimal_digits(magnitude));
    Some(text.parse().map_or_else(|_| Edn::Number(format!("{text}N")), Edn::Int))
}

/// The decimal digits of an unsigned big-endian number: nine at a time, by division.
fn decimal_digits(mut number: Vec<u8>) -> String {
    let mut groups = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u64;
        for byte in &mut number {
            let part = rest << 8 | u64::from(*byte);
            *byte = (part / 1_000_000_000) as u8;
            rest = part % 1_000_000_000;
        }
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number.drain(..zeros);
        groups.push(rest);
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// `digits` x 10^-scale as Clojure prints a decimal number.
fn decimal(digits: &str, scale: i64) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}M"),
        Ok(scale) if scale < digits.len() => {
            let (whole, part) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{part}M")
        }
        Ok(scale) if scale <= 64 => format!("{sign}0.{digits:0>scale$}M"),
        _ => format!("{sign}{digits}E{}M", scale.checked_neg().unwrap_or(i64::MAX)),
    }
}

/// A floating-point number as it is written.
pub(super) fn float(value: f64) -> Edn {
    Edn::Number(if value.is_nan() {
        "##NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "##Inf".to_owned() } else { "##-Inf".to_owned() }
    } else {
        format!("{value:?}")
    })
}

/// Milliseconds since 1970 as `#inst` has them.
fn instant(millis: i64) -> String {
    let seconds = crate::run_dir::rfc3339(millis.div_euclid(1000).saturating_mul(1_000_000_000));
    format!("{}.{:03}-00:00", seconds.trim_end_matches('Z'), millis.rem_euclid(1000))
}

/// Text as Java writes it: UTF-8 of the halves of surrogate pairs. Plain UTF-8 is taken as well.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => error.into_bytes(),
    };
    let mut units = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.into_iter().map(u16::from);
    while let Some(byte) = bytes.next() {
        units.push(match byte >> 4 {
            0..8 => byte,
            12 | 13 => (byte & 0x1f) << 6 | bytes.next()? & 0x3f,
            14 => (byte & 0x0f) << 12 | (bytes.next()? & 0x3f) << 6 | bytes.next()? & 0x3f,
            _ => return None,
        });
    }
    Some(String::from_utf16_lossy(&units))
}

/// About how much memory a value takes.
pub(super) fn memory_bytes(value: &Edn) -> usize {
    let inner = match value {
        Edn::Nil | Edn::Bool(_) | Edn::Int(_) | Edn::Char(_) => 0,
        Edn::Entry(pair) => memory_bytes(&pair.0) + memory_bytes(&pair.1),
        Edn::Number(text) | Edn::Str(text) | Edn::Keyword(text) | Edn::Symbol(text) => text.len(),
        Edn::Seq(items) | Edn::Set(items) => items.iter().map(memory_bytes).sum(),
        Edn::Map(pairs) => pairs.iter().map(|(key, value)| memory_bytes(key) + memory_bytes(value)).sum(),
        Edn::Tagged(tag, inner) => tag.len() + memory_bytes(inner),
    };
    size_of::<Edn>() + inner
}
