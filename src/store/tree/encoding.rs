//! A tree as bytes, and the hash over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BlobHash, File, LinkTarget, MAX_DEPTH, Name, Node, Tree, TreeError, TreeHash};

/// Context string of BLAKE3's key derivation for directories. Changing the encoding means
/// changing this string, and with it every tree hash.
const DIRECTORY_CONTEXT: &str = "jtwbuild 2026-11 tree directory v1";

impl Tree {
    /// The hash that names this tree: BLAKE3 over each directory's entries in byte order, where a
    /// subdirectory stands as its own hash (a Merkle tree).
    pub fn hash(&self) -> TreeHash {
        let mut hasher = blake3::Hasher::new_derive_key(DIRECTORY_CONTEXT);
        let mut head = Vec::with_capacity(320);
        for (name, node) in &self.entries {
            head.clear();
            encode_head(name, node, &mut head);
            if let Node::Directory(below) = node {
                head.extend_from_slice(below.hash().as_bytes());
            }
            hasher.update(&head);
        }
        TreeHash::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The whole tree as bytes, from which [`Tree::decode`] makes an equal one.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        for (name, node) in &self.entries {
            encode_head(name, node, out);
            if let Node::Directory(below) = node {
                below.encode_into(out);
            }
        }
        out.push(b'.');
    }

    /// Reads what [`Tree::encode`] wrote. Anything else, even by one byte or out of order, is an
    /// error: `encode(decode(b)) = b` for every `b` that is accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut decoder = Decoder { rest: bytes };
        let tree = decoder.tree(0)?;
        if decoder.rest.is_empty() { Ok(tree) } else { Err(TreeError::Encoding("bytes after the end")) }
    }
}

/// Kind, name and content of one entry; of a directory only kind and name.
fn encode_head(name: &Name, node: &Node, out: &mut Vec<u8>) {
    let kind = match node {
        Node::File(File { executable: false, .. }) => b'f',
        Node::File(File { executable: true, .. }) => b'x',
        Node::Link(_) => b'l',
        Node::Directory(_) => b'd',
    };
    out.push(kind);
    encode_bytes(name.as_bytes(), out);
    match node {
        Node::File(file) => {
            out.extend_from_slice(&file.size.to_le_bytes());
            out.extend_from_slice(file.blob.as_bytes());
        }
        Node::Link(target) => encode_bytes(target.as_bytes(), out),
        Node::Directory(_) => {}
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // Names and targets are at most 4095 bytes long by construction.
    let length = u16::try_from(bytes.len()).expect("names and link targets are shorter than 64 KiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TreeError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(TreeError::Encoding("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TreeError> {
        self.take(N)?.try_into().map_err(|_| TreeError::Encoding("it ends too early"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], TreeError> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn tree(&mut self, depth: usize) -> Result<Tree, TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::Encoding("directories nest too deep"));
        }
        let mut entries = BTreeMap::new();
        loop {
            let kind = self.array::<1>()?[0];
            if kind == b'.' {
                return Ok(Tree { entries });
            }
            let name = Name::new(self.bytes()?)?;
            let node = match kind {
                b'f' | b'x' => Node::File(File {
                    size: u64::from_le_bytes(self.array()?),
                    blob: BlobHash::from_bytes(self.array()?),
                    executable: kind == b'x',
                }),
                b'l' => Node::Link(LinkTarget::new(self.bytes()?)?),
                b'd' => Node::Directory(Arc::new(self.tree(depth + 1)?)),
                _ => return Err(TreeError::Encoding("an unknown kind of node")),
            };
            if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(TreeError::Encoding("names out of order"));
            }
            entries.insert(name, node);
        }
    }
}
