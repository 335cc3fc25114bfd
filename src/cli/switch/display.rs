//! What is shown while js_of_ocaml runs: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::progress::Loudness;
use crate::cli::render;
use crate::switch::Progress;

/// Elsewhere than on a terminal, what takes longer is told.
const LONG: Duration = Duration::from_secs(2);
/// How often it is told, there, how far things are.
const BEAT: Duration = Duration::from_secs(10);

/// Shows a run on standard error.
pub(super) struct Display {
    loudness: Loudness,
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

struct State {
    spoken: Instant,
    wanted: usize,
    done: usize,
    overall: Option<ProgressBar>,
    running: HashMap<String, ProgressBar>,
}

impl Display {
    pub(super) fn new(loudness: Loudness) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && loudness != Loudness::Quiet;
        let (overall, running) = (None, HashMap::new());
        let state = State { spoken: Instant::now(), wanted: 0, done: 0, overall, running };
        Self { loudness, bars: is_terminal.then(MultiProgress::new), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bars away, so that what follows stands alone.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.clear());
        }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // Printing fails only when the terminal is gone.
            Some(bars) => drop(bars.println(line)),
            None => render::note(line),
        }
    }
}

impl Progress for Display {
    fn wanted(&self, count: usize) {
        let mut state = self.state();
        state.wanted = count;
        if let Some(bars) = self.bars.as_ref().filter(|_| count > 0) {
            let style = ProgressStyle::with_template("{bar:30.green} {pos}/{len} steps, {elapsed}");
            let bar = bars.add(ProgressBar::new(count as u64));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(500));
            state.overall = Some(bar);
        }
    }

    fn started(&self, label: &str) {
        let Some(bars) = &self.bars else { return };
        let style = ProgressStyle::with_template("  {spinner} {prefix} {elapsed}");
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.state().running.insert(label.to_owned(), bar);
    }

    fn ended(&self, label: &str, took: Duration, is_success: bool) {
        let mut state = self.state();
        state.done += 1;
        if let Some(bar) = state.running.remove(label) {
            bar.finish_and_clear();
        }
        if let Some(overall) = &state.overall {
            overall.inc(1);
        }
        let (done, wanted) = (state.done, state.wanted);
        let time = render::seconds(took.as_secs_f64());
        let is_worth_a_line = match self.loudness {
            Loudness::Quiet => false,
            Loudness::Verbose => true,
            Loudness::Normal => {
                self.bars.is_none() && (took >= LONG || (done < wanted && state.spoken.elapsed() >= BEAT))
            }
        };
        if !is_success && self.loudness != Loudness::Quiet {
            self.say(&format!("[{done}/{wanted}] FAILED {label}"));
        } else if is_worth_a_line {
            state.spoken = Instant::now();
            self.say(&format!("[{done}/{wanted}] {label} in {time}"));
        }
    }
}
