//! Errors on their way to the terminal: what kind decides the exit code, and the hint that only
//! the command line knows.

pub(super) mod git;
mod repository;
mod switch;

use crate::diagnostic::SourceError;
use crate::fetch::debian::DebianError;
use crate::fetch::mirror::MirrorError;
use crate::inspect::sites::SiteError;
use crate::package::set::{Misplaced, PackageError};
use crate::pins::PinError;
use crate::plan::evaluate::PlanError;
use crate::publish::PublishError;
use crate::recipe::RecipeError;
use crate::recipe::overlay::RecipesError;
use crate::solve::SolveError;
use crate::solve::opam::{OpamError, ReleaseError};
use crate::store::StoreError;
use crate::universe::UniverseError;

/// What went wrong as a whole, and so the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// One or more nodes failed.
    Failed = 1,
    /// A file of the user cannot be used: universe, lock, recipe; or its demands cannot be met.
    Input = 3,
    /// Something about this machine: kernel, disk, network, output directory.
    Environment = 4,
    /// The store holds something that is not what its name says.
    Corrupt = 5,
    /// Builds of a node give different outputs.
    NotReproducible = 6,
    /// An error in jtwbuild itself; what a panic gives anyway.
    Internal = 101,
    /// Stopped by the user.
    Interrupted = 130,
}

/// An error as it is shown.
#[derive(Debug)]
pub(super) struct Trouble {
    pub exit: Exit,
    pub shown: Shown,
}

/// Problems in files with their places, or a plain message.
#[derive(Debug)]
pub(super) enum Shown {
    Sources(Vec<SourceError>),
    Message { code: &'static str, message: String, help: Option<String> },
}

impl Trouble {
    pub(super) fn new(exit: Exit, code: &'static str, message: impl ToString, help: Option<&str>) -> Self {
        let help = help.map(str::to_owned);
        Self { exit, shown: Shown::Message { code, message: message.to_string(), help } }
    }

    pub(super) fn sources(errors: Vec<SourceError>) -> Self {
        Self { exit: Exit::Input, shown: Shown::Sources(errors) }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::sources(vec![error])
    }
}

impl From<RecipesError> for Trouble {
    fn from(error: RecipesError) -> Self {
        let code = match error {
            RecipesError::Missing { .. } => "jtwbuild::recipe::missing",
            _ => "jtwbuild::file::unreadable",
        };
        Self::new(Exit::Input, code, error, None)
    }
}

impl From<UniverseError> for Trouble {
    fn from(error: UniverseError) -> Self {
        match error {
            UniverseError::Source(errors) => Self::sources(errors),
            UniverseError::File(error) => {
                let help = "name the universe file: `jtwbuild realise path/to/universe.toml`";
                Self::new(Exit::Input, "jtwbuild::universe::unreadable", error, Some(help))
            }
        }
    }
}

impl From<RecipeError> for Trouble {
    fn from(error: RecipeError) -> Self {
        match error {
            RecipeError::File(error) => error.into(),
            RecipeError::Source(error) => error.into(),
        }
    }
}

impl From<Misplaced> for Trouble {
    fn from(error: Misplaced) -> Self {
        Self::new(Exit::Input, "jtwbuild::package::misplaced", error, None)
    }
}

impl From<PackageError> for Trouble {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Recipe(error) => SourceError::clone(&error).into(),
            PackageError::Unreadable(error) => {
                Self::new(Exit::Input, "jtwbuild::file::unreadable", error, None)
            }
            PackageError::TooMany(error) => {
                Self::new(Exit::Input, "jtwbuild::package::too-many-versions", error, None)
            }
        }
    }
}

impl From<SolveError> for Trouble {
    fn from(error: SolveError) -> Self {
        match error {
            SolveError::Recipe(error) => error.into(),
            SolveError::Unsolvable(error) => error.into(),
        }
    }
}

impl From<OpamError> for Trouble {
    fn from(error: OpamError) -> Self {
        match error {
            OpamError::Unsolvable(error) | OpamError::Release(ReleaseError::File(error)) => error.into(),
            OpamError::Release(error) => {
                Self::new(Exit::Environment, "jtwbuild::repository::unreadable", error, None)
            }
            OpamError::Circle(_) => Self::new(Exit::Input, "jtwbuild::solve::cycle", error, None),
        }
    }
}

impl From<PlanError> for Trouble {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Recipe(error) => error.into(),
            PlanError::Source(error) => error.into(),
            PlanError::UnpinnedBase(_) | PlanError::UnpinnedGit(_) => {
                let help = "`jtwbuild update` writes a complete lock";
                Self::new(Exit::Input, "jtwbuild::lock::incomplete", error, Some(help))
            }
        }
    }
}

impl From<PinError> for Trouble {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Recipes(error) => error.into(),
            PinError::Store(error) => error.into(),
            error => Self::new(Exit::Input, "jtwbuild::source::unusable", error, None),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let (exit, code, help) = match &error {
            StoreError::NoSpace { .. } => (
                Exit::Environment,
                "jtwbuild::store::no-space",
                Some(
                    "free some space, or put the store elsewhere with `--store DIR`; then run the same command",
                ),
            ),
            StoreError::Io { .. } => (
                Exit::Environment,
                "jtwbuild::store::io",
                Some("`--store DIR` or `JTWBUILD_STORE` name a directory that you can write to"),
            ),
            StoreError::Format { .. } => (
                Exit::Environment,
                "jtwbuild::store::format",
                Some("use the jtwbuild that made it, or another directory with `--store DIR`"),
            ),
            StoreError::Tree { .. } => (Exit::Input, "jtwbuild::source::unusable", None),
            StoreError::MissingBlob(_) | StoreError::MissingTree(_) | StoreError::Damaged { .. } => (
                Exit::Corrupt,
                "jtwbuild::store::damaged",
                Some("`jtwbuild verify --repair` says what is damaged and makes good what it can"),
            ),
        };
        Self::new(exit, code, error, help)
    }
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => {
                let mut trouble = Self::from(error);
                if let Shown::Message { help, .. } = &mut trouble.shown {
                    *help = Some("`-o DIR` names another directory for the site".into());
                }
                trouble
            }
            error => {
                let help = "give another directory with `-o DIR`, or empty this one";
                Self::new(Exit::Environment, "jtwbuild::publish::occupied", error, Some(help))
            }
        }
    }
}

impl From<SiteError> for Trouble {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => error.into(),
            error => Self::new(Exit::Input, "jtwbuild::diff::site", error, None),
        }
    }
}

impl From<DebianError> for Trouble {
    fn from(error: DebianError) -> Self {
        let (exit, code, help) = match &error {
            // It says what to set.
            DebianError::Mirror(MirrorError::None) => (Exit::Environment, "jtwbuild::base::no-mirror", None),
            DebianError::Mirror(_) => (
                Exit::Environment,
                "jtwbuild::base::no-mirror",
                Some(
                    "set `mirror` in the universe's `[base]`, or JTWBUILD_DEBIAN_MIRROR, to the URL of a Debian mirror",
                ),
            ),
            DebianError::Offline { .. } => (
                Exit::Environment,
                "jtwbuild::base::offline",
                Some("run once without `--offline` to write the lock"),
            ),
            DebianError::Unknown { .. } | DebianError::Unsatisfiable { .. } => {
                (Exit::Input, "jtwbuild::base::unknown-package", None)
            }
            DebianError::NotALibrary { .. } => (
                Exit::Input,
                "jtwbuild::base::no-libraries",
                Some(
                    "packages of libraries are those that depend on the suite's compiler; most are called `lib*-ocaml-dev`",
                ),
            ),
            // It says what to do.
            DebianError::OlderBase { .. } => (Exit::Input, "jtwbuild::base::older", None),
            DebianError::Expired { .. } => (
                Exit::Environment,
                "jtwbuild::base::expired",
                Some("`expired-release = \"warn\"` in the universe's `[base]` takes it with a notice"),
            ),
            _ => (
                Exit::Environment,
                "jtwbuild::base::unresolved",
                Some("check the mirror and the suite: `[base]` in the universe, JTWBUILD_DEBIAN_MIRROR"),
            ),
        };
        Self::new(exit, code, error, help)
    }
}
