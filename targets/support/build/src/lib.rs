//! What the build scripts of the boards do: the linker script and the settings, from the [table of boards](jamlet_boards). So
//! cargo's config needs no linker flags, and no fact about a board stands twice.
//!
//! Variables of the environment change what is built: `JAMLET_MODEL`, the path of an image, absolute or from the working
//! directory; `JAMLET_WINDOW`, how many tokens attention looks back; `JAMLET_BEAMS`, how many summaries are written side by
//! side; `JAMLET_MOST_FLASH` and `JAMLET_MOST_RAM`, bytes of a part that has less than the board's. `jamlet firmware` sets them.
//!
//! A board's program finds them, and the table's facts, in variables of the same names: see [`firmware`].
#![forbid(unsafe_code)]

use jamlet_boards::{Board, Memory, Region};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Prepares the program of the board in whose folder the build script runs: writes `memory.x` and tells the linker (on a
/// Raspberry Pi the folder's `link.x` is used), and sets for `env!`
///
/// * `JAMLET_MODEL`: path of the image;
/// * `JAMLET_WINDOW`, `JAMLET_BEAMS`, `JAMLET_CHUNK`, `JAMLET_CORES`: options of the session;
/// * `JAMLET_CLOCK`: the cores' clock in Hz;
/// * `JAMLET_FLASH`: bytes of flash; with feature `persist`, `JAMLET_STATES`: bytes at its end for saved states;
/// * `JAMLET_UART`: address of the serial port, where the firmware drives it by its registers;
/// * `JAMLET_CASE`, `JAMLET_CASE_BYTES`, `JAMLET_WORKSPACE`: memory of the conformance suite's program, on emulated boards.
///
/// What is wrong is reported to cargo, which then stops.
pub fn firmware() {
    if let Err(problem) = prepare() {
        println!("cargo::error={problem}");
    }
}

fn prepare() -> Result<(), String> {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let name = folder.file_name().unwrap_or_default().display().to_string();
    let board = Board::in_folder(&name).ok_or_else(|| format!("no board in the table has the folder {name}"))?;
    let settings = Settings::read(board)?;
    let board = board.part(settings.flash, settings.ram);
    let mut values = vec![
        ("JAMLET_MODEL", settings.model.display().to_string()),
        ("JAMLET_WINDOW", settings.window.to_string()),
        ("JAMLET_BEAMS", settings.beams.to_string()),
        ("JAMLET_CHUNK", board.chunk.to_string()),
        ("JAMLET_CORES", board.cores.to_string()),
        ("JAMLET_CLOCK", board.clock.to_string()),
    ];
    if let Some(emulator) = board.emulator {
        values.extend(emulator.uart.map(|address| ("JAMLET_UART", address.to_string())));
        if let Some(case) = emulator.case {
            values.push(("JAMLET_CASE", case.start.to_string()));
            values.push(("JAMLET_CASE_BYTES", case.bytes.to_string()));
            values.push(("JAMLET_WORKSPACE", emulator.workspace.to_string()));
        }
    }
    match board.memory {
        Memory::Flash { flash, stack, ram } => {
            values.push(("JAMLET_FLASH", flash.bytes.to_string()));
            let states = states(&settings)?;
            values.extend(states.map(|bytes| ("JAMLET_STATES", bytes.to_string())));
            let flash = Region { bytes: flash.bytes - states.unwrap_or(0), ..flash };
            cortex(&folder, flash, stack, ram)?;
        }
        Memory::File { .. } => {
            println!("cargo::rustc-link-arg-bins=-T{}", folder.join("link.x").display());
            println!("cargo::rustc-link-arg-bins=--nmagic");
            println!("cargo::rerun-if-changed=link.x");
        }
    }
    for (name, value) in values {
        println!("cargo::rustc-env={name}={value}");
    }
    Ok(())
}

/// Writes the linker script that cortex-m-rt's includes, with the folder's `sections.x` at its end if there is one.
fn cortex(folder: &Path, flash: Region, stack: Region, ram: Region) -> Result<(), String> {
    let sections = folder.join("sections.x");
    let more = if sections.exists() { fs::read_to_string(&sections).map_err(at(&sections))? } else { String::new() };
    let memory = |name, Region { start, bytes }| format!("  {name} : ORIGIN = {start:#010x}, LENGTH = {bytes}\n");
    let script = format!(
        "/* From the table of boards. The stack lies at the bottom of a RAM, where an overflow is a fault. */\n\
         MEMORY\n{{\n{}{}{}}}\n_stack_end = ORIGIN(STACK);\n_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n{more}",
        memory("FLASH", flash),
        memory("STACK", stack),
        memory("RAM", ram)
    );
    let out = PathBuf::from(variable("OUT_DIR"));
    fs::write(out.join("memory.x"), script).map_err(at(&out))?;
    println!("cargo::rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=sections.x");
    Ok(())
}

/// Bytes at the end of the flash where states are kept: two slots, one for the state that was saved, one for the next.
#[cfg(feature = "persist")]
fn states(settings: &Settings) -> Result<Option<u64>, String> {
    const SECTOR: usize = 4096;
    let image = fs::read(&settings.model).map_err(at(&settings.model))?;
    let plan = jamlet::Plan::new(&image, jamlet::Options::window(settings.window));
    let plan = plan.map_err(|error| format!("{}: {error}", settings.model.display()))?;
    Ok(Some(2 * u64::from(jamlet_persist::slot_bytes(&plan, SECTOR))))
}

#[cfg(not(feature = "persist"))]
fn states(_: &Settings) -> Result<Option<u64>, String> {
    Ok(None)
}

/// What is embedded.
struct Settings {
    model: PathBuf,
    window: u32,
    beams: u32,
    /// Bytes of a part that has less.
    flash: Option<u64>,
    ram: Option<u64>,
}

impl Settings {
    /// The environment's, or the board's own.
    fn read(board: &Board) -> Result<Self, String> {
        for name in ["JAMLET_MODEL", "JAMLET_WINDOW", "JAMLET_BEAMS", "JAMLET_MOST_FLASH", "JAMLET_MOST_RAM"] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        let given = |name, most: u64| match env::var(name) {
            Ok(text) => match text.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
                _ => Err(format!("{name} is {text:?}; 1 to {most} would be right")),
            },
            Err(_) => Ok(None),
        };
        let number =
            |name, otherwise| given(name, u32::MAX.into()).map(|number| number.map_or(otherwise, |n| n as u32));
        let model = match env::var_os("JAMLET_MODEL") {
            Some(path) => from_working_directory(Path::new(&path))?,
            None => {
                let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../host-tools/models");
                let own = models.join(board.image).with_extension("jamlet");
                own.canonicalize().map_err(at(&own))?
            }
        };
        println!("cargo::rerun-if-changed={}", model.display());
        Ok(Self {
            model,
            window: number("JAMLET_WINDOW", board.window)?,
            beams: number("JAMLET_BEAMS", board.beams)?,
            flash: given("JAMLET_MOST_FLASH", board.flash().unwrap_or(0))?,
            ram: given("JAMLET_MOST_RAM", board.ram())?,
        })
    }
}

/// The file that a path names where cargo was started: cargo runs build scripts in the package's folder, but leaves the shell's
/// `PWD` as it was.
fn from_working_directory(path: &Path) -> Result<PathBuf, String> {
    if path.is_relative() {
        println!("cargo::rerun-if-env-changed=PWD");
    }
    let working = env::var_os("PWD").map(PathBuf::from).unwrap_or_default();
    let found = [working.join(path), path.to_owned()].iter().find_map(|path| path.canonicalize().ok());
    let found = found.filter(|path| path.is_file());
    found.ok_or_else(|| format!("JAMLET_MODEL: no file {} in {}", path.display(), working.display()))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn variable(name: &str) -> String {
    // Cargo sets it for build scripts.
    env::var(name).unwrap_or_default()
}
