//! All checks, as continuous integration runs them.

use crate::binaries::{panics, sizes};
use crate::c_door;
use crate::checks::{
    attacks, conformance, endless, example, faults, host_examples, kernels, memory_safety, raspberry_pi_os, runners,
    saved_states, serial, soak,
};
use crate::repository::deny;
use crate::setup;
use crate::web;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

/// Installs what is missing, then checks and tests everything: host, boards and emulators.
///
/// # Errors
/// The first step that fails, by name.
pub fn run() -> Result<()> {
    let start = Instant::now();
    let mut times = Vec::new();
    let mut step = |name: &'static str, run: &dyn Fn() -> Result<()>| -> Result<()> {
        eprintln!("\n== {name}");
        let begin = Instant::now();
        run().with_context(|| format!("step \"{name}\""))?;
        times.push((name, begin.elapsed()));
        Ok(())
    };
    step("set-up", &setup::run)?;
    step("tests on the host", &|| cargo(&["test", "--workspace", "--quiet"]))?;
    step("examples on the host", &host_examples::check)?;
    step("kernels on emulated boards", &kernels::check)?;
    step("licenses, duplicates, sources, advisories", &deny::run)?;
    step("hostile images on an emulated board", &|| attacks::run(&attacks::Args::default()))?;
    step("conformance on emulated boards", &|| conformance::run(&conformance::Args::default()))?;
    step("a million tokens", &|| endless::run(&endless::Args::default()))?;
    step("texts over the serial ports of emulated boards", &|| serial::run(&serial::Args::default()))?;
    step("saved states on emulated boards", &|| saved_states::run(&saved_states::Args::default()))?;
    step("random texts at an emulated board", &|| soak::run(&soak::Args::default()))?;
    step("damaged images, and images of others, on emulated boards", &|| faults::run(&faults::Args::default()))?;
    step("the command for Raspberry Pi OS", &raspberry_pi_os::check)?;
    step("kernels between guard pages, in valgrind and on aarch64", &memory_safety::check)?;
    step("panics: none is reachable", &panics::check)?;
    step("firmware of every board: layout, limits, sizes", &|| sizes::run(&sizes::Args::default()))?;
    step("the module and the page in Node and Chromium", &web::check::check)?;
    step("the program to copy", &example::check)?;
    step("programs in C", &|| c_door::check::run(&c_door::check::Args::default()))?;
    step("cargo run in every board's folder", &runners::check)?;
    eprintln!("\n== passed in {:.0} s", start.elapsed().as_secs_f64());
    for (name, time) in times {
        eprintln!("{:6.0} s  {name}", time.as_secs_f64());
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let status = Command::new("cargo").args(arguments).current_dir(root).stdin(Stdio::null()).status()?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
