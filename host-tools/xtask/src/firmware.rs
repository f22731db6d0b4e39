//! `cargo xtask firmware`: the file or folder that a board's users flash.

use crate::build::Build;
use crate::layout;
use crate::program::{Program, Segment};
use crate::sizes::Sizes;
use crate::uf2;
use anyhow::{Context, Result, bail, ensure};
use jamlet::{Options, Plan};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::sign;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Board by name.
    board: String,
    /// Image to run; the board's own if none is given.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Tokens that attention looks back.
    #[arg(long)]
    window: Option<u32>,
    /// Summaries that are written side by side; each needs memory for its state.
    #[arg(long, value_name = "N")]
    beams: Option<u32>,
    /// The only key whose images the board will run: a file in PEM, or 64 hexadecimal digits.
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Start without reading the whole image for its checksum: damage is found after the first summary, or by /verify.
    #[arg(long)]
    unchecked_start: bool,
    /// Commands that keep the state of a text on the board's flash and go on from it.
    #[arg(long)]
    persist: bool,
    /// File to write; for the Raspberry Pi a folder. Its ending chooses between .bin, .hex, .uf2 and .elf.
    #[arg(short, long)]
    output: PathBuf,
}

/// How a board is flashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flash {
    /// By probe-rs, under this chip name.
    Probe(&'static str),
    /// As a UF2 file on its USB drive.
    Uf2,
    /// Not at all: QEMU starts the ELF file, on this machine.
    Emulator(&'static str),
    /// From an SD card.
    Card,
}

/// A board that people flash.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name and folder.
    pub name: &'static str,
    /// What it is compiled for.
    pub triple: &'static str,
    /// How the program gets onto it.
    pub flash: Flash,
    /// Cores that compute; each has room for an attention head.
    pub cores: u32,
    /// Summaries that are written side by side, as the board's build script has it.
    pub beams: u32,
}

const M4: &str = "thumbv7em-none-eabihf";
const M33: &str = "thumbv8m.main-none-eabihf";

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "pico2", triple: M33, flash: Flash::Uf2, cores: 2, beams: 2 },
    Target { name: "stm32h743", triple: M4, flash: Flash::Probe("STM32H743ZITx"), cores: 1, beams: 2 },
    Target { name: "stm32f405", triple: M4, flash: Flash::Probe("STM32F405RG"), cores: 1, beams: 1 },
    Target { name: "qemu-m4", triple: M4, flash: Flash::Emulator("mps2-an386"), cores: 1, beams: 2 },
    Target { name: "qemu-m7", triple: M4, flash: Flash::Emulator("mps2-an500"), cores: 1, beams: 2 },
    Target { name: "qemu-m33", triple: M33, flash: Flash::Emulator("mps2-an505"), cores: 1, beams: 2 },
    Target { name: "pi", triple: "aarch64-unknown-none", flash: Flash::Card, cores: 4, beams: 2 },
];

/// The board of this name.
///
/// # Errors
/// When there is none.
pub fn target(name: &str) -> Result<Target> {
    let known = || TARGETS.map(|target| target.name).join(", ");
    TARGETS
        .into_iter()
        .find(|target| target.name == name)
        .with_context(|| format!("no board {name}; there are {}", known()))
}

impl Target {
    /// The application for hardware.
    pub fn program(&self) -> Build<'static> {
        Build::new(self.name, self.triple, self.name)
    }
}

/// Builds, checks and writes.
///
/// # Errors
/// What goes wrong in building; that the model doesn't fit; that the layout isn't what the board needs.
pub fn run(args: &Args) -> Result<()> {
    let target = target(&args.board)?;
    let key = args.public_key.as_deref().map(|key| owner(key, args.model.as_deref())).transpose()?;
    if let Flash::Card = target.flash {
        return card(&target, args, key.as_deref());
    }
    let (model, window, beams) = (args.model.as_deref(), args.window, args.beams);
    let (public_key, persist, unchecked_start) = (key.as_deref(), args.persist, args.unchecked_start);
    let elf = Build { model, window, beams, public_key, unchecked_start, persist, ..target.program() }.run()?;
    let program = Program::read(&elf)?;
    layout::check(&target, &program)?;
    let memory = program.flat()?;
    let ending = args.output.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let file = match (ending, target.flash) {
        ("uf2", Flash::Uf2) => {
            let file = uf2::write(&memory, uf2::RP2350_ARM);
            let back = uf2::read(&file, uf2::RP2350_ARM)?;
            ensure!(back.address == memory.address && back.bytes.starts_with(&memory.bytes), "the UF2 file is damaged");
            file
        }
        ("bin", Flash::Probe(_) | Flash::Uf2) => memory.bytes.clone(),
        ("hex", Flash::Probe(_) | Flash::Uf2) => hex(&memory)?.into_bytes(),
        ("elf", _) => fs::read(&elf)?,
        _ => {
            let endings = match target.flash {
                Flash::Uf2 => ".uf2, .bin, .hex or .elf",
                Flash::Probe(_) => ".bin, .hex or .elf",
                Flash::Emulator(_) | Flash::Card => ".elf",
            };
            bail!("{}: for {} the ending must be {endings}", args.output.display(), target.name)
        }
    };
    fs::write(&args.output, &file).with_context(|| args.output.display().to_string())?;
    println!("{}: {} bytes", args.output.display(), file.len());
    println!("{}", Sizes::of(&program)?);
    println!("{}", hint(&target, &args.output, ending, memory.address));
    Ok(())
}

/// A key in hexadecimal digits, and a check here of what the board would refuse.
fn owner(key: &str, model: Option<&Path>) -> Result<String> {
    let key = sign::public_key(key)?;
    let file = ImageFile::open(model)?;
    sign::verify(file.model()?.image(), &key).with_context(|| file.name().to_owned())?;
    Ok(sign::hexadecimal(&key))
}

fn hint(target: &Target, file: &Path, ending: &str, address: u64) -> String {
    let file = file.display();
    match (target.flash, ending) {
        (Flash::Uf2, "uf2") => format!("hold BOOTSEL, plug the board in, and copy {file} to its drive"),
        (Flash::Uf2, _) => format!("hold BOOTSEL, plug the board in, and: picotool load -v -x {file}"),
        (Flash::Probe(chip), "bin") => {
            format!("probe-rs download --chip {chip} --binary-format bin --base-address {address:#x} {file}")
        }
        (Flash::Probe(chip), ending) => format!("probe-rs download --chip {chip} --binary-format {ending} {file}"),
        (Flash::Emulator(machine), _) => {
            format!("qemu-system-arm -machine {machine} -display none -serial mon:stdio -kernel {file}")
        }
        (Flash::Card, _) => format!("copy what is in {file} to a FAT partition beside the boot firmware"),
    }
}

/// Intel HEX.
fn hex(memory: &Segment) -> Result<String> {
    let mut records = Vec::new();
    for (index, part) in memory.bytes.chunks(16).enumerate() {
        let address = memory.address as u32 + (index * 16) as u32;
        if index == 0 || address.is_multiple_of(0x1_0000) {
            records.push(ihex::Record::ExtendedLinearAddress((address >> 16) as u16));
        }
        records.push(ihex::Record::Data { offset: address as u16, value: part.to_vec() });
    }
    records.push(ihex::Record::EndOfFile);
    ihex::create_object_file_representation(&records).map_err(|error| anyhow::anyhow!("Intel HEX: {error}"))
}

/// What the boot firmware of a Raspberry Pi reads beside its own files.
const CONFIG: &str = "\
# Loads the program at 0x80000 and the model where the program looks for it.
arm_64bit=1
kernel=kernel8.img
initramfs model.jamlet 0x08000000
# The PL011 serial port on pins 8 and 10, 115200 baud.
enable_uart=1
dtoverlay=disable-bt
";
/// See `targets/pi/src/memory.rs`.
const CARD_MODEL: u64 = 128 << 20;
const CARD_WORKSPACE: u64 = 120 << 20;

fn card(target: &Target, args: &Args, public_key: Option<&str>) -> Result<()> {
    let model = match &args.model {
        Some(model) => model.clone(),
        None => crate::board::targets_folder().join("../host-tools/models/pico.jamlet"),
    };
    let image = fs::read(&model).with_context(|| model.display().to_string())?;
    ensure!(
        args.window.is_none() && args.beams.is_none(),
        "pi has room for any model that fits: its window is {} and its beams are {}, without --window and --beams",
        Options::default().window,
        target.beams
    );
    let plan = Plan::new(&image, Options::default().beams(target.beams));
    let workspace = plan.map_err(|error| anyhow::anyhow!("{}: {error}", model.display()))?.bytes() as u64;
    for (bytes, room, what) in
        [(image.len() as u64, CARD_MODEL, "the memory for a model"), (workspace, CARD_WORKSPACE, "the heap")]
    {
        if let Some(over @ 1..) = bytes.checked_sub(room) {
            bail!("{} does not fit pi: {over} bytes too many for {what} ({room} bytes)", model.display());
        }
    }
    let (unchecked_start, persist) = (args.unchecked_start, args.persist);
    let program = Program::read(&Build { public_key, unchecked_start, persist, ..target.program() }.run()?)?;
    layout::check(target, &program)?;
    let kernel = program.flat()?;
    fs::create_dir_all(&args.output).with_context(|| args.output.display().to_string())?;
    for (name, bytes) in
        [("kernel8.img", &kernel.bytes[..]), ("config.txt", CONFIG.as_bytes()), ("model.jamlet", &image)]
    {
        let file = args.output.join(name);
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
    }
    println!(
        "{}: kernel8.img ({} bytes), config.txt and model.jamlet ({} bytes)",
        args.output.display(),
        kernel.bytes.len(),
        image.len()
    );
    println!(
        "copy them to a FAT partition beside bootcode.bin, start.elf and fixup.dat (Pi 4: start4.elf, fixup4.dat) and, for \
         disable-bt, the .dtb of the board and overlays/ of Raspberry Pi's firmware"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_files_say_their_addresses_and_read_back() {
        let memory = Segment { address: 0x0800_0000, bytes: (0..0x1_0010u32).map(|i| i as u8).collect() };
        let text = hex(&memory).unwrap();
        let (mut base, mut back) = (0, Vec::new());
        for record in ihex::Reader::new(&text) {
            match record.unwrap() {
                ihex::Record::ExtendedLinearAddress(high) => base = u32::from(high) << 16,
                ihex::Record::Data { offset, value } => {
                    assert_eq!(u64::from(base + u32::from(offset)), memory.address + back.len() as u64);
                    back.extend(value);
                }
                record => assert_eq!(record, ihex::Record::EndOfFile),
            }
        }
        assert_eq!(back, memory.bytes);
    }
}
