//! `cargo xtask endless`: a text of a million tokens, in memory that doesn't grow and at a cost that doesn't rise.

use crate::boards::emulated::{ALL, Emulated, Machine};
use crate::checks::conformance::{Report, blob, on_host, read_report, region};
use crate::models::{self, fixtures};
use anyhow::{Context, Result, bail, ensure};
use jamlet::{Eviction, Model, Options, Plan, StateWidth};
use jamlet_app::endless::{BATCH, COUNTED, WARM_UP};
use jamlet_tools::workspace::HostWorkspace;
use jamlet_tools::{memory, progress};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Tokens that this machine reads.
    #[arg(long, default_value_t = 1_000_000)]
    tokens: u64,
    /// Tokens that the emulated board reads.
    #[arg(long, default_value_t = 20_000)]
    board_tokens: u32,
    /// The emulated board, or target.
    #[arg(long, default_value = "qemu-m4")]
    board: String,
    /// Another image than the smallest one that has Mamba and attention.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Attention window.
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// A state in int8 and heavy hitters in half of the window, in place of an f32 state and a plain window.
    #[arg(long)]
    narrow: bool,
}

impl Default for Args {
    fn default() -> Self {
        let board = "qemu-m4".into();
        Self { tokens: 1_000_000, board_tokens: 20_000, board, image: None, window: 32, narrow: true }
    }
}

/// Longest run of the emulator.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Tokens that this machine is given together.
const PIECE: u64 = 1000;

/// Runs both, prints the figures and checks them.
///
/// # Errors
/// When memory grows or the cost of a token changes by 1 %.
pub fn run(args: &Args) -> Result<()> {
    let image = match &args.image {
        Some(path) => models::read(path)?,
        None => fixtures::smallest(),
    };
    let mut options = Options::window(args.window);
    if args.narrow {
        let recent = args.window.div_ceil(2);
        options = options.state(StateWidth::I8).eviction(Eviction::HeavyHitters { recent });
    }
    Plan::new(&image, options).map_err(anyhow::Error::msg)?;
    println!("{options:?}");
    if args.tokens > 0 {
        on_this_machine(&image, options, args.tokens)?;
    }
    if args.board_tokens > 0 {
        let board = ALL.iter().find(|board| board.name == args.board && board.machine != Machine::Host);
        let board = board.with_context(|| format!("there is no emulated target {}", args.board))?;
        on_board(board, &image, options, args.board_tokens)?;
    }
    Ok(())
}

/// Tokens that go through the vocabulary in no order, without an end.
fn text(image: &[u8]) -> Result<impl Iterator<Item = u32>> {
    let vocab = u64::from(jamlet::model::Header::read(image).map_err(anyhow::Error::msg)?.vocab);
    Ok((0..).map(move |i: u64| ((i ^ i >> 7).wrapping_mul(7919) % vocab) as u32))
}

fn on_this_machine(image: &[u8], options: Options, tokens: u64) -> Result<()> {
    let aligned = jamlet_tools::aligned::Aligned::copy(image);
    let model = Model::parse(aligned.bytes()).map_err(anyhow::Error::msg)?;
    let mut workspace = HostWorkspace::new(&model, options)?;
    let mut session = workspace.session(&model)?;
    let mut text = text(image)?;
    let mut piece = vec![0; PIECE as usize];
    let bar = progress::count("reading", tokens);
    // After a hundredth everything was used that ever will be.
    let warm = (tokens / 100).max(1).next_multiple_of(PIECE);
    // Asking takes memory the first time.
    let _ = memory::resident();
    let (mut before, mut largest, start) = (None, 0, Instant::now());
    while session.position() < tokens {
        piece.iter_mut().zip(&mut text).for_each(|(place, token)| *place = token);
        session.feed(&piece)?;
        bar.set_position(session.position());
        if session.position().is_multiple_of(warm) {
            let now = memory::resident().context("this system doesn't tell how much memory a process has")?;
            largest = largest.max(now.current);
            before.get_or_insert(now);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let (before, after) = (before.context("no token")?, memory::resident().context("no memory")?);
    println!(
        "this machine  {tokens} tokens, {:.0} a second; resident after {warm}: {} KiB, largest afterwards {} KiB; peak {} and {} KiB",
        tokens as f64 / seconds,
        before.current / 1024,
        largest / 1024,
        before.peak / 1024,
        after.peak / 1024
    );
    ensure!(largest <= before.current, "memory grew by {} bytes", largest - before.current);
    ensure!(after.peak == before.peak, "the peak grew by {} bytes", after.peak - before.peak);
    Ok(())
}

fn on_board(board: &Emulated, image: &[u8], options: Options, tokens: u32) -> Result<()> {
    let least = ((WARM_UP + 2 * COUNTED) * BATCH) as u32;
    ensure!(tokens >= least, "{tokens} tokens are too few to compare the first with the last: {least} would do");
    let prompt: Vec<u32> = text(image)?.take(1009).collect();
    let case = blob(image, &prompt, options, tokens)?;
    let workspace = Plan::new(image, options).map_err(anyhow::Error::msg)?.bytes();
    ensure!(board.fits(case.len(), workspace), "the model doesn't fit {}", board.name);
    let right = on_host(&case)?;
    let program = board.build(if board.folder == "checks/linux" { "linux" } else { "conformance" }, None)?;
    let scratch = tempfile::tempdir()?;
    let (report, [early, late]) = emulate(board, &program, &case, scratch.path())?;
    let change = 100.0 * (late as f64 - early as f64) / early as f64;
    println!(
        "{:<12}  {tokens} tokens; instructions a token: {early} at the beginning, {late} at the end ({change:+.3} %); \
         stack {} and {} bytes, no heap",
        board.name,
        report.early_stack.map_or("?".into(), |bytes| bytes.to_string()),
        report.stack.map_or("?".into(), |bytes| bytes.to_string())
    );
    ensure!(report.hash == right.hash, "{} computes other logits than this machine", board.name);
    ensure!(change.abs() < 1.0, "a token costs {change:+.2} % at the end");
    if let (Some(early), Some(late)) = (report.early_stack, report.stack) {
        // What the report itself takes comes last.
        ensure!(late <= early.max(REPORT_STACK), "the stack grew from {early} to {late} bytes");
    }
    Ok(())
}

/// What formatting the report may take of the stack.
const REPORT_STACK: usize = 2048;

fn emulate(board: &Emulated, program: &Path, case: &[u8], scratch: &Path) -> Result<(Report, [u64; 2])> {
    let (file, counts) = (scratch.join("case"), scratch.join("counts"));
    fs::write(&file, case)?;
    let run = board.run_case(program, &file, Some(&counts), LIMIT)?;
    if !run.status.is_some_and(|status| status.success()) {
        bail!("{}: {}", board.name, run.stderr.trim());
    }
    let counted = (COUNTED * BATCH) as u64;
    let (Some(early), Some(late)) = (region(&counts, 0, counted), region(&counts, 1, counted)) else {
        bail!("instructions were not counted: QEMU's plugin is missing");
    };
    Ok((read_report(&run.stdout)?, [early, late]))
}
