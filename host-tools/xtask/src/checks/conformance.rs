//! `cargo xtask conformance`: every target must compute exactly the bits of the goldens.

use crate::boards::emulated::{ALL, Emulated, Machine, named};
use crate::models::fixtures;
use anyhow::{Context, Result, bail, ensure};
use jamlet::{Eviction, Options, Plan, StateWidth};
use jamlet_app::conformance::{Case, HEADER_WORDS, MAGIC};
use jamlet_tools::aligned::Aligned;
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Targets by name; all if none is given.
    boards: Vec<String>,
    /// Only the models of these names.
    #[arg(long)]
    models: Vec<String>,
    /// A line of JSON for every run, instead of a table.
    #[arg(long)]
    json: bool,
    /// Also runs this image, compared with the host instead of a golden.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Changes one bit of one weight in every image, so that every run must fail: a test of this test.
    #[arg(long)]
    plant_fault: bool,
    /// Overwrites the goldens with what the host computes.
    #[arg(long)]
    bless: bool,
    /// Seconds that a run may take before it is killed.
    #[arg(long)]
    limit: Option<u64>,
}

/// What a run may take unless told otherwise: twenty times what it takes on a machine that does nothing else.
const LIMIT: Duration = Duration::from_secs(240);
/// The models that boards embed take part beside the fixtures.
const MODELS: [&str; 2] = ["nano", "pico"];
const CHUNKS: [u32; 4] = [1, 3, 8, 64];
/// Fixtures under other options than the rest: name, and whose image it is.
const VARIANTS: [(&str, &str); 3] = [("mamba-f16", "mamba"), ("gqa-heavy-int8", "gqa"), ("mamba2-int8", "mamba2")];
/// The chunks in which these run.
const VARIANT_CHUNKS: [u32; 2] = [3, 64];
/// Tokens that are decoded.
pub const DECODE: u32 = 32;
/// Tokens of a prompt: more than the largest chunk, and than the window.
pub const PROMPT: usize = 70;
/// Tokens that attention looks back.
pub const WINDOW: u32 = 48;

/// What a model must compute: the same for every target and chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Golden {
    /// What was prefilled.
    pub prompt: Vec<u32>,
    /// What was decoded.
    pub ids: Vec<u32>,
    /// FNV-1a of the bits of all logits.
    pub hash: String,
}

/// What one run found.
#[derive(Debug, Serialize)]
struct Finding {
    board: &'static str,
    model: String,
    chunk: u32,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    report: Report,
    /// Instructions a token, counted by the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode: Option<u64>,
    seconds: f64,
}

/// What a target reported.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Tokens that were decoded.
    #[serde(skip)]
    pub ids: Vec<u32>,
    /// Of the logits' bits; after a search, of the state's.
    pub hash: String,
    /// Steps of a search.
    #[serde(skip)]
    pub steps: u64,
    /// Its bytes.
    pub workspace: usize,
    /// The most stack in use, where the target knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<usize>,
    /// The state, where the case asked for it.
    #[serde(skip)]
    pub state: Vec<u8>,
    /// The stack after the first tokens of a stream.
    #[serde(skip)]
    pub early_stack: Option<usize>,
}

/// Runs the suite.
///
/// # Errors
/// When a target can't be built, or computes other bits.
pub fn run(args: &Args) -> Result<()> {
    for name in &args.boards {
        named(name)?;
    }
    let mut models = fixtures();
    let shelf = models_folder();
    let own = MODELS.map(|name| shelf.join(name).with_extension("jamlet"));
    for path in own.iter().chain(&args.image) {
        let bytes = crate::models::read(path)?;
        models.push((path.file_stem().unwrap_or_default().display().to_string(), bytes));
    }
    for name in &args.models {
        ensure!(models.iter().any(|(model, _)| model == name), "there is no model {name}");
    }
    models.retain(|(name, _)| args.models.is_empty() || args.models.contains(name));
    let mut goldens = BTreeMap::new();
    for (name, image) in &models {
        goldens.insert(name.clone(), golden(args, name, image)?);
    }
    if args.bless {
        return Ok(());
    }
    if args.plant_fault {
        models.iter_mut().for_each(|(_, image)| plant_fault(image));
    }
    let limit = args.limit.map_or(LIMIT, Duration::from_secs);
    let scratch = tempfile::tempdir()?;
    let (mut wrong, mut runs) = (0, 0);
    if !args.json {
        println!(
            "{:<11} {:<14} {:>5} {:>9} {:>6} {:>14} {:>13} {:>7}  result",
            "target", "model", "chunk", "workspace", "stack", "insns/prefill", "insns/decode", "seconds"
        );
    }
    for board in ALL.iter().filter(|board| args.boards.is_empty() || args.boards.iter().any(|name| name == board.name))
    {
        let program = match board.machine {
            Machine::Host => PathBuf::new(),
            _ => build(board)?,
        };
        for (name, image) in &models {
            for &chunk in chunks(name) {
                let run = Run { board, program: &program, name, image, golden: &goldens[name], chunk };
                let Some(finding) = run_one(&run, limit, scratch.path())? else {
                    if !args.json {
                        println!("{:<11} {name:<14} {chunk:>5} does not fit", board.name);
                    }
                    continue;
                };
                runs += 1;
                wrong += usize::from(!finding.ok);
                show(args, &finding)?;
            }
        }
    }
    if !args.json {
        println!("{runs} runs, {wrong} of them wrong");
    }
    match (args.plant_fault, wrong) {
        (false, 0) => Ok(()),
        (false, _) => bail!("{wrong} of {runs} runs differ from the goldens"),
        (true, _) if wrong == runs => bail!("all {runs} runs saw the planted fault, as they must"),
        (true, _) => bail!("{} of {runs} runs did not see the planted fault", runs - wrong),
    }
}

/// Runs the fixtures of these names on a board's program, in all their chunks: how many runs, all with the goldens' bits.
///
/// # Errors
/// The first run that fails or computes other bits.
pub fn suite(board: &Emulated, program: &Path, names: &[&str]) -> Result<usize> {
    let args = Args::default();
    let scratch = tempfile::tempdir()?;
    let mut runs = 0;
    for (name, image) in fixtures().iter().filter(|(name, _)| names.contains(&name.as_str())) {
        let golden = golden(&args, name, image)?;
        for &chunk in chunks(name) {
            let run = Run { board, program, name, image, golden: &golden, chunk };
            let finding = run_one(&run, LIMIT, scratch.path())?;
            let finding = finding.with_context(|| format!("{name} doesn't fit {}", board.name))?;
            if let Some(problem) = finding.problem {
                bail!("{name} in chunks of {chunk}: {problem}");
            }
            runs += 1;
        }
    }
    Ok(runs)
}

/// A case, and what its report must have.
pub struct GoldenCase {
    /// Of model and chunk.
    pub name: String,
    /// For the target.
    pub blob: Vec<u8>,
    /// Lines of the report.
    pub golden: String,
}

/// All cases of the fixtures and of the smallest model that boards embed, with the goldens' tokens and hash.
///
/// # Errors
/// When a golden can't be read.
pub fn cases() -> Result<Vec<GoldenCase>> {
    let mut models = fixtures();
    let [smallest, ..] = MODELS;
    models.push((smallest.into(), crate::models::read(&models_folder().join(smallest).with_extension("jamlet"))?));
    let mut cases = Vec::new();
    for (name, image) in &models {
        let golden = golden(&Args::default(), name, image)?;
        let ids: Vec<String> = golden.ids.iter().map(u32::to_string).collect();
        for &chunk in chunks(name) {
            cases.push(GoldenCase {
                name: format!("{name}-{chunk}"),
                blob: blob(image, &golden.prompt, options(name, chunk), 0)?,
                golden: format!("ids {}\nhash {}\n", ids.join(" "), golden.hash),
            });
        }
    }
    Ok(cases)
}

/// The committed golden of a fixture; of an image from outside, what the host computes.
fn golden(args: &Args, name: &str, image: &[u8]) -> Result<Golden> {
    let path = targets_folder().join(format!("../tests/goldens/{name}.json"));
    if !args.bless && path.exists() {
        return committed(name);
    }
    let golden = on_this_machine(name, image)?;
    let own = args.image.as_ref().is_some_and(|image| image.file_stem().is_some_and(|stem| stem == name));
    if args.bless && !own {
        fs::create_dir_all(targets_folder().join("../tests/goldens"))?;
        fs::write(&path, serde_json::to_string(&golden)? + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(golden)
}

/// The committed golden of this name.
///
/// # Errors
/// When there is none.
pub fn committed(name: &str) -> Result<Golden> {
    let path = targets_folder().join(format!("../tests/goldens/{name}.json"));
    let golden = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&golden).with_context(|| path.display().to_string())
}

fn on_this_machine(name: &str, image: &[u8]) -> Result<Golden> {
    let vocab = jamlet::model::Header::read(image).map_err(anyhow::Error::msg)?.vocab;
    // Any tokens do; these go through the vocabulary in no order.
    let prompt: Vec<u32> = (0..PROMPT as u32).map(|i| 3 + i * 7919 % (vocab - 3)).collect();
    let report = on_host(&blob(image, &prompt, options(name, 1), 0)?)?;
    Ok(Golden { prompt, ids: report.ids, hash: report.hash })
}

/// Instructions a token of this image on an emulated board, in chunks of 8: prefilled and decoded. `None` where they can't be
/// counted.
///
/// # Errors
/// When the board can't be run, or computes other bits than this machine.
pub fn instructions(board: &Emulated, image: &[u8]) -> Result<Option<(u64, u64)>> {
    let golden = on_this_machine("", image)?;
    let program = build(board)?;
    let scratch = tempfile::tempdir()?;
    let run = Run { board, program: &program, name: "", image, golden: &golden, chunk: 8 };
    let finding = run_one(&run, LIMIT, scratch.path())?;
    let finding = finding.with_context(|| format!("the model doesn't fit {}", board.name))?;
    match finding.problem {
        Some(problem) => bail!("{}: {problem}", board.name),
        None => Ok(finding.prefill.zip(finding.decode)),
    }
}

/// Instructions a step of a search with one beam, and with two, of this image on an emulated board. `None` where they can't be
/// counted.
///
/// # Errors
/// As [`instructions`].
pub fn instructions_of_beams(board: &Emulated, image: &[u8]) -> Result<Option<[u64; 2]>> {
    let prompt = on_this_machine("", image)?.prompt;
    let program = build(board)?;
    let scratch = tempfile::tempdir()?;
    let (file, counts) = (scratch.path().join("case"), scratch.path().join("counts"));
    let mut instructions = [None; 2];
    for (beams, instructions) in (1..).zip(&mut instructions) {
        let begin = Begin { search: true, ..Begin::default() };
        let case = blob_from(image, &prompt, options("", 8).beams(beams), 0, &begin)?;
        let right = on_host(&case)?;
        fs::write(&file, &case)?;
        let run = board.run_case(&program, &file, Some(&counts), LIMIT)?;
        let found = read_report(&run.stdout).with_context(|| format!("{}: {}", board.name, run.stderr.trim()))?;
        ensure!(
            (&found.ids, &found.hash, found.steps) == (&right.ids, &right.hash, right.steps),
            "{}: a search of {beams} beams finds something else than here",
            board.name
        );
        *instructions = region(&counts, 1, found.steps.max(1));
    }
    Ok(instructions[0].zip(instructions[1]).map(|(one, two)| [one, two]))
}

/// The images of this suite, by the name of their golden.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let images = fixtures::all();
    let variants = VARIANTS.iter().flat_map(|(name, of)| {
        images.iter().filter(move |(image, _)| image == of).map(move |(_, bytes)| ((*name).into(), bytes.clone()))
    });
    images.iter().map(|(name, bytes)| ((*name).into(), bytes.clone())).chain(variants).collect()
}

fn chunks(name: &str) -> &'static [u32] {
    if VARIANTS.iter().any(|(variant, _)| *variant == name) { &VARIANT_CHUNKS } else { &CHUNKS }
}

fn options(name: &str, chunk: u32) -> Options {
    let options = Options::window(WINDOW).chunk(chunk);
    match name {
        "mamba-f16" => options.state(StateWidth::F16),
        "mamba2-int8" => options.state(StateWidth::I8),
        // Of 52 slots 16 are a ring: 22 tokens of the prompt and what is decoded leave it.
        "gqa-heavy-int8" => options.state(StateWidth::I8).eviction(Eviction::HeavyHitters { recent: 16 }),
        _ => options,
    }
}

/// The program that runs a case.
///
/// # Errors
/// When it can't be built.
pub fn build(board: &Emulated) -> Result<PathBuf> {
    board.build(if board.folder == "checks/linux" { "linux" } else { "conformance" }, None)
}

/// A case as `jamlet_app::conformance` reads it.
///
/// # Errors
/// For options that cases can't have.
pub fn blob(image: &[u8], prompt: &[u32], o: Options, stream: u32) -> Result<Vec<u8>> {
    blob_from(image, prompt, o, stream, &Begin::default())
}

/// How a case begins, where that is not with nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begin<'s> {
    /// With a saved state.
    pub state: &'s [u8],
    /// With the baked prompt.
    pub baked: bool,
    /// Tokens after which the state is reported.
    pub report_at: usize,
    /// It ends with a search for the options' beams.
    pub search: bool,
}

/// As [`blob`], for a case that begins so.
///
/// # Errors
/// As there.
pub fn blob_from(image: &[u8], prompt: &[u32], o: Options, stream: u32, begin: &Begin<'_>) -> Result<Vec<u8>> {
    let state = match o.state {
        StateWidth::F32 => 0,
        StateWidth::F16 => 1,
        StateWidth::I8 => 2,
        other => bail!("cases have no number for states in {other:?}"),
    };
    let recent = match o.eviction {
        Eviction::Window => 0,
        Eviction::HeavyHitters { recent } => recent,
        other => bail!("cases have no number for eviction by {other:?}"),
    };
    let offset = ((HEADER_WORDS + prompt.len()) * 4).next_multiple_of(64);
    let (at, length, tokens) = (offset as u32, image.len() as u32, prompt.len() as u32);
    let head: [u32; HEADER_WORDS] = [
        MAGIC,
        at,
        length,
        tokens,
        DECODE,
        o.window,
        o.sinks,
        o.chunk,
        state,
        recent,
        stream,
        at + length,
        begin.state.len() as u32,
        begin.report_at as u32,
        begin.baked.into(),
        if begin.search { o.beams } else { 0 },
    ];
    let mut blob: Vec<u8> = head.iter().chain(prompt).flat_map(|word| word.to_le_bytes()).collect();
    blob.resize(offset, 0);
    blob.extend(image);
    blob.extend(begin.state);
    Ok(blob)
}

/// A model on a board.
struct Run<'a> {
    board: &'a Emulated,
    /// The board's program, by [`build`]; empty for the host.
    program: &'a Path,
    name: &'a str,
    image: &'a [u8],
    golden: &'a Golden,
    chunk: u32,
}

/// Gives what the board computed; `None` where the model doesn't fit it. It may take `limit`, and files go to `scratch`.
fn run_one(run: &Run<'_>, limit: Duration, scratch: &Path) -> Result<Option<Finding>> {
    let &Run { board, program, name, image, golden, chunk } = run;
    let options = options(name, chunk);
    let case = blob(image, &golden.prompt, options, 0)?;
    let workspace = Plan::new(image, options).map_err(anyhow::Error::msg)?.bytes();
    if !board.fits(case.len(), workspace) {
        return Ok(None);
    }
    let start = std::time::Instant::now();
    let counts = scratch.join("counts");
    let (output, problem) = match board.machine {
        Machine::Host => (on_host(&case), None),
        _ => {
            let file = scratch.join("case");
            fs::write(&file, &case)?;
            // A run that dies must not be credited with the counts of the one before.
            let _ = fs::remove_file(&counts);
            let run = board.run_case(program, &file, Some(&counts), limit)?;
            let problem = match run.status {
                None => Some(format!("killed after {} seconds", run.time.as_secs())),
                Some(status) if !status.success() => {
                    // What a board says of an exception comes last.
                    let last = run.stdout.lines().last().unwrap_or_default();
                    Some(format!("{status}: {} {last}", run.stderr.trim()))
                }
                Some(_) => None,
            };
            (read_report(&run.stdout), problem)
        }
    };
    let problem = match (&output, problem) {
        (_, Some(problem)) => Some(problem),
        (Err(error), None) => Some(error.to_string()),
        (Ok(report), None) if report.ids != golden.ids => Some("other tokens".into()),
        (Ok(report), None) if report.hash != golden.hash => Some("other logits".into()),
        (Ok(_), None) => None,
    };
    let (prefill, decode) = match board.machine {
        // On a Raspberry Pi, what core 0 counts depends on what the others do.
        Machine::Host | Machine::Wasm(_) | Machine::Pi { .. } => (None, None),
        _ => (region(&counts, 0, golden.prompt.len() as u64), region(&counts, 1, u64::from(DECODE - 1))),
    };
    Ok(Some(Finding {
        board: board.name,
        model: name.into(),
        chunk,
        ok: problem.is_none(),
        problem,
        report: output.unwrap_or_default(),
        prefill,
        decode,
        seconds: start.elapsed().as_secs_f64(),
    }))
}

/// Instructions a token in a region, from what the plugin wrote.
pub fn region(counts: &Path, region: u32, tokens: u64) -> Option<u64> {
    let text = fs::read_to_string(counts).ok()?;
    let line = text.lines().find(|line| line.starts_with(&format!("region {region} ")))?;
    let insns: u64 = line.split(" insns ").nth(1)?.split(' ').next()?.parse().ok()?;
    Some(insns / tokens)
}

/// Runs a case in this process.
///
/// # Errors
/// What kept it from running.
pub fn on_host(case: &[u8]) -> Result<Report> {
    let case = Aligned::copy(case);
    let case = Case::parse(case.bytes()).context("the case is malformed")?;
    let bytes = Plan::new(case.image, case.options).map_err(anyhow::Error::msg)?.bytes();
    let mut report = String::new();
    jamlet_app::conformance::run(&case, Aligned::zeroed(bytes).bytes_mut(), &mut (), &mut report)?;
    read_report(&(report + "end\n"))
}

/// What a target printed.
///
/// # Errors
/// The one that it reported, or that it ended early.
pub fn read_report(text: &str) -> Result<Report> {
    let mut report = Report::default();
    let mut ended = false;
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "workspace" => report.workspace = rest.parse()?,
            "stack" => report.stack = Some(rest.parse()?),
            "early" => report.early_stack = Some(rest.parse()?),
            "ids" => report.ids = rest.split(' ').map(str::parse).collect::<Result<_, _>>()?,
            "hash" => report.hash = rest.into(),
            "steps" => report.steps = rest.parse()?,
            "state" => report.state = bytes(rest).context("a state that isn't in hexadecimal digits")?,
            "error" => bail!("{rest}"),
            "end" => ended = true,
            _ => {}
        }
    }
    ensure!(ended, "the report ends early: {text:?}");
    Ok(report)
}

/// Bytes of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes = pairs.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn show(args: &Args, finding: &Finding) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(finding)?);
        return Ok(());
    }
    let number = |n: Option<u64>| n.map_or("-".into(), |n| n.to_string());
    println!(
        "{:<11} {:<14} {:>5} {:>9} {:>6} {:>14} {:>13} {:>7.2}  {}",
        finding.board,
        finding.model,
        finding.chunk,
        finding.report.workspace,
        number(finding.report.stack.map(|bytes| bytes as u64)),
        number(finding.prefill),
        number(finding.decode),
        finding.seconds,
        finding.problem.as_deref().unwrap_or("equal"),
    );
    Ok(())
}

/// Flips the lowest bit of a weight in the last quarter of the image, and makes the checksum right again.
fn plant_fault(image: &mut [u8]) {
    let at = image.len() / 4 * 3;
    if let Some(byte) = image.iter_mut().skip(at).find(|byte| **byte != 0) {
        *byte ^= 1;
    }
    fixtures::seal(image);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_equals_the_goldens_and_a_planted_fault_does_not() {
        for (name, mut image) in fixtures() {
            let path = targets_folder().join(format!("../tests/goldens/{name}.json"));
            let golden: Golden = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            for chunk in CHUNKS {
                let report = on_host(&blob(&image, &golden.prompt, options(&name, chunk), 0).unwrap()).unwrap();
                assert_eq!((&report.ids, &report.hash), (&golden.ids, &golden.hash), "{name}, chunk {chunk}");
            }
            plant_fault(&mut image);
            let report = on_host(&blob(&image, &golden.prompt, options(&name, 8), 0).unwrap()).unwrap();
            assert_ne!(report.hash, golden.hash, "{name}");
        }
    }

    #[test]
    fn reports_that_end_early_or_hold_an_error_are_refused() {
        assert!(read_report("ids 1 2\n").is_err());
        assert!(read_report("error image: damaged\nend\n").is_err());
        assert_eq!(read_report("ids 1 2\nhash 00\nstack 9\nend\n").unwrap().ids, [1, 2]);
    }
}
