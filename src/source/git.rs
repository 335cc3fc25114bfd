//! Git sources: where a repository is, what of it is wanted, and the commit that it comes to.
//!
//! URLs and names are checked here once, for universes, recipes, opam repositories and submodules
//! alike: what these types hold can be put on git's command line.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::path::RelativePath;

/// Protocols that git may be used with.
pub const PROTOCOLS: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// Longest URL taken, in bytes.
const MAX_URL: usize = 2000;

/// A repository, and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    pub url: GitUrl,
    /// Bytes of the URL in the file that names it.
    pub url_span: Range<usize>,
    pub reference: Reference,
    /// Bytes of what names it; those of the URL when nothing does.
    pub reference_span: Range<usize>,
    /// The directory that alone is taken.
    pub subdir: Option<RelativePath>,
    /// Whether the repositories are taken, too, that its commits place below it.
    pub submodules: bool,
}

impl GitSource {
    /// What a server has to be asked to know the commit; nothing when it is written down.
    pub fn question(&self) -> Option<Question> {
        let question = || Question { url: self.url.clone(), reference: self.reference.clone() };
        (!matches!(self.reference, Reference::Rev(_))).then(question)
    }
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// The branch that its `HEAD` names. It is followed.
    Head,
    /// It is followed.
    Branch(String),
    /// It stays at the commit that it first came to.
    Tag(String),
    Rev(Commit),
}

impl Reference {
    /// Whether it comes to another commit when somebody pushes one.
    pub fn is_followed(&self) -> bool {
        matches!(self, Self::Head | Self::Branch(_))
    }

    /// The name of a branch or tag, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Branch(name) | Self::Tag(name) => Some(name),
            Self::Head | Self::Rev(_) => None,
        }
    }
}

/// As messages call it.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::Rev(commit) => write!(f, "commit {commit}"),
        }
    }
}

/// What a server is asked: which commit a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    pub url: GitUrl,
    /// Never [`Reference::Rev`].
    pub reference: Reference,
}

/// The id of a commit: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(Box<str>);

impl Commit {
    /// Digits that tell commits apart for people.
    const SHORT: usize = 12;

    /// Reads an id; capital digits become small ones.
    pub fn new(text: &str) -> Option<Self> {
        let good = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first of them.
    pub fn short(&self) -> &str {
        &self.0[..Self::SHORT]
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no URL that git is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadUrl {
    #[error("it is empty or too long, begins with `-`, or holds blanks, quotes or control characters")]
    Text,
    #[error("git is spoken over https, http, ssh, git and file only")]
    Protocol,
    #[error("no host is named, or one that looks like an option")]
    Host,
    #[error("the path of a `file:` URL begins with three slashes")]
    File,
    #[error("it holds a password, which would get into the lock")]
    Password,
    #[error("what is wanted of it does not stand behind `#`")]
    Fragment,
    #[error("it leads out of its host")]
    Outside,
    #[error("only a repository of this machine may name another one of this machine")]
    Local,
}

/// The URL of a repository, with a protocol of [`PROTOCOLS`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitUrl(Box<str>);

impl GitUrl {
    /// Checks a URL; `git+` in front of it is dropped.
    pub fn new(text: &str) -> Result<Self, BadUrl> {
        let text = text.strip_prefix("git+").unwrap_or(text);
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || "\"'\\`<>".contains(c);
        if text.is_empty() || text.len() > MAX_URL || text.starts_with('-') || text.contains(is_bad) {
            return Err(BadUrl::Text);
        }
        let (scheme, rest) = scheme(text).ok_or(BadUrl::Protocol)?;
        if !PROTOCOLS.contains(&scheme) {
            return Err(BadUrl::Protocol);
        }
        let path = rest.strip_prefix("//").ok_or(BadUrl::Protocol)?;
        if text.contains('#') {
            return Err(BadUrl::Fragment);
        }
        match scheme {
            "file" if !path.starts_with('/') => return Err(BadUrl::File),
            "file" => {}
            _ if !has_host(path) => return Err(BadUrl::Host),
            _ if has_password(text) => return Err(BadUrl::Password),
            _ => {}
        }
        Ok(Self(text.into()))
    }

    /// As git takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("file:")
    }

    /// The URL that `.gitmodules` of this repository names, which may be relative to it.
    pub fn submodule(&self, text: &str) -> Result<Self, BadUrl> {
        let url = if text.starts_with("./") || text.starts_with("../") {
            self.beside(text)?
        } else if let (true, Some(path)) = (self.is_local(), text.strip_prefix('/')) {
            Self::new(&format!("file:///{path}"))?
        } else {
            match short_ssh(text) {
                Some(url) => Self::new(&url)?,
                None => Self::new(text)?,
            }
        };
        if url.is_local() && !self.is_local() {
            return Err(BadUrl::Local);
        }
        Ok(url)
    }

    /// As git does it: `../` takes a name away, `./` none.
    fn beside(&self, relative: &str) -> Result<Self, BadUrl> {
        let (head, path) = self.0.split_once("://").ok_or(BadUrl::Protocol)?;
        let (host, path) = path.split_once('/').ok_or(BadUrl::Outside)?;
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        for name in relative.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop().ok_or(BadUrl::Outside)?),
                name => names.push(name),
            }
        }
        Self::new(&format!("{head}://{host}/{}", names.join("/")))
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `ssh://git@host/path` for `git@host:path`.
fn short_ssh(text: &str) -> Option<String> {
    let (host, path) = text.split_once(':')?;
    let good = host.contains('@') && !host.contains('/') && !path.starts_with("//");
    good.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

/// `https` and `//host/…` of `https://host/…`.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
    let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(legal);
    (good && (rest.starts_with("//") || rest.starts_with(':'))).then_some((scheme, rest))
}

/// Whether a host stands behind `//`, and is nothing that ssh would take for an option.
pub fn has_host(path: &str) -> bool {
    let authority = path.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty() && !authority.starts_with('-') && !host.starts_with(['-', ':'])
}

/// Whether a URL has a password before its host.
pub fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// The names of branches and tags, by the rules of `git check-ref-format` or narrower ones.
pub fn is_reference(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"~^:?*[\\".contains(&byte);
    let good_part =
        |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock");
    name.len() <= 200
        && name.bytes().all(legal)
        && name.split('/').all(good_part)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name != "@"
}

#[cfg(test)]
mod tests;
