//! WebAssembly modules: a build for every browser, and one with vectors.

use anyhow::{Context, Result, ensure};
use jamlet_tools::firmware::build::targets_folder;
use jamlet_tools::firmware::toolchain::toolchain_for;
use jamlet_tools::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What modules are compiled for.
pub const TRIPLE: &str = "wasm32-unknown-unknown";
/// The longest that a build may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// A build of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Without vectors, for every browser.
    Scalar,
    /// With vectors of 128 bits.
    Simd128,
}

impl Flavor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Scalar, Self::Simd128];

    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Simd128 => "simd128",
        }
    }

    const fn flags(self) -> &'static str {
        match self {
            Self::Scalar => "-Cstrip=symbols",
            Self::Simd128 => "-Cstrip=symbols -Ctarget-feature=+simd128",
        }
    }
}

/// Where what is built here lies.
pub fn folder() -> PathBuf {
    targets_folder().join("../target/web")
}

/// Builds a module from a package of the targets, and says where it is.
///
/// # Errors
/// The compiler's, or that the target isn't set up.
pub fn build(package: &str, flavor: Flavor) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    // What cargo set for this program isn't meant for another workspace.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if let Some(toolchain) = toolchain_for(TRIPLE)? {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    cargo.env("RUSTFLAGS", flavor.flags()).current_dir(targets_folder());
    cargo.args(["build", "--quiet", "--release", "--locked", "--target", TRIPLE, "--package", package]);
    let run = process::run(&mut cargo, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "building {package} failed:\n{}", run.stderr.trim());
    let built = targets_folder().join("target").join(TRIPLE).join("release").join(package.replace('-', "_"));
    let module = folder().join("modules").join(format!("{package}-{}.wasm", flavor.name()));
    copy(&built.with_extension("wasm"), &module)?;
    Ok(module)
}

/// Copies a file into a folder that may not be there yet.
///
/// # Errors
/// When it can't.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}
