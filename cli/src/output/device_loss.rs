//! Handling of a GPU device that is lost during a run, such as after a driver reset.
//!
//! burn logs the loss once; calls that wait for the device then never return. The program therefore watches
//! the log and exits. Output files are complete or absent at any time, so only the work in progress is lost.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::exit::{NOTHING_DONE, SOME_FAILED};
use crate::output::{files, report};

/// The log target, and the message, with which wgpu's runtime reports a lost device.
const LOG_TARGET: &str = "cubecl_wgpu";
const MESSAGE: &str = "device was lost";

/// Whether a device was lost and the program is about to exit.
static LOST: AtomicBool = AtomicBool::new(false);

/// Blocks until the program exits, if a device was lost: later failures follow from the loss and must not be
/// reported as well.
pub fn wait_for_exit() {
    while LOST.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// A logger that also watches for a lost device.
struct WatchingLogger<L>(L);

/// Installs `logger` as the program's logger, with `max_level` as its most detailed level.
pub fn install_logger(logger: impl Log + 'static, max_level: LevelFilter) {
    if log::set_boxed_logger(Box::new(WatchingLogger(logger))).is_ok() {
        log::set_max_level(max_level.max(LevelFilter::Error));
    }
}

impl<L: Log> Log for WatchingLogger<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata) || is_device_error(metadata)
    }

    fn log(&self, record: &Record) {
        if is_device_error(record.metadata()) {
            let message = record.args().to_string();
            if message.contains(MESSAGE) && !LOST.swap(true, Ordering::SeqCst) {
                // The logging thread may hold a lock that exiting needs, so another thread exits.
                std::thread::spawn(move || report_and_exit(&message));
            }
        }
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_device_error(metadata: &Metadata) -> bool {
    metadata.level() == Level::Error && metadata.target().starts_with(LOG_TARGET)
}

fn report_and_exit(message: &str) {
    let (code, rest) = match files::any_written() {
        true => (SOME_FAILED, "all files written so far are complete; "),
        false => (NOTHING_DONE, ""),
    };
    report::error(format!(
        "{message}; {rest}look for the reason in the system's log, then run the same command again (for `evaluate`, continue with --resume), or choose another device with --device"
    ));
    // Time for a file that is being written.
    std::thread::sleep(Duration::from_millis(200));
    exit(code.into());
}
