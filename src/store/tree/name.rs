//! Names, paths and link targets: bytes that are safe to put on a disk.

use std::fmt;

use super::TreeError;

/// One component of a path: not empty, not `.` or `..`, no slash, no NUL, at most 255 bytes.
/// Any other bytes are legal and kept as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks `bytes` against the rules of the type.
    pub fn new(bytes: &[u8]) -> Result<Self, TreeError> {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        match bytes {
            b"" => Err(TreeError::EmptyName),
            b"." | b".." => Err(TreeError::ReservedName(shown())),
            _ if bytes.len() > 255 => Err(TreeError::LongName(shown())),
            _ if bytes.contains(&b'/') || bytes.contains(&0) => Err(TreeError::IllegalName(shown())),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// The name as the bytes that the disk will hold.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, when it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A relative path below a tree: names joined by `/`; the empty path is the tree itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<Name>);

impl RelPath {
    /// Parses `a/b/c`. A leading `/`, empty components, `.` and `..` are errors.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, TreeError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names = text.split(|byte| *byte == b'/').map(Name::new).collect::<Result<Vec<_>, _>>();
        names.map(Self).map_err(|_| TreeError::NotRelative(String::from_utf8_lossy(text).into_owned()))
    }

    /// The components, outermost first.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: Name) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }

    /// This path with another one below it.
    #[must_use]
    pub fn extend(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The last component, if there is one.
    pub fn file_name(&self) -> Option<&Name> {
        self.0.last()
    }

    /// All but the last component, if there is one.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}

/// What a symbolic link points to: any bytes the kernel would keep unchanged. Where it leads is
/// not checked here, because trees are never entered by following links.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(Box<[u8]>);

impl LinkTarget {
    /// Checks that `bytes` can be written as a link and read back as the same bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, TreeError> {
        if bytes.is_empty() || bytes.len() > 4095 || bytes.contains(&0) {
            return Err(TreeError::LinkTarget);
        }
        Ok(Self(bytes.into()))
    }

    /// The target as the bytes that the disk will hold.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
