//! A progress bar on stderr for a whole run.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::report;

/// The progress of a run. Hidden if stderr is no terminal or the program is quiet.
pub struct Progress {
    bar: ProgressBar,
    /// The number of units in finished work.
    finished: Cell<u64>,
}

impl Progress {
    /// Shows a run of `total` units, such as gradients, of which `done` are done already.
    pub fn new(total: u64, done: u64, unit: &str) -> Self {
        let template = format!("{{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left");
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style).with_position(done);
        if report::is_quiet() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.reset_eta();
        Self { bar, finished: Cell::new(done) }
    }

    /// Shows that `done` units of the work in progress are done.
    pub fn show(&self, done: u64) {
        self.bar.set_position(self.finished.get() + done);
    }

    /// Marks work of `planned` units as finished, even if it took fewer units.
    pub fn finish(&self, planned: u64) {
        self.finished.set(self.finished.get() + planned);
        self.bar.set_position(self.finished.get());
    }

    /// Hides the bar while `print` writes to the terminal.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
