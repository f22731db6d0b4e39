//! The examples of the crates, which newcomers copy: each must print what the engine says on this machine.

use crate::models::{self, random_text_model};
use anyhow::{Context, Result, bail, ensure};
use jamlet::{Options, SummaryOptions};
use jamlet_boards::{BEAMS, WINDOW};
use jamlet_tools::firmware::build::models_folder;
use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// Builds and runs them.
///
/// # Errors
/// When one prints anything else than the engine's summary.
pub fn check() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Of the whole workspace, as its tests are built: with fewer packages the dependencies would be built again.
    let built =
        Command::new("cargo").args(["build", "--quiet", "--workspace", "--examples"]).current_dir(&root).status()?;
    if !built.success() {
        bail!("the examples don't build");
    }
    let (model, file) = (models_folder().join("nano.jamlet"), root.join("tests/texts/tidewatch.txt"));
    let (image, text) = (models::read(&model)?, fs::read(&file)?);
    let options = Options::window(WINDOW).beams(BEAMS);
    let (_, _, summary) = random_text_model::answer_as(&image, options, &[&text], SummaryOptions::new())?;
    let folder = env::current_exe()?.parent().context("no folder")?.join("examples");
    prints(Command::new(folder.join("summarize")).args([&model, &file]), &summary)?;
    prints(Command::new(folder.join("mapped")).arg(&model).stdin(Stdio::from(File::open(&file)?)), &summary)
}

fn prints(example: &mut Command, right: &str) -> Result<()> {
    let run = example.output().with_context(|| format!("{example:?}"))?;
    ensure!(run.status.success(), "{example:?}: {}", String::from_utf8_lossy(&run.stderr).trim());
    let found = String::from_utf8_lossy(&run.stdout);
    ensure!(found.trim() == right.trim(), "{example:?}: {found:?}; {right:?} would be right");
    println!("{}: the engine's summary", Path::new(example.get_program()).display());
    Ok(())
}
