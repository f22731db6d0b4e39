//! `cargo xtask release`: what users download, in one folder: the `jamlet` command, firmware, images, and their checksums.

use crate::checks::raspberry_pi_os;
use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use jamlet_boards::{BOARDS, Board, Flashing};
use jamlet_tools::firmware::usual_ending;
use sha2::{Digest, Sha256};
use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The images that come with this repository.
const IMAGES: [&str; 4] = ["pico", "nano", "pico-4bit", "nano-4bit"];
/// The file of checksums, as `sha256sum --check` reads it.
const CHECKSUMS: &str = "SHA256SUMS";

/// Builds a release.
#[derive(clap::Args)]
pub struct Args {
    /// Folder to write; it must be empty or not there.
    #[arg(short, long, default_value = "target/dist")]
    output: PathBuf,
}

/// Builds everything and writes it to a folder.
///
/// # Errors
/// When the folder has something in it already; what the builds say.
pub fn run(args: &Args) -> Result<()> {
    let folder = &args.output;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    ensure!(fs::read_dir(folder)?.next().is_none(), "{} isn't empty", folder.display());
    let folder = folder.canonicalize()?;

    let mut cargo = Command::new("cargo");
    // A folder of its own: with other settings all would be built again.
    let target = root().join("target/dist-build");
    cargo.env(raspberry_pi_os::STRIP.0, raspberry_pi_os::STRIP.1);
    succeed(cargo.args(["build", "--release", "--locked", "--package", "jamlet-tools", "--target-dir"]).arg(&target))?;
    let jamlet = target.join("release/jamlet");
    fs::copy(&jamlet, folder.join(format!("jamlet-{ARCH}-{OS}")))?;
    raspberry_pi_os::run(&raspberry_pi_os::Args { output: folder.join("jamlet-aarch64-linux") })?;

    for board in BOARDS.iter().filter(|board| is_flashed(board)) {
        let name = format!("jamlet-{}", board.name);
        match usual_ending(board) {
            Some(ending) => firmware(&jamlet, board.name, &folder.join(name).with_extension(ending))?,
            None => {
                let card = tempfile::tempdir()?;
                firmware(&jamlet, board.name, &card.path().join(&name))?;
                archive(&card.path().join(&name), &name, &folder.join(format!("{name}-sd-card.tar.gz")))?;
            }
        }
    }
    for image in IMAGES {
        let file = format!("{image}.jamlet");
        fs::copy(root().join("host-tools/models").join(&file), folder.join(&file))?;
    }
    let sums = checksums(&folder)?;
    fs::write(folder.join(CHECKSUMS), &sums)?;
    print!("{sums}");
    println!("{}", folder.display());
    Ok(())
}

/// Whether its users flash anything: not where it is emulated alone, or runs the command.
fn is_flashed(board: &Board) -> bool {
    matches!(board.flashing, Flashing::Probe(_) | Flashing::Uf2 | Flashing::Card)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.current_dir(root()).stdin(Stdio::null()).status()?;
    if !status.success() {
        bail!("{:?}: {status}", command.get_program());
    }
    Ok(())
}

fn firmware(jamlet: &Path, board: &str, output: &Path) -> Result<()> {
    succeed(Command::new(jamlet).args(["firmware", board, "--output"]).arg(output))
}

/// The files of `folder` under `name`, as one compressed archive.
fn archive(folder: &Path, name: &str, output: &Path) -> Result<()> {
    let file = File::create(output).with_context(|| output.display().to_string())?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    archive.append_dir_all(name, folder)?;
    archive.into_inner()?.finish()?;
    Ok(())
}

/// A line for each file, by name.
fn checksums(folder: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut lines = String::new();
    for file in files {
        let digest = Sha256::digest(fs::read(&file)?);
        let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = file.file_name().unwrap_or_default().display();
        lines += &format!("{hexadecimal}  {name}\n");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b"), "abc").unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        assert_eq!(
            checksums(folder.path()).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n\
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n"
        );
    }
}
