//! What of a distribution package is unpacked, and where it goes.

use super::glob::Glob;
use crate::store::tree::{Name, RelPath, TreeError};

/// Everything but what is dropped; or, if there are parts to take, only those.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What one of the patterns matches is left out.
    drop: Vec<Glob>,
    take: Vec<Part>,
}

/// A directory whose content goes elsewhere.
#[derive(Clone, Debug)]
struct Part {
    from: RelPath,
    to: RelPath,
    /// What none of the patterns matches, below `from`, is left out.
    keep: Vec<Glob>,
}

impl Selection {
    /// Everything but what one of `patterns` matches.
    pub fn without(patterns: &[String]) -> Self {
        Self { drop: globs(patterns), take: Vec::new() }
    }

    /// Takes what is below the directory `from` and matches one of the patterns `keep`, as they see it
    /// from there, to the same place below `to`. Of several parts the first that has a path decides.
    pub fn and_take(&mut self, from: &str, to: &str, keep: &[String]) -> Result<(), TreeError> {
        self.take.push(Part { from: RelPath::parse(from)?, to: RelPath::parse(to)?, keep: globs(keep) });
        Ok(())
    }

    /// Whether it is a whole root file system that is unpacked.
    pub fn is_whole(&self) -> bool {
        self.take.is_empty()
    }

    /// Where a path goes, if anywhere.
    pub fn place(&self, path: RelPath) -> Option<RelPath> {
        let is_dropped = !self.drop.is_empty() && matches_any(&self.drop, path.names());
        if is_dropped || self.is_whole() {
            return (!is_dropped).then_some(path);
        }
        let (part, below) = self.take.iter().find_map(|part| {
            let below = path.names().strip_prefix(part.from.names())?;
            (!below.is_empty()).then_some((part, below))
        })?;
        let place = || below.iter().fold(part.to.clone(), |place, name| place.join(name.clone()));
        matches_any(&part.keep, below).then(place)
    }
}

fn globs(patterns: &[String]) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::new(pattern)).collect()
}

fn matches_any(globs: &[Glob], names: &[Name]) -> bool {
    let text = names.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/');
    globs.iter().any(|glob| glob.matches(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(selection: &Selection, paths: &[&str]) -> Vec<String> {
        let place = |path: &&str| selection.place(RelPath::parse(path).unwrap());
        paths.iter().map(|path| place(path).map_or("-".to_owned(), |place| place.to_string())).collect()
    }

    fn patterns(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_first_part_that_has_a_path_says_where_it_goes() {
        let mut selection = Selection::without(&patterns(&["**/secret.cma"]));
        assert_eq!(places(&selection, &["usr/a", "x/secret.cma"]), ["usr/a", "-"]);
        let keep = patterns(&["META*", "**/META", "**/*.cma"]);
        selection.and_take("usr/lib/ocaml/METAS", "lib/ocaml", &keep).unwrap();
        selection.and_take("usr/lib/ocaml", "lib/ocaml", &keep).unwrap();
        let paths = [
            "usr/lib/ocaml/fmt/META",
            "usr/lib/ocaml/fmt/cli/fmt_cli.cma",
            "usr/lib/ocaml/fmt/fmt.cmxa",
            "usr/lib/ocaml/fmt/secret.cma",
            "usr/lib/ocaml/METAS/META.x",
            "usr/lib/ocaml/METAS/x/y",
            "usr/lib/ocaml",
            "usr/lib/META",
            "META",
        ];
        let expected = ["lib/ocaml/fmt/META", "lib/ocaml/fmt/cli/fmt_cli.cma", "-", "-", "lib/ocaml/META.x"];
        assert_eq!(places(&selection, &paths)[..5], expected);
        assert_eq!(places(&selection, &paths)[5..], ["-"; 4]);
    }
}
