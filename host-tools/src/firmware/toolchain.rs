//! Which Rust toolchain builds for a target.

use crate::process::output;
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The toolchain that `cargo xtask setup` assembles from Debian's packages where rustup can't fetch targets.
pub const DEBIAN: &str = "debian";

/// The rustup toolchain that builds for `target`: `None` is the one in use.
///
/// # Errors
/// When none does.
pub fn toolchain_for(target: &str) -> Result<Option<&'static str>> {
    let has = |toolchain: Option<&str>| {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", target]);
        if let Some(name) = toolchain {
            rustc.env("RUSTUP_TOOLCHAIN", name);
        }
        let folder = output(&mut rustc).ok().map(|text| PathBuf::from(text.trim()));
        folder.and_then(|folder| fs::read_dir(folder).ok()).is_some_and(|mut files| files.next().is_some())
    };
    if has(None) {
        Ok(None)
    } else if has(Some(DEBIAN)) {
        Ok(Some(DEBIAN))
    } else {
        bail!("no Rust for {target}; `rustup target add {target}` or `cargo xtask setup` installs it")
    }
}
