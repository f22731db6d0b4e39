//! `cargo xtask c-packages`: what users of C download, a package for each build system.

use super::library::{self, CORES, Core};
use super::{folder, header};
use anyhow::{Context, Result};
use jamlet_tools::c_source;
use jamlet_tools::firmware::build::models_folder;
use jamlet_tools::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Which one; all if none is named.
    packages: Vec<Package>,
    /// Where they are written.
    #[arg(short, long, default_value = "target/c-packages")]
    output: PathBuf,
}

/// A package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Package {
    /// Header, libraries and examples, for any build system: Make and the Pico SDK have examples.
    Plain,
    /// An Arduino library, as a zip.
    Arduino,
    /// A Zephyr module.
    Zephyr,
    /// An ESP-IDF component, for parts with RISC-V cores.
    EspIdf,
}

/// Folders of an Arduino library, as its build system looks for them: the core, and how floats are computed and passed.
const ARDUINO: [(&str, &str); 10] = [
    ("cortex-m0plus", "cortex-m0plus"),
    ("cortex-m4/fpv4-sp-d16-hard", "cortex-m4"),
    ("cortex-m4/fpv4-sp-d16-softfp", "cortex-m4-softfp"),
    ("cortex-m7/fpv5-d16-hard", "cortex-m7"),
    ("cortex-m7/fpv5-d16-softfp", "cortex-m4-softfp"),
    ("cortex-m33/fpv5-sp-d16-hard", "cortex-m33"),
    ("cortex-m33/softfp", "cortex-m33-softfp"),
    ("esp32c3", "rv32imc"),
    ("esp32c6", "rv32imc"),
    ("esp32h2", "rv32imc"),
];

/// Builds the libraries and writes packages.
///
/// # Errors
/// When a library can't be built or a package can't be written.
pub fn run(args: &Args) -> Result<()> {
    let every = [Package::Plain, Package::Arduino, Package::Zephyr, Package::EspIdf];
    let wanted = if args.packages.is_empty() { &every[..] } else { &args.packages };
    for package in wanted {
        let written = match package {
            Package::Plain => {
                let into = fresh(&args.output.join("jamlet-c"))?;
                lay_out(&into, &CORES.each_ref())?;
                into
            }
            Package::Arduino => arduino(&args.output)?,
            Package::Zephyr => {
                let into = fresh(&args.output.join("zephyr/jamlet"))?;
                lay_out(&into, &CORES.each_ref())?;
                copy(&folder().join("zephyr"), &into.join("zephyr"))?;
                into
            }
            Package::EspIdf => {
                let into = fresh(&args.output.join("esp-idf/jamlet"))?;
                lay_out(&into, &[library::core("rv32imc")])?;
                fs::remove_dir_all(into.join("examples"))?;
                copy(&folder().join("esp-idf"), &into)?;
                model(&into.join("examples/summarize/main/model.h"))?;
                into
            }
        };
        println!("{}", written.display());
    }
    Ok(())
}

/// Header, libraries and examples, as the Makefile of the example expects them.
///
/// # Errors
/// When a library can't be built or a file can't be written.
pub fn lay_out(into: &Path, cores: &[&Core]) -> Result<()> {
    copy(header::path().parent().unwrap_or(Path::new(".")), &into.join("include"))?;
    copy(&folder().join("examples"), &into.join("examples"))?;
    for core in cores {
        place(core, &into.join("lib").join(core.name))?;
    }
    let root = folder().join("../..");
    fs::copy(folder().join("README.md"), into.join("README.md"))?;
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(root.join(license), into.join(license))?;
    }
    let nano = models_folder().join("nano.jamlet");
    fs::copy(&nano, into.join("nano.jamlet")).with_context(|| nano.display().to_string())?;
    Ok(())
}

/// Builds a core's library into a folder.
fn place(core: &Core, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| into.display().to_string())?;
    let library = into.join("libjamlet.a");
    fs::copy(library::build(core)?, &library).with_context(|| library.display().to_string())?;
    library::strip(core, &library)
}

fn arduino(output: &Path) -> Result<PathBuf> {
    let into = fresh(&output.join("arduino/jamlet"))?;
    copy(&folder().join("arduino"), &into)?;
    copy(header::path().parent().unwrap_or(Path::new(".")), &into.join("src"))?;
    for (name, core) in ARDUINO {
        place(library::core(core), &into.join("src").join(name))?;
    }
    model(&into.join("examples/Summarize/model.h"))?;
    let archive = output.join("arduino").join(format!("jamlet-arduino-{}.zip", env!("CARGO_PKG_VERSION")));
    let _ = fs::remove_file(&archive);
    let mut python = Command::new("python3");
    // Arduino's IDE wants one folder in the zip.
    python.args(["-m", "zipfile", "-c"]).arg(archive.canonicalize().unwrap_or(archive.clone())).arg(&into);
    process::output(&mut python)?;
    Ok(archive)
}

/// Writes the model `nano` as an array, for build systems that embed no file.
fn model(file: &Path) -> Result<()> {
    let image = crate::models::read(&models_folder().join("nano.jamlet"))?;
    let mut text = Vec::new();
    // With one beam, for boards whose RAM is short.
    let options = jamlet::Options::window(jamlet_boards::WINDOW);
    c_source::header("nano", &image, options, &mut text)?;
    c_source::array(&image, &mut text)?;
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// An empty folder.
fn fresh(path: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path).with_context(|| path.display().to_string())?;
    path.canonicalize().with_context(|| path.display().to_string())
}

/// Copies a folder, but for what its programs were built to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if from.is_dir() {
            copy(&from, &to.join(name))?;
        } else {
            fs::copy(&from, to.join(name)).with_context(|| from.display().to_string())?;
        }
    }
    Ok(())
}
