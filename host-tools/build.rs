//! Links `jamlet` at a fixed address on Linux with glibc. A program that may lie anywhere has a table of all places that change with
//! its address, and reads all of it at every start: 0.3 MB, where a small model and its state take one. What such an address
//! makes harder is to exploit corrupted memory, and the program is safe Rust.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
