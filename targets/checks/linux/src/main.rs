//! Runs a case of the conformance suite from a file, as the boards run it from memory.

mod hints;

use hints::Hints;
use jamlet_app::conformance::{Case, run};
use std::process::ExitCode;

/// Bytes on a multiple of 64, as an image and a workspace must lie.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: linux CASE");
        return ExitCode::FAILURE;
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let mut blob = vec![Line([0; 64]); bytes.len().div_ceil(64)];
    bytemuck::cast_slice_mut(&mut blob)[..bytes.len()].copy_from_slice(&bytes);
    let mut workspace = vec![Line([0; 64]); (16 << 20) / 64];
    let mut report = String::new();
    match Case::parse(bytemuck::cast_slice(&blob)) {
        Some(case) => {
            // A String takes everything.
            let _ = run(&case, bytemuck::cast_slice_mut(&mut workspace), &mut Hints, &mut report);
        }
        None => report.push_str("error no case in the file\n"),
    }
    println!("{report}end");
    ExitCode::SUCCESS
}
