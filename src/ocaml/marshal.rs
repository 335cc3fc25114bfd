//! OCaml's marshalled data: bytes → blocks, strings and integers, as `input_value` reads them.
//!
//! The format is that of OCaml's `runtime/intern.c` and `runtime/caml/intext.h`: a header, then
//! values in the order in which a depth-first walk meets them, where a block or string that was
//! met before is named by its number. Since OCaml 5.1 the values may be compressed.
//!
//! What is read may come from anybody. Reading takes no recursion, and at most some forty bytes
//! of memory for each byte of data.

use std::io::Read;

use crate::ocaml::OcamlError;

/// Data may be so long, uncompressed; the largest interfaces of real packages have a few megabytes.
const LARGEST: u64 = 16 << 20;

const SMALL: u32 = 0x8495_a6be;
const BIG: u32 = 0x8495_a6bf;
const COMPRESSED: u32 = 0x8495_a6bd;

/// A field of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Int(i64),
    /// A block without fields, which has no identity: only its tag.
    Atom(u8),
    /// A block, string or number on the heap.
    Object(u32),
}

/// What a number of the heap stands for.
#[derive(Clone, Copy, Debug)]
enum Object {
    Block {
        tag: u8,
        first: usize,
        length: usize,
    },
    String {
        first: usize,
        length: usize,
    },
    /// Floats, and integers of 32 and 64 bits.
    Raw {
        first: usize,
        length: usize,
    },
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    Int(i64),
    /// Tag and fields.
    Block(u8, &'a [Value]),
    Text(&'a [u8]),
    /// The bytes of floats, and of integers of 32 and 64 bits.
    Raw(&'a [u8]),
}

/// Everything that one call of `output_value` wrote.
#[derive(Debug)]
pub struct Heap {
    objects: Vec<Object>,
    fields: Vec<Value>,
    data: Vec<u8>,
    root: Value,
}

impl Heap {
    /// Reads the value at the beginning of `bytes`; gives what comes after it too.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), OcamlError> {
        let mut input = Input(bytes);
        let magic = input.unsigned(4)?;
        let (data, rest) = match u32::try_from(magic).unwrap_or_default() {
            SMALL => {
                let length = input.unsigned(4)?;
                input.take(12)?;
                input.data(length)?
            }
            BIG => {
                input.take(4)?;
                let length = input.unsigned(8)?;
                input.take(16)?;
                input.data(length)?
            }
            COMPRESSED => {
                let header = usize::from(input.byte()? & 0x3f);
                let mut numbers = Input(input.take(header.saturating_sub(5))?);
                let (packed, length) = (numbers.variable()?, numbers.variable()?);
                let (packed, rest) = input.data(packed)?;
                (decompress(&packed, length)?, rest)
            }
            _ => return Err(OcamlError::Damaged("no marshalled data where it should be")),
        };
        let mut heap = Self { objects: Vec::new(), fields: Vec::new(), data, root: Value::Int(0) };
        heap.fill(magic == u64::from(COMPRESSED))?;
        Ok((heap, rest))
    }

    fn fill(&mut self, is_compressed: bool) -> Result<(), OcamlError> {
        let data = std::mem::take(&mut self.data);
        let mut input = Input(&data);
        // The root is the only field of a block of its own, which is not on the heap.
        self.fields.push(Value::Int(0));
        let mut open = vec![(0_usize, 1_usize)];
        let mut unread = 1;
        while let Some((at, left)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            let place = *at;
            *at += 1;
            *left -= 1;
            unread -= 1;
            let read = input.value()?;
            self.fields[place] = match read {
                Written::Int(number) => Value::Int(number),
                Written::Block { tag, length: 0 } => Value::Atom(tag),
                Written::Block { tag, length } => {
                    // Each field that is to come takes a byte at least.
                    unread += length;
                    if unread > input.0.len() {
                        return Err(OcamlError::Damaged("a block is longer than the data"));
                    }
                    let first = self.fields.len();
                    self.fields.resize(first + length, Value::Int(0));
                    open.push((first, length));
                    self.add(Object::Block { tag, first, length })?
                }
                Written::String { length } => {
                    let first = data.len() - input.0.len();
                    input.take(length)?;
                    self.add(Object::String { first, length })?
                }
                Written::Raw { length } => {
                    let first = data.len() - input.0.len();
                    input.take(length)?;
                    self.add(Object::Raw { first, length })?
                }
                Written::Shared(number) => {
                    let count = self.objects.len() as u64;
                    let number = if is_compressed { Some(number) } else { count.checked_sub(number) };
                    let number = number.filter(|number| *number < count);
                    let number = number.and_then(|number| u32::try_from(number).ok());
                    Value::Object(number.ok_or(OcamlError::Damaged("it refers to what is not there"))?)
                }
            };
        }
        self.root = self.fields[0];
        self.data = data;
        Ok(())
    }

    fn add(&mut self, object: Object) -> Result<Value, OcamlError> {
        let number = u32::try_from(self.objects.len()).map_err(|_| OcamlError::TooLarge)?;
        self.objects.push(object);
        Ok(Value::Object(number))
    }

    /// The value that was written.
    pub fn root(&self) -> Value {
        self.root
    }

    /// How many bytes they took, unpacked.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// How many blocks, strings and numbers there are.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    /// What a value is; nothing for one of another heap.
    pub fn view(&self, value: Value) -> Option<View<'_>> {
        Some(match value {
            Value::Int(number) => View::Int(number),
            Value::Atom(tag) => View::Block(tag, &[]),
            Value::Object(number) => match *self.objects.get(number as usize)? {
                Object::Block { tag, first, length } => View::Block(tag, &self.fields[first..first + length]),
                Object::String { first, length } => View::Text(&self.data[first..first + length]),
                Object::Raw { first, length } => View::Raw(&self.data[first..first + length]),
            },
        })
    }

    /// Tag and fields, of a block.
    pub fn block(&self, value: Value) -> Option<(u8, &[Value])> {
        match self.view(value)? {
            View::Block(tag, fields) => Some((tag, fields)),
            _ => None,
        }
    }

    /// The bytes of a string.
    pub fn string(&self, value: Value) -> Option<&[u8]> {
        match self.view(value)? {
            View::Text(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn decompress(packed: &[u8], length: u64) -> Result<Vec<u8>, OcamlError> {
    if length > LARGEST {
        return Err(OcamlError::TooLarge);
    }
    let damaged = |_| OcamlError::Damaged("its compressed part cannot be unpacked");
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(damaged)?;
    let mut data = Vec::new();
    // One byte more would be too many.
    decoder.take(length + 1).read_to_end(&mut data).map_err(damaged)?;
    if data.len() as u64 == length {
        Ok(data)
    } else {
        Err(OcamlError::Damaged("its compressed part has another length than it says"))
    }
}

/// One value as it is written, without the fields of a block and the bytes of a string.
enum Written {
    Int(i64),
    Block { tag: u8, length: usize },
    String { length: usize },
    Raw { length: usize },
    Shared(u64),
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], OcamlError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(OcamlError::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, OcamlError> {
        Ok(self.take(1)?[0])
    }

    /// A big-endian number of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, OcamlError> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i64, OcamlError> {
        let unused = 64 - 8 * u32::try_from(bytes).unwrap_or(8);
        Ok((self.unsigned(bytes)? << unused).cast_signed() >> unused)
    }

    /// A number in groups of seven bits, the highest first; all but the last byte have their top bit set.
    fn variable(&mut self) -> Result<u64, OcamlError> {
        let mut number = 0_u64;
        loop {
            let byte = self.byte()?;
            if number > LARGEST {
                return Err(OcamlError::TooLarge);
            }
            number = (number << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
    }

    /// A length that is a number of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize, OcamlError> {
        usize::try_from(self.unsigned(bytes)?).map_err(|_| OcamlError::TooLarge)
    }

    /// The values behind a header, and what comes after them.
    fn data(&mut self, length: u64) -> Result<(Vec<u8>, &'a [u8]), OcamlError> {
        if length > LARGEST {
            return Err(OcamlError::TooLarge);
        }
        let data = self.take(usize::try_from(length).map_err(|_| OcamlError::TooLarge)?)?;
        Ok((data.to_vec(), self.0))
    }

    fn value(&mut self) -> Result<Written, OcamlError> {
        let code = self.byte()?;
        Ok(match code {
            0x80.. => Written::Block { tag: code & 0x0f, length: usize::from((code >> 4) & 0x07) },
            0x40.. => Written::Int(i64::from(code & 0x3f)),
            0x20.. => Written::String { length: usize::from(code & 0x1f) },
            0x00 => Written::Int(self.signed(1)?),
            0x01 => Written::Int(self.signed(2)?),
            0x02 => Written::Int(self.signed(4)?),
            0x03 => Written::Int(self.signed(8)?),
            0x04 => Written::Shared(self.unsigned(1)?),
            0x05 => Written::Shared(self.unsigned(2)?),
            0x06 => Written::Shared(self.unsigned(4)?),
            0x14 => Written::Shared(self.unsigned(8)?),
            0x08 => header(self.unsigned(4)?)?,
            0x13 => header(self.unsigned(8)?)?,
            0x09 => Written::String { length: self.length(1)? },
            0x0a => Written::String { length: self.length(4)? },
            0x15 => Written::String { length: self.length(8)? },
            0x0b | 0x0c => Written::Raw { length: 8 },
            0x0d | 0x0e => floats(self.length(1)?)?,
            0x07 | 0x0f => floats(self.length(4)?)?,
            0x16 | 0x17 => floats(self.length(8)?)?,
            0x12 | 0x19 => self.custom()?,
            0x10 | 0x11 | 0x18 => {
                return Err(OcamlError::Damaged("it holds code or custom blocks, which no such file does"));
            }
            0x1a..=0x1f => return Err(OcamlError::Damaged("an unknown kind of value")),
        })
    }
}

impl Input<'_> {
    /// The head of a custom block: its type's name up to a zero byte. Only integers are written by compilers.
    fn custom(&mut self) -> Result<Written, OcamlError> {
        let name = [self.byte()?, self.byte()?, self.byte()?];
        let length = match &name {
            b"_i\0" => 4,
            b"_j\0" => 8,
            // A native integer, with how long it is.
            b"_n\0" => match self.byte()? {
                1 => 4,
                2 => 8,
                _ => return Err(OcamlError::Damaged("an integer of an unknown size")),
            },
            _ => return Err(OcamlError::Damaged("it holds custom blocks, which no such file does")),
        };
        Ok(Written::Raw { length })
    }
}

/// A block's header as OCaml has it in memory: size, two bits of colour, tag.
fn header(word: u64) -> Result<Written, OcamlError> {
    let length = usize::try_from(word >> 10).map_err(|_| OcamlError::TooLarge)?;
    // A tag is the lowest byte.
    Ok(Written::Block { tag: word.to_le_bytes()[0], length })
}

fn floats(count: usize) -> Result<Written, OcamlError> {
    Ok(Written::Raw { length: count.checked_mul(8).ok_or(OcamlError::TooLarge)? })
}
