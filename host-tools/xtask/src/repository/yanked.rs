//! Versions that their authors took back from crates.io. The registry's index says which; cargo asks it, and keeps what it read.

use anyhow::{Context, Result, ensure};
use jamlet_tools::process;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Checks what the lock file beside a manifest names: how many versions; `None` where the index can't be reached.
///
/// # Errors
/// The versions that were taken back; those that the index doesn't know.
pub fn check(manifest: &Path) -> Result<Option<usize>> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new("cargo");
        process::output(cargo.args(arguments).arg("--manifest-path").arg(manifest))
    };
    // Has cargo ask the index for all of them.
    if cargo(&["update", "--dry-run", "--quiet"]).is_err() {
        return Ok(None);
    }
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--locked", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let packages = packages.iter().filter(|package| package["source"].is_string());
    let caches = caches()?;
    let (mut count, mut yanked) = (0, Vec::new());
    for package in packages {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let entry = caches.iter().find_map(|cache| fs::read(cache.join(place(name))).ok());
        let entry = entry.with_context(|| format!("cargo kept nothing of the index on {name}"))?;
        let is_yanked = is_yanked(&entry, version);
        if is_yanked.with_context(|| format!("the index doesn't know {name} {version}"))? {
            yanked.push(format!("{name} {version}"));
        }
        count += 1;
    }
    ensure!(yanked.is_empty(), "{}: taken back by their authors: {}", manifest.display(), yanked.join(", "));
    Ok(Some(count))
}

/// Where cargo keeps what it read of registries' indices.
fn caches() -> Result<Vec<PathBuf>> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("no home of cargo's")?;
    let index = home.join("registry/index");
    let folders = fs::read_dir(&index).with_context(|| index.display().to_string())?;
    Ok(folders.flatten().map(|folder| folder.path().join(".cache")).collect())
}

/// A package's file in an index: `3/a/abc`, `ab/cd/abcde`.
fn place(name: &str) -> PathBuf {
    let name = name.to_lowercase();
    let part = |range| name.get(range).unwrap_or_default();
    match name.len() {
        1 | 2 => Path::new(&name.len().to_string()).join(&name),
        3 => Path::new("3").join(part(0..1)).join(&name),
        _ => Path::new(part(0..2)).join(part(2..4)).join(&name),
    }
}

/// Whether a version is marked so, in a file of a line of JSON for each with NUL bytes in between.
fn is_yanked(entry: &[u8], version: &str) -> Option<bool> {
    let lines = entry.split(|&byte| byte == 0).filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    lines.filter(|line| line["vers"] == version).find_map(|line| line["yanked"].as_bool())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_keeps_is_found_and_read() {
        assert_eq!(
            ["h", "nb", "crc", "Half", "bytemuck"].map(place),
            ["1/h", "2/nb", "3/c/crc", "ha/lf/half", "by/te/bytemuck"].map(PathBuf::from)
        );
        let entry = b"\x03\x02\0\0\0Unknown\x001.0.0\0{\"vers\":\"1.0.0\",\"yanked\":true}\x001.0.1\0{\"vers\":\"1.0.1\",\"yanked\":false}\0";
        assert_eq!(
            ["1.0.0", "1.0.1", "1.0.2"].map(|version| is_yanked(entry, version)),
            [Some(true), Some(false), None]
        );
    }
}
