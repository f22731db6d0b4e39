//! `cargo xtask c-header`: jamlet.h, made by cbindgen from the crate that it describes.

use super::folder;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Writes the header; without it, the header is compared.
    #[arg(long)]
    write: bool,
}

/// Writes or compares.
///
/// # Errors
/// That the header is not what the crate says.
pub fn run(args: &Args) -> Result<()> {
    if args.write {
        return fs::write(path(), make()?).with_context(|| path().display().to_string());
    }
    check()
}

/// Compares the header with the crate.
///
/// # Errors
/// That they differ.
pub fn check() -> Result<()> {
    let found = fs::read_to_string(path()).with_context(|| path().display().to_string())?;
    ensure!(found == make()?, "{} is stale: cargo xtask c-header --write", path().display());
    Ok(())
}

/// Where the header is.
pub fn path() -> PathBuf {
    folder().join("include/jamlet.h")
}

fn make() -> Result<String> {
    let config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let sources = ["error", "options", "summarizer", "session", "choose"];
    let sources = sources.map(|name| folder().join("src").join(name).with_extension("rs"));
    let builder = sources.iter().fold(cbindgen::Builder::new().with_config(config), |all, file| all.with_src(file));
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    // cbindgen leaves spaces at the ends of lines.
    let text = String::from_utf8(text)?;
    Ok(text.lines().map(|line| line.trim_end().to_owned() + "\n").collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_header_is_what_the_crate_says() {
        super::check().unwrap();
    }
}
