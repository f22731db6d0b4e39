//! The `jamlet` command for Raspberry Pi OS: one statically linked program for every 64-bit Raspberry Pi.

use crate::checks::chats;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use jamlet::Options;
use jamlet::beams::DEFAULT_BEAMS;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::process;
use jamlet_tools::summary::{self, How};
use jamlet_tools::workspace::HostWorkspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
/// The processors of Pi 3 and Zero 2 W, Pi 4, Pi 5.
const PROCESSORS: [&str; 3] = ["cortex-a53", "cortex-a72", "cortex-a76"];
/// Programs that are copied to other machines have no symbols: these are most of the file.
pub const STRIP: (&str, &str) = ("CARGO_PROFILE_RELEASE_STRIP", "symbols");
/// The longest that a build, or a summary in the emulator, may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// Writes the program.
#[derive(clap::Args)]
pub struct Args {
    /// File to write.
    #[arg(short, long)]
    pub output: PathBuf,
}

/// Builds the program and copies it.
///
/// # Errors
/// The compiler's, or when the file can't be written.
pub fn run(args: &Args) -> Result<()> {
    let folder = args.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    ensure!(folder.is_none_or(Path::is_dir), "{}: no such folder", folder.unwrap_or(Path::new("")).display());
    ensure!(!args.output.is_dir(), "{}: a folder; a file is written", args.output.display());
    let program = build()?;
    std::fs::copy(&program, &args.output).with_context(|| args.output.display().to_string())?;
    eprintln!("{}: copy it to a Raspberry Pi with a 64-bit system and run it there", args.output.display());
    Ok(())
}

/// Builds the program, and summarizes a text with it on every processor in QEMU: the summaries must be this machine's. Then
/// conversations that were saved there go on here, and back.
///
/// # Errors
/// The compiler's; a summary or a conversation that differs.
pub fn check() -> Result<()> {
    let program = build()?;
    let sample = root().join("tests/texts/tidewatch.txt");
    let right = summary(&sample)?;
    for processor in PROCESSORS {
        let mut command = Command::new(setup::qemu("qemu-aarch64"));
        command.args(["-cpu", processor]).arg(&program).arg("summarize").arg(&sample);
        let run = process::run(&mut command, LIMIT)?;
        ensure!(run.status.is_some_and(|status| status.success()), "{processor}: {}", run.stderr);
        if run.stdout.trim() != right {
            bail!("{processor}: {:?} instead of this machine's {right:?}", run.stdout.trim());
        }
        println!("{processor}  {:.1} s in QEMU: {right}", run.time.as_secs_f64());
    }
    chats::check(&program)
}

/// What `jamlet summarize` prints here.
fn summary(text: &Path) -> Result<String> {
    let file = ImageFile::open(None)?;
    let model = file.model()?;
    let mut workspace = HostWorkspace::new(&model, Options::default().beams(DEFAULT_BEAMS))?;
    let text = std::fs::read_to_string(text).with_context(|| text.display().to_string())?;
    let mut how = How::new();
    how.options = how.options.limit(64);
    Ok(summary::summarize(workspace.session(&model)?, &mut summary::memory(), &how, &text)?.0)
}

fn build() -> Result<PathBuf> {
    let folder = root().join("target/raspberry-pi-os");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if let Some(toolchain) = jamlet_tools::firmware::toolchain::toolchain_for(TRIPLE)? {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    cargo.env(STRIP.0, STRIP.1);
    cargo.args(["build", "--quiet", "--release", "--package", "jamlet-tools", "--target", TRIPLE, "--target-dir"]);
    let run = process::run(cargo.arg(&folder), LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{}", run.stderr);
    Ok(folder.join(TRIPLE).join("release/jamlet"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
