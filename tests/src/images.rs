//! Packed images of checkpoints, as tests want them.

use std::path::Path;

use jamlet::kernels::Kernels;
use jamlet::{Eviction, Model, Options, Plan, Session, StateWidth};
use jamlet_tools::hf::Weights;
use jamlet_tools::hf::tokenizer::PromptIds;
use jamlet_tools::pack::{self, Blobs, Widths};

/// Bytes that lie on a multiple of 16.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    words: Vec<u128>,
    length: usize,
}

impl AlignedBytes {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(16)], length }
    }

    /// The bytes.
    pub fn get(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }

    /// The bytes, to change them.
    pub fn get_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.length]
    }
}

/// Packs the weights of a Hugging Face folder without its tokenizer.
///
/// # Panics
/// If it can't be packed.
pub fn pack(dir: &Path, group: u32) -> AlignedBytes {
    let weights = Weights::open(dir).expect("a checkpoint");
    let stops = weights.config().eos_token_ids.clone();
    pack_weights(&weights, stops, pack::Options { group, ..pack::Options::default() })
}

/// The same with 4 bits a weight, where no matrix has a reason for more.
///
/// # Panics
/// As [`pack`].
pub fn pack_nibbles(dir: &Path) -> AlignedBytes {
    let weights = Weights::open(dir).expect("a checkpoint");
    let stops = weights.config().eos_token_ids.clone();
    pack_weights(&weights, stops, pack::Options { bits: Widths::FOUR.into(), ..pack::Options::default() })
}

/// The same in 8 bits, where every fifth token ends an answer.
///
/// # Panics
/// As [`pack`].
pub fn pack_with_many_stops(dir: &Path, group: u32) -> AlignedBytes {
    let weights = Weights::open(dir).expect("a checkpoint");
    let stops = (0..weights.config().vocab_size as u32).step_by(5).collect();
    pack_weights(&weights, stops, pack::Options { group, ..pack::Options::default() })
}

fn pack_weights(weights: &Weights, stops: Vec<u32>, options: pack::Options) -> AlignedBytes {
    let prompt = PromptIds { stops, ..PromptIds::default() }.section();
    let blobs = Blobs { prompt, provenance: b"{}".to_vec(), ..Blobs::default() };
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    pack::pack(weights, &blobs, options, out.path(), |_, _| ()).expect("an image");
    AlignedBytes::new(&std::fs::read(out.path()).expect("the image"))
}

/// Memory for a session on `image`.
///
/// # Panics
/// If there is no plan.
pub fn workspace(image: &[u8], options: Options) -> AlignedBytes {
    AlignedBytes::zeros(Plan::new(image, options).expect("a plan").bytes())
}

/// A state in every width, and every way to bound the attention cache, of `options`.
pub fn memories(options: Options) -> [Options; 3] {
    let heavy = Eviction::HeavyHitters { recent: 4 };
    [options, options.state(StateWidth::F16), options.state(StateWidth::I8).eviction(heavy)]
}

/// Logits after every one of `tokens`, (T, V), which are fed `chunk` at a time.
///
/// # Panics
/// If the model can't be run.
pub fn logits(model: &Model<'_>, options: Options, tokens: &[u32]) -> Vec<f32> {
    let mut workspace = workspace(model.image().bytes(), options);
    let mut session = Session::new(model, options, workspace.get_mut()).expect("a session");
    let mut all = Vec::new();
    for token in tokens {
        session.feed(&[*token]).expect("a token");
        session.logits(|_, block| all.extend_from_slice(block)).expect("logits");
    }
    all
}

/// Logits after the last of `tokens`, fed in chunks of `options.chunk`.
///
/// # Panics
/// If the model can't be run.
pub fn last_logits(model: &Model<'_>, options: Options, tokens: &[u32]) -> Vec<f32> {
    last_logits_on(model, options, Kernels::detect(), tokens)
}

/// The same with kernels of the caller's choice.
///
/// # Panics
/// If the model can't be run.
pub fn last_logits_on<'m>(model: &Model<'m>, options: Options, kernels: Kernels<'m>, tokens: &[u32]) -> Vec<f32> {
    let mut workspace = workspace(model.image().bytes(), options);
    let mut session = Session::with_kernels(model, options, workspace.get_mut(), kernels).expect("a session");
    session.feed(tokens).expect("tokens");
    let mut all = Vec::new();
    session.logits(|_, block| all.extend_from_slice(block)).expect("logits");
    all
}
