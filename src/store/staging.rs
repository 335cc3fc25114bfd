//! `Staging`: files on their way into the store, and the publication of trees made of them.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::{self, Directory};
use super::tree::{BlobHash, File, LinkTarget, Name, Node, RelPath, Tree, TreeError, TreeHash};
use super::{Store, StoreError};

/// Files up to this size, in bytes, are hashed before they are written, so that known ones cost no
/// write.
const SMALL: usize = 128 * 1024;

/// From this many files or directories on, one flush of the file system is cheaper than one of
/// each.
const MANY: usize = 6;

/// Trees with fewer entries, and with fewer bytes in their files, are read as quickly from themselves
/// as from a manifest.
const MANY_ENTRIES: usize = 24;
const MANY_BYTES: u64 = 64 * 1024;

/// Whether a tree's names and hashes are kept in a manifest.
pub(super) fn is_worth_a_manifest(tree: &Tree) -> bool {
    let (mut entries, mut bytes) = (0, 0);
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |_, node| {
        entries += 1;
        if let Node::File(file) = node {
            bytes += file.size;
        }
        Ok(())
    });
    done.is_ok() && (entries >= MANY_ENTRIES || bytes >= MANY_BYTES)
}

/// Files on their way into the store. Dropped, it leaves nothing behind but what was published.
#[derive(Debug)]
pub struct Staging {
    store: Arc<Store>,
    /// The process's scratch directory: names in it are never used twice.
    directory: PathBuf,
    files: Mutex<HashMap<(BlobHash, bool), Staged>>,
}

/// A file that waits for the tree that needs it.
#[derive(Clone, Debug)]
struct Staged {
    path: PathBuf,
    /// Whether its bytes have to be flushed. Otherwise it is a second name of a file of the pool: as
    /// long as it has one, the pool's cannot be collected for good.
    is_new: bool,
}

impl Drop for Staging {
    fn drop(&mut self) {
        for Staged { path, .. } in self.files().values() {
            // What stays goes with the scratch directory, at the end of the process.
            let _ = disk::remove_file(path);
        }
    }
}

impl Staging {
    pub(super) fn new(store: &Arc<Store>) -> Result<Self, StoreError> {
        let directory = store.scratch()?.to_owned();
        Ok(Self { store: Arc::clone(store), directory, files: Mutex::default() })
    }

    /// Copies the bytes of `from` in, hashing them on the way, and says what a tree should hold
    /// for them. The stored file is always one that the store made itself. May be called from
    /// several threads.
    pub fn add(&self, from: &mut dyn Read, executable: bool) -> Result<File, StoreError> {
        let mut head = vec![0; SMALL];
        let mut filled = 0;
        while filled < SMALL {
            match disk::read_some(from, &self.directory, &mut head[filled..])? {
                0 => return self.add_bytes(&head[..filled], executable),
                count => filled += count,
            }
        }
        self.add_large(&head, from, executable)
    }

    /// Takes `bytes` in as a file.
    pub fn add_bytes(&self, bytes: &[u8], executable: bool) -> Result<File, StoreError> {
        let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
        let file = File { blob, size: bytes.len() as u64, executable };
        if !self.knows(&file)? {
            let path = self.fresh_path();
            write_draft(&path, |draft| {
                disk::write_all(draft, &path, bytes)?;
                disk::finish_file(draft, &path, executable)
            })?;
            self.keep(&file, path)?;
        }
        Ok(file)
    }

    fn add_large(&self, head: &[u8], rest: &mut dyn Read, executable: bool) -> Result<File, StoreError> {
        let path = self.fresh_path();
        let mut hasher = blake3::Hasher::new();
        let mut buffer = head.to_vec();
        let (mut size, mut count) = (0, head.len());
        write_draft(&path, |draft| {
            while count > 0 {
                hasher.update(&buffer[..count]);
                disk::write_all(draft, &path, &buffer[..count])?;
                size += count as u64;
                count = disk::read_some(rest, &path, &mut buffer)?;
            }
            disk::finish_file(draft, &path, executable)
        })?;
        let file = File { blob: BlobHash::from_bytes(*hasher.finalize().as_bytes()), size, executable };
        if self.knows(&file)? {
            disk::remove_file(&path)?;
        } else {
            self.keep(&file, path)?;
        }
        Ok(file)
    }

    #[cfg_attr(test, track_caller)]
    fn flush_all(&self) -> Result<(), StoreError> {
        disk::sync_file_system(self.store.scratch_handle()?, &self.directory)
    }

    fn fresh_path(&self) -> PathBuf {
        self.directory.join(super::next_number().to_string())
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<(BlobHash, bool), Staged>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file is here or in the pool; then a name of it is kept here, so that it cannot be
    /// collected before its tree is published.
    fn knows(&self, file: &File) -> Result<bool, StoreError> {
        if self.files().contains_key(&(file.blob, file.executable)) {
            return Ok(true);
        }
        let pooled = self.store.file_path(file);
        if !disk::exists(&pooled) {
            return Ok(false);
        }
        let path = self.fresh_path();
        let linked = disk::link(&pooled, &path)?;
        if linked {
            self.insert(file, Staged { path, is_new: false })?;
        }
        Ok(linked)
    }

    fn keep(&self, file: &File, path: PathBuf) -> Result<(), StoreError> {
        self.insert(file, Staged { path, is_new: true })
    }

    fn insert(&self, file: &File, staged: Staged) -> Result<(), StoreError> {
        match self.files().insert((file.blob, file.executable), staged) {
            Some(twin) => disk::remove_file(&twin.path),
            None => Ok(()),
        }
    }

    /// The bytes of a file that was added here or is in the store, with whatever executable bit.
    pub fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.read_if_known(file)? {
            return Ok(bytes);
        }
        self.store.mend_pool()?;
        self.read_if_known(file)?.ok_or(StoreError::MissingBlob(file.blob))
    }

    fn read_if_known(&self, file: &File) -> Result<Option<Vec<u8>>, StoreError> {
        for executable in [file.executable, !file.executable] {
            let twin = File { executable, ..*file };
            let staged = self.files().get(&(file.blob, executable)).map(|staged| staged.path.clone());
            let path = staged.unwrap_or_else(|| self.store.file_path(&twin));
            if let Some(bytes) = disk::read_if_present(&path)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Publishes `tree`, whose files must be in the store or have been added here. Nothing of it can
    /// be seen under its name before all of it is on the disk; the name itself survives a power cut
    /// after [`Store::flush_names`].
    pub fn publish(&self, tree: &Tree) -> Result<TreeHash, StoreError> {
        let hash = tree.hash();
        if self.store.use_tree(&hash)? {
            return Ok(hash);
        }
        let staged = self.flush(&tree.files())?;
        let draft = self.directory.join(format!("tree-{}", super::next_number()));
        let published = self.draft(tree, staged, &draft).and_then(|()| {
            if is_worth_a_manifest(tree) {
                let manifest = self.store.root().join("manifests").join(hash.to_hex());
                self.store.write_whole(&manifest, &tree.encode())?;
            }
            disk::rename_new(&draft, &self.store.tree_path(&hash))
        });
        if !matches!(published, Ok(true)) {
            // It failed, or an equal tree was there first, which is success.
            disk::remove_tree(&draft)?;
        }
        published.map(|_| hash)
    }

    /// Makes a tree, whose files must be in the store or have been added here, beside the store's
    /// names, and says where: for taking the place of a damaged one.
    pub(super) fn draft_again(&self, tree: &Tree) -> Result<PathBuf, StoreError> {
        let staged = self.flush(&tree.files())?;
        let draft = self.directory.join(format!("tree-{}", super::next_number()));
        match self.draft(tree, staged, &draft) {
            Ok(()) => Ok(draft),
            Err(error) => disk::remove_tree(&draft).and(Err(error)),
        }
    }

    /// Makes the tree's directory at `draft`, flushed.
    fn draft(&self, tree: &Tree, staged: Vec<(File, Staged)>, draft: &Path) -> Result<(), StoreError> {
        let made = self.make_draft(tree, &staged, draft);
        if made.is_err() {
            forget(&staged)?;
        }
        made
    }

    fn make_draft(&self, tree: &Tree, staged: &[(File, Staged)], draft: &Path) -> Result<(), StoreError> {
        let flush_each = tree.directory_count() < MANY;
        disk::make_directory(draft)?;
        {
            // From the moment that a file has no name but the pool's until the tree has one of its
            // own, the pool is not cleaned.
            let _pool = self.store.keep_pool()?;
            self.pool(staged)?;
            self.fill(&Directory::open(draft)?, tree, draft, flush_each)?;
        }
        if flush_each { Ok(()) } else { self.flush_all() }
    }

    /// Flushes the staged files of a tree, and hands them over.
    fn flush(&self, files: &[(RelPath, File)]) -> Result<Vec<(File, Staged)>, StoreError> {
        let mut staged = self.files();
        let mut wanted = Vec::new();
        for (_, file) in files {
            if let Some(one) = staged.remove(&(file.blob, file.executable)) {
                wanted.push((*file, one));
            }
        }
        drop(staged);
        let flushed = self.flush_new(&wanted);
        if flushed.is_err() {
            // They are not tried again: after a flush has failed, the next one may say nothing.
            forget(&wanted)?;
        }
        flushed.map(|()| wanted)
    }

    fn flush_new(&self, wanted: &[(File, Staged)]) -> Result<(), StoreError> {
        let new = || wanted.iter().filter(|(_, one)| one.is_new);
        if new().count() < MANY {
            for (_, Staged { path, .. }) in new() {
                disk::sync(&disk::open(path)?, path)?;
            }
            Ok(())
        } else {
            self.flush_all()
        }
    }

    /// Gives flushed files their names in the pool.
    fn pool(&self, staged: &[(File, Staged)]) -> Result<(), StoreError> {
        let named = self.name_in_pool(staged);
        if named.is_err() {
            forget(staged)?;
        }
        named
    }

    fn name_in_pool(&self, staged: &[(File, Staged)]) -> Result<(), StoreError> {
        for (file, Staged { path, .. }) in staged {
            let pooled = self.store.file_path(file);
            if let Some(parent) = pooled.parent().filter(|parent| !disk::exists(parent)) {
                disk::make_directories(parent)?;
            }
            if !disk::rename_new(path, &pooled)? {
                disk::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Makes a file from its twin that has the same bytes and another executable bit: whoever
    /// composes a tree may set the bit as it likes.
    fn pool_twin(&self, file: &File) -> Result<(), StoreError> {
        self.add_bytes(&self.read(file)?, file.executable)?;
        self.pool(&self.flush(&[(RelPath::default(), *file)])?)
    }

    fn fill(&self, into: &Directory, tree: &Tree, at: &Path, flush: bool) -> Result<(), StoreError> {
        use std::os::unix::ffi::OsStrExt;
        for (name, node) in tree.entries() {
            let bytes = name.as_bytes();
            let whole = at.join(std::ffi::OsStr::from_bytes(bytes));
            match node {
                Node::Directory(below) => {
                    let directory = into.make(bytes, &whole)?;
                    self.fill(&directory, below, &whole, flush)?;
                }
                Node::Link(target) => into.link_to(bytes, target.as_bytes(), &whole)?,
                Node::File(file) => {
                    let pooled = self.store.file_path(file);
                    let is_linked = match into.add_file(bytes, &pooled, file.executable, &whole) {
                        Err(StoreError::Io { source, .. })
                            if source.kind() == std::io::ErrorKind::NotFound =>
                        {
                            self.pool_twin(file)?;
                            into.add_file(bytes, &pooled, file.executable, &whole)?
                        }
                        other => other?,
                    };
                    if !is_linked {
                        self.store.note_copies()?;
                    }
                }
            }
        }
        into.finish(flush, at)
    }

    /// Copies a directory of the host in, or one file under its own name. Links stay links;
    /// anything that is neither file, link nor directory is an error, as is a file that changes
    /// while it is read.
    pub fn add_path(&self, path: &Path) -> Result<Tree, StoreError> {
        self.add_path_without(path, &[])
    }

    /// As [`Staging::add_path`], but for what lies at the directory's top under one of these names.
    pub fn add_path_without(&self, path: &Path, without: &[&str]) -> Result<Tree, StoreError> {
        read_host(path, without, &mut |file, path, executable| {
            let before = disk::io("read", path, file.metadata())?;
            let added = self.add(file, executable)?;
            let after = disk::io("read", path, file.metadata())?;
            if added.size == before.len() && before.modified().ok() == after.modified().ok() {
                Ok(added)
            } else {
                Err(changed(path))
            }
        })
    }
}

/// Removes files that were on their way.
fn forget(staged: &[(File, Staged)]) -> Result<(), StoreError> {
    staged.iter().try_for_each(|(_, Staged { path, .. })| disk::remove_file(path))
}

/// Makes the new file `path`, which does not stay where `write` fails: on a full disk it would take
/// space as long as the process lives.
fn write_draft(
    path: &Path,
    write: impl FnOnce(&mut disk::File) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let written = write(&mut disk::create_new(path)?);
    if written.is_err() {
        // What cannot be removed goes with the scratch directory.
        let _ = disk::remove_file(path);
    }
    written
}

/// The tree that a directory of the host holds (or one file under its own name), without copying
/// anything.
pub fn scan(path: &Path) -> Result<Tree, StoreError> {
    scan_without(path, &[])
}

/// As [`scan`], but for what lies at the directory's top under one of these names.
pub fn scan_without(path: &Path, without: &[&str]) -> Result<Tree, StoreError> {
    // One buffer for all files, which grows when one of them is large: most are small.
    let mut buffer = vec![0; SMALL / 32];
    read_host(path, without, &mut |file, path, executable| {
        let mut hasher = blake3::Hasher::new();
        loop {
            match disk::read_some(file, path, &mut buffer)? {
                0 => break,
                count => {
                    hasher.update(&buffer[..count]);
                    if count == buffer.len() && count < SMALL {
                        buffer.resize(SMALL, 0);
                    }
                }
            }
        }
        let (blob, size) = (BlobHash::from_bytes(*hasher.finalize().as_bytes()), hasher.count());
        Ok(File { blob, size, executable })
    })
}

type TakeFile<'a> = dyn FnMut(&mut disk::File, &Path, bool) -> Result<File, StoreError> + 'a;

fn read_host(path: &Path, without: &[&str], take: &mut TakeFile<'_>) -> Result<Tree, StoreError> {
    use std::os::unix::ffi::OsStrExt;
    let metadata = disk::metadata(path)?;
    if metadata.is_dir() {
        return read_directory(path, without, take, 0);
    }
    let mut tree = Tree::default();
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let name = Name::new(name).map_err(|source| not_storable(path, source))?;
    let node = read_node(path, &metadata, take, 0)?;
    tree.insert(&RelPath::default().join(name), node).map_err(|source| not_storable(path, source))?;
    Ok(tree)
}

fn read_directory(
    path: &Path,
    without: &[&str],
    take: &mut TakeFile<'_>,
    depth: usize,
) -> Result<Tree, StoreError> {
    use std::os::unix::ffi::OsStrExt;
    if depth > super::tree::MAX_DEPTH {
        return Err(not_storable(path, TreeError::TooDeep(path.display().to_string())));
    }
    let mut tree = Tree::default();
    let before = disk::metadata(path)?.modified().ok();
    for entry in disk::list(path)? {
        let whole = entry.path();
        if without.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let name = Name::new(entry.file_name().as_bytes()).map_err(|source| not_storable(&whole, source))?;
        let metadata = disk::io("read", &whole, entry.metadata())?;
        let node = read_node(&whole, &metadata, take, depth)?;
        tree.insert(&RelPath::default().join(name), node).map_err(|source| not_storable(&whole, source))?;
    }
    if before == disk::metadata(path)?.modified().ok() { Ok(tree) } else { Err(changed(path)) }
}

fn changed(path: &Path) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: "it changed while it was read".into() }
}

fn read_node(
    path: &Path,
    metadata: &disk::Metadata,
    take: &mut TakeFile<'_>,
    depth: usize,
) -> Result<Node, StoreError> {
    use std::os::unix::ffi::OsStrExt;
    if metadata.is_dir() {
        return Ok(Node::Directory(Arc::new(read_directory(path, &[], take, depth + 1)?)));
    }
    if metadata.is_symlink() {
        let target = disk::read_link(path)?;
        let target =
            LinkTarget::new(target.as_os_str().as_bytes()).map_err(|source| not_storable(path, source))?;
        return Ok(Node::Link(target));
    }
    if !metadata.is_file() {
        let reason = "it is neither a file, a link nor a directory".into();
        return Err(StoreError::Damaged { path: path.to_owned(), reason });
    }
    let executable = is_executable(metadata);
    let mut file = disk::open(path)?;
    take(&mut file, path, executable).map(Node::File)
}

/// Whether the owner may execute the file: the one permission that is kept.
pub(super) fn is_executable(metadata: &disk::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

fn not_storable(path: &Path, source: TreeError) -> StoreError {
    StoreError::Tree { path: path.display().to_string(), source }
}
