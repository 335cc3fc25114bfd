//! Git sources: which commits branches and tags come to in this run.
//!
//! A commit that is written down is never asked for, and a tag only once: the lock has it then. A branch is
//! asked for in every run, unless the lock is to be obeyed or there is no network to be used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Loaded;
use crate::cli::arguments::UniverseArguments;
use crate::cli::trouble::Trouble;
use crate::cli::trouble::git::{Unanswered, Why, unanswered};
use crate::diagnostic::SourceFile;
use crate::fetch::git;
use crate::package::Provision;
use crate::recipe::values::PackageSource;
use crate::solution::{OpamSource, Release, Solution};
use crate::source::git::{Commit, GitSource, Question};
use crate::store::Store;
use crate::universe::ToolsSource;
use crate::universe::node::NodeSource;

/// Questions, each with a source that has it and the file that names it.
type Asked = BTreeMap<Question, (GitSource, SourceFile)>;

impl Loaded {
    /// Pins the commits of all branches and tags that the plan needs, and drops the others.
    pub(super) fn pin_commits(
        &mut self,
        arguments: &UniverseArguments,
        store: &Arc<Store>,
        solution: &Solution,
    ) -> Result<(), Trouble> {
        let asked = self.git_questions(solution);
        let mut commits = BTreeMap::new();
        let mut open = Vec::new();
        let mut troubles = Vec::new();
        for (question, (source, file)) in &asked {
            let known = self.lock.git.get(question);
            let obeys = arguments.locked || arguments.offline || !question.reference.is_followed();
            match known.filter(|_| obeys) {
                Some(commit) => drop(commits.insert(question.clone(), commit.clone())),
                None if arguments.locked && !self.is_renewed => {
                    troubles.push(Unanswered { source, file, why: Why::NotLocked, last: None });
                }
                None if arguments.offline && !question.url.is_local() => {
                    troubles.push(Unanswered { source, file, why: Why::Offline, last: None });
                }
                None => open.push(question.clone()),
            }
        }
        let answers = self.answers(store, open);
        let before = self.lock_before.as_ref().map(|lock| &lock.git);
        for (question, answer) in &answers {
            let Some((source, file)) = asked.get(question) else { continue };
            let last = before.and_then(|before| before.get(question));
            match answer {
                Ok(commit) => {
                    if let Some(last) = last.filter(|last| *last != commit) {
                        self.moved.push(moved(question, last, commit));
                    }
                    commits.insert(question.clone(), commit.clone());
                }
                Err(error) => troubles.push(Unanswered { source, file, why: Why::Git(error), last }),
            }
        }
        if !troubles.is_empty() {
            return Err(unanswered(&troubles));
        }
        self.lock.git = commits;
        Ok(())
    }

    /// Everything of the plan that is called by a name.
    fn git_questions(&self, solution: &Solution) -> Asked {
        let mut asked = Asked::new();
        let mut add = |source: &GitSource, file: &SourceFile| {
            if let Some(question) = source.question() {
                asked.entry(question).or_insert_with(|| (source.clone(), file.clone()));
            }
        };
        let universe = &self.universe;
        let has_tools = universe.compiler.is_some() && universe.has_site;
        if let (true, ToolsSource::Git(source)) = (has_tools, &universe.tools.source) {
            add(source, &universe.files[0]);
        }
        for node in &universe.nodes {
            if let NodeSource::Git { source, file } = &node.source {
                add(source, &universe.files[*file as usize]);
            }
        }
        for package in &solution.packages {
            match &package.release {
                Release::Recipe(recipe) => {
                    if let Provision::Built { source: Some(PackageSource::Git(source)), .. } =
                        &recipe.provision
                    {
                        add(source, &recipe.file);
                    }
                }
                // Those of opam files are commits: a name stands in the universe.
                Release::Opam(release) => {
                    if let Some(PackageSource::Git(source)) =
                        release.source.as_ref().and_then(OpamSource::url)
                    {
                        add(source, &universe.files[0]);
                    }
                }
                Release::Debian(_) => {}
            }
        }
        asked
    }

    /// What servers say, or have said in this run already.
    fn answers(&mut self, store: &Store, mut open: Vec<Question>) -> git::Answers {
        let mut answers = std::mem::take(&mut self.answers);
        // Where one name of a server could not be asked for, the others were not either.
        let failed: Vec<_> =
            answers.iter().filter(|(_, answer)| answer.is_err()).map(|(one, _)| one.url.clone()).collect();
        open.retain(|question| !answers.contains_key(question) && !failed.contains(&question.url));
        if !open.is_empty() {
            answers.append(&mut git::ask(store, &open, &AtomicBool::new(false)));
        }
        answers
    }

    /// Whether the lock is as it was, but for the commits of names that it had already.
    pub fn only_moved(&self) -> bool {
        let Some(before) = &self.lock_before else { return false };
        before.git.keys().eq(self.lock.git.keys())
            && crate::lock::Lock { git: self.lock.git.clone(), ..before.clone() } == self.lock
    }
}

/// What people are told of a name that stands for another commit now.
fn moved(question: &Question, from: &Commit, to: &Commit) -> String {
    format!("{} of {} moved: {} → {}", question.reference, question.url, from.short(), to.short())
}
