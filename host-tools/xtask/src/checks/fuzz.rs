//! `cargo xtask fuzz`: the fuzz targets of `tests/fuzz` under libFuzzer and AddressSanitizer.
//!
//! The programs are built as `cargo fuzz build` does it, so that nothing has to be installed; whoever has cargo-fuzz and a
//! nightly toolchain can use `cargo +nightly fuzz run TARGET` in `tests/` as well.

use anyhow::{Context, Result, bail, ensure};
use jamlet_tests::fuzz::{TARGETS, Target, corpus};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What the sanitizers exist for, of the machines that this project is developed on.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// As cargo-fuzz has them: coverage that steers libFuzzer, and AddressSanitizer with its search for leaks. Comparisons are
/// not traced: the seeds have all magic numbers, and tracing took a quarter of the time.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    --cfg fuzzing -Zsanitizer=address";
/// Seconds that one input may take, on a machine that has other things to do.
const SLOW: u32 = 60;

/// Bytes and inputs of a committed corpus.
const MOST: (u64, usize) = (300 << 10, 400);

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Targets by name; all if none is given.
    targets: Vec<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Targets that run at the same time [default: one a core].
    #[arg(long)]
    jobs: Option<usize>,
    /// Writes the smallest corpus that reaches what the inputs found so far reach, instead of looking for more.
    #[arg(long)]
    minimize: bool,
    /// Only builds.
    #[arg(long)]
    build: bool,
}

/// Builds the targets and runs them, some at a time.
///
/// # Errors
/// When they can't be built here, and the first target that crashes, leaks or hangs, with the input that did it.
pub fn run(args: &Args) -> Result<()> {
    let names = TARGETS.map(|target| target.name);
    if let Some(unknown) = args.targets.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no target {unknown}; there are {}", names.join(", "));
    }
    build()?;
    let chosen = |target: &&Target| args.targets.is_empty() || args.targets.iter().any(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    if args.build {
        return Ok(());
    }
    if args.minimize {
        return targets.into_iter().try_for_each(minimize);
    }
    let jobs = args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let (queue, all) = (Mutex::new(targets.into_iter()), AtomicU64::new(0));
    let next = || queue.lock().ok()?.next();
    let work = || {
        while let Some(target) = next() {
            let executions = fuzz(target, args.seconds)?;
            println!("{:<16} {executions:>12} executions", target.name);
            all.fetch_add(executions, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        // Each goes on with its own targets whatever another finds.
        let ends: Vec<Result<()>> =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect();
        ends.into_iter().collect()
    })?;
    println!("{:<16} {:>12} executions, no crash, leak or timeout", "all", all.into_inner());
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn build() -> Result<()> {
    ensure!(cfg!(all(target_arch = "x86_64", target_os = "linux")), "the fuzz targets are built on x86-64 Linux");
    let status = Command::new("cargo")
        .current_dir(root())
        // The sanitizers are there in stable compilers too, behind this door.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .args(["build", "--release", "--locked", "--manifest-path", "tests/fuzz/Cargo.toml"])
        .args(["--target", TRIPLE, "--target-dir", "target/fuzz"])
        .status()?;
    ensure!(status.success(), "the fuzz targets can't be built: {status}");
    Ok(())
}

/// The program, the folder of inputs found here, the folder that the committed corpus is unpacked into.
fn places(target: &Target) -> [PathBuf; 3] {
    let root = root();
    [
        root.join("target/fuzz").join(TRIPLE).join("release").join(target.name),
        root.join("target/fuzz/found").join(target.name),
        root.join("target/fuzz/corpus").join(target.name),
    ]
}

/// Unpacks the committed corpus of a target.
fn unpack(target: &Target, folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, input) in corpus::read(target.name)? {
        fs::write(folder.join(name), input)?;
    }
    Ok(())
}

/// Runs a target and says how many inputs it took.
fn fuzz(target: &Target, seconds: u32) -> Result<u64> {
    let [program, found, committed] = places(target);
    let seeds = root().join("target/fuzz/seeds").join(target.name);
    for folder in [&found, &seeds] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    unpack(target, &committed)?;
    for (index, seed) in (target.seeds)().into_iter().enumerate() {
        fs::write(seeds.join(index.to_string()), seed)?;
    }
    let crashes = root().join("target/fuzz/crashes/");
    fs::create_dir_all(&crashes)?;
    let mut command = Command::new(&program);
    command
        .args([&found, &committed, &seeds])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={}", target.longest))
        .arg(format!("-timeout={SLOW}"))
        .arg(format!("-artifact_prefix={}{}-", crashes.display(), target.name))
        .args(["-rss_limit_mb=2048", "-entropic=0", "-print_final_stats=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().with_context(|| program.display().to_string())?;
    let log = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = log.lines().rev().take(60).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    ensure!(output.status.success(), "{} found something:\n{tail}", target.name);
    let executions =
        log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok());
    executions.with_context(|| format!("{} says nothing of its executions:\n{tail}", target.name))
}

/// Replaces the committed corpus by the fewest inputs, the shortest first, that reach the same code: of those as many as a
/// repository has room for.
fn minimize(target: &Target) -> Result<()> {
    let [program, found, committed] = places(target);
    unpack(target, &committed)?;
    let smallest = tempfile::tempdir()?;
    let status = Command::new(&program)
        .arg("-set_cover_merge=1")
        .arg(smallest.path())
        .args([&committed, &found].into_iter().filter(|folder| folder.exists()))
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "{}: the corpus can't be minimized: {status}", target.name);
    let mut inputs: Vec<(u64, PathBuf)> = Vec::new();
    for file in fs::read_dir(smallest.path())? {
        let file = file?;
        inputs.push((file.metadata()?.len(), file.path()));
    }
    inputs.sort();
    let all = inputs.len();
    let mut bytes = 0;
    inputs.retain(|(length, _)| {
        bytes += length;
        bytes <= MOST.0
    });
    // Of all lengths, where there are too many.
    let files = inputs.len().min(MOST.1);
    let mut kept = Vec::new();
    for (_, input) in (0..files).map(|index| &inputs[index * inputs.len() / files]) {
        let name = input.file_name().unwrap_or_default().display().to_string();
        kept.push((name, fs::read(input)?));
    }
    corpus::write(target.name, &kept)?;
    let bytes: usize = kept.iter().map(|(_, input)| input.len()).sum();
    println!("{:<16} {files:>6} inputs of {all}, {bytes} bytes", target.name);
    Ok(())
}
