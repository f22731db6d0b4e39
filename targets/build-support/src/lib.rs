//! What the build scripts of the boards do, so that cargo's config needs no linker flags.
//!
//! Three variables of the environment decide what is embedded: `JAMLET_MODEL`, the path of an image, `JAMLET_WINDOW`, how
//! many tokens attention looks back, and `JAMLET_BEAMS`, how many summaries are written side by side. `cargo xtask firmware` sets
//! them.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a board embeds unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// Name of an image in `host-tools/models`.
    pub model: &'a str,
    /// Tokens that attention looks back.
    pub window: u32,
    /// Summaries that are written side by side: 2, where RAM suffices for the states of both.
    pub beams: u32,
}

/// Links a Cortex-M program by the board's memory.x, and tells it what to embed.
///
/// # Panics
/// When memory.x can't be read: a build script has no better way to say so.
pub fn cortex(embedded: Embedded) {
    let out = PathBuf::from(variable("OUT_DIR"));
    let script = fs::read_to_string("memory.x").expect("memory.x of the board");
    fs::write(out.join("memory.x"), with_room(&script, embedded)).expect("the linker script");
    println!("cargo::rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=memory.x");
    embed(embedded);
}

/// Links a Raspberry Pi's kernel by link.x.
pub fn pi() {
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join("link.x");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rerun-if-changed=link.x");
}

/// The linker script with the end of the flash left alone where states are kept.
#[cfg(feature = "persist")]
fn with_room(script: &str, embedded: Embedded) -> String {
    let (model, window, _) = settings(embedded);
    let image = fs::read(&model).expect("the model");
    let options = jamlet::Options::window(window.parse().expect("a number of tokens"));
    let plan = jamlet::Plan::new(&image, options).expect("a model that can be planned");
    // Two slots: one for the state that was saved, one for the next.
    let bytes = 2 * jamlet_persist::slot_bytes(&plan, SECTOR);
    println!("cargo::rustc-env=JAMLET_STATES={bytes}");
    let flash = script.lines().find(|line| line.trim_start().starts_with("FLASH ")).expect("a memory FLASH");
    script.replace(flash, &format!("{flash} - {bytes}"))
}

/// What is erased at once.
#[cfg(feature = "persist")]
const SECTOR: usize = 4096;

#[cfg(not(feature = "persist"))]
fn with_room(script: &str, _: Embedded) -> String {
    script.into()
}

/// The image, the attention window and the number of beams.
fn settings(embedded: Embedded) -> (PathBuf, String, String) {
    let shelf = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../host-tools/models");
    let model =
        env::var_os("JAMLET_MODEL").map_or_else(|| shelf.join(embedded.model).with_extension("jamlet"), PathBuf::from);
    let number = |name, otherwise: u32| env::var(name).unwrap_or_else(|_| otherwise.to_string());
    (model, number("JAMLET_WINDOW", embedded.window), number("JAMLET_BEAMS", embedded.beams))
}

fn embed(embedded: Embedded) {
    let (model, window, beams) = settings(embedded);
    if !model.exists() {
        println!("cargo::warning=no model at {}; JAMLET_MODEL names another one", model.display());
    }
    println!("cargo::rustc-env=JAMLET_MODEL={}", model.display());
    println!("cargo::rustc-env=JAMLET_WINDOW={window}");
    println!("cargo::rustc-env=JAMLET_BEAMS={beams}");
    for variable in ["JAMLET_MODEL", "JAMLET_WINDOW", "JAMLET_BEAMS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets it for build scripts")
}
