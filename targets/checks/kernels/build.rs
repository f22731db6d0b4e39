//! Takes over the engine's own tests of its kernels, so that boards run the same ones: boards have no test harness, so their
//! functions are listed instead.

use std::path::Path;
use std::{env, fs};

const TESTS: &str = "../../../engine/tests/kernels_equal.rs";
/// A module of the tests.
const RANDOM: &str = "../../../engine/tests/random/mod.rs";
/// What needs threads.
const HOST_ONLY: [&str; 1] = ["a_crew_does_every_share_once"];

fn main() {
    println!("cargo::rerun-if-changed={TESTS}");
    println!("cargo::rerun-if-changed={RANDOM}");
    println!("cargo::rerun-if-changed=build.rs");
    let text = fs::read_to_string(TESTS).expect("the engine's tests of its kernels");
    let mut names = Vec::new();
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("//!") {
            continue;
        }
        if line != "#[test]" {
            code += line;
            code += "\n";
            continue;
        }
        let head = lines.next().unwrap_or_default();
        let name = head.trim_start_matches("fn ").split('(').next().unwrap_or_default();
        if HOST_ONLY.contains(&name) {
            // Up to the end of the function.
            for line in lines.by_ref() {
                if line == "}" {
                    break;
                }
            }
            continue;
        }
        names.push(name.to_owned());
        code += head;
        code += "\n";
    }
    assert!(!names.is_empty(), "{TESTS} has no tests");
    code += "\n/// Every test and its name.\npub const ALL: &[(&str, fn())] = &[\n";
    for name in names {
        code += &format!("    (\"{name}\", {name}),\n");
    }
    code += "];\n";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let out = Path::new(&out);
    fs::write(out.join("equal.rs"), code).expect("writing the tests");
    fs::copy(RANDOM, out.join("random.rs")).expect("writing their random numbers");
}
