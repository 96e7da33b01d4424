//! How much one turn does for connections.

/// Work that a turn may still do, in bytes that cost as much to copy. The step that spends the last of it is done whole.
pub(super) struct Budget {
    left: usize,
    #[cfg(test)]
    pub(super) spent: usize,
}

impl Budget {
    pub(super) fn new(work: usize) -> Self {
        Self {
            left: work,
            #[cfg(test)]
            spent: 0,
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    pub(super) fn spend(&mut self, work: usize) {
        self.left = self.left.saturating_sub(work);
        #[cfg(test)]
        {
            self.spent += work;
        }
    }

    /// Puts `work` aside, which [`Self::give`] brings back.
    pub(super) fn reserve(&mut self, work: usize) -> usize {
        let reserved = self.left.min(work);
        self.left -= reserved;
        reserved
    }

    pub(super) fn give(&mut self, work: usize) {
        self.left += work;
    }
}
