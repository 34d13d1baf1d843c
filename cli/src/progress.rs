//! One bar on stderr for a whole run.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report;

/// How much of a run is done; hidden where stderr is no terminal, or nothing is said.
pub struct Progress {
    bar: ProgressBar,
    /// What was finished before what is under way.
    before: Cell<u64>,
}

impl Progress {
    /// A run of `all`, such as gradients, of which some are `done`.
    pub fn new(all: u64, done: u64, what: &str) -> Self {
        let template = format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left");
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(all).with_style(style).with_position(done);
        if report::is_quiet() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.reset_eta();
        Self { bar, before: Cell::new(done) }
    }

    /// Shows how much of what is under way is done.
    pub fn show(&self, done: u64) {
        self.bar.set_position(self.before.get() + done);
    }

    /// Counts what was planned as finished, whether it took as much or less.
    pub fn finish(&self, planned: u64) {
        self.before.set(self.before.get() + planned);
        self.bar.set_position(self.before.get());
    }

    /// Prints what would otherwise be drawn over.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
