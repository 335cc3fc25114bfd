//! Judging one node: build it again, compare, and look for the cause of a difference.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::compare::{Differing, compare};
use super::minimise::minimise;
use super::{Manner, Output, Rebuilder, Variation, Variations};
use crate::derivation::{Derivation, NodeId};
use crate::outcome::Failure;
use crate::realise::{Job, Progress, Stop, machine_trouble};
use crate::store::history::Origin;
use crate::store::layer::LayerDraft;
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// Builds with nothing varied that a cause is looked for against.
const CONTROLS: usize = 2;
/// Builds that have to be equal before it is believed that a variation up to chance does nothing.
const RACY_TRIES: usize = 2;

/// What is done with each node.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often a node is built and compared.
    pub times: u32,
    /// What is varied in these builds.
    pub vary: Variations,
    /// Whether the cause of a difference is looked for.
    pub bisect: bool,
}

/// A node to judge.
pub struct Subject<'a> {
    pub node: NodeId,
    pub derivation: &'a Derivation,
    /// The contents of its inputs, in slot order.
    pub trees: &'a [TreeHash],
    /// Its output in the store.
    pub stored: Option<TreeHash>,
}

/// What came of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Reproducible,
    /// What goes into a site is the same; what only other builds use is not.
    IntermediatesDiffer,
    NotReproducible,
    /// It could not be built, or not often enough.
    NotJudged,
}

impl Verdict {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Reproducible => "reproducible",
            Self::IntermediatesDiffer => "intermediates differ",
            Self::NotReproducible => "not reproducible",
            Self::NotJudged => "not judged",
        }
    }
}

/// Why outputs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// Builds differ with nothing varied.
    Itself,
    /// They differ when these are varied, and are equal when one of these is not.
    Varied { variations: Variations },
    /// They differed once under these, and then did not again.
    Unsteady { variations: Variations },
    /// Builds of this machine agree with each other, and not with what is stored.
    Stored,
}

impl Cause {
    /// For people.
    pub fn words(self) -> String {
        match self {
            Self::Itself => "differs with nothing varied".to_owned(),
            Self::Varied { variations } if variations.len() > 1 => format!("{variations} together"),
            Self::Varied { variations } => variations.to_string(),
            Self::Unsteady { variations } => format!("{variations}, but not each time"),
            Self::Stored => "what is stored differs from all builds of this machine".to_owned(),
        }
    }
}

/// The judgement of one node.
#[derive(Debug, Serialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Whether it was compared with what is in the store, rather than with another build only.
    pub stored: bool,
    /// How often it was built.
    pub builds: u32,
    pub seconds: f64,
    pub causes: Vec<Cause>,
    /// Where the first build that differs does so, what goes into a site first.
    pub differences: Vec<Differing>,
    /// What was varied in that build.
    pub varied: Variations,
    /// Why it could not be built; with [`Verdict::NotReproducible`]: how builds with something varied
    /// ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Judgement {
    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            stored: false,
            builds: 0,
            seconds: 0.0,
            causes: Vec::new(),
            differences: Vec::new(),
            varied: Variations::NONE,
            failure: None,
        }
    }

    /// That of a node that nothing could be done with.
    pub fn none() -> Self {
        Self::new(Verdict::NotJudged)
    }
}

/// Is told what is built.
pub trait Audience: Sync {
    /// A build begins, the how manieth of its node.
    fn building(&self, node: NodeId, number: u32, varied: Variations);

    /// These outputs of a node differ, here. They go afterwards.
    fn differ(&self, node: NodeId, before: &Output, after: &Output, differences: &[Differing]);
}

/// One build: its output, or the verdict that it came to.
type Built = Result<Output, Failure>;

fn hash(built: &Built) -> Option<TreeHash> {
    built.as_ref().ok().map(|output| output.tree.hash())
}

/// Judges a node. Trouble of the machine makes it [`Verdict::NotJudged`].
pub fn judge(
    subject: &Subject<'_>,
    settings: Settings,
    rebuilder: &dyn Rebuilder,
    (store, progress, stop, audience): (&Arc<Store>, &dyn Progress, &Stop, &dyn Audience),
) -> Judgement {
    let begun = Instant::now();
    let bench = Bench { subject, settings, rebuilder, store, progress, stop, audience, builds: 0 };
    let (mut judgement, builds) = bench.run();
    judgement.builds = builds;
    judgement.seconds = begun.elapsed().as_secs_f64();
    judgement
}

struct Bench<'a> {
    subject: &'a Subject<'a>,
    settings: Settings,
    rebuilder: &'a dyn Rebuilder,
    store: &'a Arc<Store>,
    progress: &'a dyn Progress,
    stop: &'a Stop,
    audience: &'a dyn Audience,
    builds: u32,
}

impl Bench<'_> {
    fn run(mut self) -> (Judgement, u32) {
        let judgement = self.judged().unwrap_or_else(|failure| Judgement {
            failure: Some(failure),
            ..self.judgement(Verdict::NotJudged)
        });
        (judgement, self.builds)
    }

    fn judgement(&self, verdict: Verdict) -> Judgement {
        Judgement { stored: self.subject.stored.is_some(), ..Judgement::new(verdict) }
    }

    fn judged(&mut self) -> Result<Judgement, Failure> {
        let reference = match &self.subject.stored {
            Some(tree) => Output::stored(self.store, tree).map_err(|error| machine_trouble(&error))?,
            None => self.build(Variations::NONE)??,
        };
        let expected = reference.tree.hash();
        let vary = self.settings.vary;
        for _ in 0..self.settings.times {
            let built = self.build(vary)?;
            if hash(&built) != Some(expected) {
                return self.differing(&reference, built);
            }
        }
        Ok(self.judgement(Verdict::Reproducible))
    }

    /// Explains why `built` is not the reference.
    fn differing(&mut self, reference: &Output, built: Built) -> Result<Judgement, Failure> {
        let mut shown = (built, self.settings.vary);
        let mut causes = Vec::new();
        if self.settings.bisect {
            let controls = (0..CONTROLS).map(|_| self.build(Variations::NONE));
            let mut controls = controls.collect::<Result<Vec<Built>, Failure>>()?;
            let expected = hash(&controls[0]);
            if let Some(other) = controls.iter().position(|control| hash(control) != expected) {
                causes.push(Cause::Itself);
                // What variations add to that is not the point.
                let is_other = |control: &Built| hash(control) != Some(reference.tree.hash());
                let at = if is_other(&controls[other]) { other } else { 0 };
                shown = (controls.swap_remove(at), Variations::NONE);
            } else {
                causes = self.causes(expected, hash(&shown.0) != expected)?;
                // What was stored was built with the clock as it was then, not as an audit holds it.
                let is_by_clock = |cause: &Cause| matches!(cause, Cause::Varied { variations } if variations.has(Variation::Time));
                if expected != Some(reference.tree.hash()) && !causes.iter().any(is_by_clock) {
                    causes.push(Cause::Stored);
                }
            }
        }
        let (built, varied) = shown;
        let mut judgement = Judgement { causes, varied, ..self.judgement(Verdict::NotReproducible) };
        match built {
            Ok(output) => {
                let kind = self.subject.derivation.kind;
                judgement.differences =
                    compare(kind, reference, &output).map_err(|error| machine_trouble(&error))?;
                self.audience.differ(self.subject.node, reference, &output, &judgement.differences);
                if judgement.differences.iter().all(|differing| !differing.published) {
                    judgement.verdict = Verdict::IntermediatesDiffer;
                }
            }
            Err(failure) => judgement.failure = Some(failure),
        }
        Ok(judgement)
    }

    /// The smallest sets of variations that make builds differ from `expected`, one after the other.
    /// `is_known`: that all of them together do was seen.
    fn causes(&mut self, expected: Option<TreeHash>, is_known: bool) -> Result<Vec<Cause>, Failure> {
        let mut left = self.settings.vary;
        let mut causes = Vec::new();
        let mut is_known = is_known;
        while !left.is_empty() && (is_known || self.differs(left, expected)?) {
            is_known = false;
            let least = minimise(left, &mut |set| self.differs(set, expected))?;
            let is_steady = self.differs(least, expected)? && !self.differs(Variations::NONE, expected)?;
            causes.push(if is_steady {
                Cause::Varied { variations: least }
            } else {
                Cause::Unsteady { variations: least }
            });
            left = left.without(least);
        }
        Ok(causes)
    }

    fn differs(&mut self, varied: Variations, expected: Option<TreeHash>) -> Result<bool, Failure> {
        let tries = if varied.iter().any(Variation::is_racy) { RACY_TRIES } else { 1 };
        for _ in 0..tries {
            if hash(&self.build(varied)?) != expected {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Builds once. A verdict of the builder is an end like another one; trouble of the machine is not.
    fn build(&mut self, varied: Variations) -> Result<Built, Failure> {
        if self.stop.is_requested() {
            return Err(Failure::Cancelled);
        }
        self.builds += 1;
        let Subject { node, derivation, trees, .. } = *self.subject;
        self.audience.building(node, self.builds, varied);
        let layer = self.draft().map_err(|error| machine_trouble(&error))?;
        let job = Job { node, derivation, trees, layer: &layer, stop: self.stop, progress: self.progress };
        let manner = Manner { varied, held: self.settings.vary };
        match self.rebuilder.rebuild(&job, manner) {
            Err(failure) if !failure.is_verdict() => Err(failure),
            Ok(output) => {
                self.remember(&output);
                Ok(Ok(output))
            }
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// Whatever was varied, it is an output of the same build key.
    fn remember(&self, output: &Output) {
        let build = self.subject.derivation.build_key(self.subject.trees);
        // Nothing is decided by the history: that it lacks a line is no harm to the judgement.
        let _ = self.store.record_realisation(&build, &output.tree.hash(), Origin::Audited);
    }

    /// A place for the log, which goes with it.
    fn draft(&self) -> Result<LayerDraft, StoreError> {
        let derivation = self.subject.derivation;
        let build = derivation.build_key(self.subject.trees);
        self.store.draft_layer(&Store::layer_id(derivation.kind.word(), &build))
    }
}
