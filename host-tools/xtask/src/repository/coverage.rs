//! `cargo xtask coverage`: which lines of the engine the tests reach, and which they don't.

use anyhow::{Context, Result, ensure};
use jamlet_tools::process::output;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of the engine that tests must reach, in percent.
const LEAST: f64 = 95.0;
/// Packages whose tests count: the engine's own, and those that use it across crates.
const PACKAGES: [&str; 3] = ["jamlet", "jamlet-app", "jamlet-tests"];

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Also prints the numbers of the lines that no test reaches.
    #[arg(long)]
    lines: bool,
}

/// Lines of a file: whether they were reached.
type Lines = BTreeMap<u64, bool>;

/// Builds the tests with counters, runs them and prints the lines reached of every file of the engine.
///
/// # Errors
/// When a test fails, the tools are missing, or too few lines are reached.
pub fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let folder = root.join("target/coverage");
    let counts = folder.join("counts");
    let _ = fs::remove_dir_all(&counts);
    fs::create_dir_all(&counts)?;
    // Only this workspace's crates are built with counters: what they depend on is there already.
    let wrapper = folder.join("rustc");
    fs::write(&wrapper, "#!/bin/sh\nexec \"$@\" -Cinstrument-coverage\n")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&root).arg("test").args(PACKAGES.iter().flat_map(|name| ["--package", name]));
        // Documentation's examples are built by another program, without counters.
        cargo.args(["--lib", "--tests"]);
        cargo.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env("LLVM_PROFILE_FILE", counts.join("%p-%m.profraw"));
        cargo.stdin(Stdio::null());
        cargo
    };
    ensure!(cargo().arg("--quiet").status()?.success(), "a test fails");
    let programs = test_programs(&output(cargo().args(["--no-run", "--message-format=json"]))?);
    let merged = folder.join("merged.profdata");
    let raw = fs::read_dir(&counts)?.flatten().map(|entry| entry.path());
    let raw: Vec<PathBuf> = raw.filter(|path| path.extension() == Some(OsStr::new("profraw"))).collect();
    output(Command::new(tool("llvm-profdata")?).args(["merge", "--sparse", "-o"]).arg(&merged).args(&raw))?;
    let mut export = Command::new(tool("llvm-cov")?);
    export.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
    for program in &programs {
        export.arg("--object").arg(program);
    }
    let files = lines(&output(&mut export)?, &root.join("engine/src"));
    print(&files, args.lines)
}

/// The programs among cargo's messages.
fn test_programs(messages: &str) -> Vec<String> {
    let values = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter_map(|value| Some(value["executable"].as_str()?.to_owned())).collect()
}

/// A tool of LLVM: the toolchain's own (`rustup component add llvm-tools`), or Debian's package of the same version.
fn tool(name: &str) -> Result<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let own = Path::new(sysroot.trim()).with_file_name("bin").join(name);
    let version = output(Command::new("rustc").arg("-vV"))?;
    let version = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or_default();
    let major = version.split('.').next().unwrap_or_default();
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin")).join(name);
    let found = [own, debian].into_iter().find(|path| path.exists());
    found.with_context(|| format!("{name} is missing: `rustup component add llvm-tools`, or Debian's llvm-{major}"))
}

/// Files below `folder` with their lines. Where code is in several programs, or several times in one, a line is reached
/// if it is in one of them.
fn lines(lcov: &str, folder: &Path) -> BTreeMap<String, Lines> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut file = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = Path::new(path).strip_prefix(folder).ok().map(|path| path.display().to_string());
        } else if let (Some(name), Some((line, count))) =
            (&file, line.strip_prefix("DA:").and_then(|rest| rest.split_once(',')))
            && let Ok(line) = line.parse()
        {
            *files.entry(name.clone()).or_default().entry(line).or_default() |= count != "0";
        }
    }
    files
}

fn print(files: &BTreeMap<String, Lines>, numbers: bool) -> Result<()> {
    let (mut reached, mut all) = (0, 0);
    let row = |name: &str, lines: usize, of: usize| {
        println!("{name:<28} {lines:>6} of {of:>6} lines {:>6.1} %", 100.0 * lines as f64 / of.max(1) as f64);
    };
    for (name, lines) in files {
        let count = lines.values().filter(|reached| **reached).count();
        row(name, count, lines.len());
        (reached, all) = (reached + count, all + lines.len());
        let missed: Vec<String> =
            lines.iter().filter(|(_, reached)| !**reached).map(|(at, _)| at.to_string()).collect();
        if numbers && !missed.is_empty() {
            println!("    not reached: {}", missed.join(" "));
        }
    }
    row("all", reached, all);
    ensure!(all > 0, "no line of the engine was counted");
    ensure!(100.0 * reached as f64 / all as f64 >= LEAST, "tests must reach {LEAST} % of the engine's lines");
    Ok(())
}
