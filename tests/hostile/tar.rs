//! Tar archives made byte by byte, so that every field can be wrong.

/// One header; the defaults are those of an ordinary file of POSIX `ustar`.
#[derive(Clone)]
pub struct Entry {
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: Vec<u8>,
    /// In place of the body's size.
    pub size: Option<Vec<u8>>,
    pub uid: Vec<u8>,
    pub mtime: Vec<u8>,
    pub magic: Vec<u8>,
    pub prefix: Vec<u8>,
    pub body: Vec<u8>,
}

pub const POSIX: &[u8] = b"ustar\x0000";
pub const GNU: &[u8] = b"ustar  \0";
pub const OLD: &[u8] = b"\0\0\0\0\0\0\0\0";

impl Entry {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            kind,
            name: name.as_ref().to_vec(),
            link: Vec::new(),
            mode: b"0000644\0".to_vec(),
            size: None,
            uid: b"0001750\0".to_vec(),
            mtime: b"14000000000\0".to_vec(),
            magic: POSIX.to_vec(),
            prefix: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn link(mut self, link: impl AsRef<[u8]>) -> Self {
        self.link = link.as_ref().to_vec();
        self
    }

    pub fn mode(mut self, mode: &[u8]) -> Self {
        self.mode = mode.to_vec();
        self
    }

    pub fn size(mut self, size: &[u8]) -> Self {
        self.size = Some(size.to_vec());
        self
    }

    pub fn magic(mut self, magic: &[u8]) -> Self {
        self.magic = magic.to_vec();
        self
    }

    pub fn prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.prefix = prefix.as_ref().to_vec();
        self
    }
}

pub fn file(name: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'0', name).body(body)
}

pub fn program(name: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Entry {
    file(name, body).mode(b"0000755\0")
}

pub fn directory(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'5', name).mode(b"0000755\0")
}

pub fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'2', name).link(target).mode(b"0000777\0")
}

pub fn hard_link(name: impl AsRef<[u8]>, earlier: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'1', name).link(earlier)
}

/// An extended header of POSIX: `x` for the next member, `g` for all that follow.
pub fn pax(kind: u8, records: &[(&[u8], &[u8])]) -> Entry {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = [b" ", *key, b"=", value, b"\n"].concat();
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length += 1;
        }
        body.extend_from_slice(length.to_string().as_bytes());
        body.extend_from_slice(&rest);
    }
    Entry::new(kind, "pax").body(body)
}

/// GNU's long name (`L`) or long target (`K`) for the next member.
pub fn long(kind: u8, text: impl AsRef<[u8]>) -> Entry {
    let body = [text.as_ref(), b"\0"].concat();
    Entry::new(kind, "././@LongLink").magic(GNU).body(body)
}

#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn of(entries: &[Entry]) -> Self {
        entries.iter().fold(Self::default(), Self::add)
    }

    pub fn add(mut self, entry: &Entry) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, longest: usize, bytes: &[u8]| {
            assert!(bytes.len() <= longest, "a field of {longest} bytes");
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let size = format!("{:011o}\0", entry.body.len()).into_bytes();
        put(0, 100, &entry.name);
        put(100, 8, &entry.mode);
        put(108, 8, &entry.uid);
        put(116, 8, &entry.uid);
        put(124, 12, entry.size.as_ref().unwrap_or(&size));
        put(136, 12, &entry.mtime);
        put(156, 1, &[entry.kind]);
        put(157, 100, &entry.link);
        put(257, 8, &entry.magic);
        put(265, 4, b"user");
        put(345, 155, &entry.prefix);
        fix_sum(&mut header);
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(&entry.body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// With the mark of the end.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Writes the right checksum into a header.
pub fn fix_sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Where the headers of an archive are: blocks whose checksum is right.
pub fn headers(bytes: &[u8]) -> Vec<usize> {
    let is_header = |block: &[u8]| {
        let mut fixed = block.to_vec();
        fix_sum(&mut fixed);
        fixed == block
    };
    (0..bytes.len() / 512).map(|block| block * 512).filter(|at| is_header(&bytes[*at..*at + 512])).collect()
}
