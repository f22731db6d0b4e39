//! Firmware: the file or folder that a board's users flash.

pub mod build;
mod card;
mod hex;
pub mod layout;
pub mod program;
pub mod sizes;
pub mod toolchain;
mod uf2;

use crate::boards::options;
use crate::image_file::ImageFile;
use crate::numbers::{bytes, one_to, whole};
use crate::sign;
use anyhow::{Context, Result, bail, ensure};
use build::Build;
use jamlet::state::MAX_BEAMS;
use jamlet::{Options, Plan};
use jamlet_boards::{BOARDS, Board, Flashing};
use program::Program;
use sizes::Sizes;
use std::fs;
use std::path::{Path, PathBuf};

/// Builds what a board's users flash: .uf2, .bin, .hex, .elf, or for a Raspberry Pi a folder for the SD card
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Board by name
    board: String,
    /// Image to run: a file, or `pico`, `nano`, `pico-4bit` or `nano-4bit` for a built-in model [default: the board's own]
    #[arg(short, long, alias = "image", value_name = "IMAGE")]
    model: Option<PathBuf>,
    /// Tokens that attention looks back [default: the board's own]
    #[arg(long, value_parser = whole::<u32>)]
    window: Option<u32>,
    /// Summaries that are written side by side; each needs memory for its state [default: the board's own]
    #[arg(long, value_name = "N", value_parser = one_to::<MAX_BEAMS, u32>)]
    beams: Option<u32>,
    /// Flash of a part that has less than the board's, such as 512K on an STM32F405OE in place of an STM32F405RG
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    flash: Option<u64>,
    /// RAM of a part that has less than the board's
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<u64>,
    /// The only key whose images the board will run: a file in PEM, or 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Start without reading the whole image for its checksum: damage is found after the first summary, or by /verify
    #[arg(long)]
    unchecked_start: bool,
    /// Commands that keep the state of a text on the board's flash and go on from it
    #[arg(long)]
    persist: bool,
    /// File to write; for a Raspberry Pi a folder. Its ending chooses between .uf2, .bin, .hex and .elf
    /// [default: BOARD and the board's usual ending]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Refuses what no program could make fit, before one is built.
fn fits_alone(board: &Board, image: u64, workspace: u64) -> Result<()> {
    let in_ram = if board.flash().is_none() { image } else { 0 };
    let parts = [("image", image, board.flash(), "flash"), ("workspace", workspace + in_ram, Some(board.ram()), "RAM")];
    for (part, bytes, room, memory) in parts {
        if let Some(room) = room.filter(|room| bytes > *room) {
            bail!("the model does not fit {}: its {part} alone has {bytes} bytes, and the {memory} {room}", board.name);
        }
    }
    Ok(())
}

/// The board with a part on it that has less memory.
fn part(board: &Board, args: &Args) -> Result<Board> {
    for (option, bytes, most) in [("--flash", args.flash, board.flash()), ("--ram", args.ram, Some(board.ram()))] {
        let Some(bytes) = bytes else { continue };
        let most = most.with_context(|| format!("{option}: {} has its model on a card, not in flash", board.name))?;
        ensure!(
            (1..=most).contains(&bytes),
            "{option} {bytes}: {} has {most} bytes; 1 to {most} would be right",
            board.name
        );
    }
    Ok(board.part(args.flash, args.ram))
}

/// The board of this name, if it has firmware.
///
/// # Errors
/// When there is none; the message names those that there are.
pub fn board(name: &str) -> Result<&'static Board> {
    let named = |boards: Vec<&Board>| boards.iter().map(|board| board.name).collect::<Vec<_>>().join(", ");
    let with_firmware = || named(BOARDS.iter().filter(|board| board.folder.is_some()).collect());
    match Board::named(name) {
        Some(board) if board.folder.is_some() => Ok(board),
        Some(board) => bail!(
            "{} runs Linux: `cargo xtask raspberry-pi-os` builds the `jamlet` command for it; there is firmware for {}",
            board.name,
            with_firmware()
        ),
        None => {
            let sharing: Vec<_> = BOARDS.iter().filter(|board| board.folder == Some(name)).collect();
            ensure!(sharing.is_empty(), "no board {name}; its firmware is that of {}", named(sharing));
            bail!("no board {name}; there are {}", with_firmware())
        }
    }
}

/// A file's formats for a board, the usual one first.
fn endings(board: &Board) -> &'static [&'static str] {
    match board.flashing {
        Flashing::Uf2 => &["uf2", "bin", "hex", "elf"],
        Flashing::Probe(_) => &["hex", "bin", "elf"],
        Flashing::Emulator => &["elf"],
        Flashing::Card | Flashing::Linux => &[],
    }
}

/// The ending of what a board's users flash; `None` where it is a folder.
pub fn usual_ending(board: &Board) -> Option<&'static str> {
    endings(board).first().copied()
}

/// Builds, checks and writes.
///
/// # Errors
/// First whatever can be known without building: names, the image, options, the file to write. Then what goes wrong in building;
/// that the model doesn't fit; that the layout isn't what the board needs.
pub fn run(args: Args) -> Result<()> {
    let board = &part(board(&args.board)?, &args)?;
    let (output, ending) = output(board, &args)?;
    let name = args.model.clone().unwrap_or_else(|| board.image.into());
    let file = ImageFile::open(Some(&name))?;
    let built_in = || build::models_folder().join(&name).with_extension("jamlet");
    let path = file.path().map_or_else(built_in, Path::to_owned);
    let model = file.model()?;
    let defaults = options(board);
    let wanted = Options {
        window: args.window.unwrap_or(defaults.window),
        beams: args.beams.unwrap_or(defaults.beams),
        ..defaults
    };
    let plan = Plan::new(file.bytes(), wanted)?;
    ensure!(model.tokenizer().is_some(), "{}: no tokenizer in the image, so it can't read a text", file.name());
    fits_alone(board, file.bytes().len() as u64, plan.bytes() as u64)?;
    let key = args.public_key.as_deref().map(sign::public_key).transpose()?;
    if let Some(key) = &key {
        sign::verify(model.image(), key).with_context(|| file.name().to_owned())?;
    }
    let key = key.as_ref().map(sign::hexadecimal);
    let build = Build {
        model: Some(&path),
        window: args.window,
        beams: args.beams,
        flash: args.flash,
        ram: args.ram,
        public_key: key.as_deref(),
        unchecked_start: args.unchecked_start,
        persist: args.persist,
        ..Build::of(board)
    };
    build.check()?;
    if let Flashing::Card = board.flashing {
        card::check(board, file.name(), file.bytes(), &plan)?;
        return card::write(board, &output, &build, file.bytes());
    }
    let elf = build.run()?;
    let program = Program::read(&elf)?;
    layout::check(board, &program)?;
    let memory = program.flat()?;
    let bytes = match ending.as_str() {
        "uf2" => {
            let file = uf2::write(&memory, uf2::RP2350_ARM);
            let back = uf2::read(&file, uf2::RP2350_ARM)?;
            ensure!(back.address == memory.address && back.bytes.starts_with(&memory.bytes), "the UF2 file is damaged");
            file
        }
        "bin" => memory.bytes.clone(),
        "hex" => hex::write(&memory)?.into_bytes(),
        _ => fs::read(&elf)?,
    };
    fs::write(&output, &bytes).with_context(|| output.display().to_string())?;
    println!("{}: {} bytes", output.display(), bytes.len());
    println!("{}", Sizes::of(&program)?);
    println!("{}", hint(board, &output, &ending, memory.address));
    Ok(())
}

/// The file or folder to write, and its ending.
fn output(board: &Board, args: &Args) -> Result<(PathBuf, String)> {
    let endings = endings(board);
    let usual = || PathBuf::from(board.name).with_extension(usual_ending(board).unwrap_or_default());
    let output = args.output.clone().unwrap_or_else(usual);
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(parent.is_dir(), "{}: no such folder", parent.display());
    if endings.is_empty() {
        ensure!(!output.is_file(), "{}: a file; for {} a folder is written", output.display(), board.name);
        return Ok((output, String::new()));
    }
    ensure!(!output.is_dir(), "{}: a folder; for {} a file is written", output.display(), board.name);
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_owned();
    ensure!(
        endings.contains(&ending.as_str()),
        "{}: for {} the ending must be .{}",
        output.display(),
        board.name,
        endings.join(", .")
    );
    Ok((output, ending))
}

fn hint(board: &Board, file: &Path, ending: &str, address: u64) -> String {
    let file = file.display();
    match (board.flashing, ending) {
        (Flashing::Uf2, "uf2") => format!("hold BOOTSEL, plug the board in, and copy {file} to its drive"),
        (Flashing::Uf2, _) => format!("hold BOOTSEL, plug the board in, and: picotool load -v -x {file}"),
        (Flashing::Probe(chip), "bin") => {
            format!("probe-rs download --chip {chip} --binary-format bin --base-address {address:#x} {file}")
        }
        (Flashing::Probe(chip), ending) => format!("probe-rs download --chip {chip} --binary-format {ending} {file}"),
        (Flashing::Emulator | Flashing::Card | Flashing::Linux, _) => {
            let machine = board.emulator.map_or("", |emulator| emulator.machine);
            format!("qemu-system-arm -machine {machine} -display none -serial mon:stdio -kernel {file}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// What `jamlet firmware` complains about before it builds.
    fn refused(arguments: &[&str]) -> String {
        let cli = Cli::try_parse_from([&["firmware"], arguments].concat()).unwrap();
        format!("{:#}", run(cli.args).unwrap_err())
    }

    #[test]
    fn what_is_wrong_is_said_before_the_build() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let out = at("out.uf2");
        assert!(refused(&["pico3"]).starts_with("no board pico3; there are stm32f405, pico2, "));
        assert_eq!(refused(&["pi"]), "no board pi; its firmware is that of pi-zero-2w, pi-3, pi-4");
        assert!(refused(&["pi-5"]).contains("runs Linux"));
        assert!(refused(&["pico2", "-o", &at("none/out.uf2")]).ends_with("none: no such folder"));
        assert!(refused(&["pico2", "-o", &at("out.txt")]).ends_with("the ending must be .uf2, .bin, .hex, .elf"));
        assert!(refused(&["pico2", "-o", &at("")]).contains("a folder; for pico2 a file is written"));
        assert_eq!(refused(&["pico2", "-o", &out, "--window", "0"]), "window is 0; 1 to 16777216 would be right");
        let beams = Cli::try_parse_from(["firmware", "pico2", "--beams", "9"]).err().unwrap().to_string();
        assert!(beams.contains("1 to 8 would be right"), "{beams}");
        assert!(refused(&["pico2", "-o", &out, "--model", &at("none")]).contains("neither a file nor one of"));
        let mut image = fs::read(build::models_folder().join("nano.jamlet")).unwrap();
        image[100_000] ^= 1;
        fs::write(at("flipped.jamlet"), &image).unwrap();
        let said = refused(&["pico2", "-o", &out, "--model", &at("flipped.jamlet")]);
        assert!(said.contains("flipped.jamlet") && said.contains("damaged"), "{said}");
        fs::write(at("text.jamlet"), "hello").unwrap();
        assert!(refused(&["pico2", "-o", &out, "--model", &at("text.jamlet")]).contains("text.jamlet: "));
        assert!(refused(&["stm32f405", "-o", &at("out.hex"), "--persist"]).contains("no driver for its flash"));
        assert_eq!(
            refused(&["stm32f405", "-o", &at("out.hex"), "--flash", "2M"]),
            "--flash 2097152: stm32f405 has 1048576 bytes; 1 to 1048576 would be right"
        );
        assert!(
            refused(&["pi-3", "-o", &at("card"), "--flash", "1M"]).starts_with("--flash: pi-3 has its model on a card")
        );
        let said = refused(&["stm32f405", "-o", &at("out.hex"), "--flash", "512K", "-m", "nano"]);
        assert!(said.contains("its image alone has") && said.ends_with("and the flash 524288"), "{said}");
    }
}
