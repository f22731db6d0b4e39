//! Regions of a run.

/// Marks regions of the run, for whoever counts instructions.
pub trait Marks {
    /// The prompt is about to be prefilled.
    fn prefill_begins(&mut self) {}
    /// The prompt was prefilled.
    fn prefill_ends(&mut self) {}
    /// A token is about to be decoded.
    fn token_begins(&mut self) {}
    /// The token was decoded.
    fn token_ends(&mut self) {}
    /// The most stack that was in use so far, where that is known.
    fn stack(&self) -> Option<usize> {
        None
    }
}

/// No marks.
impl Marks for () {}
