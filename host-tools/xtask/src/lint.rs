//! Format and lints, which depend on the toolchain's version and so are no part of the tests.

use crate::unsafe_count;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Keeps the number of unsafe places in each file as it is now.
    #[arg(long)]
    bless_unsafe: bool,
}

/// Checks the format of all code, and runs clippy on the host's.
///
/// # Errors
/// When something is to be mended.
pub fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let targets = root.join("targets");
    unsafe_count::check(&root, args.bless_unsafe)?;
    cargo(&root, &["fmt", "--all", "--check"])?;
    cargo(&targets, &["fmt", "--all", "--check"])?;
    cargo(&root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo").args(arguments).current_dir(folder).status().context("starting cargo")?;
    ensure!(status.success(), "cargo {} failed in {}", arguments.join(" "), folder.display());
    Ok(())
}
