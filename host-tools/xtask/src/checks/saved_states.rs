//! `cargo xtask states`: states go from this machine to every emulated board and back, outlive power cuts there, and are baked
//! into images.

use crate::boards::conversation::{Conversation, options};
use crate::boards::emulated::{ALL, Emulated, Machine, named};
use crate::checks::conformance::{self, Begin, PROMPT, Report, WINDOW, blob_from, on_host, read_report, region};
use crate::models::fixtures;
use crate::models::random_text_model;
use anyhow::{Context, Result, ensure};
use jamlet::{Eviction, Options, Plan, StateWidth};
use jamlet_tools::bake::bake;
use jamlet_tools::firmware::build::{Build, models_folder};
use jamlet_tools::image_file::ImageFile;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Targets by name that states go to and come back from; all if none is given.
    boards: Vec<String>,
}

const LIMIT: Duration = Duration::from_secs(300);
/// Tokens after which the board gets a state, and after which it gives one.
const GIVEN: usize = 20;
const TAKEN: usize = 61;

/// Everything.
///
/// # Errors
/// The first bit that differs.
pub fn run(args: &Args) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for board in ALL.iter().filter(|board| !matches!(board.machine, Machine::Host)) {
        if args.boards.is_empty() || args.boards.iter().any(|name| name == board.name) {
            let program = conformance::build(board)?;
            let start = Instant::now();
            let bytes = there_and_back(board, &program).with_context(|| format!("on {}", board.name))?;
            println!(
                "{:<10} states of {bytes} bytes went there and back: the same bits ({:.1} s)",
                board.name,
                start.elapsed().as_secs_f64()
            );
        }
    }
    if args.boards.is_empty() {
        baked(scratch.path())?;
        kept(scratch.path())?;
    }
    Ok(())
}

/// Every kind of layer and of state. The cache of the second one has gone round when the state is taken.
fn kinds() -> [(&'static str, Options); 3] {
    let all = Options::window(WINDOW).chunk(8);
    [
        ("moe", all),
        ("moe", Options::window(24).chunk(8).state(StateWidth::F16)),
        ("gqa", all.state(StateWidth::I8).eviction(Eviction::HeavyHitters { recent: 16 })),
    ]
}

/// The board goes on from a state of this machine, and this machine from one of the board. How many bytes they have.
///
/// # Errors
/// The first bit that differs.
pub fn there_and_back(board: &Emulated, program: &Path) -> Result<usize> {
    let scratch = tempfile::tempdir()?;
    let mut bytes = 0;
    for (name, options) in kinds() {
        let image = fixtures::all().into_iter().find(|(image, _)| *image == name).context("a fixture")?.1;
        let vocab = jamlet::model::Header::read(&image).map_err(anyhow::Error::msg)?.vocab;
        let prompt: Vec<u32> = (0..PROMPT as u32).map(|i| 3 + i * 7919 % (vocab - 3)).collect();
        let case = |from: usize, state: &[u8], report_at: usize| {
            let report_at = report_at.saturating_sub(from);
            blob_from(&image, &prompt[from..], options, 0, &Begin { state, report_at, ..Begin::default() })
        };
        // On this machine alone, without any state in between.
        let right = on_host(&case(0, &[], 0)?)?;
        let given = on_host(&case(0, &[], GIVEN)?)?.state;
        let taken = on_host(&case(0, &[], TAKEN)?)?.state;
        let there = on_board(board, program, scratch.path(), &case(GIVEN, &given, TAKEN)?, None)?;
        ensure!((&there.ids, &there.hash) == (&right.ids, &right.hash), "{name}: other logits after a state from here");
        ensure!(there.state == taken, "{name}: another state than here");
        let back = on_host(&case(TAKEN, &there.state, 0)?)?;
        ensure!((&back.ids, &back.hash) == (&right.ids, &right.hash), "{name}: other logits after a state from there");
        // And what was damaged on the way is refused there as it is here.
        let mut damaged = given.clone();
        damaged[given.len() / 2] ^= 4;
        for (state, problem) in [(&damaged[..], "it is damaged"), (&given[..given.len() - 1], "would be right")] {
            let refused = on_board(board, program, scratch.path(), &case(GIVEN, state, 0)?, None);
            let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
            ensure!(said.contains(problem), "{name}: a damaged state is answered with {said:?}");
        }
        bytes += given.len() + taken.len();
    }
    Ok(bytes)
}

fn on_board(board: &Emulated, program: &Path, scratch: &Path, case: &[u8], counts: Option<&Path>) -> Result<Report> {
    let file = scratch.join("case");
    fs::write(&file, case)?;
    let run = board.run_case(program, &file, counts, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{:?}: {}", run.status, run.stderr.trim());
    read_report(&run.stdout)
}

/// The text that is baked in.
const INSTRUCTION: &str = "The maintainers of the distribution ask for a summary in one sentence, without names and numbers. \
                           What follows is the description of the package. It was written by its authors:\n";

/// What a board saves that starts from a baked prompt, and that it says the same.
fn baked(scratch: &Path) -> Result<()> {
    let board = named("qemu-m33")?;
    let shelf = models_folder().join("nano.jamlet");
    let program = conformance::build(board)?;
    let (path, window) = (scratch.join("baked.jamlet"), Options::window(256));
    let prefix = bake(&ImageFile::open(Some(&shelf))?, INSTRUCTION, window, &path, |_, _| ())?.tokens;
    let image = fs::read(&path)?;
    let tokens: Vec<u32> = {
        let file = ImageFile::open(Some(&path))?;
        file.model()?.opening().collect()
    };
    let text: Vec<u32> = (3..19).collect();
    let whole = [&tokens[..], &text].concat();
    let counts = scratch.join("counts");
    let measure = |prompt: &[u32], baked| -> Result<(Report, Option<u64>)> {
        let _ = fs::remove_file(&counts);
        let begin = Begin { baked, ..Begin::default() };
        let case = blob_from(&image, prompt, window, 0, &begin)?;
        let report = on_board(board, &program, scratch, &case, Some(&counts))?;
        Ok((report, region(&counts, 0, 1)))
    };
    let ((read, all), (started, rest)) = (measure(&whole, false)?, measure(&text, true)?);
    ensure!((&read.ids, &read.hash) == (&started.ids, &started.hash), "other logits from the baked prompt");
    let (all, rest) = all.zip(rest).context("instructions can't be counted")?;
    ensure!(rest < all, "{rest} instructions from the baked prompt, {all} without");
    println!(
        "{:<10} nano, {prefix} tokens baked in, {} more read: {rest} instructions instead of {all}; the same bits",
        board.name,
        text.len()
    );

    // The application does so by itself.
    let plain = scratch.join("talker.jamlet");
    fs::write(&plain, random_text_model::image()?)?;
    let prefix = bake(&ImageFile::open(Some(&plain))?, INSTRUCTION, options(board), &path, |_, _| ())?.tokens;
    let image = fs::read(&path)?;
    let program = board.build(board.folder, Some(&path))?;
    let mut talk = Conversation::begin(board, &program, &path, &image, LIMIT)?;
    for text in ["A tool that reads log files.", "Another one."] {
        talk.summary_after(prefix, text)?;
    }
    println!(
        "{:<10} the application starts every text from the baked prompt: summaries as on this machine",
        board.name
    );
    Ok(())
}

/// States in the flash of a board, which is a file here, outlive the power supply: QEMU, which is killed at any moment.
fn kept(scratch: &Path) -> Result<()> {
    let board = named("qemu-m33")?;
    let (path, image) = (scratch.join("talker.jamlet"), random_text_model::image()?);
    fs::write(&path, &image)?;
    let program = Build {
        emulated: true,
        model: Some(&path),
        persist: true,
        ..Build::new(board.folder, board.triple, board.folder)
    }
    .run()?;
    let plan = Plan::new(&image, options(board)).map_err(anyhow::Error::msg)?;
    fs::write(scratch.join("flash.bin"), vec![0; 2 * jamlet_persist::slot_bytes(&plan, 4096) as usize])?;
    let power_on = || -> Result<Conversation<'_>> {
        let mut command = board.serial(&program, &path);
        let mut talk = Conversation::open(command.current_dir(scratch), options(board), &image, LIMIT)?;
        talk.wait("> ")?;
        Ok(talk)
    };
    let save = |talk: &mut Conversation<'_>| -> Result<String> {
        talk.type_in(b"/save\r");
        talk.wait("[saved, ")?;
        talk.wait(" tokens]\r\n> ")
    };
    let resume = |talk: &mut Conversation<'_>| -> Result<String> {
        talk.type_in(b"/resume\r");
        talk.wait("[resumed, ")?;
        talk.wait(" tokens]\r\n> ")
    };
    let mut talk = power_on()?;
    talk.type_in(b"/resume\r");
    talk.wait("[nothing was saved]")?;
    talk.type_in(b"A text that is read\r");
    let start = Instant::now();
    let saved = save(&mut talk)?;
    let took = start.elapsed();
    drop(talk);
    let mut talk = power_on()?;
    ensure!(resume(&mut talk)? == saved, "another state than the one that was saved");
    talk.type_in(b"and goes on after the power was off.\x04");
    talk.expect_after(&["A text that is read", "\nand goes on after the power was off."])?;
    // The power is cut while states are written: later and later after the command was typed, at last when it is done.
    let (mut old, mut news, mut olds) = (saved, 0, 0);
    for cut in 0..12u32 {
        let mut talk = power_on()?;
        ensure!(resume(&mut talk)? == old, "the state changes while nothing is saved");
        talk.type_in(b"more of it\r/save\r");
        talk.wait("/save")?;
        match cut {
            11 => _ = talk.wait("[saved, ")?,
            _ => thread::sleep(took * cut / 8),
        }
        drop(talk);
        let mut talk = power_on()?;
        let found = resume(&mut talk)?;
        let (before, after): (u64, u64) = (old.parse()?, found.parse()?);
        ensure!(
            after == before || (before + 3..before + 13).contains(&after),
            "{after} tokens; {before}, or a few more"
        );
        ensure!(cut < 11 || after > before, "a state that was saved is lost");
        *(if after == before { &mut olds } else { &mut news }) += 1;
        old = found;
    }
    println!(
        "{:<10} states outlive power cuts: of 12 while they were written, {olds} left the old one, {news} the new",
        board.name
    );
    Ok(())
}
