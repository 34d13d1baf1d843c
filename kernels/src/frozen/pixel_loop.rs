//! The loop of a kernel over output pixels, with the offsets that each pixel reads and writes.

use super::image::Image;
use super::phase::Phase;

/// Offsets of the pixels of a grid: `first + row y + column x`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grid {
    pub first: usize,
    pub row: usize,
    pub column: usize,
}

/// The contiguous input elements that one tap, or several adjacent taps, reads for an output pixel.
#[derive(Clone, Copy, Debug)]
pub struct TapRun {
    /// Relative to [`Cursor::from`].
    pub offset: usize,
    pub count: usize,
}

/// A loop over output pixels that have the same taps.
#[derive(Clone, Debug)]
pub struct PixelLoop {
    pub rows: usize,
    pub columns: usize,
    /// Offsets in the input.
    from: Grid,
    /// Offsets in the output.
    to: Grid,
    /// Offsets in the image that is added to the output.
    addend: Grid,
    /// Offsets in a record, which has no halo.
    record: Grid,
    pub taps: Vec<TapRun>,
}

/// The position of a [`PixelLoop`]: an output pixel and its offsets.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    row: usize,
    column: usize,
    /// The offset of the first tap in the input.
    pub from: usize,
    /// The offset in the output.
    pub to: usize,
    /// The offset in the image that is added to the output.
    pub addend: usize,
    /// The offset in a record of the output on the tape; records have no halo.
    pub record: usize,
}

impl PixelLoop {
    /// Returns the loop over the pixels of `to` that `phase` computes from `from`. Each tap reads `count`
    /// elements. `addend` has the layout of `to`, except for the halo.
    pub fn new(phase: &Phase, from: &Image, to: &Image, addend: &Image, count: usize) -> Self {
        let (rows, columns) = (phase.count(0, to.height), phase.count(1, to.width));
        let offset = |y: isize, x: isize| {
            let halo = from.halo as isize;
            ((y + halo) * from.row() as isize + (x + halo) * from.stride as isize) as usize
        };
        let first = phase.taps.iter().map(|tap| offset(tap[0], tap[1])).min().unwrap_or(0);
        let mut taps: Vec<TapRun> = Vec::with_capacity(phase.taps.len());
        for tap in &phase.taps {
            let offset = offset(tap[0], tap[1]) - first;
            match taps.last_mut() {
                Some(last) if last.offset + last.count == offset && count == from.stride => {
                    last.count += count;
                }
                _ => taps.push(TapRun { offset, count }),
            }
        }
        let [y, x] = phase.origin;
        let [down, right] = phase.step;
        let output_grid = |image: &Image| Grid {
            first: image.offset(y, x),
            row: down * image.row(),
            column: right * image.stride,
        };
        Self {
            rows,
            columns,
            from: Grid {
                first,
                row: phase.input_step[0] * from.row(),
                column: phase.input_step[1] * from.stride,
            },
            to: output_grid(to),
            addend: output_grid(addend),
            record: output_grid(&Image { halo: 0, ..*to }),
            taps,
        }
    }

    /// Makes every output pixel read the first input pixel.
    pub fn broadcast_input(self) -> Self {
        let from = Grid { row: 0, column: 0, ..self.from };
        Self { from, ..self }
    }

    /// The cursor at the first pixel.
    pub fn start(&self) -> Cursor {
        self.row_start(0)
    }

    /// The cursor at the first pixel of a row.
    #[inline(always)]
    pub fn row_start(&self, row: usize) -> Cursor {
        Cursor {
            row,
            column: 0,
            from: self.from.first + row * self.from.row,
            to: self.to.first + row * self.to.row,
            addend: self.addend.first + row * self.addend.row,
            record: self.record.first + row * self.record.row,
        }
    }

    /// The cursor at a pixel.
    #[inline(always)]
    pub fn cursor_at(&self, row: usize, column: usize) -> Cursor {
        let start = self.row_start(row);
        Cursor {
            row,
            column,
            from: start.from + column * self.from.column,
            to: start.to + column * self.to.column,
            addend: start.addend + column * self.addend.column,
            record: start.record + column * self.record.column,
        }
    }

    /// Moves `cursor` to the next pixel.
    #[inline(always)]
    pub fn advance(&self, cursor: &mut Cursor) {
        cursor.column += 1;
        if cursor.column < self.columns {
            cursor.from += self.from.column;
            cursor.to += self.to.column;
            cursor.addend += self.addend.column;
            cursor.record += self.record.column;
        } else {
            *cursor = self.row_start(cursor.row + 1);
        }
    }
}
