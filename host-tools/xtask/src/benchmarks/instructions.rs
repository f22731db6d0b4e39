//! `cargo xtask bench`: instructions of every kernel and of a token on emulated targets, weights of 4 bits beside those of 8, and
//! cycles of inner loops.

use crate::benchmarks::cycles;
use crate::boards::emulated::{ALL, Emulated, Machine};
use crate::checks::{conformance, kernels};
use crate::models::{self, synthetic};
use anyhow::{Context, Result, ensure};
use jamlet_tools::firmware::build::models_folder;
use jamlet_tools::pack::Widths;
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
/// The random models of 8 and of 4 bits a weight whose tokens are compared.
const SIZE: synthetic::Size = synthetic::Size::S;
/// Tokens that are read together.
const CHUNK: u32 = 8;

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
const PASSES: [(&str, u32, &str); 19] = [
    ("dsp::matmul::eight_rows", 256, "multiply-accumulate"),
    ("dsp::matmul::four_rows", 256, "multiply-accumulate"),
    ("dsp::matmul::two_rows", 256, "multiply-accumulate"),
    ("dsp::matmul_q4::four_rows", 256, "multiply-accumulate"),
    ("dsp::matmul_q4::two_rows", 256, "multiply-accumulate"),
    // With the scaling.
    ("dsp::matmul_q4::eight_rows", 256, "multiply-accumulate"),
    ("dsp::scan::eight_channels", 16, "state element"),
    ("dsp::ssd::numbers", 16, "state element"),
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
    let scratch = tempfile::tempdir()?;
    synthetic::write(SIZE, scratch.path())?;
    let models = [models::pack(scratch.path(), Widths::EIGHT)?, models::pack(scratch.path(), Widths::FOUR)?];
    let with_cycles = cycles::available();
    let mut programs: Vec<(&Emulated, _)> = Vec::new();
    let mut compared = Vec::new();
    for name in names {
        let board = ALL.iter().find(|board| {
            board.name == name && matches!(board.machine, Machine::Cortex { .. } | Machine::Linux { .. })
        });
        let board = board.with_context(|| format!("{name} can't be measured; {} can", DEFAULT.join(", ")))?;
        let (program, measured) = kernels::run(board)?;
        ensure!(!measured.is_empty(), "{name} reported nothing");
        show_kernels(args, board, &measured);
        let mut tokens = [None; 2];
        for ((tokens, model), bits) in tokens.iter_mut().zip(&models).zip([8, 4]) {
            *tokens = conformance::instructions(board, model)?;
            show_tokens(args, board, &format!("S of {bits} bits"), *tokens);
        }
        show_tokens(args, board, MODEL, conformance::instructions(board, &image)?);
        show_beams(args, board, conformance::instructions_of_beams(board, &image)?);
        if !programs.iter().any(|(other, _)| other.triple == board.triple) {
            programs.push((board, program));
        }
        let products = PRODUCTS.map(|names| names.map(|name| each(&measured, name)));
        compared.push(Compared { target: board.name, products, tokens });
    }
    if !args.json {
        print!("\n{}", beside(&compared));
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

/// Products with weights of 8 bits and of 4, of one token and of several.
const PRODUCTS: [[&str; 2]; 2] = [
    ["matmul 256 x 256 in groups of 32, 1 token", "matmul 256 x 256 of 4 bits, 1 token"],
    ["matmul 256 x 256 in groups of 32, 8 tokens", "matmul 256 x 256 of 4 bits, 8 tokens"],
];

/// What a target takes with weights of 8 bits, and of 4.
struct Compared {
    target: &'static str,
    /// Instructions a multiply-accumulate of [`PRODUCTS`].
    products: [[Option<f64>; 2]; 2],
    /// Instructions a token: prefilled and decoded.
    tokens: [Option<(u64, u64)>; 2],
}

/// Instructions for each of what a kernel does.
fn each(measured: &[kernels::Measured], name: &str) -> Option<f64> {
    let kernel = measured.iter().find(|measured| measured.kernel == name)?;
    Some(kernel.instructions? as f64 / kernel.count as f64)
}

/// The table of 4 bits beside 8 in Markdown, as `BENCHMARKS.md` has it.
fn beside(rows: &[Compared]) -> String {
    let mut text = String::from(
        "| instructions, 4 bits (8 bits) | product, 1 token | product, 8 tokens | token of S, decode | token of S, prefill |\n\
         |---|---|---|---|---|\n",
    );
    let cell = |[eight, four]: [Option<f64>; 2], show: fn(f64) -> String| match (eight, four) {
        (Some(eight), Some(four)) => format!("{} ({}): {:.2}", show(four), show(eight), four / eight),
        _ => "–".into(),
    };
    for Compared { target, products: [one, eight], tokens } in rows {
        let [prefill, decode] = [
            tokens.map(|tokens| tokens.map(|(prefill, _)| prefill as f64)),
            tokens.map(|tokens| tokens.map(|(_, decode)| decode as f64)),
        ];
        let number = |x: f64| format!("{x:.3}");
        let millions = |x: f64| format!("{:.2}M", x / 1e6);
        let cells = [cell(*one, number), cell(*eight, number), cell(decode, millions), cell(prefill, millions)];
        text += &format!("| `{target}` | {} |\n", cells.join(" | "));
    }
    text
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

fn show_tokens(args: &Args, board: &Emulated, model: &str, tokens: Option<(u64, u64)>) {
    let (prefill, decode) = tokens.unzip();
    if args.json {
        println!("{}", json!({ "target": board.name, "model": model, "prefill": prefill, "decode": decode }));
    } else {
        println!("{:>10} {:>8}  token of {model}, prefill in chunks of {CHUNK}", or_dash(prefill), "");
        println!("{:>10} {:>8}  token of {model}, decode", or_dash(decode), "");
    }
}

fn show_beams(args: &Args, board: &Emulated, steps: Option<[u64; 2]>) {
    if args.json {
        println!("{}", json!({ "target": board.name, "model": MODEL, "step by beams": steps }));
    } else {
        let [one, two] = steps.map_or([None; 2], |steps| steps.map(Some));
        let ratio = steps.map_or("-".into(), |[one, two]| format!("{:.3}", two as f64 / one as f64));
        println!("{:>10} {:>8}  step of {MODEL}, one beam", or_dash(one), "");
        println!("{:>10} {ratio:>8}  times as many, step of {MODEL}, two beams", or_dash(two));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_stand_beside_eight() {
        let products = [[Some(1.0), Some(1.25)], [None, Some(1.0)]];
        let row = Compared {
            target: "board",
            products,
            tokens: [Some((4_000_000, 5_000_000)), Some((2_000_000, 6_000_000))],
        };
        let text = beside(&[row]);
        let line = "| `board` | 1.250 (1.000): 1.25 | – | 6.00M (5.00M): 1.20 | 2.00M (4.00M): 0.50 |\n";
        assert!(text.ends_with(line), "{text}");
    }
}
