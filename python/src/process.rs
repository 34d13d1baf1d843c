//! What concerns the whole process: its messages, panics and forks.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

use crate::error::Error;

/// Whether a model was loaded in this process, so that there may be threads.
static STARTED: AtomicBool = AtomicBool::new(false);
/// Whether this process was forked from one that had threads.
static FORKED: AtomicBool = AtomicBool::new(false);
static PREPARED: Once = Once::new();

/// Prepares the process for its first model.
///
/// # Errors
///
/// As [`check`].
pub fn start() -> PyResult<()> {
    check()?;
    STARTED.store(true, Ordering::Relaxed);
    PREPARED.call_once(|| {
        // Panics in dependencies become errors, so that they need no report of their own.
        std::panic::set_hook(Box::new(|info| log::debug!("{info}")));
        if log::set_logger(&PythonLogger).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    });
    Ok(())
}

/// Checks that this process has its own threads: those of its parent do not survive a fork.
///
/// # Errors
///
/// When the process was forked after a model had been loaded.
pub fn check() -> PyResult<()> {
    match FORKED.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::new_err(
            "this process was forked from one that had loaded a model, so it has no threads to compute with; start processes with multiprocessing.get_context(\"spawn\"), or load the first model after the fork",
        )),
    }
}

/// Notes that this process was forked. Python calls it in the child.
#[pyfunction]
pub fn after_fork() {
    FORKED.store(STARTED.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Passes warnings and remarks to Python's logger `attriburn`.
struct PythonLogger;

impl Log for PythonLogger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("attriburn") && metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            _ => "info",
        };
        let message = record.args().to_string();
        // A message that cannot be passed on must not fail the computation.
        let _ = Python::attach(|py| {
            let logger = py.import("logging")?.call_method1("getLogger", ("attriburn",))?;
            logger.call_method1(level, ("%s", message)).map(drop)
        });
    }

    fn flush(&self) {}
}
