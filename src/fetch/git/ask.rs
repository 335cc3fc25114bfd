//! Which commits names stand for now: one question to each server, however many names.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::{ASK, GitError, Remote, Scratch, Wanted, is_id};
use crate::diagnostic::did_you_mean;
use crate::source::git::{Commit, GitUrl, Question, Reference};
use crate::store::Store;

/// Servers that are asked at the same time.
const AT_ONCE: usize = 8;

/// What servers said, by question.
pub type Answers = BTreeMap<Question, Result<Commit, GitError>>;

/// Asks for all names: once for each URL, several URLs at the same time. `stop` ends it.
pub fn ask(store: &Store, questions: &[Question], stop: &AtomicBool) -> Answers {
    let mut by_url: BTreeMap<&GitUrl, Vec<&Question>> = BTreeMap::new();
    for question in questions {
        by_url.entry(&question.url).or_default().push(question);
    }
    let servers = by_url.len();
    let left = Mutex::new(by_url.into_iter());
    let next = || left.lock().map_or(None, |mut left| left.next());
    let work = || {
        let mut answers = Vec::new();
        while let Some((url, questions)) = next() {
            let remote = Remote { url: url.as_str(), store, stop };
            answers.extend(remote.ask(&questions));
        }
        answers
    };
    std::thread::scope(|scope| {
        let others = 1..servers.min(AT_ONCE);
        // Where no thread is to be had, this one asks for all.
        let others: Vec<_> =
            others.filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut answers = work();
        answers.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        answers.into_iter().collect()
    })
}

impl Remote<'_> {
    /// Answers questions about this repository. When it cannot be asked, the first one says why, and the
    /// others have no answer.
    fn ask(&self, questions: &[&Question]) -> Vec<(Question, Result<Commit, GitError>)> {
        let references: Vec<&Reference> = questions.iter().map(|question| &question.reference).collect();
        let names: Vec<Vec<String>> = references.iter().map(|reference| names(reference)).collect();
        let result = Scratch::new(self.store).and_then(|scratch| {
            let lines = self.ls_remote(&scratch, &names.concat())?;
            Ok((scratch, lines))
        });
        let (scratch, lines) = match result {
            Ok(found) => found,
            Err(error) => {
                let first = questions.first().map(|question| ((*question).clone(), Err(error)));
                return first.into_iter().collect();
            }
        };
        let answer = |(question, names): (&&Question, &Vec<String>)| {
            let name = question.reference.name();
            let commit = find(&lines, names).ok_or_else(|| self.no_reference(&scratch, name));
            ((*question).clone(), commit)
        };
        questions.iter().zip(&names).map(answer).collect()
    }

    /// The id of the commit that a branch, else a tag, names there now.
    pub fn resolve(&self, wanted: Wanted<'_>) -> Result<String, GitError> {
        let scratch = Scratch::new(self.store)?;
        let names = match wanted {
            None => names(&Reference::Head),
            Some(name) => {
                let either = [Reference::Branch(name.to_owned()), Reference::Tag(name.to_owned())];
                either.iter().flat_map(names).collect()
            }
        };
        let lines = self.ls_remote(&scratch, &names)?;
        let found = find(&lines, &names).ok_or_else(|| self.no_reference(&scratch, wanted))?;
        Ok(found.to_string())
    }

    /// What the server says of these names: the whole name and the id of each.
    fn ls_remote(
        &self,
        scratch: &Scratch<'_>,
        names: &[String],
    ) -> Result<BTreeMap<String, Commit>, GitError> {
        let mut arguments = vec!["ls-remote", "--quiet", "--", self.url];
        arguments.extend(names.iter().map(String::as_str));
        self.git(scratch, &arguments, ASK, None)?;
        let answer = scratch.answer()?;
        let lines = answer.lines().filter_map(|line| {
            let (id, name) = line.split_once('\t')?;
            Some((name.to_owned(), Commit::new(id).filter(|_| is_id(id))?))
        });
        Ok(lines.collect())
    }

    /// The error for a missing branch, with one of a similar name.
    fn no_reference(&self, scratch: &Scratch<'_>, wanted: Wanted<'_>) -> GitError {
        let (url, name) = (self.url.to_owned(), wanted.unwrap_or("HEAD").to_owned());
        let all = self.git(scratch, &["ls-remote", "--quiet", "--refs", "--", self.url], ASK, None);
        let answer = all.and_then(|()| scratch.answer()).unwrap_or_default();
        if answer.trim().is_empty() {
            // Also what a web page looks like to git.
            return GitError::NotGit { url, said: "it has no branches and no tags".into() };
        }
        let names = answer.lines().filter_map(|line| {
            let reference = line.split_once('\t')?.1;
            reference.strip_prefix("refs/heads/").or_else(|| reference.strip_prefix("refs/tags/"))
        });
        let like = did_you_mean(&name, names).map(str::to_owned);
        GitError::NoReference { url, name, like }
    }
}

/// The names in full under which a server has a reference; the first one that it has counts.
fn names(reference: &Reference) -> Vec<String> {
    match reference {
        Reference::Head => vec!["HEAD".to_owned()],
        Reference::Branch(name) => vec![format!("refs/heads/{name}")],
        // A tag with a message is an object of its own; `^{}` is the commit.
        Reference::Tag(name) => vec![format!("refs/tags/{name}^{{}}"), format!("refs/tags/{name}")],
        Reference::Rev(commit) => vec![commit.to_string()],
    }
}

fn find(lines: &BTreeMap<String, Commit>, names: &[String]) -> Option<Commit> {
    names.iter().find_map(|name| lines.get(name)).cloned()
}
