//! The tiny random checkpoints that `fixtures/make-checkpoints.py` makes, and what transformers computes from them.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// A checkpoint, and its logits in f32.
pub struct Fixture {
    /// Name of the folder.
    pub name: String,
    /// The Hugging Face folder.
    pub dir: PathBuf,
    /// A text of 64 tokens.
    pub tokens: Vec<u32>,
    /// Its logits, (64, vocabulary).
    pub logits: Vec<f32>,
}

/// The folder of a checkpoint.
pub fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints").join(name)
}

/// Reads one fixture.
///
/// # Panics
/// If it isn't there.
pub fn load(name: &str) -> Fixture {
    let bytes = std::fs::read(dir(name).join("expected.safetensors")).expect("the fixture's logits");
    let expected = SafeTensors::deserialize(&bytes).expect("the fixture's logits");
    let words = |name| -> Vec<[u8; 4]> { expected.tensor(name).expect(name).data().as_chunks().0.to_vec() };
    Fixture {
        name: name.into(),
        dir: dir(name),
        tokens: words("tokens").into_iter().map(u32::from_le_bytes).collect(),
        logits: words("logits").into_iter().map(f32::from_le_bytes).collect(),
    }
}

/// All fixtures by name.
///
/// # Panics
/// If they aren't there.
pub fn all() -> Vec<Fixture> {
    let mut names: Vec<_> = std::fs::read_dir(dir(""))
        .expect("the fixtures")
        .map(|entry| entry.expect("the fixtures").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names.iter().map(|name| load(name)).collect()
}
