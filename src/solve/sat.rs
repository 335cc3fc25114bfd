//! The search: conflict-driven, with the decision order of 0install.
//!
//! A *role* is filled by at most one candidate: a package by one of its versions, a `|` by one of its
//! alternatives. The next decision is always about the first undecided role that is met when walking
//! depth first from the roots through what is selected, in written order, and for its best candidate
//! that is not ruled out. Without restarts and without scores the answer is a function of the index and
//! the roots: the first one in that order.
//!
//! What a candidate needs becomes clauses when it is selected for the first time, so a search touches
//! only what it comes across.

mod clauses;

use std::ops::Range;

use self::clauses::{Clauses, Conflict, Literal, Var};
use crate::package::index::{Index, Need, Ordinal, PackageId, VersionSet};

type RoleId = usize;

/// What selecting a variable means.
#[derive(Clone, Copy, Debug)]
enum Meaning<'i> {
    Version(PackageId, Ordinal),
    Alternative(&'i Need),
    /// All that is asked for.
    Roots(&'i [Need]),
}

#[derive(Clone, Debug)]
struct Candidate<'i> {
    meaning: Meaning<'i>,
    role: RoleId,
    /// What follows from selecting it, once that happened.
    consequences: Option<Consequences>,
}

#[derive(Clone, Debug, Default)]
struct Consequences {
    /// The roles that have to be filled, in written order.
    needs: Box<[RoleId]>,
    /// Candidates of packages that it conflicts with.
    excludes: Box<[Var]>,
}

/// Searches an index; the memory of one search is used again for the next.
#[derive(Debug)]
pub struct Solver<'i> {
    index: &'i Index,
    clauses: Clauses,
    candidates: Vec<Candidate<'i>>,
    /// The candidates of each role, best first.
    roles: Vec<Range<Var>>,
    /// The role of each package that came up.
    package_roles: Vec<Option<RoleId>>,
    packages: Vec<PackageId>,
    /// Candidates that came up, with their conflict classes.
    members: Vec<(u32, Var)>,
    /// For each role, the last walk that came by.
    visited: Vec<u64>,
    walks: u64,
}

impl<'i> Solver<'i> {
    /// Makes a solver for any number of searches.
    pub fn new(index: &'i Index) -> Self {
        Self {
            index,
            clauses: Clauses::default(),
            candidates: Vec::new(),
            roles: Vec::new(),
            package_roles: vec![None; index.packages().len()],
            packages: Vec::new(),
            members: Vec::new(),
            visited: Vec::new(),
            walks: 0,
        }
    }

    /// The version of each package that is needed, sorted by package; `None` when `roots` cannot be
    /// had together.
    pub fn solve(&mut self, roots: &'i [Need]) -> Option<Vec<(PackageId, Ordinal)>> {
        self.clear();
        let root = self.add_role([Meaning::Roots(roots)]);
        self.clauses.assert(self.roles[root].start);
        loop {
            if let Err(conflict) = self.propagate() {
                if !self.clauses.learn(conflict) {
                    return None;
                }
                continue;
            }
            match self.first_undecided(root) {
                Some(var) => self.clauses.decide(var),
                None => return Some(self.selection()),
            }
        }
    }

    fn clear(&mut self) {
        self.clauses.clear();
        self.candidates.clear();
        self.roles.clear();
        for package in self.packages.drain(..) {
            self.package_roles[package as usize] = None;
        }
        self.members.clear();
        self.visited.clear();
    }

    fn add_role(&mut self, candidates: impl IntoIterator<Item = Meaning<'i>>) -> RoleId {
        let role = self.roles.len();
        let start = Var::try_from(self.candidates.len()).expect("no more than variables");
        for meaning in candidates {
            self.clauses.add_variable();
            self.candidates.push(Candidate { meaning, role, consequences: None });
        }
        let end = Var::try_from(self.candidates.len()).expect("no more than variables");
        self.roles.push(start..end);
        self.visited.push(0);
        role
    }

    fn package_role(&mut self, package: PackageId) -> RoleId {
        if let Some(role) = self.package_roles[package as usize] {
            return role;
        }
        let index = self.index;
        let versions = &index.package(package).preference;
        let role = self.add_role(versions.iter().map(|ordinal| Meaning::Version(package, *ordinal)));
        self.package_roles[package as usize] = Some(role);
        self.packages.push(package);
        for (var, ordinal) in self.roles[role].clone().zip(versions) {
            for class in &index.version(package, *ordinal).1.classes {
                self.members.push((*class, var));
                // Somebody of the class may be selected already.
                let others = self.others_of(*class, role);
                if let Some(other) = others.into_iter().find(|other| self.clauses.value(*other) == Some(true))
                {
                    let excluded = self.clauses.exclude(var, other);
                    debug_assert!(excluded.is_ok(), "nothing is known of a new variable");
                }
            }
        }
        role
    }

    /// Candidates of a conflict class that belong to other roles.
    fn others_of(&self, class: u32, role: RoleId) -> Vec<Var> {
        let members = self.members.iter().filter(|(of, _)| *of == class).map(|(_, var)| *var);
        members.filter(|var| self.candidates[*var as usize].role != role).collect()
    }

    /// The candidates of a package's role that a set holds.
    fn allowed(&self, role: RoleId, set: &VersionSet) -> impl Iterator<Item = Var> {
        self.roles[role].clone().filter(|var| match self.candidates[*var as usize].meaning {
            Meaning::Version(_, ordinal) => set.contains(ordinal),
            _ => false,
        })
    }

    /// Draws all consequences of what is selected and ruled out.
    fn propagate(&mut self) -> Result<(), Conflict> {
        while let Some(literal) = self.clauses.next() {
            if literal.is_selection() {
                self.selected(literal.var())?;
            }
            self.clauses.follow(literal)?;
        }
        Ok(())
    }

    fn selected(&mut self, var: Var) -> Result<(), Conflict> {
        let index = self.index;
        let Candidate { meaning, role, ref consequences } = self.candidates[var as usize];
        let mut outcome = Ok(());
        if consequences.is_none() {
            outcome = match meaning {
                Meaning::Version(package, ordinal) => {
                    let candidate = index.version(package, ordinal).1;
                    self.add_consequences(var, &candidate.depends, &candidate.conflicts)
                }
                Meaning::Roots(needs) => self.add_consequences(var, needs, &[]),
                Meaning::Alternative(Need::All(needs)) => self.add_consequences(var, needs, &[]),
                Meaning::Alternative(need) => self.add_consequences(var, std::slice::from_ref(need), &[]),
            };
        }
        outcome?;
        for other in self.roles[role].clone().filter(|other| *other != var) {
            self.clauses.exclude(other, var)?;
        }
        if let Some(Consequences { excludes, .. }) = &self.candidates[var as usize].consequences {
            for other in excludes {
                self.clauses.exclude(*other, var)?;
            }
        }
        if let Meaning::Version(package, ordinal) = meaning {
            for class in &index.version(package, ordinal).1.classes {
                for other in self.others_of(*class, role) {
                    self.clauses.exclude(other, var)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what selecting `var` asks for: all of it, also when there is a conflict on the way.
    fn add_consequences(
        &mut self,
        var: Var,
        needs: &'i [Need],
        conflicts: &'i [(PackageId, VersionSet)],
    ) -> Result<(), Conflict> {
        let mut outcome = Ok(());
        let mut roles = Vec::with_capacity(needs.len());
        for need in needs {
            let mut clause = vec![Literal::ruled_out(var)];
            let role = match need {
                Need::Package(package, set) => {
                    let role = self.package_role(*package);
                    clause.extend(self.allowed(role, set).map(Literal::selected));
                    role
                }
                // A list within a list stands for one alternative that holds all of it.
                Need::Any(_) | Need::All(_) => {
                    let alternatives = match need {
                        Need::Any(alternatives) => alternatives.as_slice(),
                        _ => std::slice::from_ref(need),
                    };
                    let role = self.add_role(alternatives.iter().map(Meaning::Alternative));
                    clause.extend(self.roles[role].clone().map(Literal::selected));
                    role
                }
            };
            roles.push(role);
            outcome = outcome.and(self.clauses.add(clause));
        }
        let mut excludes = Vec::new();
        for (package, set) in conflicts {
            let role = self.package_role(*package);
            excludes.extend(self.allowed(role, set));
        }
        let consequences = Consequences { needs: roles.into(), excludes: excludes.into() };
        self.candidates[var as usize].consequences = Some(consequences);
        outcome
    }

    /// The best candidate of the first role that is needed and undecided, depth first.
    fn first_undecided(&mut self, from: RoleId) -> Option<Var> {
        self.walks += 1;
        let mut left = vec![from];
        while let Some(role) = left.pop() {
            if std::mem::replace(&mut self.visited[role], self.walks) == self.walks {
                continue;
            }
            if let Some(var) = self.selected_in(role) {
                if let Some(consequences) = &self.candidates[var as usize].consequences {
                    left.extend(consequences.needs.iter().rev());
                }
            } else if let Some(var) = self.roles[role].clone().find(|var| self.clauses.value(*var).is_none())
            {
                return Some(var);
            }
        }
        None
    }

    fn selected_in(&self, role: RoleId) -> Option<Var> {
        self.roles[role].clone().find(|var| self.clauses.value(*var) == Some(true))
    }

    /// What the last walk, which found nothing undecided, came by.
    fn selection(&self) -> Vec<(PackageId, Ordinal)> {
        let needed = (0..self.roles.len()).filter(|role| self.visited[*role] == self.walks);
        let meanings =
            needed.filter_map(|role| self.selected_in(role)).map(|var| self.candidates[var as usize].meaning);
        let mut selection: Vec<_> = meanings
            .filter_map(|meaning| match meaning {
                Meaning::Version(package, ordinal) => Some((package, ordinal)),
                _ => None,
            })
            .collect();
        selection.sort_unstable();
        selection
    }
}

#[cfg(test)]
mod tests;
