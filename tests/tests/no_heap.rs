//! The engine links into a program that has no allocator.

use std::path::Path;
use std::process::Command;

/// Builds `no-heap` and returns whether that worked, and what the compiler said.
fn build(features: &[&str]) -> (bool, String) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args(["build", "--manifest-path"])
        .arg(here.join("no-heap/Cargo.toml"))
        .arg("--target-dir")
        .arg(here.join("../target/no-heap"))
        .args(features)
        .output()
        .expect("cargo");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_engine_needs_no_allocator() {
    let (built, says) = build(&[]);
    assert!(built, "{says}");
    // The test would notice.
    let (built, says) = build(&["--features", "heap"]);
    assert!(!built && says.contains("no global memory allocator"), "{says}");
}
