//! Lays out the page and the npm package.

use super::module::{self, Flavor, copy};
use anyhow::{Context, Result, ensure};
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The model that comes with them.
pub const MODEL: &str = "pico.jamlet";
/// What the hash of all files takes the place of, and where.
const VERSION: &str = "\"development\"";
const VERSIONED: [&str; 2] = ["page.js", "sw.js"];

/// What was laid out.
pub struct Folders {
    /// For a static server.
    pub page: PathBuf,
    /// For npm.
    pub npm: PathBuf,
}

/// Builds both modules, and lays out everything below `output`.
///
/// # Errors
/// The compiler's, or that a file can't be written.
pub fn build(output: &Path) -> Result<Folders> {
    let folders = Folders { page: output.join("page"), npm: output.join("npm") };
    let (source, root) = (targets_folder().join("web"), targets_folder().join(".."));
    let mut modules = Vec::new();
    for flavor in Flavor::ALL {
        modules.push((flavor, module::build("web", flavor)?));
    }
    for folder in [&folders.page, &folders.npm] {
        // Nothing of an earlier build stays.
        if folder.join("jamlet.js").exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        for (flavor, module) in &modules {
            copy(module, &folder.join(flavor.name()).with_extension("wasm"))?;
        }
        copy(&models_folder().join(MODEL), &folder.join(MODEL))?;
        copy(&source.join("package/jamlet.js"), &folder.join("jamlet.js"))?;
    }
    for file in ["package.json", "index.d.ts"] {
        copy(&source.join("package").join(file), &folders.npm.join(file))?;
    }
    copy(&source.join("README.md"), &folders.npm.join("README.md"))?;
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root.join(file), &folders.npm.join(file))?;
    }
    for file in files(&source.join("page"))? {
        copy(&file, &folders.page.join(file.file_name().context("a file's name")?))?;
    }
    stamp(&folders.page)?;
    Ok(folders)
}

/// The files in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

/// Writes the hash of all files where the page's cache is named, so that another version has another cache.
fn stamp(page: &Path) -> Result<()> {
    let mut hash = Sha256::new();
    for file in files(page)? {
        hash.update(fs::read(&file).with_context(|| file.display().to_string())?);
    }
    let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    for name in VERSIONED {
        let file = page.join(name);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        ensure!(text.contains(VERSION), "{name} has no place {VERSION} for its version");
        fs::write(&file, text.replace(VERSION, &format!("\"{hash}\"")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_makes_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let versions = |style: &str| {
            VERSIONED.iter().for_each(|name| write(name, "const VERSION = \"development\";"));
            write("style.css", style);
            stamp(folder.path()).unwrap();
            VERSIONED.map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
        };
        let ([page, worker], [other, _]) = (versions("a"), versions("b"));
        assert_eq!(page, worker);
        assert_ne!(page, other);
        assert!(stamp(folder.path()).is_err());
    }

    #[test]
    fn the_package_has_the_version_of_everything() {
        let package = fs::read_to_string(targets_folder().join("web/package/package.json")).unwrap();
        let package: serde_json::Value = serde_json::from_str(&package).unwrap();
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_service_worker_keeps_every_file_but_those_that_the_page_keeps() {
        let source = targets_folder().join("web/page");
        let worker = fs::read_to_string(source.join("sw.js")).unwrap();
        for file in files(&source).unwrap() {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(["index.html", "sw.js"].contains(&name) || worker.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
