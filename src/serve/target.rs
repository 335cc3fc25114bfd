//! What a URL's path asks for: names below the site, how long the answer stays true, and its type.

/// Most levels that a path may have; no site is deeper.
const MAX_LEVELS: usize = 64;

/// A path below the site, checked name by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Neither empty, hidden (`.`, `..` included), nor with a slash or a NUL byte in them.
    pub(super) names: Vec<Vec<u8>>,
    /// Whether the path ended in a slash, and so means a directory.
    pub(super) is_directory: bool,
}

impl Target {
    /// Reads the path of a URL, which begins with a slash. `None`: no such thing can be here.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if path.is_empty() {
            return Some(Self { names: Vec::new(), is_directory: true });
        }
        let (path, is_directory) = match path.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (path, false),
        };
        let names = path.split('/').map(name).collect::<Option<Vec<_>>>()?;
        (names.len() <= MAX_LEVELS).then_some(Self { names, is_directory })
    }

    /// Whether the path has a content hash in it, so that what it means never changes.
    pub(super) fn is_immutable(&self) -> bool {
        let hash = match self.names.first().map(Vec::as_slice) {
            Some(b"compiler") => 2,
            Some(b"p") => 3,
            Some(b"u") => 1,
            _ => return false,
        };
        self.names.len() > hash + 1 && {
            let name = &self.names[hash];
            name.len() >= 16 && name.iter().all(u8::is_ascii_hexdigit)
        }
    }

    /// The media type of the file, by its name.
    pub(super) fn media_type(&self) -> &'static str {
        let name = self.names.last().map_or(&b"index.html"[..], Vec::as_slice);
        match name {
            b"META" => return "text/plain; charset=utf-8",
            b"findlib_index" => return "application/json",
            _ => {}
        }
        let extension = name.iter().rposition(|byte| *byte == b'.').map(|dot| &name[dot + 1..]);
        match extension.unwrap_or_default() {
            b"js" | b"mjs" => "text/javascript; charset=utf-8",
            b"json" => "application/json",
            b"html" => "text/html; charset=utf-8",
            b"css" => "text/css; charset=utf-8",
            b"svg" => "image/svg+xml",
            b"png" => "image/png",
            b"ico" => "image/x-icon",
            b"woff2" => "font/woff2",
            b"wasm" => "application/wasm",
            b"gz" => "application/gzip",
            b"txt" | b"md" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

/// One name, with `%xx` resolved.
fn name(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        });
    }
    let is_refused = name.is_empty() || name.len() > 255 || name[0] == b'.';
    (!is_refused && !name.contains(&b'/') && !name.contains(&0)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_no_paths() {
        for path in [
            "",
            "x",
            "//",
            "//etc",
            "/a//b",
            "/..",
            "/../x",
            "/a/../b",
            "/./a",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e",
            "/a%2fb",
            "/a%00",
            "/%",
            "/%4",
            "/%zz",
            "/.jtwbuild-site",
            "/u/.hidden",
            "/a/..",
            "/a//",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
        assert_eq!(Target::parse(&"/x".repeat(65)), None);
        assert_eq!(Target::parse(&format!("/{}", "x".repeat(256))), None);
    }

    #[test]
    fn ordinary_paths_are_names() {
        let parsed = |path: &str| {
            let target = Target::parse(path).unwrap();
            let names = target.names.iter().map(|name| String::from_utf8_lossy(name).into_owned());
            (names.collect::<Vec<_>>().join("|"), target.is_directory)
        };
        assert_eq!(parsed("/"), (String::new(), true));
        assert_eq!(parsed("/a/b+c~1.js"), ("a|b+c~1.js".into(), false));
        assert_eq!(parsed("/a/b/"), ("a|b".into(), true));
        assert_eq!(parsed("/a%20b.cma.js"), ("a b.cma.js".into(), false));
        assert_eq!(parsed("/a..b/%c3%a9"), ("a..b|é".into(), false));
    }

    #[test]
    fn only_what_is_below_a_hash_is_immutable() {
        let hash = "0123456789abcdef0123456789abcdef";
        let is = |path: &str| Target::parse(&path.replace("HASH", hash)).unwrap().is_immutable();
        assert!(is("/compiler/5.4.1/HASH/worker.js"));
        assert!(is("/p/fmt/0.9.0/HASH/lib/fmt/META"));
        assert!(is("/u/HASH/findlib_index"));
        for path in [
            "/",
            "/universe.json",
            "/p/fmt/0.9.0/findlib_index.json",
            "/u/HASH",
            "/u/short/x",
            "/x/HASH/y",
            "/compiler/HASH/x",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
