//! A GPU that is lost midway: its driver was reset, or it was taken away.
//!
//! burn says so in its log, once; calls that wait for the device then never return. So the log is watched,
//! and the program ends. Files are whole or not there at all at any time, so that nothing is lost but what
//! was being computed.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::{NOTHING_DONE, SOME_FAILED, files, report};

/// Who says that a device was lost, and how.
const TARGET: &str = "cubecl_wgpu";
const WORDS: &str = "device was lost";

/// Whether a device was lost, so that the program is about to end.
static LOST: AtomicBool = AtomicBool::new(false);

/// Waits for the end where a device was lost: what failed since then failed because of that, and is not
/// said as well.
pub fn wait_for_the_end() {
    while LOST.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// A logger that also watches for a lost device.
struct Watch<L>(L);

/// Makes `logger`, which prints what `most` allows, the program's.
pub fn watch(logger: impl Log + 'static, most: LevelFilter) {
    if log::set_boxed_logger(Box::new(Watch(logger))).is_ok() {
        log::set_max_level(most.max(LevelFilter::Error));
    }
}

impl<L: Log> Log for Watch<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata) || is_watched(metadata)
    }

    fn log(&self, record: &Record) {
        if is_watched(record.metadata()) {
            let message = record.args().to_string();
            if message.contains(WORDS) && !LOST.swap(true, Ordering::SeqCst) {
                // The thread that says so may hold what the end of the program waits for.
                std::thread::spawn(move || end(&message));
            }
        }
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_watched(metadata: &Metadata) -> bool {
    metadata.level() == Level::Error && metadata.target().starts_with(TARGET)
}

/// Says what happened and ends the program.
fn end(message: &str) {
    let (code, rest) = match files::any_written() {
        true => (SOME_FAILED, "what was finished is written and whole; "),
        false => (NOTHING_DONE, ""),
    };
    report::error(format!(
        "{message}; {rest}look for the reason in the system's log, then run the same command again (`evaluate` goes on with --resume), or on another device with --device"
    ));
    // Writing a file takes less time than this.
    std::thread::sleep(Duration::from_millis(200));
    exit(code.into());
}
