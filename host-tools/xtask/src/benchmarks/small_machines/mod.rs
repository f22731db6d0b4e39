//! `cargo xtask small-machines`: packs and runs models in as much memory as small machines have, and compares what they take after a few
//! and after many tokens, and with llama.cpp's memory for contexts that grow. Everything lies in `target/small-machines`, and is removed
//! at the end. The largest model takes 12 GB of disk meanwhile.

mod group;
mod table;
mod theirs;

use crate::benchmarks::llama_cpp::build;
use crate::models::synthetic::{self, Size};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args as ClapArgs;
use group::Bound;
use jamlet::{Options, Plan};
use jamlet_boards::Board;
use jamlet_tools::cores::heads_at_once;
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::io::Read;
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
    /// Folder where the images stay; those that lie there, as MODEL-BITS.jamlet, aren't packed again.
    #[arg(long)]
    images: Option<PathBuf>,
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
    /// What to call it.
    name: &'static str,
    /// Names in `targets/support/boards` of boards that there are with so much memory.
    boards: &'static [&'static str],
    /// Memory, in bytes.
    memory: u64,
    /// Tokens of the contexts that llama.cpp gets; the last one is the longest that the model was trained for, or that is asked of it.
    contexts: [u32; 2],
}

static MACHINES: [Machine; 3] = [
    Machine {
        size: Size::Granite350m,
        name: "Raspberry Pi Zero 2 W, 512 MiB",
        boards: &["pi-zero-2w"],
        memory: 512 << 20,
        contexts: [4096, 32_768],
    },
    Machine {
        size: Size::Granite1b,
        name: "Raspberry Pi 4 or 5, 2 GiB",
        boards: &["pi-4", "pi-5"],
        memory: 2 << 30,
        contexts: [4096, 131_072],
    },
    Machine {
        size: Size::L,
        name: "Raspberry Pi 4 or 5, 4 GiB",
        boards: &["pi-4", "pi-5"],
        memory: 4 << 30,
        contexts: [4096, 200_000],
    },
];

/// Tokens that are read together.
const CHUNK: u32 = 64;
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
    machine: &'static str,
    memory: u64,
    image: u64,
    /// None where the image was there.
    packing: Option<Packing>,
    workspace: u64,
    /// The workspace whose attention window holds the longest context that llama.cpp gets.
    workspace_of_context: u64,
    shallow: At,
    deep: At,
    weight_bytes_per_token: u64,
    boards: Vec<Estimate>,
}

/// How fast a board decodes at most.
#[derive(Serialize)]
struct Estimate {
    board: &'static str,
    /// The board's bytes a second, of its RAM's data sheet, over the bytes of weights that a token reads.
    tokens_per_second: f64,
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
    /// Tokens a second on this machine, of the first thousand tokens, of one in the middle, and of the last.
    reading: Vec<Piece>,
    /// Tokens a second on this machine that are decoded after them.
    tokens_per_second: f64,
}

/// A part of the tokens that are read, as `jamlet bench` measures it.
#[derive(Serialize)]
struct Piece {
    /// Tokens before these.
    begin: u64,
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
    let mut measured = Ok(());
    for machine in machines {
        let scratch = tempfile::tempdir_in(&folder)?;
        measured = measure(machine, args, &jamlet, &bound, llama.as_ref(), scratch.path(), &mut report);
        if measured.is_err() {
            // What was measured before took long, so it is printed all the same.
            break;
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        table::print(&report);
    }
    measured
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
    let name = |bits| format!("{}-{bits}.jamlet", machine.size.name());
    let images: Vec<_> =
        args.bits.iter().map(|&bits| (bits, args.images.as_deref().unwrap_or(scratch).join(name(bits)))).collect();
    if llama.is_some() || images.iter().any(|(_, image)| !image.exists()) {
        synthetic::write(machine.size, &checkpoint)?;
    }
    let mut packed = Vec::new();
    for (bits, image) in images {
        let packing = match image.exists() {
            true => None,
            false => Some(pack(machine, bits, &checkpoint, &image, jamlet, bound)?),
        };
        packed.push((bits, packing, image));
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
    packing: Option<Packing>,
    image: &Path,
    args: &Args,
    jamlet: &Path,
    bound: &Bound,
) -> Result<Row> {
    let (threads, window, chunk) = (threads().to_string(), args.window.to_string(), CHUNK.to_string());
    let mut last = Value::Null;
    let mut at = |depth: usize| {
        eprintln!("{}: {bits} bits, {depth} tokens in {}", machine.size.name(), mib(machine.memory));
        group::forget(image)?;
        let depth_text = depth.to_string();
        let arguments = ["bench", text(image)?, "--json", "--repeat", "1", "--prompt", &chunk, "--chunks", &chunk];
        let more = ["--tokens", "64", "--threads", &threads, "--window", &window, "--depths", &depth_text];
        let run = bound.run(machine.memory, jamlet, &[arguments.as_slice(), &more].concat())?;
        last = serde_json::from_str(&run.stdout).context(run.stdout)?;
        let peak = whole(&last, "peak_rss_bytes")?;
        let decode = &last["decodes"][0];
        let reading = decode["reading"].as_array().context("jamlet's reading")?.iter();
        let reading =
            reading.map(|piece| Ok(Piece { begin: whole(piece, "begin")?, tokens_per_second: speed(piece)? }));
        let (reading, tokens_per_second) = (reading.collect::<Result<_>>()?, speed(decode)?);
        anyhow::Ok(At { depth, peak, reading, tokens_per_second })
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
    let bytes = whole(&last, "weight_bytes_per_token")?;
    let estimate = |&name| {
        let board = Board::named(name).with_context(|| format!("there is no board {name}"))?;
        Ok(Estimate { board: name, tokens_per_second: board.bandwidth as f64 / bytes as f64 })
    };
    Ok(Row {
        model: machine.size.name(),
        bits,
        machine: machine.name,
        memory: machine.memory,
        image: whole(&last, "image_bytes")?,
        packing,
        workspace: whole(&last, "workspace_bytes")?,
        workspace_of_context: workspace(image, machine.contexts[1])?,
        shallow,
        deep,
        weight_bytes_per_token: bytes,
        boards: machine.boards.iter().map(estimate).collect::<Result<_>>()?,
    })
}

/// Bytes of the workspace whose attention window holds a whole context, for an image that `jamlet bench` was given.
fn workspace(image: &Path, context: u32) -> Result<u64> {
    // More than header and layer table, which are all that a plan is made of.
    const BEGINNING: u64 = 1 << 16;
    let mut beginning = Vec::new();
    let file = fs::File::open(image).with_context(|| image.display().to_string())?;
    file.take(BEGINNING).read_to_end(&mut beginning).with_context(|| image.display().to_string())?;
    let options = Options::window(context).chunk(CHUNK).heads_at_once(heads_at_once(threads()));
    let plan = Plan::new(&beginning, options).map_err(|error| anyhow!("a window of {context} tokens: {error:?}"))?;
    Ok(plan.bytes() as u64)
}

/// Threads that compute: as many as the machines have cores, if this one has them.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// A number of `jamlet bench`.
fn whole(report: &Value, name: &str) -> Result<u64> {
    report[name].as_u64().with_context(|| format!("jamlet's {name}"))
}

/// A speed of `jamlet bench`.
fn speed(report: &Value) -> Result<f64> {
    report["tokens_per_second"].as_f64().context("jamlet's tokens_per_second")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{}: a path in UTF-8 would be right", path.display()))
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
