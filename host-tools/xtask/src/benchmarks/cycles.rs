//! Cycles of inner loops, estimated by llvm-mca from the program's disassembly.

use anyhow::{Context, Result, ensure};
use jamlet_tools::process::{self, output};
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The first LLVM with models of the Cortex-M4 and M7.
const LLVM: &str = "22";
/// Loops shorter than this are not where time goes.
const SHORTEST: usize = 11;
const ITERATIONS: u32 = 100;
const LIMIT: Duration = Duration::from_secs(60);

/// A loop without another one in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loop {
    /// The function that it is in.
    pub function: String,
    /// Its instructions, the branch back last.
    #[serde(skip)]
    pub code: Vec<String>,
    /// How many they are.
    pub instructions: usize,
}

/// Whether llvm-mca is there, after having tried to install it.
pub fn available() -> bool {
    let there = || output(Command::new(tool("llvm-mca")).arg("--version")).is_ok();
    if !there() {
        eprintln!("bench: installing llvm-{LLVM} for its estimates of cycles");
        let package = format!("llvm-{LLVM}");
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args([
            "install",
            "-qq",
            "-y",
            "--no-install-recommends",
            &package,
        ]);
        // Where this fails, what follows says what is missing.
        let _ = process::run(&mut apt, Duration::from_secs(600));
    }
    there()
}

fn tool(name: &str) -> String {
    format!("{name}-{LLVM}")
}

/// The longest inner loop of every kernel in a program.
///
/// # Errors
/// When it can't be disassembled.
pub fn loops(program: &Path) -> Result<Vec<Loop>> {
    let mut objdump = Command::new(tool("llvm-objdump"));
    objdump.args(["-d", "-C", "--no-show-raw-insn", "--mattr=+all", "--no-print-imm-hex"]).arg(program);
    let text = output(&mut objdump).context("llvm-objdump")?;
    Ok(find(&text))
}

/// An instruction of the listing: its address, and its text without the comment.
fn instruction(line: &str) -> Option<(u64, String)> {
    let (address, text) = line.trim_start().split_once(':')?;
    let text = text.split(['@', '/']).next()?.trim().replace('\t', " ");
    Some((u64::from_str_radix(address, 16).ok()?, text))
}

/// Where a branch goes.
fn target(text: &str) -> Option<u64> {
    let branch = text.starts_with('b') || text.starts_with("cb") || text.starts_with("tb");
    let address = text.split(" <").next()?.rsplit(' ').next()?.strip_prefix("0x")?;
    branch.then(|| u64::from_str_radix(address, 16).ok())?
}

/// A function's name without the compiler's hash and spelling.
fn short(name: &str) -> String {
    let name = name.rsplit_once("::h").map_or(name, |(name, _)| name);
    name.trim_start_matches("jamlet::kernels::")
        .trim_start_matches("arm::")
        .trim_start_matches("aarch64::")
        .replace("_$u7b$$u7b$closure$u7d$$u7d$", "{{closure}}")
}

fn find(listing: &str) -> Vec<Loop> {
    let mut loops = Vec::new();
    for part in listing.split("\n\n") {
        let mut lines = part.lines().skip_while(|line| !line.ends_with(">:"));
        let Some(name) = lines.next().and_then(|line| line.split_once('<')?.1.strip_suffix(">:")) else { continue };
        if !name.contains("jamlet::kernels::") || name.contains("::portable::") {
            continue;
        }
        let code: Vec<(u64, String)> = lines.filter_map(instruction).collect();
        // Branches back, as places in the code.
        let backs: Vec<(usize, usize)> = code
            .iter()
            .enumerate()
            .filter_map(|(end, (_, text))| {
                let to = target(text)?;
                let start = code.iter().take(end).position(|(address, _)| *address == to)?;
                Some((start, end))
            })
            .collect();
        let mut longest: Option<Loop> = None;
        for &(start, end) in &backs {
            let inner = !backs.iter().any(|other| *other != (start, end) && other.0 >= start && other.1 <= end);
            let body = code.get(start..=end).unwrap_or_default();
            let longer = body.len() >= longest.as_ref().map_or(SHORTEST, |longest| longest.instructions + 1);
            if inner && longer && !body.iter().any(|(_, text)| text.starts_with("bl ")) {
                let code = body.iter().map(|(_, text)| text.clone()).collect();
                longest = Some(Loop { function: short(name), code, instructions: body.len() });
            }
        }
        // A function that was built for several types is there several times.
        loops.extend(longest.filter(|longest| !loops.contains(longest)));
    }
    loops
}

/// Cycles of one pass through a loop on a processor.
///
/// # Errors
/// When llvm-mca doesn't understand the code.
pub fn of(body: &Loop, triple: &str, cpu: &str) -> Result<f64> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("loop.s");
    let mut text = String::new();
    // Thumb code is written in the unified syntax.
    if triple.starts_with("thumb") {
        text += ".syntax unified\n.thumb\n";
    }
    text += "start:\n";
    for line in &body.code {
        // Where branches go doesn't matter, but they have to go somewhere.
        match target(line) {
            Some(_) => {
                let code = line.split(" <").next().unwrap_or_default();
                let code = code.rsplit_once(' ').map_or(code, |(code, _)| code);
                text += &format!("{code} start\n");
            }
            None => text += &format!("{line}\n"),
        }
    }
    fs::write(&file, text)?;
    let mut mca = Command::new(tool("llvm-mca"));
    mca.args([&format!("-mtriple={triple}"), &format!("-mcpu={cpu}"), &format!("-iterations={ITERATIONS}")]).arg(&file);
    let run = process::run(&mut mca, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "llvm-mca: {}", run.stderr.trim());
    let line = run.stdout.lines().find_map(|line| line.strip_prefix("Total Cycles:")).context("no cycles")?;
    Ok(line.trim().parse::<f64>()? / f64::from(ITERATIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_loops_of_kernels_are_found() {
        let body: String = (0..20).map(|i| format!("    {:x}:\tadd\tr0, r0, #1\n", 0x10 + 4 * i)).collect();
        let code = format!(
            "\n\n00000008 <jamlet::kernels::dsp::x>:\n       8: mov r1, r2 @ why\n{body}      60:\tbne\t0x10 <x+0x8> \
             @ imm = #-80\n      64:\tbne\t0x8 <x>\n\n00000100 <other>:\n     100: b 0x100\n"
        );
        let loops = find(&code);
        assert_eq!(loops.len(), 1);
        assert_eq!((loops[0].instructions, loops[0].code[20].as_str()), (21, "bne 0x10 <x+0x8>"));
    }
}
