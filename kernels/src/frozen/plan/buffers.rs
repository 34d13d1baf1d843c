//! Which picture lies in which buffer.

use super::super::segment::Place;

/// Buffers that are used again when nothing reads them any more.
#[derive(Default)]
pub struct Buffers {
    pub sizes: Vec<usize>,
    users: Vec<usize>,
}

impl Buffers {
    /// A buffer of `len` numbers with one user.
    pub fn take(&mut self, len: usize) -> Place {
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
        Place::Buffer(at)
    }

    pub fn share(&mut self, place: Place) {
        if let Place::Buffer(at) = place {
            self.users[at] += 1;
        }
    }

    pub fn release(&mut self, place: Place) {
        if let Place::Buffer(at) = place {
            self.users[at] -= 1;
        }
    }

    /// Every buffer free.
    pub fn restart(&mut self) {
        self.users.fill(0);
    }
}
