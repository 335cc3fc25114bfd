//! Where an opam repository is, as the user writes it, and what of it a lock pins.

use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::source::git::Commit;
use crate::source::git::{PROTOCOLS, has_host, has_password, is_reference, scheme};
use crate::store::tree::TreeHash;

/// The place of one opam repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it was written: what messages and the lock say.
    pub written: String,
    pub kind: Kind,
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory of this machine that has `packages/`. It is followed: a change is seen.
    Directory(PathBuf),
    /// A tar archive of this machine.
    Archive(PathBuf),
    /// A tar archive behind an http(s) URL.
    Download(String),
    /// A git repository, by a URL that `git` understands.
    Git { url: String, reference: Reference },
}

/// What of a git repository is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The branch that its `HEAD` names.
    Default,
    /// A branch or, if there is none of that name, a tag.
    Named(String),
    Commit(Commit),
}

/// What a lock says of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The commit it was taken from; only of git repositories.
    pub commit: Option<Commit>,
    /// All opam files and `files/` of it: the name of the tree that holds them in the store.
    pub tree: TreeHash,
}

/// Why a text is no place of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is not a place of an opam repository: {reason}")]
pub struct BadPlace {
    pub written: String,
    pub reason: &'static str,
    /// What to write instead.
    pub help: &'static str,
}

/// What archives are called.
const ARCHIVES: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tbz", ".tar.zst", ".txz"];

const FORMS: &str = "write the path of a directory or of a .tar archive, the URL of such an archive, or \
                     that of a git repository: `https://….git`, `git+https://…`, `ssh://…`, \
                     `git+file:///…`, with `#branch`, `#tag` or `#commit` behind it";

impl Place {
    /// Reads a place. Paths are relative to `directory`, which is that of the file that names it.
    pub fn parse(written: &str, directory: &Path) -> Result<Self, BadPlace> {
        let bad = |reason| BadPlace { written: written.escape_debug().to_string(), reason, help: FORMS };
        if written.is_empty() || written.starts_with('-') || written.chars().any(char::is_control) {
            return Err(bad("it is empty, begins with `-` or holds control characters"));
        }
        let kind = match scheme(written) {
            None if is_scp(written) => return Err(bad("this form is not understood")),
            None => local(directory.join(written)),
            Some((scheme, rest)) => {
                url(written, scheme, rest, directory).ok_or_else(|| bad("such a URL is not understood"))?
            }
        };
        if let Kind::Git { url, reference } = &kind {
            if has_password(url) {
                let help =
                    "leave the password out: ssh keys are used by themselves, and `~/.netrc` for https";
                return Err(BadPlace { help, ..bad("it holds a password, which would get into the lock") });
            }
            if matches!(reference, Reference::Named(name) if !is_reference(name)) {
                return Err(bad("what stands behind `#` is not the name of a branch or tag"));
            }
        }
        Ok(Self { written: written.to_owned(), kind })
    }

    /// Whether reading it may need the network.
    pub fn is_remote(&self) -> bool {
        match &self.kind {
            Kind::Directory(_) | Kind::Archive(_) => false,
            Kind::Download(_) => true,
            Kind::Git { url, .. } => !url.starts_with("file:"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `git@host:path`
fn is_scp(text: &str) -> bool {
    let head = text.split('/').next().unwrap_or_default();
    head.contains('@') && head.contains(':')
}

fn is_archive(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ARCHIVES.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

fn local(path: PathBuf) -> Kind {
    if path.to_str().is_some_and(is_archive) { Kind::Archive(path) } else { Kind::Directory(path) }
}

fn url(written: &str, scheme: &str, rest: &str, directory: &Path) -> Option<Kind> {
    let path = rest.strip_prefix("//")?;
    let plain = path.split(['?', '#']).next().unwrap_or_default();
    let has_host = has_host(path);
    if let Some(inner) = scheme.strip_prefix("git+") {
        let is_local = inner == "file";
        let good = PROTOCOLS.contains(&inner) && (if is_local { path.starts_with('/') } else { has_host });
        return good.then(|| git(written.strip_prefix("git+").unwrap_or(written)));
    }
    match scheme {
        "file" if !path.starts_with('/') => None,
        "file" if plain.ends_with(".git") => Some(git(written)),
        "file" => Some(local(directory.join(path))),
        "ssh" | "git" if has_host => Some(git(written)),
        "http" | "https" if has_host && is_archive(plain) => Some(Kind::Download(written.to_owned())),
        "http" | "https" if has_host && plain.trim_end_matches('/').ends_with(".git") => Some(git(written)),
        _ => None,
    }
}

fn git(url: &str) -> Kind {
    let (url, reference) = match url.split_once('#') {
        None | Some((_, "")) => (url.trim_end_matches('#'), Reference::Default),
        Some((url, name)) => {
            (url, Commit::new(name).map_or_else(|| Reference::Named(name.to_owned()), Reference::Commit))
        }
    };
    Kind::Git { url: url.to_owned(), reference }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(written: &str) -> Kind {
        match Place::parse(written, Path::new("/home/u")) {
            Ok(place) => place.kind,
            Err(error) => panic!("{error}"),
        }
    }

    fn git_at(url: &str, reference: Reference) -> Kind {
        Kind::Git { url: url.to_owned(), reference }
    }

    #[test]
    fn paths_are_directories_or_archives_beside_the_file_that_names_them() {
        assert_eq!(kind("../overlay"), Kind::Directory("/home/u/../overlay".into()));
        assert_eq!(kind("/srv/repo"), Kind::Directory("/srv/repo".into()));
        assert_eq!(kind("file:///srv/repo"), Kind::Directory("/srv/repo".into()));
        assert_eq!(kind("repo.tar.zst"), Kind::Archive("/home/u/repo.tar.zst".into()));
        assert_eq!(kind("file:///srv/r.tgz"), Kind::Archive("/srv/r.tgz".into()));
        assert_eq!(kind("a:b"), Kind::Directory("/home/u/a:b".into()));
        assert_eq!(
            kind("https://h.example/r.tar.gz?x=1"),
            Kind::Download("https://h.example/r.tar.gz?x=1".into())
        );
    }

    #[test]
    fn git_is_told_by_scheme_or_ending_and_what_is_meant_stands_behind_a_hash_sign() {
        assert_eq!(
            kind("https://h.example/o/r.git"),
            git_at("https://h.example/o/r.git", Reference::Default)
        );
        assert_eq!(
            kind("git+https://h.example/o/r#a/b"),
            git_at("https://h.example/o/r", Reference::Named("a/b".into()))
        );
        assert_eq!(kind("ssh://git@h.example/r#"), git_at("ssh://git@h.example/r", Reference::Default));
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(
            kind(&format!("git+file:///srv/r#{id}")),
            git_at("file:///srv/r", Reference::Commit(Commit::new(id).unwrap()))
        );
        assert_eq!(Commit::new(id).unwrap().as_str(), id.to_lowercase());
        assert!(Commit::new(&id[1..]).is_none() && Commit::new(&id.replace('0', "g")).is_none());
    }

    #[test]
    fn places_that_would_run_or_reach_something_else_are_refused() {
        for bad in [
            "",
            "-u",
            "a\nb",
            "ext::sh -c x",
            "rsync://h/x",
            "hg+https://h/x",
            "git+ext::x",
            "git+rsync://h/x",
            "git@h.example:o/r.git",
            "https://h.example/o/r",
            "https://-oProxyCommand=x/r.git",
            "ssh://-oProxyCommand=x/r",
            "git+file://h/x",
            "file://h/x",
            "https://u:secret@h.example/r.git",
            "https://h.example/r.git#--upload-pack=x",
            "https://h.example/r.git#a..b",
            "https://h.example/r.git#a b",
            "https://h.example/r.git#a:b",
            "https://h.example/r.git#HEAD@{1}",
            "https://h.example/r.git#x.lock",
        ] {
            assert!(Place::parse(bad, Path::new("/home/u")).is_err(), "{bad:?}");
        }
    }
}
