//! The emulated boards, and how each is built and started.

use crate::boards::case_file;
use crate::setup;
use crate::web::check;
use crate::web::module::{self, Flavor};
use anyhow::{Context, Result, bail};
use jamlet_boards::{BOARDS, Board, Emulator, Region};
use jamlet_tools::firmware::build::Build;
use jamlet_tools::process::{self, Run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// How a case of the conformance suite reaches the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// This machine, in this process.
    Host,
    /// A Linux program under qemu-aarch64, with this CPU.
    Linux {
        /// QEMU's name of the CPU.
        cpu: &'static str,
    },
    /// A WebAssembly module in Node.
    Wasm(Flavor),
    /// A Cortex-M board in qemu-system-arm.
    Cortex {
        /// QEMU's name of the board.
        machine: &'static str,
        /// The memory that holds the case.
        case: Region,
        /// Bytes of workspace that the conformance firmware has.
        workspace: u64,
    },
    /// A Raspberry Pi in qemu-system-aarch64.
    Pi {
        /// QEMU's name of the board.
        machine: &'static str,
    },
}

/// A target of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Emulated {
    /// Its name for users.
    pub name: &'static str,
    /// Its folder in `targets/`.
    pub folder: &'static str,
    /// What it is compiled for.
    pub triple: &'static str,
    /// How it runs.
    pub machine: Machine,
}

/// All of them, the host first.
pub static ALL: LazyLock<Vec<Emulated>> = LazyLock::new(|| {
    let linux = |name, cpu| Emulated {
        name,
        folder: "checks/linux",
        triple: "aarch64-unknown-linux-gnu",
        machine: Machine::Linux { cpu },
    };
    let wasm =
        |name, flavor| Emulated { name, folder: "checks/wasm", triple: module::TRIPLE, machine: Machine::Wasm(flavor) };
    let mut all = vec![
        Emulated { name: "host", folder: "", triple: "", machine: Machine::Host },
        linux("linux-a53", "cortex-a53"),
        linux("linux-a72", "cortex-a72"),
        linux("linux-a76", "cortex-a76"),
        linux("linux-max", "max"),
        wasm("wasm32", Flavor::Scalar),
        wasm("wasm32-simd", Flavor::Simd128),
    ];
    all.extend(BOARDS.iter().filter_map(Emulated::of));
    all
});

/// The target of this name.
///
/// # Errors
/// When there is none; the message names those that there are.
pub fn named(name: &str) -> Result<&'static Emulated> {
    let known = || ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    ALL.iter()
        .find(|target| target.name == name)
        .with_context(|| format!("there is no target {name}; there are {}", known()))
}

impl Emulated {
    /// The board in QEMU, if it is emulated.
    fn of(board: &Board) -> Option<Self> {
        let (Emulator { machine, case, workspace, .. }, folder) = board.emulator.zip(board.folder)?;
        let machine = match case {
            Some(case) => Machine::Cortex { machine, case, workspace },
            None => Machine::Pi { machine },
        };
        Some(Self { name: board.name, folder, triple: board.triple(), machine })
    }

    /// Whether the board's memory has room for a case of this size and its workspace.
    pub fn fits(&self, case: usize, workspace: usize) -> bool {
        match self.machine {
            Machine::Cortex { case: room, workspace: most, .. } => {
                case as u64 <= room.bytes && workspace as u64 <= most
            }
            Machine::Host | Machine::Linux { .. } | Machine::Wasm(_) | Machine::Pi { .. } => true,
        }
    }

    /// Builds a program of the board's folder for the emulator and says where it is.
    ///
    /// # Errors
    /// The compiler's, or that the target isn't set up.
    pub fn build(&self, binary: &str, model: Option<&Path>) -> Result<PathBuf> {
        if let Machine::Wasm(flavor) = self.machine {
            return module::build("wasm-checks", flavor);
        }
        Build { emulated: true, model, ..Build::new(self.folder, self.triple, binary) }.run()
    }

    /// As [`Board::build`] for the application, which runs only what the owner of a key signed.
    ///
    /// # Errors
    /// As [`Board::build`].
    pub fn build_for_owner(&self, model: &Path, public_key: &str) -> Result<PathBuf> {
        let Self { folder, triple, .. } = *self;
        let (model, public_key) = (Some(model), Some(public_key));
        Build { emulated: true, model, public_key, ..Build::new(folder, triple, folder) }.run()
    }

    /// Runs the conformance program with a case from a file.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run_case(&self, program: &Path, case: &Path, counts: Option<&Path>, limit: Duration) -> Result<Run> {
        if let Machine::Cortex { case: room, .. } = self.machine {
            fs::write(case, case_file::wrap(&fs::read(case)?, room.start as u32))?;
        }
        if let Machine::Wasm(_) = self.machine {
            return check::run_case(program, case, limit);
        }
        self.emulate(program, Some(case), &[], counts, limit)
    }

    /// Runs a Linux program with a case from a file and a number of cores.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run_on_cores(
        &self,
        program: &Path,
        case: &Path,
        cores: usize,
        counts: &Path,
        limit: Duration,
    ) -> Result<Run> {
        self.emulate(program, Some(case), &[cores.to_string()], Some(counts), limit)
    }

    /// Runs a program that needs nothing but itself, on an emulated board or under qemu-aarch64.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run_alone(&self, program: &Path, counts: Option<&Path>, limit: Duration) -> Result<Run> {
        self.emulate(program, None, &[], counts, limit)
    }

    /// `more` are a Linux program's arguments behind the case.
    fn emulate(
        &self,
        program: &Path,
        case: Option<&Path>,
        more: &[String],
        counts: Option<&Path>,
        limit: Duration,
    ) -> Result<Run> {
        let (qemu, mut arguments): (_, Vec<String>) = match self.machine {
            Machine::Host => bail!("the host runs cases in this process"),
            Machine::Wasm(_) => bail!("modules run nothing but cases"),
            Machine::Linux { cpu } => ("qemu-aarch64", vec!["-cpu".into(), cpu.into()]),
            Machine::Cortex { machine, .. } => ("qemu-system-arm", emulation(machine, "", case)),
            Machine::Pi { machine } => {
                ("qemu-system-aarch64", emulation(machine, ",addr=0x08000000,force-raw=on", case))
            }
        };
        if let Some((plugin, counts)) = setup::plugin(qemu).zip(counts) {
            arguments.extend(["-plugin".into(), format!("{},out={}", plugin.display(), counts.display())]);
        }
        let mut command = Command::new(setup::qemu(qemu));
        command.args(arguments);
        match self.machine {
            Machine::Linux { .. } => command.arg(program).args(case).args(more),
            _ => command.arg("-kernel").arg(program),
        };
        process::run(&mut command, limit)
    }

    /// QEMU with the board's application and its serial port on standard input and output.
    ///
    /// # Panics
    /// For machines without a serial port.
    pub fn serial(&self, program: &Path, model: &Path) -> Command {
        let (qemu, machine) = match self.machine {
            Machine::Cortex { machine, .. } => ("qemu-system-arm", machine),
            Machine::Pi { machine } => ("qemu-system-aarch64", machine),
            Machine::Host | Machine::Linux { .. } | Machine::Wasm(_) => panic!("{} has no serial port", self.name),
        };
        let mut command = Command::new(setup::qemu(qemu));
        command.args(["-machine", machine, "-display", "none", "-monitor", "none"]);
        command.args(["-chardev", "stdio,id=port,signal=off", "-serial", "chardev:port"]);
        // The log has a place of its own: nothing of it may reach the port.
        command.args(["-chardev", "null,id=log", "-semihosting-config", "enable=on,target=native,chardev=log"]);
        if let Machine::Pi { .. } = self.machine {
            command.args(["-device", &format!("loader,file={},addr=0x08000000,force-raw=on", model.display())]);
        }
        command.arg("-kernel").arg(program);
        command
    }
}

fn emulation(machine: &str, place: &str, case: Option<&Path>) -> Vec<String> {
    let fixed = ["-display", "none", "-monitor", "none", "-serial", "stdio", "-semihosting-config"];
    let mut arguments: Vec<String> = vec!["-machine".into(), machine.into()];
    arguments.extend(fixed.map(String::from));
    arguments.push("enable=on,target=native".into());
    if let Some(case) = case {
        arguments.extend(["-device".into(), format!("loader,file={}{place}", case.display())]);
    }
    arguments
}
