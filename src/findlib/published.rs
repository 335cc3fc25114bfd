//! The META text as a site publishes it: `directory` always relative to the file.
//!
//! Browser workers resolve `directory` against the place of the META itself and do not know the
//! compiler's library directory, so `+dir` and `^dir` become plain relative paths. Everything else
//! stays as it is, to the byte.

use std::borrow::Cow;
use std::ops::Range;

use super::{LibDir, Meta};

/// Rewrites `text`, which `meta` was read from, for publication at `published` (a directory).
///
/// `origin` is what relative directories of the file are relative to: the same as `published` for
/// a file called `META`, its parent for one called `META.name`.
pub fn rewrite_directory<'a>(
    text: &'a str,
    meta: &Meta,
    origin: &LibDir,
    published: &LibDir,
) -> Cow<'a, str> {
    rewrite(text, meta, origin, published, &|parent: &LibDir, value| {
        let target = parent.resolve(value).ok()?;
        Some((target.clone(), target))
    })
}

/// The same for directories that are not told by the text alone. `resolve` says where a `directory`
/// value leads from a place, and as which directory that is published; `None` when it is not.
pub fn rewrite<'a, P>(
    text: &'a str,
    meta: &Meta,
    origin: &P,
    published: &LibDir,
    resolve: &dyn Fn(&P, &str) -> Option<(P, LibDir)>,
) -> Cow<'a, str> {
    let mut edits = Vec::new();
    collect(meta, origin, published, resolve, &mut edits);
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, replacement) in edits {
        out.push_str(&text[at..span.start]);
        out.push_str(&replacement);
        at = span.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// `origin` and `published` are the parent's directory as this file and as the published one see it.
fn collect<P>(
    meta: &Meta,
    origin: &P,
    published: &LibDir,
    resolve: &dyn Fn(&P, &str) -> Option<(P, LibDir)>,
    edits: &mut Vec<(Range<usize>, String)>,
) {
    let mut first = None;
    for one in meta.directories() {
        // A directory outside the library root cannot be published; it is reported elsewhere.
        let Some((place, target)) = resolve(origin, &one.value) else { continue };
        if one.value.starts_with(['+', '^']) || published.resolve(&one.value).as_ref() != Ok(&target) {
            let path = published.path_to(&target);
            if path.is_empty() {
                edits.push((one.span.clone(), String::new()));
            } else {
                let quoted = format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""));
                edits.push((one.value_span.clone(), quoted));
            }
        }
        first.get_or_insert((place, target));
    }
    // Without a directory of its own a package lies where its parent does: for a `META.name`, that
    // is where the file is published.
    let (below_origin, below_published) = match &first {
        Some((place, target)) => (place, target),
        None => (origin, published),
    };
    for package in &meta.packages {
        collect(&package.meta, below_origin, below_published, resolve, edits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str, origin: &str, published: &str) -> String {
        let meta = Meta::parse(text.as_bytes()).unwrap();
        let at = |path| LibDir::parse(path).unwrap();
        rewrite_directory(text, &meta, &at(origin), &at(published)).into_owned()
    }

    #[test]
    fn compiler_directories_become_relative() {
        let same = |at: &str, text: &str| rewritten(text, at, at);
        assert_eq!(same("ocaml/stdlib", "directory = \"+\"\n"), "directory = \"..\"\n");
        assert_eq!(same("ocaml/str", "a=\"\"\ndirectory = \"+str\"\nb=\"\""), "a=\"\"\n\nb=\"\"");
        assert_eq!(same("str", "directory(x) = \"^str\" # c"), "directory(x) = \"../ocaml/str\" # c");
        assert_eq!(
            same("threads", "package \"vm\" (directory=\"+threads\" package \"in\" (directory=\"^unix\"))"),
            "package \"vm\" (directory=\"../ocaml/threads\" package \"in\" (directory=\"../unix\"))"
        );
    }

    #[test]
    fn everything_else_stays_to_the_byte() {
        let text = "directory = \"sub\" package \"a\" (directory=\"/etc\" archive=\"+x\") \r\n";
        let meta = Meta::parse(text.as_bytes()).unwrap();
        let at = LibDir::parse("a").unwrap();
        assert!(matches!(rewrite_directory(text, &meta, &at, &at), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_file_beside_its_package_is_published_inside() {
        assert_eq!(rewritten("directory = \"foo\" x = \"1\"", "", "foo"), " x = \"1\"");
        assert_eq!(
            rewritten("directory=\"foo-1\" package \"a\" (directory=\"b\")", "", "foo"),
            "directory=\"../foo-1\" package \"a\" (directory=\"b\")"
        );
    }

    #[test]
    fn the_rewritten_text_resolves_to_the_same_directories() {
        let text = "directory=\"+a\" package \"p\" (directory=\"b\" package \"q\" (directory=\"^a/b\"))
            package \"r\" (directory=\"^r/s\") package \"s\" ()";
        for at in ["x", "ocaml/a", "ocaml", "x/y/z"] {
            let origin = LibDir::parse(at).unwrap();
            let before = Meta::parse(text.as_bytes()).unwrap();
            let after_text = rewritten(text, at, at);
            let after = Meta::parse(after_text.as_bytes()).unwrap();
            let places = |meta: &Meta| -> Vec<String> {
                let all = meta.libraries("m", &origin);
                all.iter().map(|one| format!("{} {}", one.name, one.directory)).collect()
            };
            assert_eq!(places(&before), places(&after), "{at}: {after_text}");
            assert!(!after_text.contains(['+', '^']));
        }
    }
}
