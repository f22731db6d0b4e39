//! `cargo xtask memory-safety`: kernels and casts between guard pages, under valgrind's memcheck, on aarch64, and in Miri; and
//! the engine on processors that trap accesses that aren't aligned.

use crate::checks::unaligned_access;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use jamlet_tools::process::{self, output};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Parts; all if none is given.
    parts: Vec<Part>,
    /// Cases of each kind of kernel call.
    #[arg(long, default_value_t = 20_000)]
    cases: u32,
}

/// What there is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Between guard pages: natively, in valgrind and on aarch64.
    Guarded,
    /// Where accesses that aren't aligned fault.
    Aligned,
    /// In Miri.
    Miri,
}

const LIMIT: Duration = Duration::from_secs(7200);
/// What the tests take.
const FEW: u32 = 100;

/// The long variant: many cases, and Miri where there is one.
///
/// # Errors
/// The first tool that finds something.
pub fn run(args: &Args) -> Result<()> {
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    if wanted(Part::Guarded) {
        guarded(args.cases)?;
    }
    if wanted(Part::Aligned) {
        unaligned_access::run(&["qemu-m4", "qemu-m7", "qemu-m33"], true)?;
    }
    if wanted(Part::Miri) { miri() } else { Ok(()) }
}

/// The short variant.
///
/// # Errors
/// The first tool that finds something.
pub fn check() -> Result<()> {
    guarded(FEW)?;
    unaligned_access::run(&["qemu-m4"], false)
}

/// The guarded tests, natively, in valgrind and on aarch64.
fn guarded(cases: u32) -> Result<()> {
    let native = build(None)?;
    run_test(Command::new(&native), cases, "x86-64, all instruction sets of this processor")?;
    if setup::has_valgrind() {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=no"]).arg(&native);
        // Valgrind's processor has AVX2 but not AVX-512, and takes its time.
        run_test(valgrind, (cases / 10).max(FEW), "x86-64 with AVX2, in valgrind's memcheck")?;
    } else {
        println!("valgrind: not here, so its checks are left out");
    }
    let foreign = build(Some("aarch64-unknown-linux-gnu"))?;
    for cpu in ["cortex-a53", "cortex-a76", "max"] {
        let mut qemu = Command::new(setup::qemu("qemu-aarch64"));
        // One test starts its own program anew, which this machine can't run.
        qemu.args(["-cpu", cpu]).arg(&foreign).args(["--skip", "a_byte_too_far_is_a_crash"]);
        run_test(qemu, (cases / 10).max(FEW), &format!("aarch64, {cpu}"))?;
    }
    Ok(())
}

/// Builds the guarded tests and says where they are.
fn build(target: Option<&str>) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(["test", "--package", "jamlet", "--test", "guarded", "--no-run"]);
    cargo.args(["--quiet", "--message-format", "json"]);
    if let Some(target) = target {
        cargo.args(["--target", target]).env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        if let Some(toolchain) = jamlet_tools::firmware::toolchain::toolchain_for(target)? {
            cargo.env("RUSTUP_TOOLCHAIN", toolchain);
        }
    }
    let messages = output(&mut cargo)?;
    let program =
        messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|message| {
            let named = message["target"]["name"] == "guarded";
            message["executable"].as_str().filter(|_| named).map(PathBuf::from)
        });
    program.context("cargo named no test program")
}

fn run_test(mut command: Command, cases: u32, what: &str) -> Result<()> {
    let run = process::run(command.env("JAMLET_GUARDED_CASES", cases.to_string()), LIMIT)?;
    if !run.status.is_some_and(|status| status.success()) {
        bail!("{what}: {:?}\n{}\n{}", run.status, run.stdout, run.stderr);
    }
    let passed = run.stdout.lines().find(|line| line.starts_with("test result: ok")).context("no tests were run")?;
    ensure!(!passed.contains(" 0 passed"), "{what}: no tests were run");
    println!("{what}: {cases} cases a kernel, nothing found, {:.0} s", run.time.as_secs_f64());
    Ok(())
}

/// The portable kernels on one core and on three, which share their outputs by pointers, in Miri.
fn miri() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["+nightly", "miri", "--version"])
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    if output(&mut cargo).is_err() {
        println!("Miri: not here; `rustup component add --toolchain nightly miri rust-src` installs it");
        return Ok(());
    }
    for (tests, what) in [
        (&["--test", "shared"][..], "portable kernels on several cores, in Miri"),
        (&["--lib", "heads::"], "attention heads on several cores, in Miri"),
    ] {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root()).args(["+nightly", "miri", "test", "--quiet", "--package", "jamlet"]).args(tests);
        cargo.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        run_test(cargo, 1, what)?;
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
