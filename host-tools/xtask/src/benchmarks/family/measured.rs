//! What is measured of a model.

use jamlet::{Eviction, Options, StateWidth};
use serde::Serialize;

/// What attention sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Sight {
    /// There is none.
    NoAttention,
    /// The whole text.
    All,
    /// The last tokens.
    Last(u32),
    /// As many that were attended to most, half of them the last ones.
    HeavyHitters(u32),
}

impl Sight {
    /// For a text of so many tokens.
    pub fn options(self, tokens: u32) -> Options {
        match self {
            Self::NoAttention => Options::window(1),
            Self::All => Options::window(tokens),
            Self::Last(window) => Options::window(window),
            Self::HeavyHitters(window) => {
                Options::window(window).eviction(Eviction::HeavyHitters { recent: window.div_ceil(2) })
            }
        }
    }
}

/// A model under some options.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// Its name.
    pub model: &'static str,
    /// What its attention sees.
    pub sight: Sight,
    /// Weights.
    pub parameters: u64,
    /// By length of the text.
    pub points: Vec<Point>,
    /// What its states are stored as, and the perplexity of answers to texts of lengths that were trained on.
    pub states: Vec<(&'static str, f64)>,
}

/// What states may be stored as, the widest first.
pub(super) const STATES: [(&str, StateWidth); 3] =
    [("f32", StateWidth::F32), ("f16", StateWidth::F16), ("int8", StateWidth::I8)];
/// The longest texts whose answers' perplexity is compared by the states' width; training had up to 192 tokens.
pub(super) const TRAINED: u32 = 128;

impl Line {
    /// The model, and what its attention sees.
    pub fn name(&self) -> String {
        match self.sight {
            Sight::NoAttention => self.model.into(),
            Sight::All => format!("{}, sees all", self.model),
            Sight::Last(window) => format!("{}, the last {window}", self.model),
            Sight::HeavyHitters(window) => format!("{}, {window} heavy hitters", self.model),
        }
    }
}

/// What a model does with texts of one length.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    /// Tokens, questions not counted.
    pub length: u32,
    /// Task, and percent of right answers, as this machine finds them.
    pub recalled: Vec<(String, f64)>,
    /// Bytes of workspace.
    pub ram: usize,
    /// Instructions of a token behind such a text on the board; `None` where it has too little memory.
    pub instructions: Option<u64>,
}
