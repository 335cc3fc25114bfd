//! `findlib_index` and `findlib_index.json`: what a worker reads first.

use serde::{Deserialize, Serialize};

use crate::jtw::{BundleRef, Effects};

/// Older workers ask for the first, newer ones for the second; both hold the same bytes.
pub const FILE_NAMES: [&str; 2] = ["findlib_index", "findlib_index.json"];

/// An index. Paths are relative to the index's own directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub compiler: IndexCompiler,
    /// The effects mode of worker and libraries; an addition of ours.
    pub effects: Effects,
    /// META files, sorted by package, the standard library's last.
    pub meta_files: Vec<String>,
    /// The same list under the key that older workers know.
    pub metas: Vec<String>,
    /// [`Packages`](super::packages::Packages), for people; an addition of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<String>,
    /// The file that holds the META files and what describes the libraries' interfaces, if that is
    /// little; an addition of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jtw_bundle: Option<BundleRef>,
}

/// Which worker goes with the libraries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCompiler {
    /// Bare version of OCaml.
    pub version: String,
    /// The next component of the worker's URL.
    pub content_hash: String,
    /// `worker.js`, relative to the file that holds this.
    pub worker_url: String,
}

impl IndexCompiler {
    pub(super) fn new(version: &str, content_hash: &str) -> Self {
        let place = format!("compiler/{version}/{content_hash}");
        let worker_url = format!("{place}/worker.js");
        Self { version: version.to_owned(), content_hash: content_hash.to_owned(), worker_url }
    }

    /// The compiler's directory below the site's root.
    pub(super) fn place(&self) -> String {
        format!("compiler/{}/{}", self.version, self.content_hash)
    }

    /// The same, as seen from a directory from which `up` leads to the root.
    pub(super) fn relative_to(&self, up: &str) -> Self {
        let worker = format!("{}/worker.js", self.place());
        let worker_url = if up == "." { worker } else { format!("{up}/{worker}") };
        Self { worker_url, ..self.clone() }
    }
}

/// What an index lists, by paths from the site's root.
pub(super) struct Listed<'a> {
    pub compiler: &'a IndexCompiler,
    pub effects: Effects,
    pub metas: Vec<String>,
    pub packages: String,
    pub bundle: Option<BundleRef>,
}

impl Index {
    /// The index in the directory `at`, from which `up` leads back to the root.
    pub(super) fn new(listed: &Listed<'_>, at: &str, up: &str) -> Self {
        let compiler = listed.compiler;
        let stdlib = format!("{}/lib/ocaml/stdlib/META", compiler.place());
        let relative = |path: &String| match path.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')) {
            Some(below) => below.to_owned(),
            None => format!("{up}/{path}"),
        };
        let meta_files: Vec<String> = listed.metas.iter().chain([&stdlib]).map(relative).collect();
        Self {
            compiler: compiler.relative_to(up),
            effects: listed.effects,
            metas: meta_files.clone(),
            meta_files,
            packages: Some(relative(&listed.packages)),
            jtw_bundle: listed.bundle.as_ref().map(|one| BundleRef { file: relative(&one.file), ..*one }),
        }
    }

    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index is always JSON")
    }
}
