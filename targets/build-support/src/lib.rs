//! What the build scripts of the boards do, so that cargo's config needs no linker flags.
//!
//! Two variables of the environment decide what is embedded: `JAMLET_MODEL`, the path of an image, and `JAMLET_WINDOW`, how
//! many tokens attention looks back. `cargo xtask firmware` sets them.
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
}

/// Links a Cortex-M program by the board's memory.x, and tells it what to embed.
///
/// # Panics
/// When memory.x can't be read: a build script has no better way to say so.
pub fn cortex(embedded: Embedded) {
    let out = PathBuf::from(variable("OUT_DIR"));
    fs::copy("memory.x", out.join("memory.x")).expect("memory.x of the board");
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

fn embed(embedded: Embedded) {
    let shelf = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../host-tools/models");
    let model =
        env::var_os("JAMLET_MODEL").map_or_else(|| shelf.join(embedded.model).with_extension("jamlet"), PathBuf::from);
    let window = env::var("JAMLET_WINDOW").unwrap_or_else(|_| embedded.window.to_string());
    if !model.exists() {
        println!("cargo::warning=no model at {}; JAMLET_MODEL names another one", model.display());
    }
    println!("cargo::rustc-env=JAMLET_MODEL={}", model.display());
    println!("cargo::rustc-env=JAMLET_WINDOW={window}");
    println!("cargo::rerun-if-env-changed=JAMLET_MODEL");
    println!("cargo::rerun-if-env-changed=JAMLET_WINDOW");
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets it for build scripts")
}
