//! The logarithm of a sum of exponentials.

use crate::kernels::math::exp;

/// The logarithm of a sum of exponentials.
#[derive(Clone, Debug)]
pub(crate) struct LogSum {
    largest: f32,
    /// Of `e^(logit − largest)`.
    sum: f32,
}

impl LogSum {
    pub const NEW: Self = Self { largest: f32::NEG_INFINITY, sum: 0.0 };

    /// A place for one, all zeros.
    pub const ZERO: Self = Self { largest: 0.0, sum: 0.0 };

    pub fn add(&mut self, logits: &[f32]) {
        let largest = logits.iter().fold(self.largest, |largest, &logit| if logit > largest { logit } else { largest });
        if largest == f32::NEG_INFINITY {
            return;
        }
        if largest > self.largest {
            self.sum *= exp(self.largest - largest);
            self.largest = largest;
        }
        self.sum += logits.iter().map(|&logit| exp(logit - largest)).sum::<f32>();
    }

    pub fn get(&self) -> f32 {
        self.largest + libm::logf(self.sum)
    }
}
