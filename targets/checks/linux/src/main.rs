//! Runs a case of the conformance suite from a file, as the boards run it from memory.

use jamlet_app::conformance::{Case, run};
use jamlet_linux::{Hints, Lines, read};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: linux CASE");
        return ExitCode::FAILURE;
    };
    let blob = match read(&path) {
        Ok(blob) => blob,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut workspace = Lines::zeros(16 << 20);
    let mut report = String::new();
    match Case::parse(blob.bytes()) {
        Some(case) => {
            // A String takes everything.
            let _ = run(&case, workspace.bytes_mut(), &mut Hints, &mut report);
        }
        None => report.push_str("error no case in the file\n"),
    }
    println!("{report}end");
    ExitCode::SUCCESS
}
