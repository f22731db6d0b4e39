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
    /// The most bytes that it had in memory.
    pub peak: u64,
}

const FORMATS: [&str; 2] = ["Q8_0", "Q4_0"];

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

    /// Makes a context as long as the machine's model is asked for, and computes a token in it. Memory isn't bounded, so that the peak
    /// is what it takes.
    ///
    /// # Errors
    /// When it fails.
    pub fn measure(&self, machine: &Machine, ggufs: &[PathBuf; FORMATS.len()]) -> Result<Vec<Theirs>> {
        let context = machine.context.to_string();
        let unbounded = Bound::Nothing("to see all that it takes".into());
        let of = |(format, gguf): (&'static str, &PathBuf)| {
            eprintln!("{}: llama.cpp, {format}, context {context}", machine.size.name());
            forget(gguf)?;
            // Buffer sizes are printed from level 4 on.
            let what = ["-m", text(gguf)?, "-c", &context, "-n", "1", "-p", "a", "-t", "2", "-lv", "4"];
            let arguments = [what.as_slice(), &["-no-cnv", "--no-warmup"]].concat();
            let run = unbounded.run(machine.memory, &self.llama.completion, &arguments)?;
            let cache = buffers(&run.stderr).with_context(|| format!("no buffer sizes:\n{}", run.stderr))?;
            let file = fs::metadata(gguf)?.len();
            let model = machine.size.name();
            Ok(Theirs { model, format, context: machine.context, file, cache, peak: run.peak })
        };
        FORMATS.into_iter().zip(ggufs).map(of).collect()
    }
}

/// Bytes of the buffers of attention cache and state: lines such as `CPU KV buffer size =   6.00 MiB`.
fn buffers(log: &str) -> Option<u64> {
    let sizes = log.lines().filter(|line| line.contains("KV buffer size") || line.contains("RS buffer size"));
    let bytes = sizes.map(|line| {
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
        assert_eq!(buffers(log), Some(7_864_320));
        assert_eq!(buffers("CPU model buffer size = 1.00 MiB"), None);
        assert_eq!(buffers("CPU KV buffer size = much"), None);
    }
}
