//! Paths of a site that are one path where capital and small letters are not told apart: the site
//! works here, and loses a file when it is copied to such a disk.

use std::collections::BTreeMap;

use crate::jtw::Problem;
use crate::store::tree::Tree;

/// So many of one package are listed: nobody reads more.
const MAX_CLASHES: usize = 20;

/// Every file or directory of a published `lib` whose path, but for the case of its letters, is that
/// of an earlier one. Of clashing directories what is below them is not listed again.
pub(super) fn clashes(lib: &Tree) -> Vec<Problem> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut problems = Vec::new();
    let done: Result<(), std::convert::Infallible> = lib.walk(&mut |path, _| {
        let path = path.to_string();
        match seen.get(&path.to_lowercase()) {
            Some(other) if problems.len() < MAX_CLASHES && !under(&problems, &path) => {
                problems.push(Problem::CaseClash { path, other: other.clone() });
            }
            Some(_) => {}
            None => {
                seen.insert(path.to_lowercase(), path);
            }
        }
        Ok(())
    });
    match done {
        Ok(()) => problems,
    }
}

/// Whether `path` is below one that clashes itself.
fn under(problems: &[Problem], path: &str) -> bool {
    problems.iter().any(|problem| match problem {
        Problem::CaseClash { path: parent, .. } => {
            path.strip_prefix(parent.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }
        _ => false,
    })
}
