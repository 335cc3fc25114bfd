//! Which Debian mirror is in force: a setting, the environment, or the host's apt configuration.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The environment variable that names a mirror.
pub const VARIABLE: &str = "JTWBUILD_DEBIAN_MIRROR";

/// The root of a Debian archive, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// `http:` or `https:`.
    Url(String),
    /// A directory of this machine.
    Directory(PathBuf),
}

/// Why there is no mirror, or not this file on it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MirrorError {
    #[error(
        "this machine's apt configuration names no Debian mirror: \
         set `mirror` in `[base]` of the universe, or {VARIABLE}"
    )]
    None,
    #[error("the mirror `{0}` is neither an http(s) or file URL nor an absolute path")]
    NotAMirror(String),
    #[error("`{0}` is not a path below a mirror")]
    BadPath(String),
    #[error("`{0}` is not the base name of a Debian source archive (`SOURCE_VERSION.orig.tar.gz`)")]
    BadSource(String),
}

impl Mirror {
    /// Reads a URL or an absolute path.
    pub fn parse(text: &str) -> Result<Self, MirrorError> {
        let trimmed = text.trim().trim_end_matches('/');
        if trimmed.starts_with("http://") || trimmed.starts_with("https://") {
            Ok(Self::Url(trimmed.to_owned()))
        } else if let Some(path) = trimmed.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            Self::directory(path, text)
        } else {
            Self::directory(trimmed, text)
        }
    }

    fn directory(path: &str, text: &str) -> Result<Self, MirrorError> {
        let path = Path::new(path);
        let absolute = path.is_absolute().then(|| Self::Directory(path.to_owned()));
        absolute.ok_or_else(|| MirrorError::NotAMirror(text.to_owned()))
    }

    /// The mirror in force: `setting`, else the environment, else the host's apt configuration.
    pub fn find(setting: Option<&str>) -> Result<Self, MirrorError> {
        if let Some(setting) = setting {
            return Self::parse(setting);
        }
        if let Ok(variable) = std::env::var(VARIABLE)
            && !variable.trim().is_empty()
        {
            return Self::parse(&variable);
        }
        Self::parse(&from_apt(&apt_files(Path::new("/etc/apt"))).ok_or(MirrorError::None)?)
    }

    /// Where the file at `path` below the mirror's root is: a URL or a path.
    pub fn locate(&self, path: &str) -> Result<Located, MirrorError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if !path.split('/').all(plain) {
            return Err(MirrorError::BadPath(path.to_owned()));
        }
        Ok(match self {
            Self::Url(root) => Located::Url(format!("{root}/{}", escape(path))),
            Self::Directory(root) => Located::File(root.join(path)),
        })
    }

    /// The path below the root of the source archive `file`, by the layout of the pool
    /// (`pool/main/o/ocaml-fmt/ocaml-fmt_0.9.0.orig.tar.bz2`).
    pub fn source_path(file: &str) -> Result<String, MirrorError> {
        let bad = || MirrorError::BadSource(file.to_owned());
        let (source, rest) = file.split_once('_').ok_or_else(bad)?;
        let legal = |c: char| c.is_ascii_alphanumeric() || ".+-~_".contains(c);
        let first = source.chars().next().filter(char::is_ascii_alphanumeric).ok_or_else(bad)?;
        if rest.is_empty() || !file.chars().all(legal) {
            return Err(bad());
        }
        let shard = match source.strip_prefix("lib").and_then(|rest| rest.chars().next()) {
            Some(letter) => format!("lib{letter}"),
            None => first.to_string(),
        };
        Ok(format!("pool/main/{shard}/{source}/{file}"))
    }
}

impl std::fmt::Display for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Where one file of a mirror is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    Url(String),
    File(PathBuf),
}

/// Percent-escapes what may not stand in the path of a URL.
fn escape(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-~_:=,@!$&'()*;".contains(&byte);
    let show = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(show).collect()
}

/// Names and texts of apt's source lists, in the order in which apt reads them.
fn apt_files(etc: &Path) -> Vec<(String, String)> {
    let mut paths = vec![etc.join("sources.list")];
    let listed = std::fs::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten();
    let mut below: Vec<_> = listed.map(|entry| entry.path()).collect();
    below.sort();
    paths.append(&mut below);
    let text = |path: PathBuf| Some((path.to_str()?.to_owned(), std::fs::read_to_string(&path).ok()?));
    paths.into_iter().filter_map(text).collect()
}

/// The entry of apt's source lists (file name and text of each) that looks most like the Debian main
/// archive; of equals the first. Formats: `sources.list(5)`, one line each in `*.list`, stanzas in
/// `*.sources`.
pub fn from_apt(files: &[(String, String)]) -> Option<String> {
    let is = |name: &str, extension: &str| Path::new(name).extension().is_some_and(|is| is == extension);
    let mut best: Option<(u32, String)> = None;
    for (name, text) in files {
        let entries = match name {
            name if is(name, "list") => text.lines().filter_map(from_line).collect(),
            name if is(name, "sources") => text.split("\n\n").flat_map(from_stanza).collect(),
            _ => Vec::new(),
        };
        for (score, uri) in entries {
            if best.as_ref().is_none_or(|(best, _)| score > *best) {
                best = Some((score, uri));
            }
        }
    }
    best.map(|(_, uri)| uri)
}

/// `deb [options] URI SUITE COMPONENT…`
fn from_line(line: &str) -> Option<(u32, String)> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?;
    let suite = words.next()?;
    likeness(uri, &[suite], &words.collect::<Vec<_>>(), options)
}

/// The URIs of a deb822 stanza.
fn from_stanza(stanza: &str) -> Vec<(u32, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |key: &str| {
        fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let words = |key: &str| field(key).split_whitespace().collect::<Vec<_>>();
    if matches!(field("enabled").to_ascii_lowercase().as_str(), "no" | "false")
        || !words("types").contains(&"deb")
    {
        return Vec::new();
    }
    let rate = |uri| likeness(uri, &words("suites"), &words("components"), field("signed-by"));
    words("uris").into_iter().filter_map(rate).collect()
}

/// Suites of the Debian main archive (third parties borrow some of the names).
const SUITES: [&str; 10] =
    ["stable", "oldstable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke"];

/// How much an entry is like the Debian main archive; nothing for one that cannot be it.
fn likeness(uri: &str, suites: &[&str], components: &[&str], options: &str) -> Option<(u32, String)> {
    let uri = uri.trim_end_matches('/');
    let foreign = ["security", "ubuntu", "debug"].iter().any(|word| uri.contains(word));
    if foreign || Mirror::parse(uri).is_err() || !components.contains(&"main") {
        return None;
    }
    let named = u32::from(uri.ends_with("/debian"));
    let debian = u32::from(suites.iter().any(|suite| SUITES.contains(suite)));
    let signed = u32::from(options.contains("debian-archive"));
    (named + debian > 0).then(|| (named + debian + 2 * signed, uri.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apt(files: &[(&str, &str)]) -> Option<String> {
        let owned: Vec<_> =
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        from_apt(&owned)
    }

    #[test]
    fn one_line_entries_with_options_and_comments_are_read() {
        let text = "# deb http://off.example.org/debian sid main\n\
                    deb-src http://src.example.org/debian trixie main\n\
                    deb [arch=amd64 signed-by=/x.gpg] https://deb.example.org/debian/ trixie main # comment\n";
        assert_eq!(apt(&[("sources.list", text)]).unwrap(), "https://deb.example.org/debian");
        assert_eq!(apt(&[("sources.list.save", text)]), None);
    }

    #[test]
    fn stanzas_with_several_uris_and_disabled_ones_are_read() {
        let text = "Types: deb\nEnabled: no\nURIs: http://off.example.org/debian\nSuites: sid\nComponents: main\n\
                    \nTypes: deb\n# a comment\nURIs: https://other.example.org/tool\n http://two.example.org/debian\n\
                    Suites: forky\n  forky-updates\nComponents: contrib\n  main\n";
        assert_eq!(apt(&[("d/debian.sources", text)]).unwrap(), "http://two.example.org/debian");
        let other = "Types: deb\nURIs: https://other.example.org/tool http://two.example.org/debian\n\
                     Suites: tool\nComponents: main\n";
        assert_eq!(apt(&[("d/a.sources", other)]).unwrap(), "http://two.example.org/debian");
    }

    #[test]
    fn a_third_party_with_borrowed_suite_names_does_not_come_first() {
        let third = "deb https://a.example.org/prod bookworm main\n";
        let own = "Types: deb\nURIs: http://deb.example.org/mirror\nSuites: bookworm\nComponents: main\n\
                   Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let files = [("a.list", third), ("debian.sources", own)];
        assert_eq!(apt(&files).unwrap(), "http://deb.example.org/mirror");
    }

    #[test]
    fn security_archives_third_parties_and_ubuntu_are_not_the_main_archive() {
        let text = "deb http://s.example.org/debian-security bookworm-security main\n\
                    deb http://s.example.org/debian-security bookworm main\n\
                    deb http://t.example.org/apt tool-bookworm main\n\
                    deb http://u.example.org/ubuntu noble main universe\n\
                    deb cdrom:[x] bookworm main\n";
        assert_eq!(apt(&[("sources.list", text)]), None);
        let message = MirrorError::None.to_string();
        assert!(message.contains("[base]") && message.contains(VARIABLE));
    }

    #[test]
    fn pool_paths_follow_the_source_name() {
        let path = |file: &str| Mirror::source_path(file);
        assert_eq!(
            path("ocaml-fmt_0.9.0.orig.tar.bz2").unwrap(),
            "pool/main/o/ocaml-fmt/ocaml-fmt_0.9.0.orig.tar.bz2"
        );
        assert_eq!(path("libx11_1.tar.gz").unwrap(), "pool/main/libx/libx11/libx11_1.tar.gz");
        assert_eq!(path("lib_1.tar.gz").unwrap(), "pool/main/l/lib/lib_1.tar.gz");
        for bad in ["ocaml.tar.gz", "_1.tar", "../x_1", "a/b_1", "a_", "", "a_1\n"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_of_a_mirror_stay_below_its_root() {
        let mirror = Mirror::parse("https://deb.example.org/debian/").unwrap();
        assert_eq!(
            mirror.locate("pool/main/g/g++ x.deb").unwrap(),
            Located::Url("https://deb.example.org/debian/pool/main/g/g++%20x.deb".into())
        );
        let local = Mirror::parse("file:///srv/debian").unwrap();
        assert_eq!(local, Mirror::parse("/srv/debian").unwrap());
        assert_eq!(local.locate("dists/x").unwrap(), Located::File("/srv/debian/dists/x".into()));
        for bad in ["../x", "/etc/passwd", "a//b", "a/./b", ""] {
            assert!(local.locate(bad).is_err(), "{bad}");
        }
        assert!(Mirror::parse("ftp://deb.example.org/debian").is_err());
    }
}
