//! Format and lints, which depend on the toolchain's version and so are no part of the tests.

use super::unsafe_count;
use crate::web::module;
use anyhow::{Context, Result, ensure};
use jamlet_boards::programs;
use std::path::Path;
use std::process::Command;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Keeps the number of unsafe places in each file as it is now.
    #[arg(long)]
    bless_unsafe: bool,
}

/// The engine has code of its own for each of these.
const ENGINE: [&str; 4] =
    ["aarch64-unknown-linux-gnu", "aarch64-unknown-none", "thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"];
/// What runs in browsers and Node.
const MODULES: [&str; 2] = ["web", "wasm-checks"];

/// Checks the format of all code, and runs clippy on the host's, on the engine for the targets, and on the firmware.
///
/// # Errors
/// When something is to be mended.
pub fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let targets = root.join("targets");
    unsafe_count::check(&root, args.bless_unsafe)?;
    cargo(&root, &["fmt", "--all", "--check"])?;
    cargo(&targets, &["fmt", "--all", "--check"])?;
    cargo(&root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    for triple in ENGINE {
        cargo(&root, &["clippy", "--package", "jamlet", "--lib", "--target", triple, "--", "-D", "warnings"])?;
    }
    cargo(&targets, &["clippy", "--package", "jamlet-c", "--target", ENGINE[2], "--", "-D", "warnings"])?;
    for flags in ["", "-Ctarget-feature=+simd128"] {
        for package in MODULES {
            let arguments = ["clippy", "--package", package, "--target", module::TRIPLE, "--", "-D", "warnings"];
            cargo_with(flags, &targets, &arguments)?;
        }
    }
    for board in programs() {
        // In a board's folder, whose configuration has its flags.
        let folder = targets.join(board.folder.unwrap_or(board.name));
        cargo(&folder, &["clippy", "--target", board.triple(), "--", "-D", "warnings"])?;
    }
    Ok(())
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<()> {
    succeed(&mut Command::new("cargo"), folder, arguments)
}

/// With flags for the compiler.
fn cargo_with(flags: &str, folder: &Path, arguments: &[&str]) -> Result<()> {
    succeed(Command::new("cargo").env("RUSTFLAGS", flags), folder, arguments)
}

fn succeed(cargo: &mut Command, folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = cargo.args(arguments).current_dir(folder).status().context("starting cargo")?;
    ensure!(status.success(), "cargo {} failed in {}", arguments.join(" "), folder.display());
    Ok(())
}
