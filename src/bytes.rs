//! The form of caches: a magic word, little-endian numbers, and a checksum at the end.
//! Whatever is not exactly that is no cache.

/// The length, in bytes, of a magic word and of a checksum.
pub const WORD: usize = 16;

/// A checksum: the beginning of the BLAKE3 hash.
pub type Check = [u8; WORD];

/// The checksum of `bytes`.
pub fn check(bytes: &[u8]) -> Check {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().expect("a hash is longer than its beginning")
}

/// A quick checksum of a small part, which notices torn and mixed-up files: FNV-1a over 64-bit words.
pub fn quick_check(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    let mut add = |word: [u8; 8]| {
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    };
    words.by_ref().for_each(|word| add(word.try_into().expect("chunks of eight bytes")));
    let mut rest = [0; 8];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    add(rest);
    sum
}

/// Adds the checksum, which completes a file.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = check(&bytes);
    bytes.extend(check);
    bytes
}

/// What a complete file holds behind its magic word.
pub fn unseal<'a>(bytes: &'a [u8], magic: &[u8; WORD]) -> Option<&'a [u8]> {
    let (body, sum) = bytes.split_last_chunk::<WORD>()?;
    let content = body.strip_prefix(magic)?;
    (check(body) == *sum).then_some(content)
}

/// Writes one value after the other.
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn number(&mut self, number: usize) {
        // A number that does not fit is one that no reader accepts.
        self.0.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub fn text(&mut self, text: &[u8]) {
        self.number(text.len());
        self.0.extend(text);
    }
}

/// Reads what a [`Writer`] wrote; `None` where it did not.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn number(&mut self) -> Option<usize> {
        self.array().map(u32::from_le_bytes).and_then(|number| number.try_into().ok())
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    /// As many values as a number before them says.
    pub fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        // Every value has at least a byte: a wrong count cannot ask for much.
        let mut list = Vec::with_capacity(count.min(self.0.len() / 8));
        for _ in 0..count {
            list.push(one(self)?);
        }
        Some(list)
    }
}
