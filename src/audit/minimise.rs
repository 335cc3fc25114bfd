//! Delta debugging: the smallest part of a set that still makes a difference.

use super::variation::{Variation, Variations};

/// A part of `set` that makes a difference, and of which no part without one of its members was seen to
/// make one. `set` itself is known to make it.
///
/// This is `ddmin` (Zeller and Hildebrandt 2002): halves first, so that one cause among many costs
/// about twice the logarithm of their number.
pub fn minimise<E>(
    set: Variations,
    differs: &mut dyn FnMut(Variations) -> Result<bool, E>,
) -> Result<Variations, E> {
    let mut set: Vec<Variation> = set.iter().collect();
    let mut parts = 2;
    while set.len() >= 2 {
        let chunks: Vec<&[Variation]> = set.chunks(set.len().div_ceil(parts)).collect();
        let mut smaller = None;
        for (index, chunk) in chunks.iter().enumerate() {
            if differs(chunk.iter().copied().collect())? {
                smaller = Some((chunk.to_vec(), 2));
                break;
            }
            // With two parts the rest is the other one.
            if chunks.len() > 2 {
                let others = chunks.iter().enumerate().filter(|(other, _)| *other != index);
                let rest: Vec<Variation> = others.flat_map(|(_, chunk)| chunk.iter().copied()).collect();
                if differs(rest.iter().copied().collect())? {
                    smaller = Some((rest, (parts - 1).max(2)));
                    break;
                }
            }
        }
        match smaller {
            Some((part, next)) => (set, parts) = (part, next),
            None if parts >= set.len() => break,
            None => parts = (parts * 2).min(set.len()),
        }
    }
    Ok(set.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// What is found when exactly the sets that hold one of `causes` make a difference, and how many
    /// builds that took.
    fn found(causes: &[&str]) -> (String, usize) {
        let causes: Vec<Variations> = causes.iter().map(|cause| cause.parse().unwrap()).collect();
        let mut builds = 0;
        let mut differs = |set: Variations| -> Result<bool, Infallible> {
            builds += 1;
            Ok(causes.iter().any(|cause| cause.without(set).is_empty()))
        };
        let Ok(least) = minimise(Variations::all(), &mut differs);
        (least.to_string(), builds)
    }

    #[test]
    fn the_smallest_cause_is_found_in_few_builds() {
        for variation in Variation::ALL {
            let (least, builds) = found(&[variation.name()]);
            assert_eq!(least, variation.name());
            assert!(builds <= 8, "{variation}: {builds}");
        }
        assert_eq!(found(&["time,load"]).0, "time, load", "both together");
        assert_eq!(found(&["user,home,kernel"]).0, "user, home, kernel");
        assert_eq!(found(&["time", "load"]).0, "time", "one of two causes");
    }
}
