//! A writer of Fressian and of `.jepsen` files for tests, made from the descriptions of both formats and not from the
//! reader: it packs integers by range, as Java's writer does, where the reader goes by code.

/// Writes objects, with the caches of one stream.
#[derive(Default)]
pub(crate) struct FressianWriter {
    pub(crate) out: Vec<u8>,
    cache: Vec<String>,
    structs: Vec<String>,
}

impl FressianWriter {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub(crate) fn nil(&mut self) -> &mut Self {
        self.raw(&[0xf7])
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(&[if value { 0xf5 } else { 0xf6 }])
    }

    /// An integer in the fewest bytes.
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        if (-1..64).contains(&value) {
            return self.raw(&[value as u8]);
        }
        // Zero of the first byte, and how far it reaches to both sides, for one to six bytes more.
        for (more, (zero, reach)) in
            [(0x50, 16), (0x68, 8), (0x72, 2), (0x76, 2), (0x7a, 2), (0x7e, 2)].iter().enumerate()
        {
            let unit = 1_i64 << (8 * (more + 1));
            if (-reach * unit..reach * unit).contains(&value) {
                self.out.push((zero + value.div_euclid(unit)) as u8);
                let low = value.rem_euclid(unit).to_be_bytes();
                return self.raw(&low[7 - more..]);
            }
        }
        self.out.push(0xf8);
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn double(&mut self, value: f64) -> &mut Self {
        match value.to_bits() {
            0 => self.raw(&[0xfb]),
            0x3ff0_0000_0000_0000 => self.raw(&[0xfc]),
            bits => self.raw(&[0xfa]).raw(&bits.to_be_bytes()),
        }
    }

    /// A string in chunks of at most `chunk` bytes, in Java's UTF-8 of surrogates.
    pub(crate) fn string_in_chunks(&mut self, text: &str, chunk: usize) -> &mut Self {
        let mut bytes = Vec::new();
        let mut chunks = Vec::new();
        for unit in text.encode_utf16() {
            let unit = u32::from(unit);
            let encoded = match unit {
                0..0x80 => vec![unit as u8],
                0x80..0x800 => vec![0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8],
                _ => vec![0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8],
            };
            if bytes.len() + encoded.len() > chunk {
                chunks.push(std::mem::take(&mut bytes));
            }
            bytes.extend(encoded);
        }
        for chunk in chunks {
            self.raw(&[0xe2]).int(chunk.len() as i64).raw(&chunk);
        }
        if bytes.len() < 8 {
            self.raw(&[0xda + bytes.len() as u8]).raw(&bytes)
        } else {
            self.raw(&[0xe3]).int(bytes.len() as i64).raw(&bytes)
        }
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.string_in_chunks(text, 65_536)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.len() < 8 {
            self.raw(&[0xd0 + bytes.len() as u8]).raw(bytes)
        } else {
            self.raw(&[0xd9]).int(bytes.len() as i64).raw(bytes)
        }
    }

    /// The head of a list; its elements follow.
    pub(crate) fn list(&mut self, count: usize) -> &mut Self {
        if count < 8 { self.raw(&[0xe4 + count as u8]) } else { self.raw(&[0xec]).int(count as i64) }
    }

    /// The head of a map; its keys and values follow.
    pub(crate) fn map(&mut self, pairs: usize) -> &mut Self {
        self.raw(&[0xc0]).list(pairs * 2)
    }

    /// The head of a struct without a code of its own.
    pub(crate) fn tag(&mut self, name: &str, components: usize) -> &mut Self {
        match self.structs.iter().position(|known| known == name) {
            None => {
                self.structs.push(name.to_owned());
                self.raw(&[0xef]).string(name).int(components as i64)
            }
            Some(index) if index < 16 => self.raw(&[0xa0 + index as u8]),
            Some(index) => self.raw(&[0xf0]).int(index as i64),
        }
    }

    /// Writes a reference if `what` is in the cache, else puts it there with what `write` writes.
    fn cached(&mut self, what: String, write: impl FnOnce(&mut Self)) -> &mut Self {
        match self.cache.iter().position(|known| *known == what) {
            None => {
                self.cache.push(what);
                self.raw(&[0xcd]);
                write(self);
                self
            }
            Some(index) if index < 32 => self.raw(&[0x80 + index as u8]),
            Some(index) => self.raw(&[0xcc]).int(index as i64),
        }
    }

    /// A keyword, whose name goes through the cache.
    pub(crate) fn keyword(&mut self, name: &str) -> &mut Self {
        self.raw(&[0xca, 0xf7]);
        let name = name.to_owned();
        self.cached(format!("string {name}"), |writer| {
            writer.string(&name);
        })
    }

    /// A keyword that goes through the cache itself.
    pub(crate) fn cached_keyword(&mut self, name: &str) -> &mut Self {
        let name = name.to_owned();
        self.cached(format!("keyword {name}"), |writer| {
            writer.keyword(&name);
        })
    }
}

/// One operation: what is written of it is what Jepsen's `Op` has, or a map of version 0.
pub(crate) struct Op<'a> {
    pub(crate) index: i64,
    pub(crate) time: i64,
    pub(crate) kind: &'a str,
    /// `None`: the nemesis.
    pub(crate) process: Option<i64>,
    pub(crate) f: &'a str,
    pub(crate) value: &'a dyn Fn(&mut FressianWriter),
}

impl Op<'_> {
    fn process(&self, writer: &mut FressianWriter) {
        match self.process {
            Some(process) => writer.int(process),
            None => writer.keyword("nemesis"),
        };
    }

    /// As a struct of version 1.
    pub(crate) fn write_struct(&self, writer: &mut FressianWriter) {
        writer.tag("jepsen.history.Op", 7).int(self.index).int(self.time).cached_keyword(self.kind);
        self.process(writer);
        writer.cached_keyword(self.f);
        (self.value)(writer);
        writer.nil();
    }

    /// As a map without `:index`.
    pub(crate) fn write_map(&self, writer: &mut FressianWriter) {
        writer.map(5).keyword("type").keyword(self.kind).keyword("f").keyword(self.f);
        writer.keyword("value");
        (self.value)(writer);
        writer.keyword("process");
        self.process(writer);
        writer.keyword("time").int(self.time);
    }
}

/// Writes the blocks of a `.jepsen` file.
pub(crate) struct JepsenWriter {
    pub(crate) out: Vec<u8>,
    offsets: Vec<(i32, u64)>,
}

impl JepsenWriter {
    pub(crate) fn new(version: i32) -> Self {
        let mut out = b"JEPSEN".to_vec();
        out.extend(version.to_be_bytes());
        out.extend([0; 8]);
        Self { out, offsets: Vec::new() }
    }

    /// Appends a block; a later one of the same number replaces it.
    pub(crate) fn block(&mut self, id: i32, kind: i16, data: &[u8]) -> &mut Self {
        let offset = self.out.len() as u64;
        self.offsets.retain(|(other, _)| *other != id);
        self.offsets.push((id, offset));
        let mut header = Vec::new();
        header.extend((data.len() as u64 + 28).to_be_bytes());
        header.extend([0; 4]);
        header.extend(kind.to_be_bytes());
        header.extend([0; 14]);
        let mut crc = crc32fast::Hasher::new();
        crc.update(data);
        crc.update(&header);
        header[8..12].copy_from_slice(&crc.finalize().to_be_bytes());
        self.out.extend(header);
        self.out.extend_from_slice(data);
        self
    }

    /// Bytes that belong to no block.
    pub(crate) fn padding(&mut self, count: usize) -> &mut Self {
        self.out.extend(vec![0xaa; count]);
        self
    }

    pub(crate) fn stream(&mut self, id: i32, ops: &[Op<'_>]) -> &mut Self {
        let mut writer = FressianWriter::default();
        for op in ops {
            op.write_struct(&mut writer);
        }
        self.block(id, 4, &writer.out)
    }

    pub(crate) fn vector(&mut self, id: i32, count: i64, chunks: &[(i64, i32)]) -> &mut Self {
        let mut data = count.to_be_bytes().to_vec();
        for (first, chunk) in chunks {
            data.extend(first.to_be_bytes());
            data.extend(chunk.to_be_bytes());
        }
        self.block(id, 5, &data)
    }

    /// A test whose history is block `history`, in a map of two parts: blocks `id` and `id + 1`.
    pub(crate) fn test_in_parts(&mut self, id: i32, history: i32) -> &mut Self {
        let part = |rest: i32, write: &dyn Fn(&mut FressianWriter)| {
            let mut writer = FressianWriter::default();
            writer.raw(&rest.to_be_bytes());
            write(&mut writer);
            writer.out
        };
        let rest = part(0, &|writer| {
            writer.map(1).keyword("history").tag("block-ref", 1).int(i64::from(history));
        });
        let head = part(id + 1, &|writer| {
            writer.map(1).keyword("name").string("test");
        });
        self.block(id + 1, 3, &rest).block(id, 3, &head)
    }

    /// A test whose history is block `history`, in one block.
    pub(crate) fn test(&mut self, id: i32, history: i32) -> &mut Self {
        let mut writer = FressianWriter::default();
        writer.map(2).keyword("name").string("test").keyword("history").tag("block-ref", 1).int(i64::from(history));
        self.block(id, 2, &writer.out)
    }

    /// Appends an index with `root` as the test, and makes it the one that counts.
    pub(crate) fn index(&mut self, root: i32) -> &mut Self {
        let mut data = root.to_be_bytes().to_vec();
        for (id, offset) in self.offsets.clone() {
            data.extend(id.to_be_bytes());
            data.extend(offset.to_be_bytes());
        }
        let offset = self.out.len() as u64;
        self.block(1_000_000, 1, &data);
        self.out[10..18].copy_from_slice(&offset.to_be_bytes());
        self
    }
}
