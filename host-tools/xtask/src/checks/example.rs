//! The program that newcomers copy, `targets/example`: it is built in its own workspace and run in QEMU.

use crate::binaries::stack_bound::{Bound, MOST_STACK, RESET};
use crate::models::{self, random_text_model};
use crate::setup;
use anyhow::{Context, Result, ensure};
use jamlet::Options;
use jamlet::beams::MAX_SUMMARY;
use jamlet_boards::{BEAMS, WINDOW};
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use jamlet_tools::firmware::program::Program;
use jamlet_tools::firmware::toolchain::toolchain_for;
use jamlet_tools::process;
use std::fs;
use std::process::Command;
use std::time::Duration;

const TRIPLE: &str = "thumbv7em-none-eabihf";
const LIMIT: Duration = Duration::from_secs(1800);

/// Builds and runs it: it must print this machine's summary, and its workspace must not cross the stack.
///
/// # Errors
/// When it doesn't.
pub fn check() -> Result<()> {
    let folder = targets_folder().join("example");
    let mut cargo = Command::new("cargo");
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if let Some(toolchain) = toolchain_for(TRIPLE)? {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let build = process::run(cargo.current_dir(&folder).args(["build", "--quiet", "--release", "--locked"]), LIMIT)?;
    ensure!(build.status.is_some_and(|status| status.success()), "{}", build.stderr.trim());
    let program = folder.join("target").join(TRIPLE).join("release/example");
    let stack = Bound::of(&Program::read(&program)?, RESET)?.bytes;
    ensure!(stack <= 2 * MOST_STACK, "a stack of {stack} bytes, more than memory.x sets aside");
    let mut qemu = Command::new(setup::qemu("qemu-system-arm"));
    qemu.args(["-machine", "mps2-an386", "-display", "none", "-semihosting-config", "enable=on,target=native"]);
    let run = process::run(qemu.arg("-kernel").arg(&program), LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{}{}", run.stdout, run.stderr);
    let image = models::read(&models_folder().join("nano.jamlet"))?;
    let options = Options::window(WINDOW).beams(BEAMS);
    let source = fs::read_to_string(folder.join("src/main.rs"))?;
    let (read, written, summary) =
        random_text_model::answer(&image, options, text(&source)?.as_bytes(), MAX_SUMMARY as u64)?;
    let right = format!("{summary}\n[{read} tokens read, {written} written]");
    ensure!(run.stdout.trim() == right.trim(), "{:?}; {right:?} would be right", run.stdout);
    println!("targets/example: this machine's summary; a stack of at most {stack} bytes");
    Ok(())
}

/// The text in the program's source.
fn text(source: &str) -> Result<String> {
    let text = source.split("const TEXT: &str = \"").nth(1).and_then(|rest| rest.split("\";").next());
    let text = text.context("the example has no TEXT")?;
    // A backslash at a line's end takes the line end and the next line's indentation away.
    Ok(text.split("\\\n").map(str::trim_start).collect())
}
