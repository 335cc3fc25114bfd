//! The limits that this process was started with: how many builders they allow at a time, and
//! whether a builder that fails may have failed for them.
//!
//! `/proc/self/limits` has a line for each: name, soft limit, hard limit, unit, in columns.

use crate::outcome::Failure;
use crate::request::Limits;

/// Descriptors that the engine has open whatever it does, and those that one builder costs it.
const DESCRIPTORS: u64 = 64;
const DESCRIPTORS_A_BUILDER: u64 = 16;

/// With fewer descriptors than this, a program may fail that does nothing special.
const FEW_DESCRIPTORS: u64 = 1024;

/// A limit of this process as the kernel tells it; `None` when there is none.
fn limit(told: &str, name: &str, is_hard: bool) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(usize::from(is_hard))?.parse().ok()
}

fn told() -> String {
    // Without it nothing is known to be limited.
    std::fs::read_to_string("/proc/self/limits").unwrap_or_default()
}

/// So many builders this process can look after at the same time, at least 1. `None` when nothing
/// limits it.
pub fn most_builders() -> Option<usize> {
    most_builders_with(limit(&told(), "Max open files", false)?)
}

fn most_builders_with(descriptors: u64) -> Option<usize> {
    usize::try_from((descriptors.saturating_sub(DESCRIPTORS) / DESCRIPTORS_A_BUILDER).max(1)).ok()
}

/// The failure of a builder, which is no verdict when this process was started with limits that the
/// builder inherits and that its recipe knows nothing of.
pub(super) fn judged(failure: Failure, limits: &Limits) -> Failure {
    judged_with(failure, limits, &told())
}

fn judged_with(failure: Failure, limits: &Limits, told: &str) -> Failure {
    let is_the_builders = matches!(
        failure,
        Failure::BuilderExit { .. } | Failure::BuilderSignal { .. } | Failure::MissingOutput { .. }
    );
    let wanted = [
        ("Max processes", "ulimit -u", limits.processes),
        ("Max open files", "ulimit -n", FEW_DESCRIPTORS),
        ("Max cpu time", "ulimit -t", limits.seconds),
        ("Max file size", "ulimit -f", limits.memory),
        ("Max data size", "ulimit -d", limits.memory),
        ("Max address space", "ulimit -v", limits.memory),
    ];
    let lower = wanted.iter().filter(|_| is_the_builders).find_map(|(name, command, wanted)| {
        let limit = limit(told, name, true)?;
        (limit < *wanted)
            .then(|| format!("`{command}` is too low for it: the limit is {limit}, not {wanted}"))
    });
    match lower {
        Some(what) => Failure::Machine { what: format!("a builder failed ({failure})"), reason: what },
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             100                  5000                 processes 
Max open files            1024                 4096                 files     
Max address space         unlimited            unlimited            bytes     
";

    #[test]
    fn limits_are_read_as_the_kernel_tells_them() {
        assert_eq!(limit(TOLD, "Max open files", false), Some(1024));
        assert_eq!(limit(TOLD, "Max open files", true), Some(4096));
        assert_eq!(limit(TOLD, "Max cpu time", true), None);
        assert_eq!(limit(TOLD, "Max unheard-of", true), None);
        assert_eq!(most_builders_with(1024), Some(60));
        assert_eq!(most_builders_with(3), Some(1));
        assert!(most_builders().is_none_or(|most| most > 0));
    }

    #[test]
    fn only_a_limit_below_what_the_recipe_allows_takes_a_verdict_back() {
        let limits = |processes| Limits { seconds: 1, memory: 1 << 30, log: 1, processes };
        let exit = || Failure::BuilderExit { command: "x".into(), status: 1 };
        assert_eq!(judged_with(exit(), &limits(5000), TOLD), exit());
        let Failure::Machine { what, reason } = judged_with(exit(), &limits(5001), TOLD) else {
            panic!("a verdict under a lower limit")
        };
        assert_eq!(what, "a builder failed (`x` exited with status 1)");
        assert_eq!(reason, "`ulimit -u` is too low for it: the limit is 5000, not 5001");
        let other = Failure::BadOutput { path: "x".into(), reason: "y".into() };
        assert_eq!(judged_with(other.clone(), &limits(5001), TOLD), other);
        assert_eq!(judged_with(exit(), &limits(5001), ""), exit());
    }
}
