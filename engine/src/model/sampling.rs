//! How a model's makers draw answers.

/// The `Sampling` section: what `generation_config.json` says.
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | f32 | temperature, 0 for the most probable token |
/// | 4 | u32 | top-k, 0 for all |
/// | 8 | f32 | top-p, above 0 and at most 1 |
/// | 12 | f32 | min-p, 0 to 1 |
/// | 16 | f32 | repetition penalty, above 0 |
///
/// [`SamplerOptions`](crate::SamplerOptions) says what they mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Temperature.
    pub temperature: f32,
    /// Top-k.
    pub top_k: u32,
    /// Top-p.
    pub top_p: f32,
    /// Min-p.
    pub min_p: f32,
    /// Repetition penalty.
    pub repetition_penalty: f32,
}

impl Sampling {
    /// `None` where a value is out of its range.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let [temperature, top_k, top_p, min_p, penalty] = *words.first_chunk::<5>()?;
        let [temperature, top_p, min_p, repetition_penalty] =
            [temperature, top_p, min_p, penalty].map(f32::from_le_bytes);
        let sampling = Self { temperature, top_k: u32::from_le_bytes(top_k), top_p, min_p, repetition_penalty };
        (words.len() == 5 && rest.is_empty() && sampling.is_valid()).then_some(sampling)
    }

    /// The section's bytes.
    pub fn to_bytes(&self) -> [u8; 20] {
        let [a, b, c, d] = [self.temperature, self.top_p, self.min_p, self.repetition_penalty].map(f32::to_le_bytes);
        let mut bytes = [0; 20];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip([a, self.top_k.to_le_bytes(), b, c, d]) {
            *place = word;
        }
        bytes
    }

    /// Whether every value is in its range.
    pub fn is_valid(&self) -> bool {
        self.temperature >= 0.0
            && self.temperature.is_finite()
            && self.top_p > 0.0
            && self.top_p <= 1.0
            && self.min_p >= 0.0
            && self.min_p <= 1.0
            && self.repetition_penalty > 0.0
            && self.repetition_penalty.is_finite()
    }
}
