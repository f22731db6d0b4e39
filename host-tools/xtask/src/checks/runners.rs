//! Whether `cargo run --release` in a board's folder starts what flashes or emulates the board: with a stand-in for that program.

use anyhow::{Context, Result, ensure};
use jamlet_boards::programs;
use jamlet_tools::firmware::build::{Build, targets_folder};
use jamlet_tools::firmware::toolchain::toolchain_for;
use jamlet_tools::process;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1800);
/// What runners are called.
const PROGRAMS: [&str; 4] = ["picotool", "probe-rs", "qemu-system-arm", "qemu-system-aarch64"];

/// Runs every board's program with stand-ins that print their name and arguments.
///
/// # Errors
/// The first board whose `cargo run` starts something else than it should.
pub fn check() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for name in PROGRAMS {
        let file = scratch.path().join(name);
        fs::write(&file, "#!/bin/sh\necho \"runs ${0##*/} $*\"\n")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([scratch.path().to_owned()].into_iter().chain(env::split_paths(&path)))?;
    for board in programs() {
        let folder = board.folder.context("folder")?;
        let mut cargo = Command::new("cargo");
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env("PATH", &path);
        if let Some(toolchain) = toolchain_for(board.triple())? {
            cargo.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        cargo.current_dir(targets_folder().join(folder)).args(["run", "--quiet", "--release", "--locked"]);
        let run = process::run(&mut cargo, LIMIT)?;
        let said = run.stdout.lines().find_map(|line| line.strip_prefix("runs ")).unwrap_or_default();
        let program = Build::of(board).program();
        let end = program.strip_prefix(targets_folder()).context("the program's path")?;
        ensure!(
            PROGRAMS.iter().any(|program| said.starts_with(&format!("{program} ")))
                && said.ends_with(&end.display().to_string()),
            "cargo run in targets/{folder} starts {said:?}: {}",
            run.stderr.trim()
        );
        println!("{:<10} cargo run: {}", board.name, said.split(' ').next().unwrap_or_default());
    }
    Ok(())
}
