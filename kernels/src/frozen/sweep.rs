//! Which pixels a kernel reads and writes.

use super::image::Image;
use super::pack::Phase;

/// Offsets of pixels on a grid: `first + row y + column x`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grid {
    pub first: usize,
    pub row: usize,
    pub column: usize,
}

/// A run of numbers that one tap, or several that lie side by side, reads of a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub offset: usize,
    pub count: usize,
}

/// Pixels that are computed alike, and what they read.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub rows: usize,
    pub columns: usize,
    from: Grid,
    to: Grid,
    add: Grid,
    record: Grid,
    pub taps: Vec<Run>,
}

/// The offsets of a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    row: usize,
    column: usize,
    /// Of the first tap, in the input.
    pub from: usize,
    /// In the output.
    pub to: usize,
    /// In what is added to the output.
    pub add: usize,
    /// Among the values that are kept of the output, which have no halo.
    pub record: usize,
}

impl Sweep {
    /// The pixels of `to` that `phase` computes from `from`, each tap of `count` numbers; `add` lies
    /// like `to`, but for its halo.
    pub fn new(phase: &Phase, from: &Image, to: &Image, add: &Image, count: usize) -> Self {
        let (rows, columns) = (phase.count(0, to.height), phase.count(1, to.width));
        let offset = |y: isize, x: isize| {
            let halo = from.halo as isize;
            ((y + halo) * from.row() as isize + (x + halo) * from.stride as isize) as usize
        };
        let first = phase.taps.iter().map(|tap| offset(tap[0], tap[1])).min().unwrap_or(0);
        let mut taps: Vec<Run> = Vec::with_capacity(phase.taps.len());
        for tap in &phase.taps {
            let offset = offset(tap[0], tap[1]) - first;
            match taps.last_mut() {
                Some(last) if last.offset + last.count == offset && count == from.stride => {
                    last.count += count;
                }
                _ => taps.push(Run { offset, count }),
            }
        }
        let [y, x] = phase.origin;
        let [down, right] = phase.step;
        let written = |image: &Image| Grid {
            first: image.offset(y, x),
            row: down * image.row(),
            column: right * image.stride,
        };
        Self {
            rows,
            columns,
            from: Grid {
                first,
                row: phase.reads[0] * from.row(),
                column: phase.reads[1] * from.stride,
            },
            to: written(to),
            add: written(add),
            record: written(&Image { halo: 0, ..*to }),
            taps,
        }
    }

    /// The same, but every pixel reads the first one.
    pub fn spread(self) -> Self {
        let from = Grid { row: 0, column: 0, ..self.from };
        Self { from, ..self }
    }

    /// The first pixel.
    pub fn first(&self) -> Place {
        self.at(0)
    }

    /// The first pixel of a row.
    #[inline(always)]
    pub fn at(&self, row: usize) -> Place {
        Place {
            row,
            column: 0,
            from: self.from.first + row * self.from.row,
            to: self.to.first + row * self.to.row,
            add: self.add.first + row * self.add.row,
            record: self.record.first + row * self.record.row,
        }
    }

    /// A pixel.
    #[inline(always)]
    pub fn pixel(&self, row: usize, column: usize) -> Place {
        let start = self.at(row);
        Place {
            row,
            column,
            from: start.from + column * self.from.column,
            to: start.to + column * self.to.column,
            add: start.add + column * self.add.column,
            record: start.record + column * self.record.column,
        }
    }

    /// Moves `place` on to the next pixel.
    #[inline(always)]
    pub fn step(&self, place: &mut Place) {
        place.column += 1;
        if place.column < self.columns {
            place.from += self.from.column;
            place.to += self.to.column;
            place.add += self.add.column;
            place.record += self.record.column;
        } else {
            *place = self.at(place.row + 1);
        }
    }
}
