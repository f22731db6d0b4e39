//! FNV-1a, 64 bits: small enough for any board, and plenty to tell that all bits are equal.

/// A running hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(u64);

impl Fnv {
    /// The hash of nothing.
    pub const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    /// Adds the bits of `numbers`, little-endian.
    pub fn add(&mut self, numbers: &[f32]) {
        numbers.iter().for_each(|x| self.add_bytes(&x.to_bits().to_le_bytes()));
    }

    /// Adds bytes.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    /// The hash so far.
    pub const fn finish(self) -> u64 {
        self.0
    }
}

impl Default for Fnv {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Fnv;

    #[test]
    fn agrees_with_the_published_vector() {
        // The bytes "foob" as one float, so that the published hash of that string applies.
        let mut hash = Fnv::new();
        hash.add(&[f32::from_le_bytes(*b"foob")]);
        assert_eq!(hash.finish(), 0xDD12_0E79_0C25_12AF);
    }
}
