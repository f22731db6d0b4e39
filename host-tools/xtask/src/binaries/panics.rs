//! No panic of the engine or of the application is reachable: shown on the linked programs.
//!
//! * Programs of boards without a HAL, and a program that calls everything in the engine, have a panic handler that doesn't
//!   exist: they link only if no panic is reachable from anywhere, libraries included.
//! * HALs may panic. In programs with one, every call of a panic is traced to the source that it came from, through all
//!   functions that were inlined there: none may come from the engine or the application, nor may what these call.

use crate::binaries::callgraph::{CallGraph, Function};
use anyhow::{Context, Result, bail, ensure};
use jamlet_boards::{Board, Flashing, programs};
use jamlet_tools::firmware::program::Program;
use jamlet_tools::firmware::{self, build::Build};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Boards by name; all if none is given.
    boards: Vec<String>,
    /// Builds a panic into the application and the program that calls everything, so that the check must fail: a test of it.
    #[arg(long)]
    plant_panic: bool,
}

/// Where panics begin.
const PANICS: [&str; 6] = [
    "core::panicking::",
    "core::slice::index::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_already",
];
/// What engine and application are made of.
const LIBRARIES: [&str; 8] = ["core", "bytemuck-", "crc-", "embedded-io-", "half-", "heapless-", "itoa-", "libm-"];
/// What the panic handler of programs that can't panic calls.
const NOWHERE: &str = "a_panic_is_reachable";

/// Builds and inspects.
///
/// # Errors
/// The first board on which something can panic, with the places.
pub fn run(args: &Args) -> Result<()> {
    let wanted = |name: &str| args.boards.is_empty() || args.boards.iter().any(|board| board == name);
    for board in programs().filter(|board| wanted(board.name)) {
        if let Flashing::Emulator = board.flashing {
            unlinkable(board, board.name, args.plant_panic)?;
            unlinkable(board, "every-call", args.plant_panic)?;
            println!("{:<10} application and engine: 0 panics; no panic is linked", board.name);
        } else {
            if board.flashing == Flashing::Card {
                unlinkable(board, "every-call", args.plant_panic)?;
            }
            let program = build(board, program_of(board), args.plant_panic, false)?;
            let others = inspect(&program).with_context(|| board.name.to_owned())?;
            let others: Vec<String> = others.iter().map(|(owner, sites)| format!("{owner} {sites}")).collect();
            println!(
                "{:<10} application and engine: 0 panics; places in others: {}",
                board.name,
                if others.is_empty() { "none".into() } else { others.join(", ") }
            );
        }
    }
    Ok(())
}

/// What the tests do beside what every build of firmware shows: the engine as a whole on each instruction set, and that a
/// planted panic is found.
///
/// # Errors
/// As [`run`]; when a planted panic isn't found.
pub fn check() -> Result<()> {
    for name in ["qemu-m4", "qemu-m33", "pi-3"] {
        unlinkable(firmware::board(name)?, "every-call", false)?;
        println!("{name:<10} engine: 0 panics; no panic is linked");
    }
    let Err(found) = unlinkable(firmware::board("qemu-m4")?, "qemu-m4", true) else {
        bail!("a planted panic wasn't found")
    };
    println!("planted, and found: {found}");
    Ok(())
}

/// The application's name in a board's folder.
fn program_of(board: &Board) -> &'static str {
    board.folder.unwrap_or(board.name)
}

/// Builds a program whose panic handler doesn't exist.
fn unlinkable(board: &Board, binary: &str, plant: bool) -> Result<()> {
    let Err(error) = build(board, binary, plant, false) else { return Ok(()) };
    if !error.to_string().contains(NOWHERE) {
        return Err(error);
    }
    // Linked with a handler, the same program shows where.
    let program = build(board, binary, plant, true)?;
    let sites = sites(&program)?;
    bail!("{binary} of {}: a panic is reachable:\n{}", board.name, report(sites.iter()))
}

fn build(board: &Board, binary: &str, plant: bool, resolve: bool) -> Result<std::path::PathBuf> {
    let mut features = Vec::new();
    if binary == "every-call" {
        features.push("every-call");
    }
    if plant {
        features.push("jamlet-app/plant-panic");
    }
    let arguments: &[&str] = if resolve { &["-Clink-arg=--defsym=a_panic_is_reachable=0"] } else { &[] };
    Build { binary, ..Build::of(board) }.with(&features, arguments)
}

/// A call of a panic and where it came from: functions and places, the innermost first.
#[derive(Clone, Debug)]
struct Site {
    panic: String,
    function: u64,
    frames: Vec<(String, String)>,
}

impl Site {
    /// Whether a source of the engine or of the application led here: what it uses is on its account.
    fn ours(&self) -> bool {
        let mut places = self.frames.iter().map(|(_, place)| place);
        let answerable = places.find(|place| !LIBRARIES.iter().any(|library| library_of(place).starts_with(library)));
        answerable.is_some_and(|place| place.contains("engine/src/") || place.contains("targets/support/app/src/"))
    }

    /// The library that it came from.
    fn owner(&self) -> &str {
        let mut libraries = self.frames.iter().map(|(_, place)| library_of(place));
        libraries.find(|library| *library != CORE).unwrap_or(CORE)
    }
}

/// The Rust library's name here.
const CORE: &str = "core";

/// The library, with its version, that a source belongs to.
fn library_of(place: &str) -> &str {
    let registry = place.split_once("/registry/src/").and_then(|(_, rest)| rest.split('/').nth(1));
    match registry {
        Some(library) => library,
        None if place.contains("/library/") || place.contains("/rustc/") => CORE,
        None => "the board's crates",
    }
}

fn is_panic(name: &str) -> bool {
    PANICS.iter().any(|panic| name.starts_with(panic))
}

/// All calls of panics outside the panics themselves.
fn sites(path: &Path) -> Result<Vec<Site>> {
    let program = Program::read(path)?;
    let graph = CallGraph::read(&program)?;
    let loader = addr2line::Loader::new(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let mut sites = Vec::new();
    for function in graph.functions().filter(|function| !is_panic(&function.name)) {
        for &(from, to) in &function.calls {
            let Some(callee) = graph.at(to).filter(|callee| is_panic(&callee.name)) else { continue };
            let mut frames = Vec::new();
            let mut found = loader.find_frames(from).map_err(|error| anyhow::anyhow!("{error}"))?;
            while let Some(frame) = found.next()? {
                let name = frame.function.and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
                let place = frame.location.map(|at| format!("{}:{}", at.file.unwrap_or("?"), at.line.unwrap_or(0)));
                frames.push((name.unwrap_or_default(), place.unwrap_or_default()));
            }
            if frames.is_empty() {
                frames.push((function.name.clone(), String::new()));
            }
            sites.push(Site { panic: callee.name.clone(), function: function.address, frames });
        }
    }
    Ok(sites)
}

/// Checks that no panic is the engine's or the application's, and counts the others by library.
///
/// # Errors
/// When one is.
pub fn inspect(path: &Path) -> Result<BTreeMap<String, usize>> {
    let sites = sites(path)?;
    let ours: Vec<&Site> = sites.iter().filter(|site| site.ours()).collect();
    ensure!(ours.is_empty(), "a panic is reachable:\n{}", report(ours.into_iter()));
    // What the engine calls out of line.
    let program = Program::read(path)?;
    let graph = CallGraph::read(&program)?;
    let own = |function: &&Function| function.name.starts_with("jamlet::") || function.name.starts_with("<jamlet::");
    let mut reached: BTreeSet<u64> = graph.functions().filter(own).map(|function| function.address).collect();
    ensure!(!reached.is_empty(), "no function of the engine is linked");
    let mut left: Vec<u64> = reached.iter().copied().collect();
    while let Some(function) = left.pop().and_then(|address| graph.at(address)) {
        for &(_, to) in &function.calls {
            if reached.insert(to & !1) {
                left.push(to & !1);
            }
        }
    }
    // That the engine's sinks lead to the board's port and log is meant so.
    let theirs = |site: &&Site| LIBRARIES.iter().any(|library| site.owner().starts_with(library));
    let called: Vec<&Site> = sites.iter().filter(|site| reached.contains(&site.function)).filter(theirs).collect();
    ensure!(called.is_empty(), "the engine calls what can panic:\n{}", report(called.into_iter()));
    let mut others = BTreeMap::new();
    for site in &sites {
        *others.entry(site.owner().to_owned()).or_insert(0) += 1;
    }
    Ok(others)
}

fn report<'s>(sites: impl Iterator<Item = &'s Site>) -> String {
    let mut text = String::new();
    for site in sites {
        text += &format!("- {}\n", site.panic);
        for (function, place) in &site.frames {
            text += &format!("    {function} at {place}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_belongs_to_all_that_was_inlined_around_it() {
        let site = |places: &[&str]| Site {
            panic: "core::panicking::panic".into(),
            function: 0,
            frames: places.iter().map(|place| (String::new(), (*place).into())).collect(),
        };
        assert!(site(&["/rustc/core/src/slice/mod.rs:1", "/home/me/jamlet/engine/src/sampler.rs:9"]).ours());
        let hal = site(&["/rustc/core/src/slice/mod.rs:1", "/cargo/registry/src/index/embassy-rp-0.10.0/src/usb.rs:9"]);
        assert!(!hal.ours());
        assert_eq!(hal.owner(), "embassy-rp-0.10.0");
    }
}
