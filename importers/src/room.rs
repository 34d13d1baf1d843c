//! The memory limit of loading a model. A few bytes of a file can request a tensor of any size, and a failed
//! allocation aborts the program.
//!
//! The limit counts the elements of all live values that nodes produced. It does not count the tensors stored
//! in the file, nor the temporary memory of a running operator, which is a small multiple of the operator's
//! inputs and outputs.

use std::cell::Cell;

use crate::error::Outcome;

/// The elements that every model may hold: 1 GiB of float32.
const MIN_ELEMENTS: usize = 1 << 28;

/// The additional elements per byte of the file: a byte holds at most four quantized values of two bits.
const ELEMENTS_PER_BYTE: usize = 4;

thread_local! {
    /// The elements that may still be reserved; `usize::MAX` without a limit.
    static REMAINING: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Returns the limit for a model of `bytes` bytes, including external weights, in elements.
pub fn limit(bytes: usize) -> usize {
    bytes.saturating_mul(ELEMENTS_PER_BYTE).saturating_add(MIN_ELEMENTS)
}

/// Calls `run` with a limit of `limit` live elements on this thread.
pub fn with_limit<T>(limit: usize, run: impl FnOnce() -> T) -> T {
    /// Restores the previous limit, also after a panic.
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            REMAINING.set(self.0);
        }
    }
    let _restore = Restore(REMAINING.replace(limit));
    run()
}

/// Checks that a tensor of the shape `dims` fits within the limit. Axes of size 0 count as 1, because an
/// operator may allocate memory per row even for an empty tensor.
pub fn check(dims: &[usize]) -> Outcome<()> {
    let remaining = REMAINING.get();
    match dims.iter().try_fold(1usize, |all, &size| all.checked_mul(size.max(1))) {
        Some(count) if count <= remaining => Ok(()),
        _ => Err(format!(
            "it would make a tensor of the shape {dims:?}, which exceeds the memory limit ({remaining} elements are left)"
        )),
    }
}

/// A reservation of elements, released when dropped.
#[derive(Debug)]
pub struct Reservation(usize);

/// Reserves the elements of a tensor of the shape `dims`.
///
/// # Errors
///
/// When the tensor exceeds the limit; see [`check`].
pub fn reserve(dims: &[usize]) -> Outcome<Reservation> {
    check(dims)?;
    match REMAINING.get() {
        // There is no limit.
        usize::MAX => Ok(Reservation(0)),
        remaining => {
            let count = dims.iter().product();
            REMAINING.set(remaining - count);
            Ok(Reservation(count))
        }
    }
}

impl Reservation {
    /// Keeps the elements reserved until the limit ends.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        REMAINING.set(REMAINING.get().saturating_add(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_applies_only_inside_its_scope() {
        assert!(with_limit(10, || check(&[2, 5])).is_ok());
        let message = with_limit(10, || check(&[2, 6])).expect_err("the tensor is too large");
        assert!(message.contains("[2, 6]"), "{message}");
        assert!(with_limit(10, || check(&[usize::MAX, 2])).is_err());
        assert!(with_limit(10, || check(&[11, 0])).is_err());
        assert!(check(&[1 << 20, 1 << 20]).is_ok());
    }

    #[test]
    fn reservations_count_until_dropped_or_kept() {
        with_limit(10, || {
            let first = reserve(&[2, 3]).expect("the tensor fits");
            assert!(reserve(&[5]).is_err());
            let second = reserve(&[4]).expect("the tensor fits");
            drop(first);
            reserve(&[5]).expect("the tensor fits").keep();
            assert!(reserve(&[2]).is_err() && reserve(&[1]).is_ok());
            drop(second);
            assert!(reserve(&[5]).is_ok() && reserve(&[6]).is_err());
        });
        drop(reserve(&[1 << 40]).expect("no limit"));
    }
}
