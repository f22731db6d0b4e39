//! Bits of a weight, matrix by matrix, by what 4 of them cost on a calibration text.
//!
//! The f32 reference reads the text once. Then each matrix is rounded to 4 bits while all others stay f32, and the mean
//! Kullback-Leibler divergence of what it predicts from what the exact model predicts is the matrix' loss. The others stay f32
//! because that is cheaper than 8 bits: what comes before a matrix' layer is then the same for all, and is computed once. The
//! loss of 8 bits, some hundred times less, is left out. Losses are taken as if they added up; what the whole choice costs is
//! measured at the end, with everything rounded that the engine rounds.
//!
//! The same text gives GPTQ the inputs of each matrix.

mod choice;
mod documents;
mod gptq;
mod losses;

pub use choice::{Goal, LOSS, choose};
pub use documents::{BUILT_IN, Documents};
pub use gptq::gptq;
pub use losses::{Exact, Part, candidates, measure};
