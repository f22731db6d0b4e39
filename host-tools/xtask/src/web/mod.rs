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
    /// Runs the tests in Node and Chromium as well.
    #[arg(long)]
    test: bool,
    /// Keeps pictures of the page in this folder.
    #[arg(long, value_name = "FOLDER", requires = "test")]
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
    if args.test {
        let screenshots = args
            .screenshots
            .as_deref()
            .map(|folder| std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize()));
        check::all(&folders, screenshots.transpose()?.as_deref())?;
    }
    if args.measure {
        check::measure(&folders)?;
    }
    Ok(())
}
