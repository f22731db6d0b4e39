//! Writes the tables of letters and numbers that the engine's tokenizer cuts words with.

use anyhow::{Context, Result};
use regex_syntax::hir::{Class, HirKind};
use std::fmt::Write;
use std::path::Path;

/// Where the tables go.
const FILE: &str = "engine/src/tokenizer/unicode.rs";

/// Writes the tables from those of the `regex-syntax` crate.
///
/// # Errors
/// When the file can't be written.
pub fn run() -> Result<()> {
    let mut text = String::from(
        "//! Letters and numbers of Unicode 16.0. Written by `cargo xtask unicode`.\n//!\n\
         //! Per plane of 65,536 code points: where membership begins and ends in turn.\n\n",
    );
    for (name, class) in [("LETTERS", r"\p{L}"), ("NUMBERS", r"\p{N}")] {
        let planes = planes(class)?;
        writeln!(text, "/// `{class}`\npub(super) static {name}: [&[u16]; {}] = [", planes.len())?;
        for plane in planes {
            writeln!(text, "    // {} bytes", 2 * plane.len())?;
            writeln!(text, "    &{plane:?},")?;
        }
        writeln!(text, "];")?;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::write(root.join(FILE), text).with_context(|| format!("writing {FILE}"))
}

/// The edges of a class, by plane.
fn planes(class: &str) -> Result<Vec<Vec<u16>>> {
    let hir = regex_syntax::parse(class)?;
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else { anyhow::bail!("{class} is no class") };
    let mut planes = Vec::<Vec<u16>>::new();
    for range in class.ranges() {
        let (start, end) = (u32::from(range.start()), u32::from(range.end()) + 1);
        for plane in start >> 16..=(end - 1) >> 16 {
            planes.resize(planes.len().max(plane as usize + 1), Vec::new());
            let edges = &mut planes[plane as usize];
            edges.push(start.max(plane << 16) as u16);
            // A range up to the plane's end has no end in it.
            edges.extend((end < (plane + 1) << 16).then_some(end as u16));
        }
    }
    Ok(planes)
}
