//! Layers → one static site under content-hashed URLs: a pure composition of trees.
//!
//! ```text
//! index.html …                                       the page, and universe.json
//! compiler/<version>/<hash>/{worker.js, lib/ocaml/…}
//! p/<package>/<version>/<hash>/lib/<d>/…
//! p/<package>/<version>/findlib_index{,.json}        for packages that were asked for
//! u/<hash>/findlib_index{,.json}, descriptions.bundle
//! u/<hash>/packages.json                             what the page shows about packages
//! ```
//!
//! What is below a hash never changes; everything else is small and replaced at publication.

mod case;
mod descriptions;
mod index;
mod interfaces;
pub mod join;
pub mod packages;
mod primitives;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::jtw::{
    COMPILER_PAYLOAD, DYNAMIC_CMIS, DynamicCmis, Effects, JtwError, LayerRecord, Problem, RECORD,
    ToolsRecord, payload_hash,
};
use crate::store::StoreError;
use crate::store::staging::Staging;
use crate::store::tree::{File, Name, Node, RelPath, Tree, TreeError};

use self::index::Listed;

pub use self::index::{FILE_NAMES as INDEX_FILES, Index, IndexCompiler};
pub use self::packages::FILE_NAME as PACKAGES;
pub use self::primitives::missing_in;

/// The page's list of what a universe holds, at the site's root.
pub const UNIVERSE: &str = "universe.json";
/// The marker by which publication knows a site; see [`publish`](crate::publish).
pub const MARKER: &str = ".jtwbuild-site";
/// Digits of a content hash in a URL: 128 bits.
const HASH_DIGITS: usize = 32;

/// Why layers do not make a site.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer is not what [`jtw`](crate::jtw) makes.
    #[error(transparent)]
    Jtw(#[from] JtwError),
    /// Two things at one path.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name or version that cannot be part of a URL as it is.
    #[error("{what} `{text}` cannot be part of a URL: letters, digits and `._~+-` can")]
    NotForUrls { what: &'static str, text: String },
    /// A package is there twice.
    #[error("package {0} is there twice")]
    Twice(String),
    /// A layer made for another effects mode than the universe's.
    #[error("{package} was compiled with effects {}, the universe has {}", found.as_str(), expected.as_str())]
    Effects { package: String, found: Effects, expected: Effects },
    /// A `dynamic_cmis.json` of a layer that cannot be read.
    #[error("`{path}` of {package}: {source}")]
    DynamicCmis { package: String, path: String, source: serde_json::Error },
    /// A package that was compiled against another standard library than the worker's.
    #[error(
        "`{path}` of {package} was compiled with another OCaml than the worker, or with other settings of \
         `configure`: the toplevel would refuse it"
    )]
    OtherCompiler { package: String, path: String },
    /// The tools layer has no worker.
    #[error("the tools layer has no `{0}`")]
    Tools(&'static str),
    /// A file of the page takes a name that the site needs.
    #[error("the page may not hold `{0}`")]
    Page(String),
}

/// What a site is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The universe's name, for the page.
    pub name: &'a str,
    /// Bare version of OCaml, `5.4.1`.
    pub compiler_version: &'a str,
    /// One setting for all.
    pub effects: Effects,
    /// [`tools_layer`](crate::jtw::tools_layer)'s tree.
    pub tools: &'a Tree,
    /// In any order. Members with empty layers are passed over.
    pub members: &'a [Member<'a>],
    /// Files for the root: `index.html` and what it needs.
    pub page: &'a Tree,
    /// Whether the site gets more universes than this one: then [`UNIVERSE`] is beside its index, and
    /// nothing is at the root.
    pub is_part: bool,
}

/// One package of the universe with its artifacts.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The opam package's name and version.
    pub name: &'a str,
    pub version: &'a str,
    /// One line for the page.
    pub description: &'a str,
    /// Where people read more, and under which licence it is.
    pub homepage: Option<&'a str>,
    pub license: Option<&'a str>,
    /// [`finish`](crate::jtw::finish)'s tree.
    pub layer: &'a Tree,
    /// Whether the universe asks for it by name; if so it has an index of its own.
    pub is_target: bool,
}

/// A site and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Site {
    /// All files.
    pub tree: Tree,
    /// `u/<hash>`, without a slash at the end.
    pub universe: String,
    /// What [`UNIVERSE`] says.
    pub summary: Summary,
    /// What is wrong with single libraries, by package.
    pub problems: Vec<(String, Problem)>,
}

/// The content of [`UNIVERSE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub name: String,
    /// The index, relative to this file.
    pub index: String,
    pub compiler: IndexCompiler,
    pub effects: Effects,
    pub packages: Vec<PackageSummary>,
}

/// A package as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSummary {
    pub name: String,
    pub version: String,
    pub description: String,
    pub content_hash: String,
    pub libraries: Vec<LibrarySummary>,
}

/// A library as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibrarySummary {
    pub name: String,
    /// Of its JavaScript.
    pub bytes: u64,
    /// C primitives that it needs and that nothing in the universe provides before it is loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_primitives: Vec<String>,
}

/// A member while it is placed.
struct Placed<'a> {
    member: Member<'a>,
    record: LayerRecord,
    /// Missing primitives by library directory.
    missing: BTreeMap<String, Vec<String>>,
    hash: String,
}

impl Placed<'_> {
    /// `p/<package>/<version>/<hash>`.
    fn place(&self) -> String {
        format!("p/{}/{}/{}", self.member.name, self.member.version, self.hash)
    }
}

/// Composes the site. Equal parts give an equal tree, whatever the order of members.
///
/// # Errors
/// When the parts contradict one another or the store fails.
pub fn assemble(parts: &Parts<'_>, staging: &Staging) -> Result<Site, AssembleError> {
    let mut tree = Tree::default();
    for (name, node) in parts.page.entries() {
        if ["compiler", "p", "u", UNIVERSE, MARKER].contains(&name.as_str().unwrap_or_default()) {
            return Err(AssembleError::Page(name.to_string()));
        }
        tree.insert(&RelPath::default().join(name.clone()), node.clone())?;
    }
    let compiler = place_tools(parts, staging, &mut tree)?;
    let placed = place_members(parts, staging)?;
    interfaces::check(parts.tools, &placed, staging)?;
    let mut clashes = Vec::new();
    for one in &placed {
        let lib = published_lib(one, staging)?;
        clashes.extend(case::clashes(&lib).into_iter().map(|problem| (one.member.name.to_owned(), problem)));
        tree.insert(&path(&format!("{}/lib", one.place()))?, Node::Directory(Arc::new(lib)))?;
    }
    let summaries: Vec<PackageSummary> = placed.iter().map(|one| summary_of(one, &placed)).collect();
    let packages = packages::describe(&placed, &summaries, staging)?.to_json();
    // A part's directory says what the part is called.
    let name = parts.is_part.then_some(parts.name);
    let universe = format!("u/{}", universe_hash(&compiler, &placed, &packages, name));
    let packages_at = format!("{universe}/{PACKAGES}");
    put(&mut tree, &packages_at, &packages, staging)?;
    let metas = placed
        .iter()
        .flat_map(|one| one.record.metas.iter().map(move |meta| format!("{}/lib/{meta}", one.place())));
    let bundle = descriptions::put_bundle(&universe, &compiler, &placed, staging, &mut tree)?;
    let listed = Listed {
        compiler: &compiler,
        effects: parts.effects,
        metas: metas.collect(),
        packages: packages_at,
        bundle,
    };
    put_index(&universe, "../..", &listed, staging, &mut tree)?;
    for one in placed.iter().filter(|one| one.member.is_target) {
        let at = format!("p/{}/{}", one.member.name, one.member.version);
        put_index(&at, "../../..", &listed, staging, &mut tree)?;
    }
    let (at, up) = if parts.is_part { (format!("{universe}/"), "../..") } else { (String::new(), ".") };
    let file = index::FILE_NAMES[1];
    let summary = Summary {
        name: parts.name.to_owned(),
        index: if parts.is_part { file.to_owned() } else { format!("{universe}/{file}") },
        compiler: compiler.relative_to(up),
        effects: parts.effects,
        packages: summaries,
    };
    put(
        &mut tree,
        &format!("{at}{UNIVERSE}"),
        &serde_json::to_vec_pretty(&summary).expect("a summary is always JSON"),
        staging,
    )?;
    let own = placed.iter().flat_map(|one| {
        one.record.problems.iter().map(|problem| (one.member.name.to_owned(), problem.clone()))
    });
    let problems = own.chain(clashes).chain(primitives::across(&placed)).collect();
    Ok(Site { tree, universe, summary, problems })
}

fn path(text: &str) -> Result<RelPath, TreeError> {
    RelPath::parse(text)
}

fn put(tree: &mut Tree, at: &str, bytes: &[u8], staging: &Staging) -> Result<(), AssembleError> {
    Ok(tree.insert(&path(at)?, Node::File(staging.add_bytes(bytes, false)?))?)
}

/// Refuses what would have to be escaped in a URL.
fn check_url(what: &'static str, text: &str) -> Result<(), AssembleError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+-".contains(&byte);
    if text.is_empty() || text == "." || text == ".." || !text.bytes().all(is_plain) {
        return Err(AssembleError::NotForUrls { what, text: text.chars().take(100).collect() });
    }
    Ok(())
}

fn shortened(hash: &str) -> String {
    hash.chars().take(HASH_DIGITS).collect()
}

fn place_tools(
    parts: &Parts<'_>,
    staging: &Staging,
    tree: &mut Tree,
) -> Result<IndexCompiler, AssembleError> {
    check_url("the compiler's version", parts.compiler_version)?;
    let mut tools = parts.tools.clone();
    let payload = match tools.remove(&path(RECORD)?) {
        Some(Node::File(file)) => ToolsRecord::parse(&staging.read(&file)?)?.payload,
        // A tools recipe of somebody else's may not write the record.
        _ => payload_hash(&tools, COMPILER_PAYLOAD, &|file| staging.read(file))?,
    };
    for needed in ["worker.js", "lib/ocaml/dynamic_cmis.json", "lib/ocaml/stdlib/META"] {
        if !matches!(tools.get(&path(needed)?), Some(Node::File(_))) {
            return Err(AssembleError::Tools(needed));
        }
    }
    let compiler = IndexCompiler::new(parts.compiler_version, &shortened(&payload));
    tree.insert(&path(&compiler.place())?, Node::Directory(Arc::new(tools)))?;
    Ok(compiler)
}

/// Reads the records, finds what nobody provides, and names everything.
fn place_members<'a>(parts: &Parts<'a>, staging: &Staging) -> Result<Vec<Placed<'a>>, AssembleError> {
    let mut placed = Vec::new();
    for member in parts.members.iter().filter(|member| !member.layer.is_empty()) {
        check_url("the package name", member.name)?;
        check_url("the version", member.version)?;
        let label = format!("{}.{}", member.name, member.version);
        let bytes = match member.layer.get(&path(RECORD)?) {
            Some(Node::File(file)) => staging.read(file)?,
            _ => Vec::new(),
        };
        let record = LayerRecord::parse(&bytes, &label)?;
        if record.effects != parts.effects {
            let (found, expected) = (record.effects, parts.effects);
            return Err(AssembleError::Effects { package: label, found, expected });
        }
        placed.push(Placed { member: *member, record, missing: BTreeMap::new(), hash: String::new() });
    }
    placed.sort_by_key(|one| one.member.name);
    if let Some(twice) = placed.windows(2).find(|pair| pair[0].member.name == pair[1].member.name) {
        return Err(AssembleError::Twice(twice[0].member.name.to_owned()));
    }
    let all_missing = primitives::missing_by_directory(&placed);
    for (one, missing) in placed.iter_mut().zip(all_missing) {
        one.hash = content_hash(&one.record.payload, &missing);
        one.missing = missing;
    }
    Ok(placed)
}

/// The payload's hash; what the published directory says of missing primitives depends on the
/// universe, so it takes part when there is anything to say.
fn content_hash(payload: &str, missing: &BTreeMap<String, Vec<String>>) -> String {
    if missing.is_empty() {
        return shortened(payload);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(payload.as_bytes());
    for (directory, names) in missing {
        hasher.update(b"\0").update(directory.as_bytes());
        for name in names {
            hasher.update(b"\n").update(name.as_bytes());
        }
    }
    shortened(&hasher.finalize().to_hex())
}

/// Covers the compiler's directory, sorted `name.version/hash` of every member, and what is said about
/// them: all that the universe's directory holds.
fn universe_hash(
    compiler: &IndexCompiler,
    placed: &[Placed<'_>],
    packages: &[u8],
    name: Option<&str>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(compiler.place().as_bytes());
    for one in placed {
        hasher.update(format!("\n{}.{}/{}", one.member.name, one.member.version, one.hash).as_bytes());
    }
    hasher.update(b"\n").update(blake3::hash(packages).as_bytes());
    hasher.update(name.unwrap_or_default().as_bytes());
    shortened(&hasher.finalize().to_hex())
}

/// A layer's `lib` with every `dynamic_cmis.json` saying where it is published.
fn published_lib(one: &Placed<'_>, staging: &Staging) -> Result<Tree, AssembleError> {
    let mut lib = one.member.layer.directory(&path("lib")?).cloned().unwrap_or_default();
    let name = Name::new(DYNAMIC_CMIS.as_bytes())?;
    let described: Vec<(RelPath, File)> =
        lib.files().into_iter().filter(|(at, _)| at.file_name() == Some(&name)).collect();
    for (at, file) in described {
        let directory = at.parent().unwrap_or_default().to_string();
        let mut cmis: DynamicCmis = serde_json::from_slice(&staging.read(&file)?).map_err(|source| {
            AssembleError::DynamicCmis { package: one.member.name.to_owned(), path: at.to_string(), source }
        })?;
        // Relative to the compiler's directory, three levels down, where the worker is.
        let place = one.place();
        cmis.dcs_url = match directory.as_str() {
            "" => format!("../../../{place}/lib"),
            _ => format!("../../../{place}/lib/{directory}"),
        };
        cmis.jtw_missing_primitives = one.missing.get(&directory).cloned().unwrap_or_default();
        lib.replace(&at, Node::File(staging.add_bytes(&cmis.to_json(), false)?))?;
    }
    Ok(lib)
}

/// Writes the index under both names into the directory `at`, from which `up` leads to the root.
fn put_index(
    at: &str,
    up: &str,
    listed: &Listed<'_>,
    staging: &Staging,
    tree: &mut Tree,
) -> Result<(), AssembleError> {
    let json = Index::new(listed, at, up).to_json();
    for name in index::FILE_NAMES {
        put(tree, &format!("{at}/{name}"), &json, staging)?;
    }
    Ok(())
}

fn summary_of(one: &Placed<'_>, all: &[Placed<'_>]) -> PackageSummary {
    let libraries = one.record.libraries.iter().map(|library| LibrarySummary {
        name: library.name.clone(),
        bytes: library.bytes,
        missing_primitives: primitives::missing(library, all),
    });
    PackageSummary {
        name: one.member.name.to_owned(),
        version: one.member.version.to_owned(),
        description: one.member.description.to_owned(),
        content_hash: one.hash.clone(),
        libraries: libraries.collect(),
    }
}

#[cfg(test)]
mod tests;
