//! The engine where every access that isn't aligned faults: Cortex-M with CCR.UNALIGN_TRP.
//!
//! Compilers for Cortex-M use them, so programs are compiled anew without, but for core's formatting, which comes compiled: the
//! trap is off while it writes (see `targets/support/cortex/src/conformance.rs`). The application has no formatting, so there the trap
//! stays on.
//!
//! Raspberry Pis have such a trap as well, SCTLR_EL1.A, but kernels there load 16 bytes from wherever numbers of 4 bytes lie,
//! which memory that is mapped as normal allows (see `kernels/neon/vector.rs`): with the trap they fault, and are meant to.
//!
//! That there is a trap is asked first: a planted load must fault with it, and must not without.

use crate::boards::conversation::Conversation;
use crate::boards::emulated::{Emulated, Machine, named};
use crate::checks::conformance;
use crate::checks::saved_states;
use crate::models::random_text_model;
use anyhow::{Context, Result, ensure};
use jamlet_app::conformance::UNALIGNED;
use jamlet_tools::firmware::build::Build;
use jamlet_tools::process::Run;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
/// Each kind of layer, and each width of a state.
const MODELS: [&str; 8] = ["moe", "gqa", "gqa-heavy-int8", "mamba-f16", "s4d", "pure", "granite", "mamba2-int8"];
/// What the planted load reads, where that is allowed.
const WORD: &str = "unaligned 0x05040302";
/// Of letters with one to four bytes, in several lines.
const TEXT: &str =
    "The quick brown fox jumps over the lazy dog.\nÄnderungen: größer → schöner, 日本語 👩‍💻, x86-64: 7,421.";

/// The conformance suite, states there and back and, if asked for, the application on boards that trap.
///
/// # Errors
/// When a trap doesn't work, and the first board that faults or computes other bits.
pub fn run(boards: &[&str], application: bool) -> Result<()> {
    for name in boards {
        let board = named(name)?;
        check(board, application).with_context(|| format!("on {name}, where unaligned accesses fault"))?;
    }
    Ok(())
}

fn check(board: &Emulated, application: bool) -> Result<()> {
    ensure!(matches!(board.machine, Machine::Cortex { .. }), "only Cortex-M can be asked to trap");
    let allowed = plant(board, &conformance::build(board)?)?;
    ensure!(allowed.stdout.contains(WORD), "a planted load faults without the trap: {}", said(&allowed));
    let program = build(board, "conformance", None)?;
    let fault = said(&plant(board, &program)?);
    ensure!(fault.contains("error ") && !fault.contains("unaligned"), "a planted load doesn't fault: {fault}");
    print!("{:<10} a planted unaligned load faults", board.name);
    let runs = conformance::suite(board, &program, &MODELS)?;
    saved_states::there_and_back(board, &program)?;
    print!("; {runs} runs of the conformance suite and 3 states there and back don't");
    if application {
        let scratch = tempfile::tempdir()?;
        let (path, image) = (scratch.path().join("talker.jamlet"), random_text_model::image()?);
        fs::write(&path, &image)?;
        let program = build(board, board.folder, Some(&path))?;
        Conversation::begin(board, &program, &path, &image, LIMIT)?.summary(TEXT, TEXT.as_bytes())?;
        print!(", nor does the application");
    }
    println!();
    Ok(())
}

/// A program that traps.
fn build(board: &Emulated, binary: &str, model: Option<&Path>) -> Result<PathBuf> {
    Build { emulated: true, model, strict_alignment: true, ..Build::new(board.folder, board.triple, binary) }.run()
}

/// Runs the load that isn't aligned.
fn plant(board: &Emulated, program: &Path) -> Result<Run> {
    let file = tempfile::NamedTempFile::new()?;
    let mut blob = UNALIGNED.to_vec();
    blob.resize(4096, 0);
    fs::write(file.path(), blob)?;
    board.run_case(program, file.path(), None, LIMIT)
}

fn said(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr).replace(['\r', '\n'], " ")
}
