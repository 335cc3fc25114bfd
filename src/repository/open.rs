//! How each kind of place becomes a repository whose content is known.

use std::path::Path;
use std::sync::Arc;

use super::content::{Content, MAX_FILE, first_of};
use super::loaded::{Bytes, Loaded, Repository, name_of, pack};
use super::memo::Remembered;
use super::table::Table;
use super::{Ground, Repositories, RepositoryError, directory, import, memo};
use crate::fetch::git::Remote;
use crate::opam::place::{Commit, Kind, Pin, Place, Reference};

/// Bytes of a repository's archive.
const MAX_ARCHIVE: u64 = 1 << 30;

impl Repositories {
    pub(super) fn open_one(
        &mut self,
        place: &Place,
        pin: Option<&Pin>,
        ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        match &place.kind {
            Kind::Directory(path) => self.open_directory(place, path, ground),
            Kind::Archive(_) | Kind::Download(_) => self.open_archive(place, pin, ground),
            Kind::Git { url, reference } => self.open_git(place, url, reference, pin, ground),
        }
    }

    fn open_directory(
        &mut self,
        place: &Place,
        path: &Path,
        ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        let since = directory::now();
        if let Some(known) = memo::read_directory(ground.store, path)
            && directory::looks(path, &known.directories, &known.table) == Some(known.looks)
        {
            self.notice(place, &known.notices);
            let pin = Pin { commit: None, tree: known.tree };
            let loaded = Loaded { table: Arc::new(known.table), bytes: Bytes::Below(path.to_owned()) };
            return Ok(Repository::new(place, pin, ground.store, Some(loaded)));
        }
        let reading =
            directory::read(path).map_err(|trouble| RepositoryError::directory(place, path, trouble))?;
        let looks = reading.looks(since);
        let (mut table, contents, notices) = take_in(place, reading.content)?;
        self.notice(place, &notices);
        let tree = name_of(&table, &contents);
        if let Some(looks) = looks {
            let directories = reading.directories.into_iter().map(|(path, _)| path).collect();
            let remembered = Remembered { tree, looks, directories, notices, table };
            memo::write_directory(ground.store, path, &remembered);
            table = remembered.table;
        }
        let loaded = Loaded { table: Arc::new(table), bytes: Bytes::Memory(contents) };
        Ok(Repository::new(place, Pin { commit: None, tree }, ground.store, Some(loaded)))
    }

    fn open_archive(
        &mut self,
        place: &Place,
        pin: Option<&Pin>,
        ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        if let Some(pin) = pin
            && ground.store.use_tree(&pin.tree)?
        {
            return Ok(Repository::new(place, pin.clone(), ground.store, None));
        }
        let content = match &place.kind {
            Kind::Download(url) => ground
                .fetcher
                .download(ground.store, url, MAX_ARCHIVE, ground.progress, ground.stop, |file| {
                    import::archive(place, file)
                })
                .map_err(|failure| RepositoryError::download(place, failure))??,
            Kind::Archive(path) => import::archive(place, path)?,
            Kind::Directory(_) | Kind::Git { .. } => Content::default(),
        };
        let repository = self.pack(place, content, None, ground)?;
        match pin {
            Some(pin) if pin.tree != repository.pin.tree => Err(RepositoryError::NotAsPinned {
                place: place.written.clone(),
                pinned: pin.tree,
                found: repository.pin.tree,
            }),
            _ => Ok(repository),
        }
    }

    fn open_git(
        &mut self,
        place: &Place,
        url: &str,
        reference: &Reference,
        pin: Option<&Pin>,
        ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        // A commit that the user writes down is stronger than what a lock remembers.
        let pin = pin.filter(|pin| match reference {
            Reference::Commit(commit) => pin.commit.as_ref() == Some(commit),
            Reference::Default | Reference::Named(_) => pin.commit.is_some(),
        });
        if let Some(pin) = pin
            && ground.store.use_tree(&pin.tree)?
        {
            return Ok(Repository::new(place, pin.clone(), ground.store, None));
        }
        let near = match reference {
            Reference::Named(name) => Some(name.as_str()),
            Reference::Default | Reference::Commit(_) => None,
        };
        let known = match (pin, reference) {
            (Some(Pin { commit: Some(commit), .. }), _) | (_, Reference::Commit(commit)) => {
                Some(commit.clone())
            }
            _ => None,
        };
        let in_store = |commit: &Commit| -> Result<Option<Pin>, RepositoryError> {
            let Some(tree) = memo::read_commit(ground.store, commit.as_str()) else { return Ok(None) };
            let is_here = ground.store.use_tree(&tree)?;
            Ok(is_here.then(|| Pin { commit: Some(commit.clone()), tree }))
        };
        // A commit is a commit, wherever it comes from: no need to ask.
        if let Some(pin) = known.as_ref().map(in_store).transpose()?.flatten() {
            return Ok(Repository::new(place, pin, ground.store, None));
        }
        if ground.fetcher.is_offline() && place.is_remote() {
            return Err(RepositoryError::Offline { place: place.written.clone() });
        }
        let remote = Remote { url, store: ground.store, stop: ground.stop };
        let commit = match known {
            Some(commit) => commit,
            None => {
                let commit =
                    Commit::new(&remote.resolve(near)?).ok_or_else(|| RepositoryError::NotARepository {
                        place: place.written.clone(),
                        reason: "git gives no id of a commit for it".into(),
                    })?;
                if let Some(pin) = in_store(&commit)? {
                    return Ok(Repository::new(place, pin, ground.store, None));
                }
                commit
            }
        };
        let files = remote.files(commit.as_str(), near, &import::is_wanted, MAX_FILE)?;
        let content = import::commit(place, files)?;
        let repository = self.pack(place, content, Some(commit.clone()), ground)?;
        memo::write_commit(ground.store, commit.as_str(), &repository.pin.tree);
        Ok(repository)
    }

    /// Puts what was read into the store.
    fn pack(
        &mut self,
        place: &Place,
        content: Content,
        commit: Option<Commit>,
        ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        let (table, contents, notices) = take_in(place, content)?;
        self.notice(place, &notices);
        let tree = pack(ground.store, &table, &contents)?;
        let loaded = Loaded { table: Arc::new(table), bytes: Bytes::Memory(contents) };
        Ok(Repository::new(place, Pin { commit, tree }, ground.store, Some(loaded)))
    }

    fn notice(&mut self, place: &Place, notices: &[String]) {
        self.notices.extend(notices.iter().map(|notice| format!("{place}: {notice}")));
    }
}

/// Checks what was read and puts its bytes together; what is to be told of it.
pub(super) fn take_in(
    place: &Place,
    mut content: Content,
) -> Result<(Table, Vec<u8>, Vec<String>), RepositoryError> {
    if !content.oddities.refused.is_empty() {
        let names = first_of(&content.oddities.refused);
        return Err(RepositoryError::Names { place: place.written.clone(), names });
    }
    content.note_twins();
    let table = Table::of(&content.members);
    let mut contents = Vec::with_capacity(usize::try_from(table.length()).unwrap_or_default());
    content.members.iter().for_each(|member| contents.extend(&member.bytes));
    Ok((table, contents, first_of(&content.oddities.ignored)))
}
