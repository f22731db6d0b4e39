//! What shows that C programs get what Rust programs get: compiled by GCC, run in QEMU and, under AddressSanitizer, here.

use super::library::{self, Core, HOST};
use super::{folder, packages};
use crate::checks::conformance;
use crate::models::{self, fixtures, random_text_model};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use jamlet::Options;
use jamlet::beams::{DEFAULT_BEAMS, MAX_SUMMARY};
use jamlet_boards::WINDOW;
use jamlet_tools::aligned::Aligned;
use jamlet_tools::c_source;
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use jamlet_tools::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Boards in QEMU by the cores of packages: Rust's name of the board, and where its memories begin.
const BOARDS: [(&str, &str, [&str; 2]); 2] = [
    ("cortex-m4", "mps2-an386", ["FLASH_START=0", "RAM_START=0x20000000"]),
    ("cortex-m33", "mps2-an505", ["FLASH_START=0x10000000", "RAM_START=0x38000000"]),
];
/// Fixtures whose goldens are computed through the C interface: each kind of layer is in one of them.
const GOLDENS: [&str; 3] = ["moe", "gqa", "mamba"];
/// Tokens that are read together there.
const CHUNK: u32 = 8;
/// How much larger firmware in C may be than the same program in Rust.
const MORE_CODE: u64 = 2 << 10;
/// Random calls, and random texts of them.
const ROUNDS: u32 = 1500;
const SEEDS: u32 = 2;
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
const LIMIT: Duration = Duration::from_secs(600);

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Random rounds of calls under AddressSanitizer.
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    /// Also summarizes with this image in QEMU.
    #[arg(long)]
    image: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Self { rounds: ROUNDS, image: None }
    }
}

/// Builds and runs everything.
///
/// # Errors
/// The first thing that differs.
pub fn run(args: &Args) -> Result<()> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        eprintln!("PROGRAMS IN C ARE NOT CHECKED: that needs x86-64 Linux");
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    headers(scratch.path())?;
    examples(scratch.path())?;
    misuse(scratch.path(), args.rounds)?;
    if !setup::has_gcc_for_arm() {
        eprintln!("C IN QEMU IS NOT CHECKED: arm-none-eabi-gcc, make and newlib are not installed");
        return Ok(());
    }
    let package = scratch.path().join("package");
    packages::lay_out(&package, &BOARDS.map(|(core, ..)| library::core(core)))?;
    for (core, machine, places) in BOARDS {
        goldens(scratch.path(), &package, library::core(core), machine, places)?;
        let nano = models::read(&models_folder().join("nano.jamlet"))?;
        let program = summary(scratch.path(), &package, core, "nano", &nano)?;
        if core == "cortex-m4" {
            sizes(&program, nano.len() as u64)?;
        }
        summary(scratch.path(), &package, core, "random", &random_text_model::image()?)?;
        if let Some(image) = &args.image {
            summary(scratch.path(), &package, core, "image", &models::read(image)?)?;
        }
    }
    Ok(())
}

/// The headers compile without a warning, in C99, C11 and C++17; so does the C++ header's use.
fn headers(scratch: &Path) -> Result<()> {
    let include = folder().join("include");
    let uses = "#include \"jamlet.hpp\"\nstatic jamlet::Workspace<64> workspace;\n\
        jamlet_error use(const void *image, const char *text);\n\
        jamlet_error use(const void *image, const char *text) {\n\
        jamlet::Summarizer summarizer;\n\
        const jamlet_error error = summarizer.begin(workspace, image, 64);\n\
        unsigned long all = 0;\n\
        if (error == JAMLET_ERROR_OK) summarizer.feed(text);\n\
        return summarizer.finish([&](const char *, std::size_t bytes) { all += bytes; });\n}\n";
    for (compiler, standard, ending, source) in [
        (
            "gcc",
            "c99",
            "c",
            "#include \"jamlet.h\"\nJAMLET_WORKSPACE(workspace, 64);\nvoid *use(void);\nvoid *use(void) { return workspace; }\n",
        ),
        ("gcc", "c11", "c", "#include \"jamlet.h\"\nextern jamlet_error error;\n"),
        ("g++", "c++17", "cpp", "#include \"jamlet.h\"\nextern jamlet_error error;\n"),
        ("g++", "c++17", "cpp", uses),
    ] {
        let file = scratch.join("header").with_extension(ending);
        fs::write(&file, source)?;
        let mut command = Command::new(compiler);
        command.arg(format!("-std={standard}")).args(WARNINGS).arg("-I").arg(&include);
        process::output(command.args(["-fsyntax-only"]).arg(&file)).with_context(|| format!("as {standard}"))?;
    }
    println!("jamlet.h, jamlet.hpp: no warning as C99, C11 and C++17");
    Ok(())
}

/// The examples of packages compile without a warning, with stand-ins for what they use of other people's SDKs.
fn examples(scratch: &Path) -> Result<()> {
    let image = random_text_model::image()?;
    let model = scratch.join("model");
    fs::create_dir_all(&model)?;
    let mut text = Vec::new();
    c_source::header("random", Aligned::copy(&image).bytes(), Options::window(WINDOW), &mut text)?;
    fs::write(model.join("plan.h"), &text)?;
    c_source::array(&image, &mut text)?;
    fs::write(model.join("model.h"), text)?;
    for (compiler, flags, source) in [
        ("g++", &["-std=c++17", "-x", "c++", "-include", "Arduino.h"][..], "arduino/examples/Summarize/Summarize.ino"),
        ("gcc", &["-std=c11"], "esp-idf/examples/summarize/main/main.c"),
        ("gcc", &["-std=c11"], "examples/zephyr/src/main.c"),
        ("gcc", &["-std=c11"], "examples/pico-sdk/main.c"),
    ] {
        let mut command = Command::new(compiler);
        command.args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]).arg(folder().join("include"));
        command.arg("-I").arg(folder().join("tests/stand-ins")).arg("-I").arg(&model).args(flags);
        process::output(command.arg(folder().join(source)))?;
    }
    println!("examples for Arduino, ESP-IDF, Zephyr and the Pico SDK: no warning, with stand-ins for these");
    Ok(())
}

/// Misuse gives its error, and random calls do no harm, with all of the library under AddressSanitizer.
fn misuse(scratch: &Path, rounds: u32) -> Result<()> {
    let library = library::build_with(&HOST, "-Zsanitizer=address", Some("c-asan"))?;
    let image = scratch.join("random.jamlet");
    fs::write(&image, random_text_model::image()?)?;
    let program = |name: &str| -> Result<PathBuf> {
        let program = scratch.join(name);
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]).args(WARNINGS);
        gcc.arg("-I").arg(folder().join("include")).arg("-o").arg(&program);
        gcc.arg(folder().join("tests").join(name).with_extension("c")).arg(&library).arg("-lm");
        process::output(&mut gcc)?;
        Ok(program)
    };
    let run = |command: &mut Command| -> Result<String> {
        let run = process::run(command, LIMIT)?;
        ensure!(run.status.is_some_and(|status| status.success()), "{}{}", run.stdout, run.stderr);
        Ok(run.stdout.trim().into())
    };
    println!("misuse: {}", run(Command::new(program("misuse")?).arg(&image))?);
    let hostile = program("hostile")?;
    for seed in 1..=SEEDS {
        let random = run(Command::new(&hostile).arg(&image).args([seed.to_string(), rounds.to_string()]))?;
        println!("random calls under AddressSanitizer, seed {seed}: {random}");
    }
    Ok(())
}

/// A program in C computes the bits of the goldens.
fn goldens(scratch: &Path, package: &Path, core: &Core, machine: &str, places: [&str; 2]) -> Result<()> {
    let example = folder().join("examples/make");
    for (name, image) in fixtures::all().iter().filter(|(name, _)| GOLDENS.contains(name)) {
        let golden = conformance::committed(name)?;
        let options = Options::window(conformance::WINDOW).chunk(CHUNK);
        let plan = jamlet::Plan::new(image, options).map_err(anyhow::Error::msg)?;
        let prompt: Vec<String> = golden.prompt.iter().map(u32::to_string).collect();
        let case = format!(
            "#define IMAGE_BYTES {}\n#define WORKSPACE_BYTES (JAMLET_SESSION_BYTES + {})\n#define SNAPSHOT_BYTES {}\n\
             #define CHUNK {CHUNK}\n#define PROMPT {}\n",
            image.len(),
            plan.bytes(),
            plan.snapshot_with_logits_bytes(),
            prompt.join(",")
        );
        fs::write(scratch.join("case.h"), case)?;
        let (file, program) = (scratch.join("case.jamlet"), scratch.join("golden.elf"));
        fs::write(&file, image)?;
        let mut gcc = Command::new("arm-none-eabi-gcc");
        gcc.args(core.gcc).args(["-std=c11", "-Os", "-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections"]);
        gcc.args(WARNINGS).arg(format!("-DIMAGE=\"{}\"", file.display()));
        gcc.args(places.map(|place| format!("-Wl,--defsym={place}"))).arg("-T").arg(example.join("board.ld"));
        gcc.arg("-I").arg(package.join("include")).arg("-I").arg(&example).arg("-I").arg(scratch);
        gcc.arg(folder().join("tests/golden.c")).arg(example.join("board.c")).arg(example.join("image.S"));
        gcc.arg(package.join("lib").join(core.name).join("libjamlet.a")).arg("-o").arg(&program);
        process::output(&mut gcc)?;
        let report = conformance::read_report(&emulate(machine, &program)?)?;
        ensure!(report.ids == golden.ids, "{name} on {}: other tokens", core.name);
        ensure!(report.hash == golden.hash, "{name} on {}: other logits", core.name);
    }
    println!("{:<10} goldens of {}: equal", core.name, GOLDENS.join(", "));
    Ok(())
}

/// The example, built by its Makefile, prints what this machine computes. Returns the program.
fn summary(scratch: &Path, package: &Path, core: &str, name: &str, image: &[u8]) -> Result<PathBuf> {
    let (copy, file) = (scratch.join(format!("{core}-{name}")), scratch.join(name).with_extension("jamlet"));
    fs::create_dir_all(&copy)?;
    for entry in fs::read_dir(folder().join("examples/make"))? {
        let entry = entry?;
        fs::copy(entry.path(), copy.join(entry.file_name()))?;
    }
    fs::write(&file, image)?;
    let options = Options::window(WINDOW).beams(DEFAULT_BEAMS);
    let mut plan = Vec::new();
    c_source::header(name, Aligned::copy(image).bytes(), options, &mut plan)?;
    fs::write(copy.join("plan.h"), plan)?;
    let mut make = Command::new("make");
    make.current_dir(&copy).args([format!("CORE={core}"), format!("JAMLET={}", package.display())]);
    let built = process::run(make.arg(format!("IMAGE={}", file.display())), LIMIT)?;
    ensure!(built.status.is_some_and(|status| status.success()), "{}", built.stderr);
    ensure!(built.stderr.is_empty(), "warnings: {}", built.stderr);
    let program = copy.join("summary.elf");
    let Some((_, machine, _)) = BOARDS.iter().find(|(known, ..)| *known == core) else { bail!("no board has {core}") };
    let printed = emulate(machine, &program)?;
    let text = text(&fs::read_to_string(copy.join("main.c"))?)?;
    let (read, written, answer) = random_text_model::answer(image, options, text.as_bytes(), MAX_SUMMARY as u64)?;
    let right = format!("{answer}\n[{read} tokens read, {written} written]");
    ensure!(printed.trim() == right.trim(), "{core}: {printed:?}; {right:?} would be right");
    println!("{core:<10} the example with {name}: this machine's summary");
    Ok(program)
}

/// The text in the example's source.
fn text(source: &str) -> Result<String> {
    let text = source.split("TEXT[] =").nth(1).and_then(|rest| rest.split(';').next());
    // Of string literals next to each other every other part between quotation marks is text.
    Ok(text.context("the example has no TEXT")?.split('"').skip(1).step_by(2).collect())
}

/// What a program prints in QEMU, which shows on standard error what comes without an open file.
fn emulate(machine: &str, program: &Path) -> Result<String> {
    let mut qemu = Command::new(setup::qemu("qemu-system-arm"));
    qemu.args(["-machine", machine, "-display", "none", "-semihosting-config", "enable=on,target=native", "-kernel"]);
    let run = process::run(qemu.arg(program), LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{machine}: {}{}", run.stdout, run.stderr);
    Ok(run.stderr)
}

/// Firmware in C is hardly larger than the same program in Rust, and has no panic.
fn sizes(program: &Path, image: u64) -> Result<()> {
    let rust = targets_folder().join("example/target/thumbv7em-none-eabihf/release/example");
    let code = |program: &Path| -> Result<u64> {
        let sizes = process::output(Command::new("arm-none-eabi-size").arg(program))?;
        let mut numbers = sizes.lines().nth(1).unwrap_or_default().split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(text)), Some(Ok(data))) = (numbers.next(), numbers.next()) else { bail!("{sizes}") };
        Ok(text + data - image)
    };
    let names = process::output(Command::new("arm-none-eabi-nm").arg(program))?;
    let panic = names.lines().find(|line| line.contains("panic"));
    ensure!(panic.is_none(), "a panic is linked: {}", panic.unwrap_or_default());
    if !rust.exists() {
        println!(
            "firmware in C: {} bytes beside the image; Rust's isn't built, so they aren't compared",
            code(program)?
        );
        return Ok(());
    }
    let (ours, theirs) = (code(program)?, code(&rust)?);
    ensure!(ours <= theirs + MORE_CODE, "firmware in C has {ours} bytes beside the image, in Rust {theirs}");
    println!("firmware beside the image: {ours} bytes in C, {theirs} in Rust; no panic is linked");
    Ok(())
}
