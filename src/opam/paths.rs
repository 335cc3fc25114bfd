//! The fields that list files of the working directory: `patches` and `substs`.

use super::commands::{Filtered, Misfit};
use super::filter::Scope;
use super::syntax::{Kind, Value};
use crate::path::RelativePath;

const HELP: &str = "write the file's path below the working directory, without `..`";

/// The paths of a field, in written order: those whose filters hold, or all of them without a scope.
pub fn list(field: &Value<'_>, scope: Option<&dyn Scope>) -> Result<Vec<RelativePath>, Misfit> {
    let parts = match &field.kind {
        Kind::List(parts) => parts.as_slice(),
        _ => std::slice::from_ref(field),
    };
    let mut paths = Vec::new();
    for part in parts {
        let file = Filtered::new(part);
        let path = path(file.value)?;
        if scope.is_none_or(|scope| file.holds(scope)) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// A string that is a path below the working directory.
fn path(value: &Value<'_>) -> Result<RelativePath, Misfit> {
    let Kind::String(text) = &value.kind else {
        return Err(Misfit::new(value, "this is no path of a file", HELP));
    };
    checked(text).ok_or_else(|| Misfit::new(value, bad(text), HELP))
}

/// A path that stays below the working directory, if `text` is one.
pub fn checked(text: &str) -> Option<RelativePath> {
    if text.chars().any(char::is_control) {
        return None;
    }
    RelativePath::new(text)
}

/// The sentence for a path that is none.
pub fn bad(text: &str) -> String {
    format!("`{}` is not a path below the working directory", text.escape_debug())
}
