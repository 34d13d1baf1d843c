//! Checked conversions of the integers that number axes and give sizes.

use crate::value::Outcome;

/// Normalizes an axis; negative values count from the end.
pub fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {axis} is out of range for a tensor of rank {rank}"))
}

/// Converts a size or count, which must be non-negative.
pub fn size(value: i64) -> Outcome<usize> {
    usize::try_from(value).map_err(|_| format!("expected a non-negative size, got {value}"))
}
