//! Paths that users and recipes write, checked: `RelativePath` stays below where it starts,
//! `AbsolutePath` is one of the sandbox.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::toml_reader::{FromText, TextError};

/// One or more path components joined by `/`, none of them `.` or `..`. A leading `./` and a
/// trailing `/` are taken and dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Box<str>);

/// Longest path taken, in bytes: what Linux takes.
const MAX_LENGTH: usize = 4096;

impl RelativePath {
    /// Checks every component.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.strip_prefix("./").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let good = text.len() <= MAX_LENGTH
            && !text.contains('\0')
            && text.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255);
        good.then(|| Self(text.into()))
    }

    /// The path as text, with `/` between components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Everything before the last component.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// `other`, which was written in a file of this directory.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(format!("{}/{}", self.0, other.0).into())
    }

    /// Where it is, below `directory`.
    pub fn below(&self, directory: &Path) -> PathBuf {
        directory.join(&*self.0)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromText for RelativePath {
    fn from_text(text: &str) -> Result<Self, TextError> {
        Self::new(text).ok_or_else(|| {
            let help = if text.starts_with('/') {
                "the path must be relative"
            } else if text.split('/').any(|part| part == "..") {
                "the path must stay below its directory: it cannot have `..`"
            } else {
                "a path is made of names with single `/` between them"
            };
            TextError {
                code: "path",
                message: format!("`{}` is not a path that can be used here", text.escape_debug()),
                label: "bad path".into(),
                help: Some(help.into()),
                within: None,
            }
        })
    }
}

/// An absolute path without `.`, `..` or empty components; not the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(Box<str>);

impl AbsolutePath {
    /// Checks every component.
    pub fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        (RelativePath::new(rest)?.as_str() == rest).then(|| Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromText for AbsolutePath {
    fn from_text(text: &str) -> Result<Self, TextError> {
        Self::new(text).ok_or_else(|| TextError {
            code: "path",
            message: format!("`{}` is not an absolute path that can be used here", text.escape_debug()),
            label: "bad path".into(),
            help: Some("write `/`, then names with single `/` between them, none of them `.` or `..`".into()),
            within: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_stay_below_are_taken() {
        for bad in ["", ".", "..", "/", "/etc", "a/../b", "a//b", "a/./b", "../a", "a\0b", "././a"] {
            assert!(RelativePath::new(bad).is_none(), "{bad:?}");
        }
        assert_eq!(RelativePath::new("./a/b/").unwrap().as_str(), "a/b");
    }

    #[test]
    fn parts_of_a_path_can_be_taken_and_joined() {
        let path = RelativePath::new("a/b.toml").unwrap();
        assert_eq!(path.file_name(), "b.toml");
        assert_eq!(path.parent().unwrap().as_str(), "a");
        assert_eq!(path.parent().unwrap().parent(), None);
        assert_eq!(path.parent().unwrap().join(&path).as_str(), "a/a/b.toml");
    }

    #[test]
    fn an_absolute_path_is_already_in_its_simplest_form() {
        for bad in ["", "/", "a", "/a/", "//a", "/./a", "/a/.."] {
            assert!(AbsolutePath::new(bad).is_none(), "{bad:?}");
        }
        assert_eq!(AbsolutePath::new("/opt/jtw").unwrap().as_str(), "/opt/jtw");
    }
}
