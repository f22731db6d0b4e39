//! `cargo xtask small-machines`: packs and runs models in as much memory as small machines have, and compares what they take after a few
//! and after many tokens, and with llama.cpp's memory for a context of that length. Everything lies in `target/small-machines`, and is
//! removed at the end. The largest model takes 12 GB of disk meanwhile.

mod group;
mod theirs;

use crate::benchmarks::llama_cpp::build;
use crate::models::synthetic::{self, Size};
use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use group::Bound;
use jamlet_boards::Board;
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use theirs::Theirs;

/// Packs and runs models in the memory of small machines.
#[derive(ClapArgs)]
pub struct Args {
    /// Models, each for its machine.
    #[arg(value_enum, default_values = ["granite-350m", "granite-1b", "L"])]
    models: Vec<Size>,
    /// Bits of a weight.
    #[arg(long, value_delimiter = ',', default_value = "8,4")]
    bits: Vec<u8>,
    /// Tokens that are read before memory and speed are compared with those after 1,000.
    #[arg(long, default_value_t = 20_000)]
    depth: usize,
    /// Attention window.
    #[arg(long, default_value_t = 512)]
    window: u32,
    /// Leave llama.cpp out.
    #[arg(long)]
    alone: bool,
    /// A Python with torch, transformers, sentencepiece and gguf [default: one that is installed in target/llama-cpp].
    #[arg(long)]
    python: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// A model and a machine for it.
struct Machine {
    size: Size,
    /// Its name in `targets/support/boards`.
    board: &'static str,
    /// Memory, in bytes.
    memory: u64,
    /// Tokens of a context that llama.cpp gets: the longest that the model was trained for, or that is asked of it.
    context: u32,
}

static MACHINES: [Machine; 3] = [
    Machine { size: Size::Granite350m, board: "pi-zero-2w", memory: 512 << 20, context: 32_768 },
    Machine { size: Size::Granite1b, board: "pi-4", memory: 2 << 30, context: 131_072 },
    Machine { size: Size::L, board: "pi-5", memory: 4 << 30, context: 200_000 },
];

/// The depth that others are compared with.
const SHALLOW: usize = 1000;
/// What peaks may differ by: pages of the program that one run touches and another doesn't.
const SLACK: u64 = 1 << 20;

/// What was measured.
#[derive(Serialize)]
struct Report {
    /// What bounded the memory.
    bound: String,
    window: u32,
    rows: Vec<Row>,
    llama_cpp: Vec<Theirs>,
}

/// A model with so many bits a weight.
#[derive(Serialize)]
struct Row {
    model: String,
    bits: u8,
    board: &'static str,
    memory: u64,
    image: u64,
    packing: Packing,
    workspace: u64,
    shallow: At,
    deep: At,
    weight_bytes_per_token: u64,
    /// The board's bytes a second over the bytes of a token.
    board_tokens_per_second_at_most: f64,
}

/// What packing took, within the machine's memory.
#[derive(Serialize)]
struct Packing {
    seconds: f64,
    peak: u64,
    /// Of the peak what is of no file.
    anonymous: u64,
}

/// What a run took.
#[derive(Serialize)]
struct At {
    depth: usize,
    peak: u64,
    /// On this machine.
    tokens_per_second: f64,
}

/// Measures all, prints it and checks that depth costs nothing.
///
/// # Errors
/// When a model doesn't fit its machine, or needs more memory after more tokens.
pub fn run(args: &Args) -> Result<()> {
    ensure!(
        args.depth > SHALLOW,
        "depth is {}; more than {SHALLOW}, which it is compared with, would be right",
        args.depth
    );
    let machines = args.models.iter().map(|&size| machine(size)).collect::<Result<Vec<_>>>()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/small-machines");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let jamlet = build::jamlet()?;
    let bound = Bound::here();
    let mut report = Report { bound: bound.name(), window: args.window, rows: Vec::new(), llama_cpp: Vec::new() };
    eprintln!("memory is bounded by {}", report.bound);
    let llama = if args.alone { None } else { Some(theirs::Programs::build(args.python.as_deref())?) };
    for machine in machines {
        let scratch = tempfile::tempdir_in(&folder)?;
        measure(machine, args, &jamlet, &bound, llama.as_ref(), scratch.path(), &mut report)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// The machine for a model.
fn machine(size: Size) -> Result<&'static Machine> {
    let names = MACHINES.each_ref().map(|machine| machine.size.name()).join(", ");
    let machine = MACHINES.iter().find(|machine| machine.size == size);
    machine.with_context(|| format!("no machine is known for {}; one of {names} would be right", size.name()))
}

fn measure(
    machine: &Machine,
    args: &Args,
    jamlet: &Path,
    bound: &Bound,
    llama: Option<&theirs::Programs>,
    scratch: &Path,
    report: &mut Report,
) -> Result<()> {
    let checkpoint = scratch.join(machine.size.name());
    synthetic::write(machine.size, &checkpoint)?;
    let mut packed = Vec::new();
    for &bits in &args.bits {
        let image = scratch.join(format!("{bits}.jamlet"));
        packed.push((bits, pack(machine, bits, &checkpoint, &image, jamlet, bound)?, image));
    }
    let ggufs = llama.map(|llama| llama.convert(&checkpoint, scratch)).transpose()?;
    if checkpoint.exists() {
        fs::remove_dir_all(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    }
    for (bits, packing, image) in packed {
        report.rows.push(row(machine, bits, packing, &image, args, jamlet, bound)?);
    }
    if let (Some(llama), Some(ggufs)) = (llama, ggufs) {
        report.llama_cpp.extend(llama.measure(machine, &ggufs)?);
    }
    Ok(())
}

fn pack(machine: &Machine, bits: u8, checkpoint: &Path, image: &Path, jamlet: &Path, bound: &Bound) -> Result<Packing> {
    eprintln!("{}: packing with {bits} bits in {}", machine.size.name(), mib(machine.memory));
    let (from, to, bits) = (text(checkpoint)?, text(image)?, bits.to_string());
    // Speed and memory are the same without a tokenizer, of which the checkpoint has a tiny one.
    let run = bound.run(machine.memory, jamlet, &["pack", from, "--bits", &bits, "--no-tokenizer", "-o", to])?;
    Ok(Packing { seconds: run.time.as_secs_f64(), peak: run.peak, anonymous: run.anonymous })
}

fn row(
    machine: &Machine,
    bits: u8,
    packing: Packing,
    image: &Path,
    args: &Args,
    jamlet: &Path,
    bound: &Bound,
) -> Result<Row> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).to_string();
    let window = args.window.to_string();
    let mut last = Value::Null;
    let mut at = |depth: usize| {
        eprintln!("{}: {bits} bits, {depth} tokens in {}", machine.size.name(), mib(machine.memory));
        group::forget(image)?;
        let depth_text = depth.to_string();
        let arguments = ["bench", text(image)?, "--json", "--repeat", "1", "--prompt", "64", "--chunks", "64"];
        let more = ["--tokens", "64", "--threads", &threads, "--window", &window, "--depths", &depth_text];
        let run = bound.run(machine.memory, jamlet, &[arguments.as_slice(), &more].concat())?;
        last = serde_json::from_str(&run.stdout).context(run.stdout)?;
        let peak = whole(&last, "peak_rss_bytes")?;
        let speed = last["decodes"][0]["tokens_per_second"].as_f64().context("jamlet's tokens_per_second")?;
        anyhow::Ok(At { depth, peak, tokens_per_second: speed })
    };
    let (shallow, deep) = (at(SHALLOW)?, at(args.depth)?);
    ensure!(
        deep.peak <= shallow.peak + SLACK,
        "{} with {bits} bits took {} after {SHALLOW} tokens and {} after {}",
        machine.size.name(),
        mib(shallow.peak),
        mib(deep.peak),
        args.depth
    );
    let board = Board::named(machine.board).with_context(|| format!("there is no board {}", machine.board))?;
    let bytes = whole(&last, "weight_bytes_per_token")?;
    Ok(Row {
        model: machine.size.name(),
        bits,
        board: board.description,
        memory: machine.memory,
        image: whole(&last, "image_bytes")?,
        packing,
        workspace: whole(&last, "workspace_bytes")?,
        shallow,
        deep,
        weight_bytes_per_token: bytes,
        board_tokens_per_second_at_most: board.bandwidth as f64 / bytes as f64,
    })
}

/// A number of `jamlet bench`.
fn whole(report: &Value, name: &str) -> Result<u64> {
    report[name].as_u64().with_context(|| format!("jamlet's {name}"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{}: a path in UTF-8 would be right", path.display()))
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn print(report: &Report) {
    println!("Memory bounded by {}; attention window {}.\n", report.bound, report.window);
    let packing = "packing: seconds | peak | of no file";
    let running = "running: workspace | peak after | after | tokens/s here after | after | machine: at most";
    println!("| model | bits | machine | image | {packing} | {running} |");
    println!("|{}", "---|".repeat(13));
    for row in &report.rows {
        println!(
            "| {} | {} | {}, {} | {} | {:.0} | {} | {} | {} | {}: {} | {}: {} | {}: {:.1} | {}: {:.1} | {:.1} |",
            row.model,
            row.bits,
            row.board,
            mib(row.memory),
            mib(row.image),
            row.packing.seconds,
            mib(row.packing.peak),
            mib(row.packing.anonymous),
            mib(row.workspace),
            row.shallow.depth,
            mib(row.shallow.peak),
            row.deep.depth,
            mib(row.deep.peak),
            row.shallow.depth,
            row.shallow.tokens_per_second,
            row.deep.depth,
            row.deep.tokens_per_second,
            row.board_tokens_per_second_at_most,
        );
    }
    if !report.llama_cpp.is_empty() {
        println!("\n| model | llama.cpp | context | file | cache and state | peak |");
        println!("|---|---|---|---|---|---|");
    }
    for Theirs { model, format, context, file, cache, peak } in &report.llama_cpp {
        println!("| {model} | {format} | {context} | {} | {} | {} |", mib(*file), mib(*cache), mib(*peak));
    }
}
