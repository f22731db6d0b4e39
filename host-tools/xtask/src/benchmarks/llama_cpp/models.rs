//! One random checkpoint, as an image and as a GGUF.

use super::build::{LlamaCpp, python, step};
use crate::models::synthetic::{self, Size};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same weights for both.
pub struct Pair {
    pub size: Size,
    pub image: PathBuf,
    pub gguf: PathBuf,
}

/// Makes what isn't there.
///
/// # Errors
/// When a step fails.
pub fn pair(folder: &Path, size: Size, jamlet: &Path, llama: &LlamaCpp, own_python: Option<&Path>) -> Result<Pair> {
    let checkpoint = folder.join(format!("{size:?}"));
    let pair =
        Pair { size, image: folder.join(format!("{size:?}.jamlet")), gguf: folder.join(format!("{size:?}-Q8_0.gguf")) };
    if pair.image.exists() && pair.gguf.exists() {
        return Ok(pair);
    }
    synthetic::write(size, &checkpoint)?;
    step("packing", Command::new(jamlet).arg("pack").arg(&checkpoint).arg("-o").arg(&pair.image))?;
    let wide = folder.join("wide.gguf");
    let mut convert = Command::new(python(folder, own_python)?);
    convert.arg(&llama.convert).arg(&checkpoint).args(["--outtype", "bf16", "--outfile"]).arg(&wide);
    step("converting to GGUF", &mut convert)?;
    step("quantizing to Q8_0", Command::new(&llama.quantize).args([&wide, &pair.gguf]).arg("Q8_0"))?;
    std::fs::remove_file(&wide)?;
    std::fs::remove_dir_all(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    Ok(pair)
}
