//! `cargo xtask attacks`: the hostile images of `tests/attacks` on emulated boards.

use crate::boards::emulated::{ALL, Machine};
use anyhow::{Context, Result, bail, ensure};
use jamlet_tests::attacks::{blob, images};
use std::fs;
use std::time::Duration;

/// The board that takes part in the tests: all Cortex-M boards run the same program.
const BOARD: &str = "qemu-m4";
/// What a run may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Cortex-M boards by name; qemu-m4 if none is given.
    boards: Vec<String>,
}

/// Runs the list on the boards.
///
/// # Errors
/// When a board can't be built or run, and the images that gave another error than theirs.
pub fn run(args: &Args) -> Result<()> {
    let recipes = images();
    let blob = blob(&recipes);
    let boards = if args.boards.is_empty() { &[BOARD.to_owned()][..] } else { &args.boards };
    for name in boards {
        let board = ALL.iter().find(|board| board.name == name && matches!(board.machine, Machine::Cortex { .. }));
        let board = board.with_context(|| format!("{name} is no emulated Cortex-M board"))?;
        ensure!(board.fits(blob.len(), 0), "the images take {} bytes, more than {name} has", blob.len());
        let program = board.build("conformance", None)?;
        let scratch = tempfile::tempdir()?;
        let file = scratch.path().join("attacks");
        fs::write(&file, &blob)?;
        let run = board.run_case(&program, &file, None, LIMIT)?;
        let lines: Vec<&str> = run.stdout.lines().collect();
        ensure!(
            lines.last() == Some(&"end") && lines.len() == recipes.len() + 2,
            "{name} reports {} lines for {} images: {}",
            lines.len(),
            recipes.len(),
            run.stderr.trim()
        );
        let pairs = recipes.iter().zip(&lines).filter(|(recipe, found)| recipe.error != **found);
        let wrong: Vec<String> = pairs
            .map(|(recipe, found)| format!("[{}]\n  found: {found}\n  right: {}", recipe.name, recipe.error))
            .collect();
        if !wrong.is_empty() {
            bail!("{name}: {} of {} images differ\n{}", wrong.len(), recipes.len(), wrong.join("\n"));
        }
        println!("{name}: {} hostile images, each with its error; {}", recipes.len(), lines[recipes.len()]);
    }
    Ok(())
}
