//! `cargo xtask web`: the page that summarizes in a browser, and the npm package, each complete in a folder.

mod build;
pub mod check;
pub mod module;

use anyhow::Result;
use std::path::PathBuf;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Folder to write: `page` in it is for any static server, `npm` for `npm pack` or `npm install`.
    #[arg(short, long, default_value = "target/web")]
    output: PathBuf,
    /// Runs the tests as well, and keeps screenshots in this folder.
    #[arg(long, value_name = "FOLDER")]
    screenshots: Option<PathBuf>,
    /// Prints how fast both builds are in Node, side by side.
    #[arg(long)]
    measure: bool,
}

/// Builds both, and does what is asked for.
///
/// # Errors
/// The compiler's, or what a test found.
pub fn run(args: &Args) -> Result<()> {
    let folders = build::build(&args.output)?;
    println!("{}: open it with a static server, such as python3 -m http.server -d FOLDER", folders.page.display());
    println!("{}: the npm package", folders.npm.display());
    if let Some(screenshots) = &args.screenshots {
        std::fs::create_dir_all(screenshots)?;
        check::page(&folders, Some(&screenshots.canonicalize()?))?;
    }
    if args.measure {
        check::measure(&folders)?;
    }
    Ok(())
}
