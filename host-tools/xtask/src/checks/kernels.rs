//! The program `kernels` of the targets: it measures every kernel, and tests that it computes the portable one's bits.

use crate::boards::emulated::{Emulated, named};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the program may take: fifty times what it takes on a machine that does nothing else.
const LIMIT: Duration = Duration::from_secs(300);
/// Where `cargo xtask test` runs it: one core of each instruction set that has kernels for boards only, and one that has all
/// that aarch64's kernels look for.
const CHECKED: [&str; 3] = ["qemu-m4", "qemu-m33", "linux-max"];

/// What a kernel took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// What was run.
    pub kernel: String,
    /// How many …
    pub count: u64,
    /// … of what it did.
    pub unit: String,
    /// Instructions, if they could be counted.
    pub instructions: Option<u64>,
}

/// Builds the program and runs it: all tests must pass. Returns where it is and what the kernels took.
///
/// # Errors
/// When it can't be built or run, or a test fails.
pub fn run(board: &Emulated) -> Result<(PathBuf, Vec<Measured>)> {
    let program = board.build("kernels", None)?;
    let scratch = tempfile::tempdir()?;
    let counts = scratch.path().join("counts");
    let run = board.run_alone(&program, Some(&counts), LIMIT)?;
    let ended = run.status.is_some_and(|status| status.success()) && run.stdout.lines().any(|line| line == "end");
    ensure!(
        ended,
        "{}: the test after {:?} failed: {}",
        board.name,
        run.stdout.lines().last().unwrap_or_default(),
        run.stderr.trim()
    );
    let measured = read(&run.stdout, &each(&counts))?;
    Ok((program, measured))
}

/// Runs the tests of the kernels on emulated boards.
///
/// # Errors
/// As [`run`].
pub fn check() -> Result<()> {
    for name in CHECKED {
        let board = named(name)?;
        let (_, measured) = run(board)?;
        println!("{name}: all kernels equal the portable ones, {} measured", measured.len());
    }
    Ok(())
}

/// The instructions between each pair of marks, as the plugin wrote them.
fn each(counts: &Path) -> Vec<u64> {
    let text = fs::read_to_string(counts).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("region 1 ")).unwrap_or_default();
    let numbers = line.split(" each ").nth(1).unwrap_or_default();
    numbers.split(' ').filter_map(|number| number.parse().ok()).collect()
}

fn read(report: &str, each: &[u64]) -> Result<Vec<Measured>> {
    let lines = report.lines().filter_map(|line| line.strip_prefix("kernel "));
    lines
        .enumerate()
        .map(|(index, line)| {
            let (count, rest) = line.split_once(' ').context("count")?;
            let (unit, kernel) = rest.split_once(": ").context("unit")?;
            let instructions = each.get(index).copied();
            Ok(Measured { kernel: kernel.into(), count: count.parse()?, unit: unit.into(), instructions })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_to_kernels_in_order() {
        let report = "kernels dsp\nkernel 64 state element: scan 8\nkernel 2 number: softmax 2\nmeasured\n";
        let measured = read(report, &[640, 30]).unwrap();
        assert_eq!((measured[0].unit.as_str(), measured[0].instructions), ("state element", Some(640)));
        assert_eq!((measured[1].kernel.as_str(), measured[1].count), ("softmax 2", 2));
        assert_eq!(read(report, &[]).unwrap()[1].instructions, None);
        assert!(read("kernel 64\n", &[]).is_err());
    }
}
