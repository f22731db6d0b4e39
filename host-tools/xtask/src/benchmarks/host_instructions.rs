//! Instructions per token on an x86-64 host: callgrind counts this program at work, twice with different numbers of tokens,
//! and the difference is theirs alone. valgrind knows AVX2 and nothing newer, so it is the AVX2 kernels that are counted.

use anyhow::{Context, Result, bail, ensure};
use clap::Args as ClapArgs;
use jamlet::kernels::Kernels;
use jamlet::{Options, Sampler};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::process;
use jamlet_tools::workspace::HostWorkspace;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Counts instructions per token of prefill and decode.
#[derive(ClapArgs)]
pub struct Args {
    /// The image [default: the built-in model].
    image: Option<PathBuf>,
    /// Tokens that prefill reads together.
    #[arg(long, default_value_t = 64)]
    chunk: u32,
    /// Recent tokens that attention sees.
    #[arg(long, default_value_t = 512)]
    window: u32,
    /// Also count decoding after so many tokens; nothing for none.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_value = "1000,100000")]
    depths: Vec<usize>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// What is counted: a session that goes on from a snapshot, reads some tokens and writes some.
#[derive(ClapArgs)]
pub struct Tokens {
    image: PathBuf,
    #[arg(long)]
    snapshot: Option<PathBuf>,
    #[arg(long)]
    prefill: usize,
    #[arg(long)]
    decode: usize,
    #[arg(long)]
    chunk: u32,
    #[arg(long)]
    window: u32,
}

/// Instructions per token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counts {
    /// The kernels that were counted.
    pub kernels: String,
    /// Tokens that prefill reads together.
    pub chunk: u32,
    /// Recent tokens that attention sees.
    pub window: u32,
    /// Of a prefill from token 8 to 136.
    pub prefill: f64,
    /// Of decoding 32 tokens after 8.
    pub decode: f64,
    /// The same after more tokens.
    pub decode_at: Vec<Depth>,
}

/// Decoding at a depth.
#[derive(Debug, Serialize, Deserialize)]
pub struct Depth {
    /// Tokens before.
    pub depth: usize,
    /// Instructions per token.
    pub decode: f64,
}

const FIRST: usize = 8;
const PREFILL: usize = 128;
const DECODE: usize = 32;

pub fn run(args: &Args) -> Result<()> {
    let counts = count(args.image.as_deref(), args.chunk, args.window, &args.depths)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&counts)?);
        return Ok(());
    }
    println!("kernels  {}", counts.kernels);
    println!("prefill  {:>12.0} instructions a token, in chunks of {}", counts.prefill, counts.chunk);
    println!("decode   {:>12.0}", counts.decode);
    for Depth { depth, decode } in &counts.decode_at {
        println!("decode   {decode:>12.0} after {depth} tokens, window {}", counts.window);
    }
    Ok(())
}

/// Counts for an image by a release build of this program, which counts itself; with a window of 1,024.
///
/// # Errors
/// The compiler's, or where valgrind is missing.
pub fn by_release_build(image: &Path) -> Result<Counts> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["run", "--release", "--quiet", "--package", "xtask", "--", "host-instructions"]);
    let text = process::output(cargo.arg(image).args(["--json", "--window", "1024", "--depths"]))?;
    serde_json::from_str(&text).context(text)
}

/// Counts for an image.
///
/// # Errors
/// When valgrind is missing, the image can't be run, or this isn't a release build.
fn count(image: Option<&Path>, chunk: u32, window: u32, depths: &[usize]) -> Result<Counts> {
    ensure!(
        !cfg!(debug_assertions),
        "this program counts its own instructions, and was built with checks: cargo run --release --package xtask -- host-instructions"
    );
    let folder = tempfile::tempdir()?;
    let file = ImageFile::open(image)?;
    let image = match image {
        Some(path) => path.to_path_buf(),
        None => {
            let path = folder.path().join("image.jamlet");
            std::fs::write(&path, file.bytes())?;
            path
        }
    };
    let run = |snapshot: Option<&Path>, prefill: usize, decode: usize| {
        let mut arguments = vec!["tokens".into(), image.clone().into_os_string()];
        for (name, value) in
            [("prefill", prefill), ("decode", decode), ("chunk", chunk as usize), ("window", window as usize)]
        {
            arguments.extend([format!("--{name}").into(), value.to_string().into()]);
        }
        if let Some(snapshot) = snapshot {
            arguments.extend(["--snapshot".into(), snapshot.as_os_str().to_owned()]);
        }
        callgrind(Command::new("valgrind"), &std::env::current_exe()?, &arguments)
    };
    let difference = |more: (u64, String), less: (u64, String), tokens: usize| (more.0 - less.0) as f64 / tokens as f64;
    let short = run(None, FIRST, 1)?;
    let kernels = short.1.trim().to_owned();
    let prefill = difference(run(None, FIRST + PREFILL, 1)?, short.clone(), PREFILL);
    let decode = difference(run(None, FIRST, 1 + DECODE)?, short, DECODE);
    let mut decode_at = Vec::new();
    for &depth in depths {
        let snapshot = folder.path().join("snapshot");
        std::fs::write(&snapshot, at_depth(&file, depth, chunk, window)?)?;
        let (less, more) = (run(Some(&snapshot), 0, 1)?, run(Some(&snapshot), 0, 1 + DECODE)?);
        decode_at.push(Depth { depth, decode: difference(more, less, DECODE) });
    }
    Ok(Counts { kernels, chunk, window, prefill, decode, decode_at })
}

/// Instructions that a program runs, and what it prints.
///
/// # Errors
/// When valgrind is missing, or the program fails in it.
pub fn callgrind(mut valgrind: Command, program: &Path, arguments: &[std::ffi::OsString]) -> Result<(u64, String)> {
    const LIMIT: Duration = Duration::from_secs(1200);
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(arguments);
    let run = process::run(&mut valgrind, LIMIT).context("valgrind is needed (Debian: apt install valgrind)")?;
    ensure!(run.status.is_some_and(|status| status.success()), "in valgrind: {}", run.stderr.trim());
    let count = run.stderr.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    match count {
        Some(count) => Ok((count, run.stdout)),
        None => bail!("callgrind said no count: {}", run.stderr.trim()),
    }
}

/// A snapshot after `depth` tokens, computed without valgrind: the bits are the same with any kernels.
fn at_depth(file: &ImageFile, depth: usize, chunk: u32, window: u32) -> Result<Vec<u8>> {
    let model = file.model()?;
    let mut workspace = HostWorkspace::new(&model, Options::window(window).chunk(chunk))?;
    let mut session = workspace.session(&model)?;
    session.feed(&prompt(depth, model.header().vocab))?;
    let mut snapshot = vec![0; session.plan().snapshot_with_logits_bytes()];
    let length = session.snapshot_with_logits(&mut snapshot)?;
    snapshot.truncate(length);
    Ok(snapshot)
}

/// Any tokens do; these go through the vocabulary in no order.
fn prompt(tokens: usize, vocab: u32) -> Vec<u32> {
    (0..tokens as u64).map(|i| (i * 7919 % u64::from(vocab)) as u32).collect()
}

/// Reads and writes tokens, and prints the name of the kernels.
///
/// # Errors
/// When the image can't be run.
pub fn tokens(args: &Tokens) -> Result<()> {
    let file = ImageFile::open(Some(&args.image))?;
    let model = file.model()?;
    let mut workspace = HostWorkspace::new(&model, Options::window(args.window).chunk(args.chunk))?;
    let mut session = workspace.session(&model)?;
    if let Some(path) = &args.snapshot {
        session.restore(&std::fs::read(path)?)?;
    }
    session.feed(&prompt(args.prefill, model.header().vocab))?;
    let mut sampler = Sampler::greedy();
    for _ in 0..args.decode {
        session.next(&mut sampler)?;
    }
    println!("{}", Kernels::detect().name());
    Ok(())
}
