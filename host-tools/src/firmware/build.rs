//! Building firmware, and understanding the linker where it doesn't fit.

use super::toolchain::toolchain_for;
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use jamlet_boards::{Board, Memory, Region};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// Folder in `targets/`.
    pub folder: &'a str,
    /// What it is compiled for.
    pub triple: &'a str,
    /// Name of the program.
    pub binary: &'a str,
    /// Whether it will run in QEMU instead of on hardware.
    pub emulated: bool,
    /// Image to embed; the board's own if none is given.
    pub model: Option<&'a Path>,
    /// Attention window; the board's own if none is given.
    pub window: Option<u32>,
    /// Summaries that are written side by side; the board's own number if none is given.
    pub beams: Option<u32>,
    /// Bytes of flash, where the part has less than the board's.
    pub flash: Option<u64>,
    /// Bytes of RAM, likewise.
    pub ram: Option<u64>,
    /// Whose images alone it runs, in hexadecimal digits; anybody's if none is given.
    pub public_key: Option<&'a str>,
    /// Whether it starts without the image's checksum.
    pub unchecked_start: bool,
    /// Whether it keeps states on flash.
    pub persist: bool,
    /// Whether accesses that aren't aligned fault, and it is compiled to need none: on Cortex-M, where the compiler uses them.
    pub strict_alignment: bool,
}

impl<'a> Build<'a> {
    /// A program for hardware, with the board's own model and window.
    pub const fn new(folder: &'a str, triple: &'a str, binary: &'a str) -> Self {
        Self {
            folder,
            triple,
            binary,
            emulated: false,
            model: None,
            window: None,
            beams: None,
            flash: None,
            ram: None,
            public_key: None,
            unchecked_start: false,
            persist: false,
            strict_alignment: false,
        }
    }
}

/// The folder of the firmware workspace.
pub fn targets_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets")
}

/// The folder of the models that boards embed.
pub fn models_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The longest that a build may take: on a busy machine the HALs take minutes.
const LIMIT: Duration = Duration::from_secs(1800);

impl Build<'static> {
    /// A board's application for hardware, with its own model, window and beams.
    pub fn of(board: &Board) -> Self {
        let folder = board.folder.unwrap_or(board.name);
        Self::new(folder, board.triple(), folder)
    }
}

impl Build<'_> {
    /// Checks what can be known without building.
    ///
    /// # Errors
    /// That the sources aren't there, the target isn't set up, or the board can't do what is asked for.
    pub fn check(&self) -> Result<()> {
        let folder = targets_folder().join(self.folder);
        ensure!(
            folder.join("Cargo.toml").exists(),
            "{}: no such folder; firmware is built from jamlet's sources, where this program was built",
            folder.display()
        );
        ensure!(
            !self.persist || has_feature(&folder, "persist")?,
            "{} has no driver for its flash, so it can't keep states there; pico2 and the qemu boards can",
            self.folder
        );
        toolchain_for(self.triple)?;
        Ok(())
    }

    /// Where the program is once it was built.
    pub fn program(&self) -> PathBuf {
        targets_folder().join("target").join(self.triple).join("release").join(self.binary)
    }

    /// Builds and says where the program is.
    ///
    /// # Errors
    /// The compiler's; that the target isn't set up; by how much the program doesn't fit the board.
    pub fn run(&self) -> Result<PathBuf> {
        self.with(&[], &[])
    }

    /// As [`Build::run`], with more features, and arguments for the compiler of the program itself.
    ///
    /// # Errors
    /// As [`Build::run`].
    pub fn with(&self, features: &[&str], arguments: &[&str]) -> Result<PathBuf> {
        self.check()?;
        let folder = targets_folder().join(self.folder);
        let mut cargo = Command::new("cargo");
        // What cargo set for this program isn't meant for another workspace.
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        if let Some(toolchain) = toolchain_for(self.triple)? {
            cargo.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        cargo.current_dir(&folder).args([if arguments.is_empty() { "build" } else { "rustc" }]);
        cargo.args(["--quiet", "--release", "--locked", "--bin", self.binary]);
        features.iter().for_each(|feature| _ = cargo.args(["--features", feature]));
        for (feature, wanted) in [
            ("emulated", self.emulated),
            ("conformance", self.binary == "conformance"),
            ("persist", self.persist),
            ("kernels", self.binary == "kernels"),
        ] {
            if wanted && has_feature(&folder, feature)? {
                cargo.args(["--features", feature]);
            }
        }
        if let Some(model) = self.model {
            cargo.env("JAMLET_MODEL", model.canonicalize().with_context(|| model.display().to_string())?);
        }
        if let Some(key) = self.public_key {
            cargo.args(["--features", "jamlet-app/signature"]).env("JAMLET_PUBLIC_KEY", key);
            // The signature's library has panics that the linker must be able to place.
            if fs::read_to_string(folder.join("Cargo.toml"))?.contains("jamlet-cortex") {
                cargo.args(["--features", "jamlet-cortex/panics"]);
            }
        }
        if self.unchecked_start {
            cargo.args(["--features", "jamlet-app/unchecked-start"]);
        }
        if self.strict_alignment {
            cargo.env("RUSTFLAGS", "-Ctarget-feature=+strict-align --cfg jamlet_strict_alignment");
        }
        for (name, number) in [
            ("JAMLET_WINDOW", self.window.map(u64::from)),
            ("JAMLET_BEAMS", self.beams.map(u64::from)),
            ("JAMLET_MOST_FLASH", self.flash),
            ("JAMLET_MOST_RAM", self.ram),
        ] {
            if let Some(number) = number {
                cargo.env(name, number.to_string());
            }
        }
        if !arguments.is_empty() {
            cargo.arg("--").args(arguments);
        }
        let run = process::run(&mut cargo, LIMIT)?;
        if !run.status.is_some_and(|status| status.success()) {
            match overflow(&run.stderr, &self.memories()) {
                Some(message) => {
                    bail!(
                        "the model does not fit {}: {message}; --beams 1 and a smaller --window take less RAM",
                        self.folder
                    )
                }
                None => bail!("building {} for {} failed:\n{}", self.binary, self.folder, run.stderr.trim()),
            }
        }
        Ok(self.program())
    }

    /// Memories of the board by the names that its linker script has, with their sizes.
    fn memories(&self) -> BTreeMap<&'static str, String> {
        let board = Board::in_folder(self.folder).map(|board| board.part(self.flash, self.ram));
        let Some(Memory::Flash { flash, stack, ram }) = board.map(|board| board.memory) else {
            return BTreeMap::new();
        };
        let size = |region: Region| format!("{} KiB", region.bytes >> 10);
        BTreeMap::from([("FLASH", size(flash)), ("STACK", size(stack)), ("RAM", size(ram))])
    }
}

fn has_feature(folder: &Path, feature: &str) -> Result<bool> {
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    Ok(text.lines().any(|line| line.starts_with(&format!("{feature} = ["))))
}

/// What the linker says about memories that are too small: how many bytes too many, by memory.
fn overflow(stderr: &str, memories: &BTreeMap<&str, String>) -> Option<String> {
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    for line in stderr.lines() {
        let Some((_, rest)) = line.split_once("will not fit in region '") else { continue };
        let (region, rest) = rest.split_once('\'')?;
        let bytes: u64 = rest.rsplit("overflowed by ").next()?.split(' ').next()?.parse().ok()?;
        // The linker reports each section beyond the end; the last one has the total.
        most.entry(region).and_modify(|most| *most = bytes.max(*most)).or_insert(bytes);
    }
    let parts: Vec<String> = most
        .iter()
        .map(|(region, bytes)| {
            format!("{bytes} bytes too many for {region} ({})", memories.get(region).map_or("?", String::as_str))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_complaint_becomes_bytes_and_memory() {
        let stderr = "  = note: rust-lld: error: section '.rodata' will not fit in region 'FLASH': overflowed by 100 bytes\n\
                      rust-lld: error: section '.data' will not fit in region 'FLASH': overflowed by 164 bytes\n\
                      rust-lld: error: section '.bss' will not fit in region 'RAM': overflowed by 7 bytes\n";
        let pico2 = Build::new("pico2", "", "");
        let memories = pico2.memories();
        assert_eq!(
            overflow(stderr, &memories).unwrap(),
            "164 bytes too many for FLASH (4096 KiB), 7 bytes too many for RAM (504 KiB)"
        );
        assert_eq!(overflow("error[E0425]: cannot find value", &memories), None);
        let part = Build { flash: Some(1 << 20), ..pico2 }.memories();
        assert_eq!((part["FLASH"].as_str(), part["RAM"].as_str()), ("1024 KiB", "504 KiB"));
    }
}
