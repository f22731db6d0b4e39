//! `cargo xtask bench`: instructions of every kernel and of a token on emulated targets, and cycles of inner loops.

use crate::benchmarks::cycles;
use crate::boards::emulated::{ALL, Emulated, Machine};
use crate::checks::{conformance, kernels};
use anyhow::{Context, Result, ensure};
use jamlet_tools::firmware::build::models_folder;
use serde_json::json;
use std::fs;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Targets by name; without any, the Cortex-M boards, and the Linux program for three cores.
    targets: Vec<String>,
    /// A line of JSON for every figure, instead of tables.
    #[arg(long)]
    json: bool,
}

const DEFAULT: [&str; 6] = ["qemu-m4", "qemu-m7", "qemu-m33", "linux-a53", "linux-a72", "linux-a76"];
/// The model whose tokens are measured.
const MODEL: &str = "pico";

/// LLVM's models of the processors that run a target's code.
fn processors(board: &Emulated) -> &'static [(&'static str, &'static str)] {
    match board.machine {
        Machine::Cortex { .. } if board.triple.starts_with("thumbv8m") => {
            &[("thumbv8m.main-none-eabihf", "cortex-m33")]
        }
        Machine::Cortex { .. } => &[("thumbv7em-none-eabihf", "cortex-m4"), ("thumbv7em-none-eabihf", "cortex-m7")],
        _ => &[
            ("aarch64-linux-gnu", "cortex-a53"),
            ("aarch64-linux-gnu", "cortex-a72"),
            ("aarch64-linux-gnu", "neoverse-n1"),
        ],
    }
}

/// What one pass through a loop that is written by hand does.
const PASSES: [(&str, u32, &str); 14] = [
    ("dsp::matmul::eight_rows", 256, "multiply-accumulate"),
    ("dsp::matmul::two_rows", 256, "multiply-accumulate"),
    ("dsp::scan::eight_channels", 16, "state element"),
    ("dsp::activations::silu_pairs", 2, "number"),
    ("dsp::activations::silu_times", 4, "number"),
    ("dsp::activations::softplus_pairs", 2, "number"),
    ("dsp::activations::exp_pairs", 2, "number"),
    ("dsp::norm::scale", 4, "number"),
    ("dsp::norm::squares", 8, "number"),
    ("dsp::quantize::round_fours", 4, "number"),
    ("dsp::attention::dot_slots", 8, "multiply-accumulate"),
    ("dsp::attention::sum_slots", 8, "multiply-accumulate"),
    // Of the baseline, and of SDOT: the shorter one.
    ("neon::matmul::one_token", 1024, "multiply-accumulate"),
    ("neon::matmul::four_tokens", 1024, "multiply-accumulate"),
];

/// Prints the figures.
///
/// # Errors
/// When a target can't be built or run, or computes other bits than the portable kernels.
pub fn run(args: &Args) -> Result<()> {
    let names: Vec<&str> = match args.targets.as_slice() {
        [] => DEFAULT.to_vec(),
        names => names.iter().map(String::as_str).collect(),
    };
    let image = models_folder().join(MODEL).with_extension("jamlet");
    let image = fs::read(&image).with_context(|| image.display().to_string())?;
    let with_cycles = cycles::available();
    let mut programs: Vec<(&Emulated, _)> = Vec::new();
    for name in names {
        let board = ALL.iter().find(|board| {
            board.name == name && matches!(board.machine, Machine::Cortex { .. } | Machine::Linux { .. })
        });
        let board = board.with_context(|| format!("{name} can't be measured; {} can", DEFAULT.join(", ")))?;
        let (program, measured) = kernels::run(board)?;
        ensure!(!measured.is_empty(), "{name} reported nothing");
        show_kernels(args, board, &measured);
        show_tokens(args, board, conformance::instructions(board, &image)?);
        if !programs.iter().any(|(other, _)| other.triple == board.triple) {
            programs.push((board, program));
        }
    }
    if !with_cycles {
        eprintln!("bench: cycles are left out: llvm-mca-22 is missing (Debian's package llvm-22)");
        return Ok(());
    }
    if !args.json {
        println!("\nOne pass through the longest inner loop, by llvm-mca");
    }
    for (board, program) in programs {
        // A program is overwritten by the same for another board, but its loops are the same.
        let hand_written = matches!(board.machine, Machine::Cortex { .. });
        let loops = cycles::loops(&program)?;
        for body in loops.iter().filter(|body| body.function.starts_with("dsp::") || !hand_written) {
            for (triple, cpu) in processors(board) {
                // LLVM has no figures for some instructions on some processors, and other processors' code isn't for them.
                show_cycles(args, cpu, body, cycles::of(body, triple, cpu).ok());
            }
        }
    }
    Ok(())
}

fn show_kernels(args: &Args, board: &Emulated, measured: &[kernels::Measured]) {
    if !args.json {
        println!("\n{}: instructions\n{:>10} {:>8}  unit, kernel", board.name, "all", "a unit");
    }
    for kernel in measured {
        let kernels::Measured { kernel, count, unit, instructions } = kernel;
        let each = instructions.map(|instructions| instructions as f64 / *count as f64);
        if args.json {
            let line = json!({ "target": board.name, "kernel": kernel, "unit": unit, "count": count,
                               "instructions": instructions, "each": each });
            println!("{line}");
        } else {
            let (all, each) = (or_dash(*instructions), each.map_or("-".into(), |each| format!("{each:.3}")));
            println!("{all:>10} {each:>8}  {unit}, {kernel}");
        }
    }
}

fn show_tokens(args: &Args, board: &Emulated, tokens: Option<(u64, u64)>) {
    let (prefill, decode) = tokens.unzip();
    if args.json {
        println!("{}", json!({ "target": board.name, "model": MODEL, "prefill": prefill, "decode": decode }));
    } else {
        println!("{:>10} {:>8}  token of {MODEL}, prefill in chunks of 8", or_dash(prefill), "");
        println!("{:>10} {:>8}  token of {MODEL}, decode", or_dash(decode), "");
    }
}

fn show_cycles(args: &Args, cpu: &str, body: &cycles::Loop, cycles: Option<f64>) {
    let pass = PASSES.iter().find(|(function, ..)| *function == body.function);
    let each = pass.zip(cycles).map(|((_, count, unit), cycles)| (cycles / f64::from(*count), unit));
    if args.json {
        let (each, unit) = each.unzip();
        println!("{}", json!({ "cpu": cpu, "loop": body, "cycles": cycles, "unit": unit, "each": each }));
    } else {
        let each = each.map_or(String::new(), |(each, unit)| format!(", {each:.2} a {unit}"));
        let cycles = cycles.map_or("-".into(), |cycles| format!("{cycles:.1}"));
        println!("{cpu:<12} {:>4} instructions {cycles:>7} cycles  {}{each}", body.instructions, body.function);
    }
}

fn or_dash(number: Option<u64>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}
