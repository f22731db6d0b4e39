//! Cross targets and emulators: what `cargo xtask setup` installs, and where the other commands find it.

use anyhow::{Context, Result, bail};
use jamlet_tools::firmware::toolchain::toolchain_for;
use jamlet_tools::process::{self, output};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every target that firmware, the Linux binary or the page is built for.
pub const TARGETS: [&str; 5] = [
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "aarch64-unknown-none",
    "aarch64-unknown-linux-gnu",
    "wasm32-unknown-unknown",
];
/// The first QEMU with the Raspberry Pi 4.
const QEMU: u32 = 9;
const DEBIAN_SCRIPT: &str = include_str!("debian.sh");
const PLUGIN: &str = include_str!("insncount.c");

/// Installs what is missing.
///
/// # Errors
/// Where neither rustup nor Debian can provide it; the message says what to install.
pub fn run() -> Result<()> {
    let missing: Vec<&str> = TARGETS.into_iter().filter(|target| toolchain_for(target).is_err()).collect();
    let tools = tools_folder();
    let complete = has_extras() || !is_debian();
    if missing.is_empty() && emulators().is_ok() && complete {
        plugins(&tools)?;
        eprintln!("setup: targets and emulators are there");
        return Ok(());
    }
    let by_rustup = missing.is_empty() || add_by_rustup(&missing);
    if !by_rustup || emulators().is_err() || !complete {
        by_debian(&tools, by_rustup)?;
    }
    for target in TARGETS {
        toolchain_for(target)?;
    }
    emulators()?;
    plugins(&tools)?;
    eprintln!("setup: done");
    Ok(())
}

/// Where tools lie that no package installs.
pub fn tools_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let data = std::env::var_os("XDG_DATA_HOME").map_or_else(|| home().join(".local/share"), PathBuf::from);
    std::env::var_os("JAMLET_TOOLS").map_or_else(|| data.join("jamlet"), PathBuf::from)
}

/// A QEMU program: the one in the tools folder, else the installed one.
pub fn qemu(name: &str) -> PathBuf {
    let own = tools_folder().join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

/// The instruction-counting plugin for a QEMU program, if one could be built.
pub fn plugin(qemu_name: &str) -> Option<PathBuf> {
    let file = tools_folder().join(format!("insncount-{qemu_name}.so"));
    file.exists().then_some(file)
}

fn add_by_rustup(targets: &[&str]) -> bool {
    eprintln!("setup: rustup target add {}", targets.join(" "));
    let added = process::run(
        Command::new("rustup").env("RUSTUP_MAX_RETRIES", "0").args(["target", "add"]).args(targets),
        Duration::from_secs(600),
    );
    match added {
        Ok(run) if run.status.is_some_and(|status| status.success()) => true,
        _ => {
            eprintln!("setup: rustup can't fetch them here");
            false
        }
    }
}

fn by_debian(tools: &Path, targets_are_there: bool) -> Result<()> {
    if !is_debian() {
        let rust = match targets_are_there {
            true => String::new(),
            false => format!("Rust for the boards (`rustup target add {}`), ", TARGETS.join(" ")),
        };
        bail!(
            "this machine needs {rust}QEMU {QEMU} or newer (qemu-system-arm, qemu-system-aarch64, qemu-aarch64) and \
             gcc-aarch64-linux-gnu, and setup can install them only on Debian 12 (amd64) as root"
        );
    }
    eprintln!("setup: the Debian way; the first time takes a few minutes");
    let targets = if targets_are_there { &[] } else { &TARGETS[..] };
    let status = Command::new("bash")
        .args(["-c", DEBIAN_SCRIPT, "debian.sh"])
        .arg(tools)
        .args(targets)
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("debian.sh failed: {status}");
    }
    Ok(())
}

/// Whether this is a machine that debian.sh is for.
fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    release.contains("VERSION_CODENAME=bookworm") && cfg!(target_arch = "x86_64") && root
}

/// Whether valgrind is here. Elsewhere than on Debian its checks are left out where it isn't.
pub fn has_valgrind() -> bool {
    has("valgrind")
}

/// Whether valgrind, what C programs are built with, and what the page is tested with, are here.
fn has_extras() -> bool {
    has_valgrind() && has_gcc_for_arm() && browser().is_ok() && has("node") && has("npm")
}

/// Whether a program is here.
pub fn has(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

/// What to do where there is no Node.
pub const NO_NODE: &str =
    "Node 18 or later runs WebAssembly here; `cargo xtask setup` installs it on Debian 12 (amd64) as root";

/// The browser that the page is tested in.
///
/// # Errors
/// Where there is none; the message says how to get it.
pub fn browser() -> Result<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let found =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.exists());
    found.context("no Chromium for the page's tests; `cargo xtask setup` installs it on Debian 12 (amd64) as root")
}

/// Whether C programs for Arm boards can be built. Elsewhere than on Debian their checks are left out where they can't.
pub fn has_gcc_for_arm() -> bool {
    let newlib = Command::new("arm-none-eabi-gcc").arg("-print-file-name=libc_nano.a").output();
    let found = newlib.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains('/'));
    found && output(Command::new("make").arg("--version")).is_ok()
}

fn version(program: &str) -> Result<u32> {
    let text = output(Command::new(qemu(program)).arg("--version"))
        .with_context(|| format!("{program} is missing; `cargo xtask setup` installs it"))?;
    let number = text.split("version ").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
    number.with_context(|| format!("{program} --version says {text:?}"))
}

fn emulators() -> Result<()> {
    for program in ["qemu-system-arm", "qemu-system-aarch64"] {
        let found = version(program)?;
        if found < QEMU {
            bail!("{program} {found} is too old: {QEMU} is needed");
        }
    }
    version("qemu-aarch64").map(|_| ())
}

/// Builds the plugin for each QEMU. Counting instructions is extra: without a C compiler it is left out.
fn plugins(tools: &Path) -> Result<()> {
    fs::create_dir_all(tools).with_context(|| format!("creating {}", tools.display()))?;
    let source = tools.join("insncount.c");
    let current = fs::read_to_string(&source).is_ok_and(|text| text == PLUGIN);
    fs::write(&source, PLUGIN)?;
    for program in ["qemu-system-arm", "qemu-system-aarch64", "qemu-aarch64"] {
        let library = tools.join(format!("insncount-{program}.so"));
        if current && library.exists() {
            continue;
        }
        let api = if version(program)? >= QEMU { 4 } else { 1 };
        let built = Command::new("cc")
            .args(["-O2", "-fPIC", "-shared", "-fvisibility=hidden", &format!("-DAPI={api}"), "-o"])
            .args([&library, &source])
            .status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("setup: no C compiler for the plugin, so instructions won't be counted");
        }
    }
    Ok(())
}
