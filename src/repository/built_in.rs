//! A repository that comes with jtwbuild.

use std::sync::Arc;

use super::content::{Content, Member};
use super::loaded::{Bytes, Loaded, Repository, name_of};
use super::open::take_in;
use super::{Repositories, RepositoryError};
use crate::opam::place::{Kind, Pin, Place};

impl Repositories {
    /// Puts a repository before all others: `files` by their paths from its root. Messages call it
    /// `name`.
    pub fn put_first(
        &mut self,
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), RepositoryError> {
        let repository = self.built_in(name, files)?;
        self.list.insert(0, repository);
        Ok(())
    }

    /// As [`Repositories::put_first`], but behind all others.
    pub fn put_last(
        &mut self,
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), RepositoryError> {
        let repository = self.built_in(name, files)?;
        self.list.push(repository);
        Ok(())
    }

    fn built_in(
        &self,
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Repository, RepositoryError> {
        let place = Place { written: name.to_owned(), kind: Kind::Directory(name.into()) };
        let members = files.into_iter().map(|(path, bytes)| Member { path, executable: false, bytes });
        let mut content = Content { members: members.collect(), ..Content::default() };
        content.finish();
        let (table, contents, _) = take_in(&place, content)?;
        let pin = Pin { commit: None, tree: name_of(&table, &contents) };
        let loaded = Loaded { table: Arc::new(table), bytes: Bytes::Memory(contents) };
        Ok(Repository::new(&place, pin, &self.store, Some(loaded)))
    }
}
