//! One random checkpoint, as images and as GGUFs.

use super::build::{LlamaCpp, python, step};
use crate::models::synthetic::{self, Size};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bits of a weight in jamlet's images.
pub const BITS: [&str; 2] = ["8", "4"];
/// What llama.cpp quantizes to.
pub const FORMATS: [&str; 3] = ["Q8_0", "Q4_0", "Q4_K_M"];

/// The same weights for both.
pub struct Files {
    pub size: Size,
    /// In the order of [`BITS`].
    pub images: [PathBuf; BITS.len()],
    /// In the order of [`FORMATS`].
    pub ggufs: [PathBuf; FORMATS.len()],
}

/// Makes what isn't there.
///
/// # Errors
/// When a step fails.
pub fn files(folder: &Path, size: Size, jamlet: &Path, llama: &LlamaCpp, own_python: Option<&Path>) -> Result<Files> {
    let named = |what: String| folder.join(format!("{}-{what}", size.name()));
    let files = Files {
        size,
        images: BITS.map(|bits| named(format!("{bits}-bits.jamlet"))),
        ggufs: FORMATS.map(|format| named(format!("{format}.gguf"))),
    };
    if files.images.iter().chain(&files.ggufs).all(|file| file.exists()) {
        return Ok(files);
    }
    let checkpoint = folder.join(size.name());
    synthetic::write(size, &checkpoint)?;
    for (bits, image) in BITS.into_iter().zip(&files.images) {
        pack(jamlet, &checkpoint, bits, image)?;
    }
    let wide = folder.join("wide.gguf");
    convert(&checkpoint, "bf16", &wide, llama, &python(folder, own_python)?)?;
    std::fs::remove_dir_all(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    for (format, gguf) in FORMATS.into_iter().zip(&files.ggufs) {
        step(&format!("quantizing to {format}"), Command::new(&llama.quantize).args([&wide, gguf]).arg(format))?;
    }
    std::fs::remove_file(&wide)?;
    Ok(files)
}

fn pack(jamlet: &Path, checkpoint: &Path, bits: &str, image: &Path) -> Result<()> {
    let mut pack = Command::new(jamlet);
    // With one, `jamlet bench` would also measure how long the program takes to start.
    pack.arg("pack").arg(checkpoint).args(["--bits", bits, "--no-tokenizer", "-o"]).arg(image);
    step(&format!("packing with {bits} bits"), &mut pack)
}

/// Makes a GGUF of a checkpoint, by llama.cpp's own converter.
///
/// # Errors
/// The converter's.
pub fn convert(checkpoint: &Path, weights: &str, gguf: &Path, llama: &LlamaCpp, python: &Path) -> Result<()> {
    let mut convert = Command::new(python);
    convert.arg(&llama.convert).arg(checkpoint).args(["--outtype", weights, "--outfile"]).arg(gguf);
    step("converting to GGUF", &mut convert)
}
