//! A repository that comes with jtwbuild.

use std::sync::{Arc, Mutex};

use super::content::{Content, Member};
use super::{Bytes, Loaded, Repositories, Repository, RepositoryError, packed};
use crate::opam::place::{Kind, Pin, Place};

impl Repositories {
    /// Puts a repository before all others: `files` by their paths from its root. Messages call it
    /// `name`.
    pub fn put_first(
        &mut self,
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), RepositoryError> {
        let place = Place { written: name.to_owned(), kind: Kind::Directory(name.into()) };
        let members = files.into_iter().map(|(path, bytes)| Member { path, executable: false, bytes });
        let mut content = Content { members: members.collect(), ..Content::default() };
        content.finish();
        let (table, contents) = self.take_in(&place, content)?;
        let pin = Pin { commit: None, tree: packed(&table, &contents).hash() };
        let loaded = Loaded { table, bytes: Bytes::Memory(contents) };
        let repository = Repository { place, pin, loaded: Mutex::new(Some(Arc::new(loaded))) };
        self.list.insert(0, repository);
        Ok(())
    }
}
