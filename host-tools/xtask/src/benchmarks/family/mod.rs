//! `cargo xtask family`: S4D, Mamba, Transformer, Jamba and Granite of one size beside each other, on an emulated board: what they
//! recall of a text, and what memory and instructions they take, by the text's length.
//!
//! Answers are counted on this machine. The board runs one text of each task and length, as far as its memory goes, and
//! must compute the same bits; it gives the instructions.

mod chart;
mod measured;
mod table;

use crate::benchmarks::recall::texts::{self, Text, Texts};
use crate::boards::emulated::{ALL, Emulated, Machine};
use crate::checks::conformance::{DECODE, blob, build, on_host, read_report, region};
use crate::models;
use anyhow::{Context, Result, bail, ensure};
use jamlet::{Model, Options, Plan};
use jamlet_tools::aligned::Aligned;
use jamlet_tools::pack::Widths;
use jamlet_tools::progress;
use measured::{Line, Point, STATES, Sight, TRAINED};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// What `python -m family.train` made: a Hugging Face folder for each model, and texts.
    folder: PathBuf,
    /// The emulated board.
    #[arg(long, default_value = "stm32f405")]
    board: String,
    /// Tokens that attention looks back, where it doesn't see all.
    #[arg(long, default_value_t = 64)]
    window: u32,
    /// Only texts of at most this length.
    #[arg(long)]
    longest: Option<u32>,
    /// Writes results.md and results.svg into this folder.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The models: name, folder, and whether there is attention.
const MODELS: [(&str, &str, bool); 5] = [
    ("S4D", "s4d", false),
    ("Mamba", "mamba", false),
    ("Transformer", "transformer", true),
    ("Jamba", "jamba", true),
    ("Granite", "granite", true),
];
/// Longest run of the emulator.
const LIMIT: Duration = Duration::from_secs(1800);

/// Prints or writes the comparison.
///
/// # Errors
/// When a folder lacks something, or the board computes other bits than this machine.
pub fn run(args: &Args) -> Result<()> {
    let board = ALL.iter().find(|board| board.name == args.board && board.machine != Machine::Host);
    let board = board.with_context(|| format!("there is no emulated board {}", args.board))?;
    let mut texts = texts::read(&args.folder.join("texts.jsonl"))?;
    texts.retain(|(_, length), _| args.longest.is_none_or(|longest| *length <= longest));
    ensure!(!texts.is_empty(), "all texts are longer than that");
    let program = build(board)?;
    let mut lines = Vec::new();
    let ways: usize = MODELS.iter().map(|(.., attends)| if *attends { 3 } else { 1 }).sum();
    let bar = progress::count("comparing", (ways * texts.len()) as u64);
    for (model, folder, attends) in MODELS {
        let folder = args.folder.join(folder);
        let image = Aligned::copy(&models::pack(&folder, Widths::EIGHT)?);
        let parameters = parameters(&folder)?;
        let sights = match attends {
            false => vec![Sight::NoAttention],
            true => vec![Sight::All, Sight::Last(args.window), Sight::HeavyHitters(args.window)],
        };
        for sight in sights {
            let points = measure(board, &program, &image, sight, &texts, || bar.inc(1))?;
            let recurrent = model != "Transformer" && matches!(sight, Sight::NoAttention | Sight::All);
            let states = if recurrent { by_state(&image, sight, &texts)? } else { Vec::new() };
            lines.push(Line { model, sight, parameters, points, states });
        }
    }
    bar.finish_and_clear();
    let sizes = || lines.iter().map(|line| line.parameters);
    let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    ensure!(most as f64 <= 1.05 * least as f64, "the models have {least} to {most} parameters: more than 5 % apart");
    if let Some(folder) = &args.write {
        fs::write(folder.join("results.md"), table::markdown(board, &lines))?;
        chart::draw(&lines, board, &folder.join("results.svg"))?;
    } else if args.json {
        println!("{}", serde_json::to_string(&lines)?);
    } else {
        print!("{}", table::markdown(board, &lines));
    }
    Ok(())
}

/// The perplexity of answers by what states are stored as.
fn by_state(image: &Aligned, sight: Sight, texts: &Texts) -> Result<Vec<(&'static str, f64)>> {
    let model = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?;
    let trained = || texts.iter().filter(|((_, length), _)| *length <= TRAINED).flat_map(|(_, texts)| texts);
    let longest = trained().map(|text| text.tokens.len()).max().unwrap_or(0) as u32;
    let mut found = Vec::new();
    for (name, width) in STATES {
        let answers = texts::answers(&model, sight.options(longest).state(width), trained())?;
        found.push((name, answers.perplexity()));
    }
    Ok(found)
}

/// All lengths, the shortest first.
fn measure(
    board: &Emulated,
    program: &Path,
    image: &Aligned,
    sight: Sight,
    texts: &Texts,
    mut tick: impl FnMut(),
) -> Result<Vec<Point>> {
    let model = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?;
    let mut points: Vec<Point> = Vec::new();
    let mut lengths: Vec<u32> = texts.keys().map(|(_, length)| *length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths {
        let of_length = || texts.iter().filter(|((_, of), _)| *of == length);
        let longest = of_length().flat_map(|(_, texts)| texts).map(|text| text.tokens.len()).max().unwrap_or(0);
        // What is decoded must be seen as well.
        let options = sight.options(longest as u32 + DECODE);
        let ram = Plan::new(image.bytes(), options).map_err(anyhow::Error::msg)?.bytes();
        let (mut recalled, mut instructions) = (Vec::new(), Vec::new());
        for ((task, _), texts) in of_length() {
            recalled.push((task.clone(), 100.0 * texts::answers(&model, options, texts)?.accuracy()));
            let one = texts.first().context("a task without texts")?;
            instructions.extend(on_board(board, program, image.bytes(), options, one)?);
            tick();
        }
        let mean = instructions.iter().sum::<u64>().checked_div(instructions.len() as u64);
        points.push(Point { length, recalled, ram, instructions: mean });
    }
    Ok(points)
}

/// Reads a text up to its last answer and decodes from there, on the board and here: the same bits? Gives the instructions
/// of a decoded token; `None` where the board has too little memory.
fn on_board(board: &Emulated, program: &Path, image: &[u8], options: Options, text: &Text) -> Result<Option<u64>> {
    let end = text.answers.last().copied().unwrap_or(text.tokens.len());
    let case = blob(image, &text.tokens[..end], options, 0)?;
    let workspace = Plan::new(image, options).map_err(anyhow::Error::msg)?.bytes();
    if !board.fits(case.len(), workspace) {
        return Ok(None);
    }
    let scratch = tempfile::tempdir()?;
    let (file, counts) = (scratch.path().join("case"), scratch.path().join("counts"));
    fs::write(&file, &case)?;
    let run = board.run_case(program, &file, Some(&counts), LIMIT)?;
    if !run.status.is_some_and(|status| status.success()) {
        bail!("{}: {}", board.name, run.stderr.trim());
    }
    let (there, here) = (read_report(&run.stdout)?, on_host(&case)?);
    let same = there.hash == here.hash && there.ids == here.ids;
    ensure!(same, "{} computes other logits than this machine for a text of {} tokens", board.name, text.length);
    let counted = region(&counts, 1, u64::from(DECODE - 1));
    counted.context("instructions were not counted: QEMU's plugin is missing").map(Some)
}

/// Weights of a checkpoint.
fn parameters(folder: &Path) -> Result<u64> {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
    Ok(tensors.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>() as u64).sum())
}
