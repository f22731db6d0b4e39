//! llama.cpp's memory for a context.

use super::group::{Bound, forget};
use super::{Machine, text};
use crate::benchmarks::llama_cpp::build::{self, Kind, LlamaCpp, step};
use crate::benchmarks::llama_cpp::models;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is built of llama.cpp, and the Python of its converter.
pub struct Programs {
    llama: LlamaCpp,
    python: PathBuf,
}

/// What a context takes.
#[derive(Serialize)]
pub struct Theirs {
    pub model: String,
    pub format: &'static str,
    /// Tokens.
    pub context: u32,
    /// Bytes of the GGUF.
    pub file: u64,
    /// Bytes of the buffers for attention cache and state, as it prints them.
    pub cache: u64,
    /// Bytes of the buffers that it computes in, as it prints them: what it takes of them grows with what is in the context.
    pub compute: u64,
    /// The most bytes that it had in memory, the GGUF's included, while it computed a token at the beginning of the context.
    pub peak: u64,
    /// Of the peak what is of no file.
    pub anonymous: u64,
}

/// Beside images of 8 and 4 bits.
pub const FORMATS: [&str; 2] = ["Q8_0", "Q4_0"];

impl Programs {
    /// Builds what isn't there.
    ///
    /// # Errors
    /// What is missing.
    pub fn build(own_python: Option<&Path>) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/llama-cpp");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { llama: build::llama_cpp(&folder, Kind::Native)?, python: build::python(&folder, own_python)? })
    }

    /// Converts a checkpoint, and removes it as soon as it isn't needed any more: disks are small, too.
    ///
    /// # Errors
    /// The converter's.
    pub fn convert(&self, checkpoint: &Path, folder: &Path) -> Result<[PathBuf; FORMATS.len()]> {
        let [wide, narrow] = FORMATS.map(|format| folder.join(format!("{format}.gguf")));
        models::convert(checkpoint, "q8_0", &wide, &self.llama, &self.python)?;
        fs::remove_dir_all(checkpoint).with_context(|| checkpoint.display().to_string())?;
        let mut quantize = Command::new(&self.llama.quantize);
        // Rounded twice, which changes what it computes, not what it takes.
        step("quantizing to Q4_0", quantize.arg("--allow-requantize").args([&wide, &narrow]).arg("Q4_0"))?;
        Ok([wide, narrow])
    }

    /// Makes the contexts that the machine has for its model, and computes a token in each. Memory isn't bounded, so that the peak is
    /// what it takes. Weights stay as they are in the mapped file, since a second copy in another order would only take more.
    ///
    /// # Errors
    /// When it fails.
    pub fn measure(&self, machine: &Machine, ggufs: &[PathBuf; FORMATS.len()]) -> Result<Vec<Theirs>> {
        let unbounded = Bound::Nothing("to see all that it takes".into());
        let mut all = Vec::new();
        for (format, gguf) in FORMATS.into_iter().zip(ggufs) {
            for context in machine.contexts {
                eprintln!("{}: llama.cpp, {format}, context {context}", machine.size.name());
                forget(gguf)?;
                let tokens = context.to_string();
                // Buffer sizes are printed from level 4 on.
                let what = ["-m", text(gguf)?, "-c", &tokens, "-n", "1", "-p", "a", "-t", "2", "-lv", "4"];
                let arguments = [what.as_slice(), &["-no-cnv", "--no-warmup", "--no-repack"]].concat();
                let run = unbounded.run(machine.memory, &self.llama.completion, &arguments)?;
                let bytes = |names: &[&str]| {
                    buffers(&run.stderr, names).with_context(|| format!("no buffer sizes:\n{}", run.stderr))
                };
                all.push(Theirs {
                    model: machine.size.name(),
                    format,
                    context,
                    file: fs::metadata(gguf)?.len(),
                    cache: bytes(&["KV", "RS"])?,
                    compute: bytes(&["compute"])?,
                    peak: run.peak,
                    anonymous: run.anonymous,
                });
            }
        }
        Ok(all)
    }
}

/// Bytes of the buffers of these names: lines such as `CPU KV buffer size =   6.00 MiB`.
fn buffers(log: &str, names: &[&str]) -> Option<u64> {
    let named = |line: &&str| names.iter().any(|name| line.contains(&format!(" {name} buffer size")));
    let bytes = log.lines().filter(named).map(|line| {
        let mib: f64 = line.split_once('=')?.1.trim().strip_suffix("MiB")?.trim().parse().ok()?;
        Some((mib * f64::from(1 << 20)) as u64)
    });
    bytes.reduce(|sum, next| Some(sum? + next?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::buffers;

    #[test]
    fn buffers_are_summed() {
        let log = "a: CPU KV buffer size =     6.50 MiB\nb: CPU compute buffer size = 9.00 MiB\nc:  CPU RS buffer size = 1.00 MiB\n";
        assert_eq!(buffers(log, &["KV", "RS"]), Some(7_864_320));
        assert_eq!(buffers(log, &["compute"]), Some(9 << 20));
        assert_eq!(buffers("CPU model buffer size = 1.00 MiB", &["KV", "RS"]), None);
        assert_eq!(buffers("CPU KV buffer size = much", &["KV"]), None);
    }
}
