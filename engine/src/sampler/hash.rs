//! Hashes of words.

/// The bytes of a word so far: FNV-1a (Fowler, Noll, Vo), with 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(pub u32);

impl Hash {
    pub const NONE: Self = Self(0);

    pub fn then(self, byte: u8) -> Self {
        let (before, byte) = if self.0 == 0 { (0x811c_9dc5, byte.to_ascii_lowercase()) } else { (self.0, byte) };
        let hash = (before ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        // One word in four thousand million begins anew; two hashes are as good as one for it.
        Self(hash.max(1))
    }

    /// This word, or the other if there is none.
    pub fn or(self, other: Self) -> Self {
        if self.0 == 0 { other } else { self }
    }

    /// Two words beside each other.
    pub fn beside(self, next: Self) -> Self {
        Self((self.0.rotate_left(13) ^ next.0).wrapping_mul(0x0100_0193))
    }

    /// The word ends here: no byte of a text is 0 within a word.
    pub fn end(self) -> Self {
        self.then(0)
    }
}
