//! The program that newcomers copy, `targets/example`: it is built in its own workspace and run in QEMU, also for cores that no
//! board here has.

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
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TRIPLE: &str = "thumbv7em-none-eabihf";
/// QEMU's arguments before the program.
const SEMIHOSTING: [&str; 5] = ["-display", "none", "-semihosting-config", "enable=on,target=native", "-kernel"];
/// Cores that no board here has: the folder of the program in `targets`, its target, and the machine.
const OTHERS: [(&str, &str, &str, &[&str]); 2] = [
    ("example", "thumbv6m-none-eabi", "qemu-system-arm", &["-machine", "mps2-an385"]),
    ("checks/riscv", "riscv32imac-unknown-none-elf", "qemu-system-riscv32", &["-machine", "virt", "-bios", "none"]),
];
const LIMIT: Duration = Duration::from_secs(1800);

/// Builds and runs it: it must print this machine's summary, and its workspace must not cross the stack. Of the other cores those
/// are run for which compiler and emulator are here.
///
/// # Errors
/// When it doesn't.
pub fn check() -> Result<()> {
    let program = build("example", TRIPLE)?;
    let stack = Bound::of(&Program::read(&program)?, RESET)?.bytes;
    ensure!(stack <= 2 * MOST_STACK, "a stack of {stack} bytes, more than memory.x sets aside");
    run("example", &program, "qemu-system-arm", &["-machine", "mps2-an386"])?;
    println!("targets/example: this machine's summary; a stack of at most {stack} bytes");
    for (folder, triple, emulator, machine) in OTHERS {
        let has_emulator = process::output(Command::new(setup::qemu(emulator)).arg("--version")).is_ok();
        if toolchain_for(triple).is_err() || !has_emulator {
            println!("{triple}: left out; `rustup target add {triple}` and {emulator} are needed");
            continue;
        }
        run(folder, &build(folder, triple)?, emulator, machine)?;
        println!("{triple}: this machine's summary");
    }
    Ok(())
}

/// Builds the program of a folder of `targets`, which is named like it.
fn build(folder: &str, triple: &str) -> Result<PathBuf> {
    let folder = targets_folder().join(folder);
    let mut cargo = Command::new("cargo");
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if let Some(toolchain) = toolchain_for(triple)? {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    cargo.current_dir(&folder).args(["build", "--quiet", "--release", "--locked", "--target", triple]);
    let build = process::run(&mut cargo, LIMIT)?;
    ensure!(build.status.is_some_and(|status| status.success()), "{}", build.stderr.trim());
    let name = folder.file_name().context("a folder")?;
    Ok(folder.join("target").join(triple).join("release").join(name))
}

/// Runs the program of a folder: it must print this machine's summary.
fn run(folder: &str, program: &Path, emulator: &str, machine: &[&str]) -> Result<()> {
    let mut qemu = Command::new(setup::qemu(emulator));
    let run = process::run(qemu.args(machine).args(SEMIHOSTING).arg(program), LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{}{}", run.stdout, run.stderr);
    let image = models::read(&models_folder().join("nano.jamlet"))?;
    let options = Options::window(WINDOW).beams(BEAMS);
    let source = fs::read_to_string(targets_folder().join(folder).join("src/main.rs"))?;
    let (read, written, summary) =
        random_text_model::answer(&image, options, text(&source)?.as_bytes(), MAX_SUMMARY as u64)?;
    let right = format!("{summary}\n[{read} tokens read, {written} written]");
    ensure!(run.stdout.trim() == right.trim(), "{folder}: {:?}; {right:?} would be right", run.stdout);
    Ok(())
}

/// The text in the program's source.
fn text(source: &str) -> Result<String> {
    let text = source.split("const TEXT: &str = \"").nth(1).and_then(|rest| rest.split("\";").next());
    let text = text.context("the example has no TEXT")?;
    // A backslash at a line's end takes the line end and the next line's indentation away.
    Ok(text.split("\\\n").map(str::trim_start).collect())
}
