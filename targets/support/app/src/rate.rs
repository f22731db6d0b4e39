//! Tokens and the time they took.

/// How fast tokens went through the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens.
    pub tokens: u64,
    micros: u64,
}

impl Rate {
    /// None yet.
    pub const fn new() -> Self {
        Self { tokens: 0, micros: 0 }
    }

    /// Counts tokens that took this long.
    pub fn count(&mut self, tokens: u64, micros: u32) {
        self.add(Self { tokens, micros: micros.into() });
    }

    /// Counts what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.micros += other.micros;
    }

    /// Tenths of a token a second; 0 where no time was measured.
    pub fn per_second_tenths(self) -> u64 {
        self.tokens.saturating_mul(10_000_000).checked_div(self.micros).unwrap_or(0)
    }
}
