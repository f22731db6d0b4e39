//! The static libraries, a core each.

use anyhow::{Context, Result, ensure};
use jamlet_tools::firmware::build::targets_folder;
use jamlet_tools::firmware::toolchain::toolchain_for;
use jamlet_tools::process;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A kind of core, and how C compilers are told about it.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    /// Name of its folder in packages.
    pub name: &'static str,
    /// Rust's name.
    pub triple: &'static str,
    /// Features of the crate.
    pub features: &'static [&'static str],
    /// Flags for the Rust compiler.
    pub rustflags: &'static str,
    /// Flags for GCC.
    pub gcc: &'static [&'static str],
}

const CORTEX_M4: Core = Core {
    name: "cortex-m4",
    triple: "thumbv7em-none-eabihf",
    features: &[],
    rustflags: "",
    gcc: &["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
};

const CORTEX_M33: Core = Core {
    name: "cortex-m33",
    triple: "thumbv8m.main-none-eabihf",
    features: &["dsp"],
    rustflags: "",
    gcc: &["-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
};

/// All that packages have.
pub const CORES: [Core; 7] = [
    Core {
        name: "cortex-m0plus",
        triple: "thumbv6m-none-eabi",
        features: &[],
        rustflags: "",
        gcc: &["-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"],
    },
    CORTEX_M4,
    Core {
        // Boards whose system passes floats in integer registers, as Arduino's on Mbed.
        name: "cortex-m4-softfp",
        triple: "thumbv7em-none-eabi",
        features: &[],
        rustflags: "-Ctarget-cpu=cortex-m4 -Ctarget-feature=+vfp4d16sp",
        gcc: &["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"],
    },
    Core { name: "cortex-m7", gcc: &["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"], ..CORTEX_M4 },
    CORTEX_M33,
    Core {
        // Those of the Pico SDK.
        name: "cortex-m33-softfp",
        triple: "thumbv8m.main-none-eabi",
        rustflags: "-Ctarget-cpu=cortex-m33 -Ctarget-feature=+fp-armv8d16sp",
        gcc: &["-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv5-sp-d16"],
        ..CORTEX_M33
    },
    Core {
        // Without atomics, for the ESP32-C3; others have them and don't need them.
        name: "rv32imc",
        triple: "riscv32imc-unknown-none-elf",
        features: &[],
        rustflags: "",
        gcc: &["-march=rv32imc", "-mabi=ilp32"],
    },
];

/// This machine.
pub const HOST: Core =
    Core { name: "x86-64", triple: "x86_64-unknown-linux-gnu", features: &[], rustflags: "", gcc: &[] };

/// The core of this name.
///
/// # Panics
/// Where there is none: names are constants of this program.
pub fn core(name: &str) -> &'static Core {
    CORES.iter().find(|core| core.name == name).expect("a core of the table")
}

const LIMIT: Duration = Duration::from_secs(1800);

/// Builds a core's library and says where it is.
///
/// # Errors
/// The compiler's, or that the target isn't set up.
pub fn build(core: &Core) -> Result<PathBuf> {
    build_with(core, "", None)
}

/// Takes from a library what only debuggers and Rust's own linker look at, and what C's linker warns about beside objects of GCC:
/// most of its bytes. Where the toolchain has no tool for that, the library stays as it is.
///
/// # Errors
/// The tool's.
pub fn strip(core: &Core, library: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.env_remove("RUSTUP_TOOLCHAIN").args(["--print", "sysroot"]);
    if let Some(toolchain) = toolchain_for(core.triple)? {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let libraries = Path::new(process::output(&mut rustc)?.trim()).join("lib");
    let tool = libraries.join("rustlib").join(HOST.triple).join("bin/rust-objcopy");
    if !tool.exists() {
        return Ok(());
    }
    let sections = [".note.GNU-stack", ".llvmbc", ".llvmcmd"].map(|section| format!("--remove-section={section}"));
    let mut objcopy = Command::new(tool);
    // Its own libraries lie where rustc's do.
    objcopy.env("LD_LIBRARY_PATH", &libraries).arg("--strip-debug").args(sections).arg(library);
    process::output(&mut objcopy).map(|_| ())
}

/// As [`build`], with more flags for the Rust compiler, which need a folder of their own, and unstable ones.
///
/// # Errors
/// As there.
pub fn build_with(core: &Core, flags: &str, folder: Option<&str>) -> Result<PathBuf> {
    let targets = targets_folder();
    let mut cargo = Command::new("cargo");
    // What cargo set for this program isn't meant for another workspace.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if let Some(toolchain) = toolchain_for(core.triple)? {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    cargo.current_dir(&targets).args(["build", "--quiet", "--release", "--locked", "--package", "jamlet-c"]);
    cargo.args(["--target", core.triple]).args(core.features.iter().flat_map(|feature| ["--features", feature]));
    let flags = format!("{} {flags}", core.rustflags);
    if !flags.trim().is_empty() {
        cargo.env("RUSTFLAGS", flags.trim());
    }
    if let Some(folder) = folder {
        // The sanitizers are there in stable compilers too, behind this door.
        cargo.env("RUSTC_BOOTSTRAP", "1").args(["--target-dir", &format!("target/{folder}")]);
    }
    let run = process::run(&mut cargo, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "jamlet-c for {}: {}", core.name, run.stderr.trim());
    let place = targets.join("target").join(folder.unwrap_or("")).join(core.triple).join("release/libjamlet_c.a");
    place.canonicalize().with_context(|| place.display().to_string())
}
