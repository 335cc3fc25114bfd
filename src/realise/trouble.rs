//! Trouble of the machine in the middle of a run: when it is no use to go on.
//!
//! A full disk, a sandbox that cannot be made or a mirror that has died meets every node that comes
//! after. Going on would give one error for each of them, and slowly. What is not started any more
//! is not decided, and the next run goes on from there.

use crate::derivation::Kind;
use crate::outcome::{Failure, Outcome};

/// So many equal troubles in a row are taken for trouble that does not go away by itself. Of a full
/// disk, one is enough.
pub const EQUAL_TROUBLES: u32 = 3;

/// What a run did not start any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum GivenUp {
    /// It came to everything.
    #[default]
    Nothing,
    /// What fetches: downloads failed again and again.
    Fetching,
    /// Anything at all: the disk is full, or the machine does not do what builders need.
    Everything,
}

/// Counts the troubles of a run.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    fetching: u32,
    machine: u32,
    given_up: GivenUp,
}

impl Troubles {
    /// Takes in how a node of this kind ended.
    pub fn enter(&mut self, kind: Kind, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(Failure::NoSpace { .. }) => self.give_up(GivenUp::Everything),
            // The network is well, and one archive is gone: that says nothing of the others.
            Outcome::Failed(Failure::FetchFailed { lost: true, .. }) => {}
            Outcome::Failed(Failure::FetchFailed { lost: false, .. }) => {
                self.fetching += 1;
                if self.fetching >= EQUAL_TROUBLES {
                    self.give_up(GivenUp::Fetching);
                }
            }
            Outcome::Failed(Failure::Sandbox { .. } | Failure::Machine { .. }) => {
                self.machine += 1;
                if self.machine >= EQUAL_TROUBLES {
                    self.give_up(GivenUp::Everything);
                }
            }
            // A builder that came to a verdict of its own ran: the machine is well. Only a download
            // that succeeds says the same of the network.
            Outcome::Built | Outcome::Failed(_) => {
                self.machine = 0;
                if fetches(kind) && *outcome == Outcome::Built {
                    self.fetching = 0;
                }
            }
            Outcome::Reused | Outcome::Cutoff | Outcome::Skipped { .. } | Outcome::NotDecided { .. } => {}
        }
    }

    fn give_up(&mut self, what: GivenUp) {
        self.given_up = self.given_up.max(what);
    }

    /// What is not started any more.
    pub fn given_up(&self) -> GivenUp {
        self.given_up
    }

    /// Whether a node of this kind may still be started.
    pub fn may_start(&self, kind: Kind) -> bool {
        match self.given_up {
            GivenUp::Nothing => true,
            GivenUp::Fetching => !fetches(kind),
            GivenUp::Everything => false,
        }
    }
}

/// Whether nodes of this kind use the network.
fn fetches(kind: Kind) -> bool {
    match kind {
        Kind::Source | Kind::Base => true,
        Kind::Build | Kind::JtwTools | Kind::Jtw | Kind::Assembly | Kind::Node | Kind::Compressed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Outcome {
        Outcome::Failed(Failure::Machine { what: "x".into(), reason: "y".into() })
    }

    fn unfetched() -> Outcome {
        Outcome::Failed(Failure::FetchFailed { what: "x".into(), tried: vec![], lost: false })
    }

    fn after(outcomes: &[(Kind, Outcome)]) -> GivenUp {
        let mut troubles = Troubles::default();
        outcomes.iter().for_each(|(kind, outcome)| troubles.enter(*kind, outcome));
        troubles.given_up()
    }

    #[test]
    fn equal_troubles_in_a_row_end_what_would_meet_them() {
        let (fetch, build) = (Kind::Source, Kind::Build);
        assert_eq!(after(&[(build, machine()), (build, machine())]), GivenUp::Nothing);
        assert_eq!(after(&[(build, machine()), (build, machine()), (build, machine())]), GivenUp::Everything);
        let between = [(build, machine()), (build, machine()), (build, Outcome::Built), (build, machine())];
        assert_eq!(after(&between), GivenUp::Nothing);
        let full = Outcome::Failed(Failure::NoSpace { what: "x".into() });
        assert_eq!(after(&[(build, full)]), GivenUp::Everything);

        // What succeeds without the network says nothing of the network.
        let dead =
            [(fetch, unfetched()), (fetch, unfetched()), (build, Outcome::Built), (fetch, unfetched())];
        assert_eq!(after(&dead), GivenUp::Fetching);
        let alive =
            [(fetch, unfetched()), (fetch, unfetched()), (fetch, Outcome::Built), (fetch, unfetched())];
        assert_eq!(after(&alive), GivenUp::Nothing);
        // Archives that are lost do not take others with them.
        let lost = Failure::FetchFailed { what: "x".into(), tried: vec![], lost: true };
        let gone = || (fetch, Outcome::Failed(lost.clone()));
        assert_eq!(after(&[gone(), gone(), gone(), gone()]), GivenUp::Nothing);
        // Limits of recipes are no trouble of the machine.
        let slow = Outcome::Failed(Failure::TimeOut { seconds: 1 });
        assert_eq!(after(&[(build, slow.clone()), (build, slow.clone()), (build, slow)]), GivenUp::Nothing);
    }

    #[test]
    fn without_a_network_what_needs_none_goes_on() {
        let mut troubles = Troubles::default();
        assert!(troubles.may_start(Kind::Source) && troubles.may_start(Kind::Base));
        (0..EQUAL_TROUBLES).for_each(|_| troubles.enter(Kind::Source, &unfetched()));
        assert!(!troubles.may_start(Kind::Source) && !troubles.may_start(Kind::Base));
        assert!(troubles.may_start(Kind::Build) && troubles.may_start(Kind::Node));
        (0..EQUAL_TROUBLES).for_each(|_| troubles.enter(Kind::Build, &machine()));
        assert!(!troubles.may_start(Kind::Build));
    }
}
