//! What lies beside an opam file in `files/`, held to what its `extra-files` field says.

use super::recipe::{Recipe, Spanned};
use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::source::checksum::{Checksums, Hashing};

/// Checks that every file that `extra-files` names is among `files` (path below `files/`, bytes) and has
/// the checksum that is stated. Files that the field does not name are taken as they are.
///
/// A weak checksum is enough here: file and checksum come from the same repository.
pub fn check(recipe: &Recipe, file: &SourceFile, files: &[(&str, &[u8])]) -> Result<(), SourceError> {
    let problems: Vec<Problem> = recipe
        .extra_files
        .iter()
        .filter_map(|(path, stated)| {
            let message = wrong(path, stated, files)?;
            Some(Problem {
                code: "jtwbuild::opam::extra-files".into(),
                message: format!("`extra-files`: {message}"),
                span: stated.span.clone(),
                label: "what it should be".into(),
                help: Some("the repository contradicts itself: whoever keeps it has to mend it".into()),
            })
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(SourceError::new(file, problems)) }
}

/// What is wrong with one file.
fn wrong(path: &str, stated: &Spanned, files: &[(&str, &[u8])]) -> Option<String> {
    let shown = path.escape_debug();
    let sums = match Checksums::parse(&[&stated.text]) {
        Ok(sums) => sums,
        Err(error) => return Some(format!("`{shown}`: {error}")),
    };
    let Some((_, bytes)) = files.iter().find(|(name, _)| *name == path) else {
        return Some(format!("there is no `files/{shown}`"));
    };
    let mut hashing = Hashing::new(&sums);
    hashing.update(bytes);
    let (expected, got) = sums.mismatch(&hashing.finish())?;
    Some(format!("`files/{shown}` has {got}, not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::golden;
    use crate::opam::Platform;

    /// R81: a file beside the opam file that is not what the opam file says.
    #[test]
    fn files_that_are_missing_or_have_other_bytes_are_refused() {
        let text = "extra-files: [[\"good\" \"md5=900150983cd24fb0d6963f7d28e17f72\"]\n\
                    [\"d/other\" \"sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"]\n\
                    [\"gone\" \"md5=900150983cd24fb0d6963f7d28e17f72\"] [\"odd\" \"crc=1\"]]\n";
        let file = SourceFile::new("packages/a/a.1/opam", text);
        let recipe = Recipe::read("a", "1", &file, &Platform::debian("13")).unwrap();
        let files: [(&str, &[u8]); 3] = [("good", b"abc"), ("d/other", b"abd"), ("unnamed", b"")];
        insta::assert_snapshot!(golden(&check(&recipe, &file, &files).unwrap_err()));
        let all: [(&str, &[u8]); 4] = [("good", b"abc"), ("d/other", b"abc"), ("gone", b"abc"), ("odd", b"")];
        let left = check(&recipe, &file, &all).unwrap_err().problems;
        assert_eq!(left.len(), 1, "only the odd checksum is left: {left:?}");
    }
}
