//! How much a model may hold while it is loaded: a few bytes of a file can ask for any size, and memory that
//! cannot be had ends the program.
//!
//! Counted are the numbers of all values that nodes make and that are still held. What the file stores is
//! not, nor what an operator takes for itself while it runs, which is a small multiple of its inputs and
//! outputs.

use std::cell::Cell;

use crate::value::Outcome;

/// The numbers that any model may hold: 1 GiB of float32.
const LEAST: usize = 1 << 28;

/// Beside them, so many for each byte of the file: what is dequantized of two bits.
const PER_BYTE: usize = 4;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The numbers that a model may hold while it is loaded, of `bytes` bytes with its weights.
pub fn of_file(bytes: usize) -> usize {
    bytes.saturating_mul(PER_BYTE).saturating_add(LEAST)
}

/// Runs `run`, in which no more than `most` numbers may be held at any time.
pub fn within<T>(most: usize, run: impl FnOnce() -> T) -> T {
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let _before = Before(LEFT.replace(most));
    run()
}

/// Refuses a tensor of the shape `dims` where there is no room for it. One without elements needs room as
/// well: what is computed for each of its rows, say.
pub fn check(dims: &[usize]) -> Outcome<()> {
    let left = LEFT.get();
    match dims.iter().try_fold(1usize, |all, &size| all.checked_mul(size.max(1))) {
        Some(count) if count <= left => Ok(()),
        _ => Err(format!(
            "it would make a tensor of {dims:?}, more than the {left} numbers that there is room for"
        )),
    }
}

/// The room of a tensor, taken up for as long as this lives.
#[derive(Debug)]
pub struct Taken(usize);

/// Takes up the room of a tensor of the shape `dims`.
///
/// # Errors
///
/// Where there is none; see [`check`].
pub fn take(dims: &[usize]) -> Outcome<Taken> {
    check(dims)?;
    match LEFT.get() {
        // Nothing is counted.
        usize::MAX => Ok(Taken(0)),
        left => {
            let count = dims.iter().product();
            LEFT.set(left - count);
            Ok(Taken(count))
        }
    }
}

impl Taken {
    /// Takes it up for as long as there is this room.
    pub fn for_good(self) {
        std::mem::forget(self);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        LEFT.set(LEFT.get().saturating_add(self.0));
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
        assert!(within(10, || check(&[11, 0])).is_err());
        assert!(check(&[1 << 20, 1 << 20]).is_ok());
    }

    #[test]
    fn what_is_held_takes_up_room() {
        within(10, || {
            let first = take(&[2, 3]).expect("room");
            assert!(take(&[5]).is_err());
            let second = take(&[4]).expect("room");
            drop(first);
            take(&[5]).expect("room").for_good();
            assert!(take(&[2]).is_err() && take(&[1]).is_ok());
            drop(second);
            assert!(take(&[5]).is_ok() && take(&[6]).is_err());
        });
        drop(take(&[1 << 40]).expect("room outside"));
    }
}
