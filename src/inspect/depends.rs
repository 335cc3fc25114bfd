//! By which ways one node or package needs another, and what each step of a way is.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use crate::derivation::{Kind, NodeId};
use crate::plan::Plan;
use crate::solution::{DependencyKind, PackageId, Reason, Solution};

/// What the needed one is to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum Relation {
    /// A package that its users need too, or that only its build needs, or whose JavaScript it needs.
    Dependency {
        of: DependencyWord,
        /// What is asked of its version, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// It is there because a dependency needs it.
    Indirect,
    /// The root that its commands run in, or a part of it.
    Base,
    Source,
    /// The worker and the standard library.
    Tools,
    /// The package that its browser layer is made from.
    PackageLayer,
    /// What a site shows.
    BrowserLayer,
    /// Files of which there are compressed variants.
    Files,
    /// The compressed variants of files.
    Variants,
    /// An input of a node of the user's.
    Input,
}

/// The word for a kind of dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyWord {
    Runtime,
    Build,
    Primitives,
}

impl From<DependencyKind> for DependencyWord {
    fn from(kind: DependencyKind) -> Self {
        match kind {
            DependencyKind::Runtime => Self::Runtime,
            DependencyKind::Build => Self::Build,
            DependencyKind::Primitives => Self::Primitives,
        }
    }
}

impl Relation {
    /// In words, to stand behind “x needs y”.
    pub fn words(&self) -> String {
        match self {
            Self::Dependency { of, requirement } => {
                let what = match of {
                    DependencyWord::Runtime => "a dependency",
                    DependencyWord::Build => "a dependency of its build",
                    DependencyWord::Primitives => "for the JavaScript of its primitives",
                };
                let requirement = requirement.as_ref().map(|text| format!(", `{text}`"));
                format!("{what}{}", requirement.unwrap_or_default())
            }
            Self::Indirect => "a dependency of its dependencies".to_owned(),
            Self::Base => "the base that it runs in".to_owned(),
            Self::Source => "its source".to_owned(),
            Self::Tools => "the worker and the standard library".to_owned(),
            Self::PackageLayer => "the package that it is made from".to_owned(),
            Self::BrowserLayer => "what it shows of a package".to_owned(),
            Self::Files => "what it compresses".to_owned(),
            Self::Variants => "compressed variants of its files".to_owned(),
            Self::Input => "an input".to_owned(),
        }
    }
}

/// Nodes or packages, and what each needs directly.
pub struct Graph {
    pub names: Vec<String>,
    needs: Vec<Vec<(usize, Relation)>>,
}

/// A way: where it begins, and each step with what it leads to.
pub type Way = Vec<(usize, Relation)>;

impl Graph {
    /// The packages of a solution.
    pub fn of_packages(solution: &Solution) -> Self {
        let names = solution.packages.iter().map(crate::solution::Chosen::full_name).collect();
        let needs = (0..solution.packages.len()).map(|user| {
            let package = &solution.packages[user];
            let lists = [
                (&package.depends, DependencyKind::Runtime),
                (&package.build_depends, DependencyKind::Build),
                (&package.primitives_from, DependencyKind::Primitives),
            ];
            let of_list = |(list, kind): (&Vec<PackageId>, DependencyKind)| {
                list.iter()
                    .map(|needed| (*needed, dependency(solution, user, *needed, kind)))
                    .collect::<Vec<_>>()
            };
            lists.into_iter().flat_map(of_list).collect()
        });
        Self { names, needs: needs.collect() }
    }

    /// The nodes of a plan; `solution` tells what its packages are to each other.
    pub fn of_nodes(plan: &Plan, solution: &Solution) -> Self {
        let mut packages: HashMap<String, Vec<PackageId>> = HashMap::new();
        for (id, package) in solution.packages.iter().enumerate() {
            packages.entry(package.full_name()).or_default().push(id);
        }
        let of = |node: NodeId| {
            let name = plan.derivation(node).name.split('@').next().unwrap_or_default();
            packages.get(name).map(Vec::as_slice).unwrap_or_default()
        };
        let relation =
            |user: NodeId, needed: NodeId| match (plan.derivation(user).kind, plan.derivation(needed).kind) {
                (_, Kind::Source) => Relation::Source,
                (Kind::Compressed, _) => Relation::Files,
                (_, Kind::Compressed) => Relation::Variants,
                (_, Kind::JtwTools) => Relation::Tools,
                (Kind::Jtw, _) if of(user) == of(needed) && !of(user).is_empty() => Relation::PackageLayer,
                (Kind::Assembly, _) => Relation::BrowserLayer,
                (Kind::Node, Kind::Node) => Relation::Input,
                (Kind::Build | Kind::Jtw, _) if !of(needed).is_empty() => {
                    between(solution, of(user), of(needed))
                }
                _ => Relation::Base,
            };
        let needs = |user: NodeId| {
            plan.derivation(user).needs().map(|needed| (needed.index(), relation(user, needed))).collect()
        };
        Self {
            names: plan.ids().map(|node| plan.derivation(node).id()).collect(),
            needs: plan.ids().map(needs).collect(),
        }
    }

    /// The shortest way from one of `from` to one of `to`. Steps over what is there for dependencies only
    /// are taken when there is no other way: they would hide the reason.
    pub fn shortest(&self, from: &[usize], to: &[usize]) -> Option<(usize, Way)> {
        self.search(from, to, false).or_else(|| self.search(from, to, true))
    }

    fn search(&self, from: &[usize], to: &[usize], indirect: bool) -> Option<(usize, Way)> {
        let mut came: BTreeMap<usize, Option<(usize, usize)>> =
            from.iter().map(|start| (*start, None)).collect();
        let mut left: VecDeque<usize> = from.iter().copied().collect();
        while let Some(at) = left.pop_front() {
            if to.contains(&at) {
                let (mut way, mut here) = (Vec::new(), at);
                while let Some(Some((user, step))) = came.get(&here) {
                    way.push(self.needs[*user][*step].clone());
                    here = *user;
                }
                way.reverse();
                return Some((here, way));
            }
            for (step, (needed, relation)) in self.needs[at].iter().enumerate() {
                if (indirect || *relation != Relation::Indirect) && !came.contains_key(needed) {
                    came.insert(*needed, Some((at, step)));
                    left.push_back(*needed);
                }
            }
        }
        None
    }

    /// All ways, the shortest first, but no more than `most`. Without steps over what is there for
    /// dependencies only, unless there is no other way; and not through a circle of packages.
    pub fn all(&self, from: &[usize], to: &[usize], most: usize) -> Vec<(usize, Way)> {
        let direct = self.all_ways(from, to, most, false);
        if direct.is_empty() { self.all_ways(from, to, most, true) } else { direct }
    }

    fn all_ways(&self, from: &[usize], to: &[usize], most: usize, indirect: bool) -> Vec<(usize, Way)> {
        // The best ways of a node are made from the best ones of what it needs: no more than `most` of
        // each have to be known, however many there are.
        let mut best: HashMap<usize, Vec<Rest>> = HashMap::new();
        for at in self.needed_first(from) {
            let mut ways = Vec::new();
            if to.contains(&at) {
                ways.push(Rest { length: 0, step: 0, next: 0 });
            } else {
                for (step, (needed, relation)) in self.needs[at].iter().enumerate() {
                    let counts = indirect || *relation != Relation::Indirect;
                    let rests = best.get(needed).filter(|_| counts).into_iter().flatten().enumerate();
                    ways.extend(rests.map(|(next, rest)| Rest { length: rest.length + 1, step, next }));
                }
                ways.sort_by_key(|rest| rest.length);
                ways.truncate(most);
            }
            best.insert(at, ways);
        }
        let mut found: Vec<(usize, Way)> = Vec::new();
        for start in from {
            for rest in best.get(start).into_iter().flatten() {
                let (mut way, mut here, mut rest) = (Vec::new(), *start, rest);
                while rest.length > 0 {
                    let step = &self.needs[here][rest.step];
                    way.push(step.clone());
                    here = step.0;
                    rest = &best[&here][rest.next];
                }
                found.push((*start, way));
            }
        }
        found.sort_by_key(|(_, way)| way.len());
        found.truncate(most);
        found
    }

    /// Everything that can be reached, each behind what it needs, as far as there is no circle.
    fn needed_first(&self, from: &[usize]) -> Vec<usize> {
        let (mut order, mut seen) = (Vec::new(), vec![false; self.names.len()]);
        let mut left: Vec<(usize, bool)> = from.iter().map(|start| (*start, false)).collect();
        while let Some((at, is_done)) = left.pop() {
            if is_done {
                order.push(at);
            } else if !std::mem::replace(&mut seen[at], true) {
                left.push((at, true));
                left.extend(self.needs[at].iter().map(|(needed, _)| (*needed, false)));
            }
        }
        order
    }
}

/// A way from a node on: its first step, and which of the ways from there it goes on with.
struct Rest {
    length: usize,
    step: usize,
    next: usize,
}

fn dependency(solution: &Solution, user: PackageId, needed: PackageId, kind: DependencyKind) -> Relation {
    let reasons = solution.packages[needed].reasons.iter();
    let requirement = reasons.filter_map(|reason| match reason {
        Reason::NeededBy { package, requirement, kind: of } if *package == user && *of == kind => {
            Some(requirement.to_string())
        }
        _ => None,
    });
    Relation::Dependency { of: kind.into(), requirement: requirement.into_iter().next() }
}

/// What the packages of one node are to those of another.
fn between(solution: &Solution, users: &[PackageId], needed: &[PackageId]) -> Relation {
    for user in users {
        let package = &solution.packages[*user];
        let lists = [
            (&package.depends, DependencyKind::Runtime),
            (&package.build_depends, DependencyKind::Build),
            (&package.primitives_from, DependencyKind::Primitives),
        ];
        for (list, kind) in lists {
            if let Some(needed) = needed.iter().find(|needed| list.contains(needed)) {
                return dependency(solution, *user, *needed, kind);
            }
        }
    }
    Relation::Indirect
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(usize, usize, bool)], count: usize) -> Graph {
        let mut needs = vec![Vec::new(); count];
        for (user, needed, indirect) in edges {
            let relation = if *indirect { Relation::Indirect } else { Relation::Input };
            needs[*user].push((*needed, relation));
        }
        Graph { names: (0..count).map(|at| at.to_string()).collect(), needs }
    }

    fn told(ways: &[(usize, Way)]) -> Vec<String> {
        let tell = |(start, way): &(usize, Way)| {
            way.iter().fold(start.to_string(), |told, (at, _)| format!("{told} {at}"))
        };
        ways.iter().map(tell).collect()
    }

    #[test]
    fn the_shortest_way_goes_over_direct_needs() {
        let graph = graph(&[(3, 2, false), (2, 1, false), (1, 0, false), (3, 0, true), (4, 0, true)], 6);
        assert_eq!(told(&[graph.shortest(&[3], &[0]).unwrap()]), ["3 2 1 0"]);
        assert_eq!(told(&[graph.shortest(&[4], &[0]).unwrap()]), ["4 0"]);
        assert_eq!(told(&[graph.shortest(&[3], &[3]).unwrap()]), ["3"]);
        assert!(graph.shortest(&[0], &[3]).is_none() && graph.shortest(&[5], &[0]).is_none());
    }

    #[test]
    fn all_ways_come_by_length_and_no_more_than_asked_for() {
        let edges =
            [(4, 3, false), (4, 2, false), (3, 1, false), (2, 1, false), (4, 1, false), (1, 0, false)];
        let graph = graph(&edges, 5);
        assert_eq!(told(&graph.all(&[4], &[0], 100)), ["4 1 0", "4 3 1 0", "4 2 1 0"]);
        assert_eq!(told(&graph.all(&[4], &[0], 2)), ["4 1 0", "4 3 1 0"]);
        assert_eq!(told(&graph.all(&[0], &[4], 100)), [""; 0]);
    }

    /// 2 to the power of 60 ways.
    #[test]
    fn endlessly_many_ways_are_not_all_looked_at() {
        let edges: Vec<_> = (0..60)
            .flat_map(|at| {
                let (here, next) = (3 * at + 3, 3 * at);
                [
                    (here, here - 1, false),
                    (here, here - 2, false),
                    (here - 1, next, false),
                    (here - 2, next, false),
                ]
            })
            .collect();
        let graph = graph(&edges, 181);
        let begun = graph.all(&[180], &[0], 100);
        assert_eq!(begun.len(), 100);
        assert!(begun.iter().all(|(_, way)| way.len() == 120));
    }
}
