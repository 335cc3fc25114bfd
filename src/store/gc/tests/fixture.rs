//! A store with things in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::Checksum;
use crate::source::checksum::KINDS;
use crate::store::Store;
use crate::store::facts::{Fact, Facts};
use crate::store::gc::{Options, Report, collect};
use crate::store::key::{BuildKey, PlanKey};
use crate::store::layer::{LayerRecord, Status};
use crate::store::roots::{About, Keeps, Maker, Root, RootName};
use crate::store::tree::{Node, RelPath, Tree, TreeHash};

/// A layer, its tree, and an archive that it came from.
#[derive(Clone, Debug)]
pub struct Made {
    pub key: BuildKey,
    pub tree: TreeHash,
    pub archive: Checksum,
    files: Vec<(String, String)>,
}

impl Made {
    pub fn id(&self) -> String {
        Store::layer_id("build", &self.key)
    }
}

pub struct Scene {
    directory: tempfile::TempDir,
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// The name of an archive, of any kind.
fn archive(digest: &[u8; 32]) -> Checksum {
    let hex = blake3::Hash::from_bytes(*digest).to_hex();
    let kind = KINDS[usize::from(digest[1]) % KINDS.len()];
    let hex = match kind {
        "sha512" => format!("{hex}{}", "0".repeat(64)),
        "md5" => hex[..32].to_owned(),
        _ => hex.to_string(),
    };
    Checksum::from_hex(kind, &hex).unwrap()
}

impl Scene {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn open(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.directory.path().join("store")).unwrap())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join("store").join(below)
    }

    /// Makes a tree, a layer and an archive, as a process that has ended since.
    pub fn make(&self, name: &str, files: &[(&str, &str)]) -> Made {
        Self::make_with(&self.open(), name, files)
    }

    /// The same, by a process that has this store open.
    pub fn make_with(store: &Arc<Store>, name: &str, files: &[(&str, &str)]) -> Made {
        let staging = store.stage().unwrap();
        let mut tree = Tree::default();
        for (path, text) in files {
            let file = staging.add(&mut text.as_bytes(), false).unwrap();
            tree.insert(&RelPath::parse(path).unwrap(), Node::File(file)).unwrap();
        }
        let tree = staging.publish(&tree).unwrap();
        let key = BuildKey::from_bytes(digest(name));
        let archive = archive(&digest(&format!("{name}!")));
        let path = store.archive_path(&archive);
        store.hold(&archive.id()).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "archive").unwrap();
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let made = Made { key, tree, archive, files };
        let record = LayerRecord {
            package: name.into(),
            kind: "build".into(),
            status: Status::Success,
            error: None,
            failure: None,
            build_key: key,
            tree: Some(tree),
            started: 0,
            seconds: 0.5,
            failed_tries: 0,
            document: serde_json::json!({ "format": 1 }),
        };
        store.hold(key.as_bytes()).unwrap();
        store.draft_layer(&made.id()).unwrap().publish(&record).unwrap();
        made
    }

    pub fn keeps(made: &[&Made]) -> Keeps {
        let mut keeps = Keeps::default();
        for made in made {
            keeps.add_tree(&made.tree);
            keeps.add_layer(&made.key);
            keeps.add_archive(&made.archive);
        }
        keeps.finish();
        keeps
    }

    fn about(label: &str, memo: Option<&str>) -> About {
        let (label, memo) = (label.to_owned(), memo.map(str::to_owned));
        About { label, made_by: Maker::User, since: 7, universe: None, site: None, memo }
    }

    pub fn root(&self, name: &str, made: &[&Made]) {
        Self::root_with(&self.open(), name, made);
    }

    pub fn root_with(store: &Store, name: &str, made: &[&Made]) {
        let root = Root { about: Self::about(name, None), keeps: Self::keeps(made) };
        store.register(&RootName::parse(name).unwrap(), &root).unwrap();
    }

    pub fn root_with_memo(&self, name: &str, made: &[&Made], memo: &str) {
        let root = Root { about: Self::about(name, Some(memo)), keeps: Self::keeps(made) };
        self.open().register(&RootName::parse(name).unwrap(), &root).unwrap();
    }

    pub fn root_of_universe(&self, name: &str, made: &[&Made], universe: &Path) {
        let about = About { universe: Some(universe.to_owned()), ..Self::about(name, None) };
        let root = Root { about, keeps: Self::keeps(made) };
        self.open().register(&RootName::parse(name).unwrap(), &root).unwrap();
    }

    pub fn facts(&self, made: &[&Made]) {
        let facts = Facts::load(&self.path("plans/facts"));
        for made in made {
            let plan = PlanKey::from_bytes(*made.key.as_bytes());
            facts.remember(&plan, Fact { build: made.key, tree: made.tree }).unwrap();
        }
    }

    pub fn known(&self, made: &Made) -> Option<TreeHash> {
        let facts = Facts::load(&self.path("plans/facts"));
        facts.planned(&PlanKey::from_bytes(*made.key.as_bytes())).map(|fact| fact.tree)
    }

    pub fn collect(&self, options: &Options) -> Report {
        collect(&self.open(), options, &mut |_| {}).unwrap()
    }

    /// Whether layer, tree, files and archive are there, and the tree is what it was.
    pub fn is_whole(&self, made: &Made) -> bool {
        let store = self.open();
        let is_there =
            store.layer(&made.id()).unwrap().is_some() && store.archive_path(&made.archive).exists();
        is_there && self.has_tree(made)
    }

    /// Whether the tree is there as it was, with its files in the pool.
    pub fn has_tree(&self, made: &Made) -> bool {
        let store = self.open();
        let Ok(tree) = store.tree(&made.tree) else { return false };
        crate::store::staging::scan(&store.tree_path(&made.tree)).unwrap().hash() == made.tree
            && made.files.iter().all(|(path, text)| {
                let bytes = store.read_in(&tree, &RelPath::parse(path).unwrap()).unwrap();
                bytes.as_deref() == Some(text.as_bytes())
            })
    }

    pub fn is_gone(&self, made: &Made) -> bool {
        let store = self.open();
        !store.has_tree(&made.tree)
            && store.layer(&made.id()).unwrap().is_none()
            && !store.archive_path(&made.archive).exists()
    }

    pub fn left_in_tmp(&self) -> usize {
        fs::read_dir(self.path("tmp")).unwrap().count()
    }

    /// Every path below the store with the number of its links and bytes, but for locks.
    pub fn everything(&self) -> BTreeMap<PathBuf, (u64, u64)> {
        fn walk(at: &Path, found: &mut BTreeMap<PathBuf, (u64, u64)>) {
            use std::os::unix::fs::MetadataExt;
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() {
                    walk(&path, found);
                }
                found.insert(path, (metadata.nlink(), metadata.len()));
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.path(""), &mut found);
        found.retain(|path, _| !path.starts_with(self.path("locks")));
        found
    }
}
