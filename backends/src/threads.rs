//! How many cores the CPU's work is shared by.

use crate::DeviceError;

/// Shares the CPU's work by `count` threads from now on, in this process. Up to 8 threads, maps do not
/// depend on the number at all. Beyond, batches are larger, and the parts of a model that burn runs may
/// round otherwise. Without it there are as many as the machine has cores, or as `RAYON_NUM_THREADS` says.
///
/// A program that wants different numbers at once runs its explainers in pools of its own:
/// `rayon::ThreadPool::install` holds for everything inside it.
///
/// # Errors
///
/// When `count` is 0, or something has been computed already.
pub fn set_threads(count: usize) -> Result<(), DeviceError> {
    let refused = |reason: &str| Err(DeviceError::new("cpu", reason));
    if count == 0 {
        return refused("0 threads compute nothing; give 1 or more");
    }
    match rayon::ThreadPoolBuilder::new().num_threads(count).build_global() {
        Ok(()) => Ok(()),
        Err(_) if rayon::current_num_threads() == count => Ok(()),
        Err(error) => refused(&format!(
            "it cannot have {count} threads: {error}; set their number before anything is computed"
        )),
    }
}

/// How many threads the CPU's work is shared by.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(test)]
mod tests {
    use super::{set_threads, threads};

    #[test]
    fn their_number_is_set_once() {
        assert!(set_threads(0).is_err());
        set_threads(3).expect("nothing has been computed");
        assert_eq!(threads(), 3);
        set_threads(3).expect("there are three already");
        let error = set_threads(2).expect_err("there are three").to_string();
        assert!(error.contains("before anything is computed"), "{error}");
    }
}
