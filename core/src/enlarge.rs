//! Enlarging of maps.

/// Enlarges a map of `cells`, `[height, width]`, to the size `[height, width]` by bilinear interpolation between the
/// centres of the cells, without extrapolation beyond the outermost centres: as OpenCV and PyTorch do with half-pixel
/// centres. Along an axis, pixel `i` of `size` lies at `(i + 0.5) * cells / size - 0.5`, counted in cells from the
/// centre of the first.
///
/// `values` has one value per cell, in row-major order. Values are blended in double precision. A map without cells
/// remains empty.
///
/// # Panics
///
/// Panics if the number of values is not the number of cells.
pub fn enlarge(values: &[f32], cells: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    let [cell_rows, cell_columns] = cells;
    assert_eq!(values.len(), cell_rows * cell_columns, "one value per cell of {cells:?}");
    if values.is_empty() {
        return Vec::new();
    }
    let columns = neighbours(cell_columns, width);
    let blend = |a: f32, b: f32, share: f64| f64::from(a) + share * (f64::from(b) - f64::from(a));
    let mut enlarged = Vec::with_capacity(height * width);
    for (top, bottom, down) in neighbours(cell_rows, height) {
        let (top, bottom) = (&values[top * cell_columns..], &values[bottom * cell_columns..]);
        enlarged.extend(columns.iter().map(|&(left, right, along)| {
            let (above, below) =
                (blend(top[left], top[right], along), blend(bottom[left], bottom[right], along));
            (above + down * (below - above)) as f32
        }));
    }
    enlarged
}

/// For each of `size` pixels, the two of `cells` cells whose centres it lies between, and the share of the
/// second.
fn neighbours(cells: usize, size: usize) -> Vec<(usize, usize, f64)> {
    let neighbours = |pixel: usize| {
        let place = (pixel as f64 + 0.5) * cells as f64 / size as f64 - 0.5;
        let place = place.clamp(0.0, (cells - 1) as f64);
        let first = place as usize;
        (first, (first + 1).min(cells - 1), place.fract())
    };
    (0..size).map(neighbours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_interpolated_between_the_centres_of_cells() {
        assert_eq!(enlarge(&[0.0, 1.0], [1, 2], [1, 4]), [0.0, 0.25, 0.75, 1.0]);
        // The centre of pixel 1 of 6 is at 1.5 / 3 - 0.5 = 0 cells from that of cell 0.
        let rows = [0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0].repeat(2);
        for (value, expected) in enlarge(&[0.0, 1.0], [1, 2], [2, 6]).iter().zip(rows) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
        assert_eq!(enlarge(&[1.0, 2.0, 3.0, 4.0], [2, 2], [1, 1]), [2.5]);
        assert_eq!(enlarge(&[2.0], [1, 1], [2, 2]), [2.0; 4]);
        assert!(enlarge(&[], [0, 5], [2, 2]).is_empty());
    }
}
