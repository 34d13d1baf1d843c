//! How large a tensor may become while a model is loaded: a few bytes of a file can ask for any size, and
//! memory that cannot be had ends the program.

use std::cell::Cell;

use crate::value::Outcome;

/// The most numbers of a tensor while a model is loaded: 1 GiB of float32.
pub const LOADING: usize = 1 << 28;

thread_local! {
    static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Runs `run`, in which no tensor may have more than `most` numbers.
pub fn within<T>(most: usize, run: impl FnOnce() -> T) -> T {
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            MOST.set(self.0);
        }
    }
    let _before = Before(MOST.replace(most));
    run()
}

/// Refuses a tensor of the shape `dims` where there is no room for it.
pub fn check(dims: &[usize]) -> Outcome<()> {
    let most = MOST.get();
    match dims.iter().try_fold(1usize, |all, &size| all.checked_mul(size)) {
        Some(count) if count <= most => Ok(()),
        _ => {
            Err(format!("it would make a tensor of {dims:?}, more than the {most} numbers allowed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tensors_are_refused_inside_alone() {
        assert!(within(10, || check(&[2, 5])).is_ok());
        let message = within(10, || check(&[2, 6])).expect_err("it is too large");
        assert!(message.contains("[2, 6]"), "{message}");
        assert!(within(10, || check(&[usize::MAX, 2])).is_err());
        assert!(check(&[1 << 20, 1 << 20]).is_ok());
    }
}
