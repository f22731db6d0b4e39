//! Speed beside llama.cpp: the same random checkpoints, packed by `jamlet pack` with 8 and 4 bits and converted to GGUF by llama.cpp's
//! own script, then to its own formats of 8 and 4 bits, measured by `jamlet bench` and `llama-bench` in turns. Everything lies in
//! `target/llama-cpp`.

pub mod build;
pub mod models;
mod rounds;

use crate::benchmarks::host_instructions;
use crate::models::synthetic::Size;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use rounds::Row;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Measures jamlet and llama.cpp in turns, and prints medians and their ratios.
#[derive(ClapArgs)]
pub struct Args {
    /// Sizes of random checkpoints.
    #[arg(value_enum, default_values = ["S", "M", "D", "granite-350m", "mamba2-130m"])]
    sizes: Vec<Size>,
    /// Times that both are measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Depths at which S is decoded; the others are at depth 0.
    #[arg(long, value_delimiter = ',', default_value = "0,8192")]
    depths: Vec<usize>,
    /// A Python with torch, transformers, sentencepiece and gguf [default: one that is installed in target/llama-cpp].
    #[arg(long)]
    python: Option<PathBuf>,
    /// Also counts both's instructions per token on S, with AVX2, in valgrind.
    #[arg(long)]
    instructions: bool,
    /// Only builds and converts.
    #[arg(long)]
    prepare: bool,
    /// Print as JSON; it is written to target/llama-cpp/report.json in any case.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    processor: String,
    /// The source package that llama.cpp was built from.
    llama_cpp: &'static str,
    rounds: usize,
    rows: Vec<Row>,
    instructions: Option<Instructions>,
}

/// Instructions per token of S with 8 bits a weight on one thread, with AVX2.
#[derive(Serialize)]
struct Instructions {
    llama_cpp_prefill: f64,
    llama_cpp_decode: f64,
    jamlet: host_instructions::Counts,
}

pub fn run(args: &Args) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/llama-cpp");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let jamlet = build::jamlet()?;
    let llama = build::llama_cpp(&folder, build::Kind::Native)?;
    let mut all = Vec::new();
    for &size in &args.sizes {
        all.push(models::files(&folder, size, &jamlet, &llama, args.python.as_deref())?);
    }
    let avx2 = if args.instructions { Some(build::llama_cpp(&folder, build::Kind::Avx2)?) } else { None };
    if args.prepare {
        return Ok(());
    }
    let rows = rounds::measure(&all, &jamlet, &llama, args.rounds, &args.threads, &args.depths)?;
    let mut report =
        Report { processor: processor(), llama_cpp: build::PACKAGE, rounds: args.rounds, rows, instructions: None };
    let path = folder.join("report.json");
    // Now, in case that valgrind is missing.
    write(&report, &path)?;
    if let (Some(llama), Some(files)) = (avx2, all.iter().find(|files| files.size == Size::S)) {
        report.instructions = Some(instructions(files, &llama)?);
        write(&report, &path)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn write(report: &Report, path: &Path) -> Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| path.display().to_string())
}

fn instructions(files: &models::Files, llama: &build::LlamaCpp) -> Result<Instructions> {
    const FEW: usize = 1;
    const MANY: usize = 33;
    // 8 bits, both.
    let ([image, ..], [gguf, ..]) = (&files.images, &files.ggufs);
    let count = |prompt: usize, tokens: usize| {
        let arguments = rounds::llama_arguments(gguf, 1, &["0"], prompt, tokens, 0);
        let arguments: Vec<_> = arguments.into_iter().chain(["--no-warmup".into()]).collect();
        Ok::<_, anyhow::Error>(
            host_instructions::callgrind(std::process::Command::new("valgrind"), &llama.bench, &arguments)?.0,
        )
    };
    let decode = (count(0, MANY)? - count(0, FEW)?) as f64 / (MANY - FEW) as f64;
    let prefill = (count(512, 0)? - count(256, 0)?) as f64 / 256.0;
    Ok(Instructions {
        llama_cpp_prefill: prefill,
        llama_cpp_decode: decode,
        jamlet: host_instructions::by_release_build(image)?,
    })
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} ({cores} cores)", name.unwrap_or("unknown").trim())
}

fn print(report: &Report) {
    println!("{}, medians of {} rounds, tokens/s\n", report.processor, report.rounds);
    let speeds = "Q8_0 | Q4_0 | Q4_K_M | 8 bits | 4 bits";
    let ratios = "8 bits over Q8_0 | 4 bits over Q4_0 | over Q4_K_M | over 8 bits";
    println!("| model | threads | what | {speeds} | {ratios} | bandwidth, 8 bits | 4 bits |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
    for row in &report.rows {
        print!("| {} | {} | {} |", row.model, row.threads, row.what);
        for speed in [row.q8_0.better(), row.q4_0.better(), row.q4_k_m.better(), row.bits_8, row.bits_4] {
            print!(" {speed:.1} |");
        }
        for ratio in [row.bits_8_over_q8_0, row.bits_4_over_q4_0, row.bits_4_over_q4_k_m, row.bits_4_over_bits_8] {
            print!(" {ratio:.2} |");
        }
        let shares = [row.bits_8_share_of_read_bandwidth, row.bits_4_share_of_read_bandwidth].map(share);
        println!(" {} | {} |", shares[0], shares[1]);
    }
    if let Some(counts) = &report.instructions {
        println!("\n| S, instructions a token with AVX2 | llama.cpp | jamlet | ratio |");
        println!("|---|---|---|---|");
        for (what, theirs, ours) in [
            ("decode", counts.llama_cpp_decode, counts.jamlet.decode),
            ("prefill", counts.llama_cpp_prefill, counts.jamlet.prefill),
        ] {
            println!("| {what} | {:.2}M | {:.2}M | {:.3} |", theirs / 1e6, ours / 1e6, ours / theirs);
        }
    }
}
