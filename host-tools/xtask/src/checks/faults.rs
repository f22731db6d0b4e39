//! `cargo xtask faults`: what was damaged, or made by somebody else, must not pass for the model.

use crate::boards::console::Console;
use crate::boards::conversation::{Conversation, options};
use crate::boards::emulated::{Emulated, named};
use crate::boards::gdb;
use crate::models::fixtures;
use crate::models::random_text_model;
use anyhow::{Context, Result, ensure};
use ed25519_dalek::SigningKey;
use jamlet_tests::random::Random;
use jamlet_tools::firmware::build::Build;
use jamlet_tools::firmware::layout;
use jamlet_tools::firmware::program::Program;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::sign;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Bits flipped at rest, and as many while the board computes.
    #[arg(long, default_value_t = 100)]
    injections: usize,
    /// Seed of places and moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also counts what it takes to check the default model at the start.
    #[arg(long)]
    costs: bool,
}

/// What the test suite runs.
impl Default for Args {
    fn default() -> Self {
        Self { injections: 6, seed: 1, costs: false }
    }
}

const LIMIT: Duration = Duration::from_secs(300);
/// Bytes of noise.
const NOISE: usize = 64 << 10;
const DAMAGED: &str = "[the model's image is damaged]";
const TEXT: &str = "The quick brown fox jumps over the lazy dog, and the dog never minds. ";

/// Runs all.
///
/// # Errors
/// The first damage that a board didn't see.
pub fn run(args: &Args) -> Result<()> {
    let (board, pi) = (named("qemu-m4")?, named("pi-3")?);
    let scratch = tempfile::tempdir()?;
    let (path, image) = (scratch.path().join("talker.jamlet"), random_text_model::image()?);
    fs::write(&path, &image)?;
    // A copy: what is built meanwhile gets the same name.
    let program = scratch.path().join(board.name);
    fs::copy(board.build(board.folder, Some(&path))?, &program)?;
    let random = &mut Random(args.seed);
    at_rest(board, &program, &image, args.injections, random)?;
    while_computing(board, &program, &image, args.injections, random)?;
    flood(board, &program, &path, &image, random)?;
    signatures([board, pi], &path, scratch.path())?;
    if args.costs { costs(board, scratch.path()) } else { Ok(()) }
}

/// Where in a linked program the image lies.
fn place(elf: &[u8], image: &[u8]) -> Result<usize> {
    let at = elf.windows(128).position(|bytes| bytes == &image[..128]).context("the program lacks its image")?;
    ensure!(elf[at..].starts_with(image), "the program has another image");
    Ok(at)
}

/// A copy of a program with another image of the same length.
fn with_image(program: &Path, image: &[u8], other: &[u8]) -> Result<PathBuf> {
    ensure!(image.len() == other.len(), "the image has {} bytes; {} would be right", other.len(), image.len());
    let mut elf = fs::read(program)?;
    let at = place(&elf, image)?;
    elf[at..at + other.len()].copy_from_slice(other);
    let copy = program.with_added_extension("changed");
    fs::write(&copy, elf)?;
    Ok(copy)
}

/// What a board says at its start.
fn first_words(board: &Emulated, program: &Path, model: &Path) -> Result<String> {
    let mut console = Console::start(&mut board.serial(program, model))?;
    // Either is the end of what it says before it waits.
    let said = console.wait_for("\r\n", LIMIT)?;
    Ok(said + &console.wait_for("\r\n", LIMIT)?)
}

fn at_rest(board: &Emulated, program: &Path, image: &[u8], injections: usize, random: &mut Random) -> Result<()> {
    let whole = first_words(board, program, program)?;
    ensure!(whole.contains("/help helps"), "an undamaged board says {whole:?}");
    for index in 0..injections {
        let (at, bit) = (random.below(image.len()), random.below(8));
        let mut damaged = image.to_vec();
        damaged[at] ^= 1 << bit;
        let said = first_words(board, &with_image(program, image, &damaged)?, program)?;
        ensure!(said.contains(DAMAGED), "injection {index}, bit {bit} of byte {at}: the board says {said:?}");
    }
    println!("{:<10} {injections} bits flipped at rest: all seen at the start", board.name);
    Ok(())
}

/// Bits flipped between a text's first byte and its summary's end. What is right is either the damage seen, at the latest
/// after the summary, or, where the flip came too late for that, the right summary, and the damage seen by the next look.
fn while_computing(
    board: &Emulated,
    program: &Path,
    image: &[u8],
    injections: usize,
    random: &mut Random,
) -> Result<()> {
    let flat = Program::read(program)?.flat()?;
    let model = layout::model(&flat)?;
    let address = flat.address + (model.as_ptr().addr() - flat.bytes.as_ptr().addr()) as u64;
    let scratch = tempfile::tempdir()?;
    let socket = scratch.path().join("gdb");
    let text = TEXT.repeat(60);
    let (mut at_once, mut later) = (0, 0);
    for index in 0..injections {
        let (at, bit) = (random.below(image.len()), random.below(8));
        let mut command = board.serial(program, program);
        gdb::listen(&mut command, &socket);
        let mut talk = Conversation::open(&mut command, options(board), image, LIMIT)?;
        talk.wait("> ")?;
        talk.type_in(text.as_bytes());
        talk.type_in(b"\x04");
        // While the text is read, while it is summarized, or soon after.
        std::thread::sleep(Duration::from_millis(random.below(400) as u64));
        gdb::flip(&socket, address + at as u64, 1 << bit)?;
        let place = || format!("injection {index}, bit {bit} of byte {at}");
        talk.type_in(b"/verify\r");
        let said = talk.wait(DAMAGED).with_context(place)?;
        match said.split_once("workspace ") {
            // The summary was out before the flip: then it must be right.
            Some((summary, _)) => {
                let (_, written, right) = random_text_model::answer(
                    image,
                    options(board),
                    text.as_bytes(),
                    jamlet_app::app::LONGEST_SUMMARY,
                )?;
                let right = format!("{}\r\n[{written} tokens written", crate::boards::conversation::terminal(&right));
                ensure!(summary.contains(&right), "{}: a wrong summary passed as right: {summary:?}", place());
                later += 1;
            }
            None => at_once += 1,
        }
        fs::remove_file(&socket).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    println!(
        "{:<10} {injections} bits flipped while it computed: {at_once} seen before a summary was given out as whole, {later} after \
         a right one; none passed",
        board.name
    );
    Ok(())
}

/// Noise at full rate, without a thought of flow control, while the board reads and writes.
fn flood(board: &Emulated, program: &Path, path: &Path, image: &[u8], random: &mut Random) -> Result<()> {
    let mut talk = Conversation::begin(board, program, path, image, LIMIT)?;
    talk.type_in(TEXT.as_bytes());
    talk.type_in(b"\x04");
    // No end of a text, so that there is nothing to read but the echo, and no Ctrl-C before the last byte.
    let noise: Vec<u8> =
        (0..NOISE).map(|_| random.bits() as u8).map(|byte| if byte < b' ' { b'~' } else { byte }).collect();
    talk.type_in(&noise);
    talk.expect(TEXT.as_bytes())?;
    talk.type_in(b"\x03");
    talk.wait("^C\r\n> ")?;
    talk.summary(TEXT, TEXT.as_bytes())?;
    talk.type_in(b"/stats\r");
    let stats = talk.wait("\r\n> ")?;
    ensure!(stats.contains("texts 2, "), "/stats says {stats:?}");
    println!(
        "{:<10} {} bytes of noise at full rate: dropped by Ctrl-C, and the next summary is right",
        board.name,
        noise.len()
    );
    Ok(())
}

/// Boards with their owner's key run what the owner signed, and nothing else. A Raspberry Pi finds its image in memory, so one
/// program meets all of them; for a microcontroller the image is part of the program.
fn signatures(boards: [&Emulated; 2], path: &Path, scratch: &Path) -> Result<()> {
    let (owner, another) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    let file = ImageFile::open(Some(path))?;
    let model = file.model()?;
    let signed = |key, name: &str| -> Result<(PathBuf, Vec<u8>)> {
        let out = scratch.join(name);
        sign::sign(model.image(), key, &out)?;
        let bytes = fs::read(&out)?;
        Ok((out, bytes))
    };
    let (ours_path, ours) = signed(&owner, "ours.jamlet")?;
    let (theirs_path, theirs) = signed(&another, "theirs.jamlet")?;
    let key = sign::hexadecimal(&owner.verifying_key());
    let [mcu, pi] = boards;
    let program = pi.build_for_owner(&ours_path, &key)?;
    Conversation::begin(pi, &program, &ours_path, &ours, LIMIT)?.summary(TEXT, TEXT.as_bytes())?;

    let file = ImageFile::open(Some(&ours_path))?;
    let signature = file.model()?.image().signature().context("no signature")?.message[0].len();
    let changed = |at: usize| {
        let mut image = ours.clone();
        image[at] ^= 1;
        fixtures::seal(&mut image);
        image
    };
    const NOT_OURS: &str = "was not signed by this board's owner";
    let refused = [
        ("signed by another", theirs, NOT_OURS),
        ("with a changed signature", changed(signature), NOT_OURS),
        ("with a changed end of the signature", changed(signature + 63), NOT_OURS),
        ("with a changed weight", changed(ours.len() - 80), NOT_OURS),
        ("that nobody signed", fs::read(path)?, "is not signed, and this board runs signed ones only"),
        ("that is cut off", ours[..ours.len() - 100].to_vec(), "damaged]"),
    ];
    for (what, image, right) in &refused {
        let file = scratch.join("other.jamlet");
        fs::write(&file, image)?;
        let said = first_words(pi, &program, &file)?;
        ensure!(said.contains(right), "an image {what}: the board says {said:?}");
    }
    println!("{:<10} with its owner's key: runs what the owner signed, refuses {} others", pi.name, refused.len());

    Conversation::begin(mcu, &mcu.build_for_owner(&ours_path, &key)?, path, &ours, LIMIT)?
        .summary(TEXT, TEXT.as_bytes())?;
    let said = first_words(mcu, &mcu.build_for_owner(&theirs_path, &key)?, path)?;
    ensure!(said.contains(NOT_OURS), "an image signed by another: the board says {said:?}");
    println!("{:<10} with its owner's key: runs what the owner signed, refuses another's", mcu.name);
    Ok(())
}

/// What it takes to check the default model at the start, in instructions: QEMU's clock ticks once an instruction.
fn costs(board: &Emulated, scratch: &Path) -> Result<()> {
    let owner = SigningKey::from_bytes(&[7; 32]);
    let file = ImageFile::open(None)?;
    let signed = scratch.join("pico.jamlet");
    sign::sign(file.model()?.image(), &owner, &signed)?;
    let key = sign::hexadecimal(&owner.verifying_key());
    let unchecked = Build {
        emulated: true,
        model: Some(&signed),
        unchecked_start: true,
        ..Build::new(board.folder, board.triple, board.folder)
    };
    let bytes = fs::metadata(&signed)?.len() as f64;
    // All three are built into the same file, so each is run before the next is built.
    let builds: [(&str, &dyn Fn() -> Result<PathBuf>); 3] = [
        ("structure alone", &|| unchecked.run()),
        ("with the checksum", &|| board.build(board.folder, Some(&signed))),
        ("with checksum and signature", &|| board.build_for_owner(&signed, &key)),
    ];
    for (what, build) in builds {
        let program = build()?;
        let mut command = board.serial(&program, &signed);
        command.args(["-icount", "shift=0"]);
        let mut talk = Conversation::open(&mut command, options(board), &[], LIMIT)?;
        talk.wait("> ")?;
        talk.type_in(b"/stats\r");
        talk.wait("image checked at the start in ")?;
        let micros: f64 = talk.wait(" us")?.parse()?;
        talk.wait("stack ")?;
        let stack = talk.wait(" bytes")?;
        println!(
            "{:<10} checks pico at its start, {what}: {:.2} million instructions, {:.2} a byte, stack {stack}",
            board.name,
            micros / 1e3,
            micros * 1e3 / bytes
        );
    }
    Ok(())
}
