//! Breaking a run off at each of its steps: by a panic, and by the death of the engine.

use std::cell::RefCell;

mod tests;

/// How a run breaks off.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Panic,
    Kill,
}

thread_local! {
    /// How many more steps go well, what happens then, and which steps there were.
    static PLAN: RefCell<(Option<(usize, How)>, Vec<String>)> = const { RefCell::new((None, Vec::new())) };
}

/// What `step` calls in tests.
pub fn reach(name: &str) {
    let now = PLAN.with_borrow_mut(|(plan, steps)| {
        steps.push(name.to_owned());
        match plan {
            Some((0, how)) => Some(*how),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    });
    match now {
        Some(How::Panic) => {
            PLAN.with_borrow_mut(|(plan, _)| *plan = None);
            panic!("as planned, at {name}");
        }
        Some(How::Kill) => {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
        None => {}
    }
}
