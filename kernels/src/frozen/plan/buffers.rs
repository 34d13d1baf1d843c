//! Buffer allocation for images.

use super::super::segment::Location;

/// Reference-counted buffers, reused after the last use of their content.
#[derive(Default)]
pub struct Buffers {
    /// The number of elements of each buffer.
    pub sizes: Vec<usize>,
    /// The number of users of each buffer.
    users: Vec<usize>,
}

impl Buffers {
    /// Returns a buffer for `len` elements with one user: the smallest free one that is large enough, else
    /// the largest free one, which grows, else a new one.
    pub fn allocate(&mut self, len: usize) -> Location {
        let free = (0..self.sizes.len()).filter(|&at| self.users[at] == 0);
        let best = free.min_by_key(|&at| match self.sizes[at] {
            size if size >= len => (0, size),
            size => (1, len - size),
        });
        let at = best.unwrap_or_else(|| {
            self.sizes.push(0);
            self.users.push(0);
            self.sizes.len() - 1
        });
        self.sizes[at] = self.sizes[at].max(len);
        self.users[at] = 1;
        Location::Buffer(at)
    }

    /// Adds a user, if the location is a buffer.
    pub fn retain(&mut self, location: Location) {
        if let Location::Buffer(at) = location {
            self.users[at] += 1;
        }
    }

    /// Removes a user, if the location is a buffer.
    pub fn release(&mut self, location: Location) {
        if let Location::Buffer(at) = location {
            self.users[at] -= 1;
        }
    }

    /// Frees every buffer.
    pub fn release_all(&mut self) {
        self.users.fill(0);
    }
}
