//! How many places of each file the compiler doesn't check: kept in `tests/unsafe.txt`, so that more of them are a decision.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the numbers are kept.
const KEPT: &str = "tests/unsafe.txt";
/// What belongs to nobody but the machine, or to other people.
const ELSEWHERE: [&str; 3] = ["target", ".git", "fixtures"];

/// Compares the numbers with those that are kept; `write` keeps them.
///
/// # Errors
/// When a file has another number than is kept, or a place has no line that says why it is sound.
pub fn check(root: &Path, write: bool) -> Result<()> {
    let mut counts = BTreeMap::new();
    for file in sources(root)? {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let places = places(&text);
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        if let Some(place) = places.iter().find(|place| !place.explained) {
            anyhow::bail!("{name}:{}: no SAFETY comment says why this is sound", place.line);
        }
        if !places.is_empty() {
            counts.insert(name, places.len());
        }
    }
    let mut found: String = counts.iter().map(|(name, count)| format!("{count:4} {name}\n")).collect();
    found += &format!("{:4} in all\n", counts.values().sum::<usize>());
    let file = root.join(KEPT);
    if write {
        return fs::write(&file, found).with_context(|| file.display().to_string());
    }
    let kept = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let changed: Vec<&str> = found.lines().filter(|line| !kept.lines().any(|kept| kept == *line)).collect();
    ensure!(
        found == kept,
        "unsafe blocks, functions and implementations are not as many as {KEPT} says; now:\n{}\nIf that is meant so: \
         cargo xtask lint --bless-unsafe",
        changed.join("\n")
    );
    Ok(())
}

/// All Rust files below.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !ELSEWHERE.contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    /// A line that says why it is sound.
    explained: bool,
}

/// Where `unsafe` opens a block, an implementation, an `extern` or a function. Attributes such as `unsafe(no_mangle)` and
/// types of functions are none.
fn places(text: &str) -> Vec<Place> {
    let lines: Vec<&str> = text.lines().collect();
    let mut places = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        // Words in strings are no code: every other part between quotation marks is.
        let code: String = code.split('"').step_by(2).collect();
        let opened = code.match_indices("unsafe").filter_map(|(at, word)| {
            let before = code[..at].chars().next_back();
            let after = code[at + word.len()..].trim_start();
            let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let opens =
                after.starts_with('{') || ["impl ", "extern ", "fn "].iter().any(|kind| after.starts_with(kind));
            let kind_of_function = after.starts_with("extern ") && after.contains("fn(");
            (whole && opens && !kind_of_function).then_some(after)
        });
        for after in opened {
            // Before the statement; a function says what it asks of callers, not why it is sound.
            let function = after.starts_with("fn ") || after.starts_with("extern ") && after.contains(" fn ");
            let mut near = lines.iter().take(index + 1).rev().take(12);
            let explained = function || near.any(|line| line.contains("SAFETY:"));
            places.push(Place { line: index + 1, explained });
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_must_be_explained() {
        let text =
            "// SAFETY: one.\nunsafe { a() }\n/// # Safety\n/// two\npub unsafe fn b() {}\n#[unsafe(no_mangle)]\n";
        let found = places(text);
        assert_eq!(found.iter().map(|place| place.line).collect::<Vec<_>>(), [2, 5]);
        assert!(found.iter().all(|place| place.explained));
        assert_eq!(places("fn c() {\n    unsafe { d() }\n}\n"), [Place { line: 2, explained: false }]);
        assert!(places("type F = unsafe fn(u8);\ntype G = unsafe extern \"C\" fn(u8);\n").is_empty());
        assert_eq!(places("pub unsafe extern \"C\" fn h() {}\n").len(), 1);
    }
}
