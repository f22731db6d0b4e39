//! Decides whether the Cortex-M kernels with DSP instructions are built: stable Rust has no `cfg` for them.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dsp, dsp_optional, portable)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    // ARMv7E-M always has them, ARMv8-M with its main extension may: the board's crate says so.
    let has_dsp = target.starts_with("thumbv7em")
        || target.starts_with("thumbv8m.main") && env::var_os("CARGO_FEATURE_DSP").is_some();
    let dsp = has_dsp && target.ends_with("eabihf");
    if dsp {
        println!("cargo::rustc-cfg=dsp");
        if target.starts_with("thumbv8m") {
            println!("cargo::rustc-cfg=dsp_optional");
        }
    } // Where DSP instructions are certain, flash is too small for what is never called.
    if !dsp || env::var_os("CARGO_FEATURE_PORTABLE").is_some() {
        println!("cargo::rustc-cfg=portable");
    }
}
