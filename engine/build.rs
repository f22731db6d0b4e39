//! Decides whether the kernels are built for which stable Rust has no `cfg`: those of Cortex-M with DSP instructions, and those
//! of aarch64 with SMMLA.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dsp, dsp_optional, i8mm, portable)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    // Bare metal is a Raspberry Pi, and none has it.
    if target.starts_with("aarch64") && !target.contains("-none") {
        println!("cargo::rustc-cfg=i8mm");
    }
    // ARMv7E-M always has them, ARMv8-M with its main extension may: the board's crate says so.
    let has_dsp = target.starts_with("thumbv7em")
        || target.starts_with("thumbv8m.main") && env::var_os("CARGO_FEATURE_DSP").is_some();
    let dsp = has_dsp && target.ends_with("eabihf");
    if target.starts_with("thumbv8m.main") && !dsp {
        let remedy = if target.ends_with("eabihf") {
            "feature `dsp`"
        } else {
            "target thumbv8m.main-none-eabihf and feature `dsp`"
        };
        println!(
            "cargo::warning=jamlet: built without DSP instructions, a token takes about 4 times as many instructions; if the core has \
             them, as most Cortex-M33 do, use {remedy}"
        );
    }
    if dsp {
        println!("cargo::rustc-cfg=dsp");
        if target.starts_with("thumbv8m") {
            println!("cargo::rustc-cfg=dsp_optional");
        }
    }
    // A module for WebAssembly has vectors or is for where there are none.
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let simd128 = features.split(',').any(|feature| feature == "simd128");
    // Left out where others are certain to run: nothing would call it, and flash and downloads are scarce.
    if !(dsp || simd128) || env::var_os("CARGO_FEATURE_PORTABLE").is_some() {
        println!("cargo::rustc-cfg=portable");
    }
}
