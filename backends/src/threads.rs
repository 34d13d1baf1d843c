//! The number of CPU threads.

use crate::error::DeviceError;

/// Sets the number of CPU threads of this process. The default is the number of cores, or the value of
/// `RAYON_NUM_THREADS`.
///
/// Up to 8 threads, maps do not depend on the number of threads. With more threads, batches are larger, and
/// the parts of a model that burn runs may round differently.
///
/// A program that requires several numbers of threads at once runs each explainer in its own pool, with
/// `rayon::ThreadPool::install`.
///
/// # Errors
///
/// Returns an error if `count` is 0, or if the threads have been started with another number.
pub fn set_threads(count: usize) -> Result<(), DeviceError> {
    let error = |reason: &str| Err(DeviceError::configuration("cpu", reason));
    if count == 0 {
        return error("0 threads compute nothing; give 1 or more");
    }
    match rayon::ThreadPoolBuilder::new().num_threads(count).build_global() {
        Ok(()) => Ok(()),
        Err(_) if rayon::current_num_threads() == count => Ok(()),
        Err(cause) => error(&format!(
            "the number of threads cannot be set to {count}: {cause}; set it before anything is computed"
        )),
    }
}

/// Returns the number of CPU threads.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(test)]
mod tests {
    use super::{set_threads, threads};

    #[test]
    fn number_of_threads_is_set_once() {
        assert!(set_threads(0).is_err());
        set_threads(3).expect("the threads have not been started");
        assert_eq!(threads(), 3);
        set_threads(3).expect("there are already three threads");
        let error = set_threads(2).expect_err("there are three threads").to_string();
        assert!(error.contains("before anything is computed"), "{error}");
    }
}
