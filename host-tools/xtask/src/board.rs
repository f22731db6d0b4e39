//! The emulated boards, and how each is built and started.

use crate::build::Build;
use crate::elf;
use crate::process::{self, Run};
use crate::setup;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
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
    /// A Cortex-M board in qemu-system-arm.
    Cortex {
        /// QEMU's name of the board.
        machine: &'static str,
        /// Address and size of the memory that holds the case.
        case: (u32, usize),
        /// Bytes of workspace that the conformance firmware has.
        workspace: usize,
    },
    /// A Raspberry Pi in qemu-system-aarch64.
    Pi {
        /// QEMU's name of the board.
        machine: &'static str,
    },
}

/// A target of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its name for users.
    pub name: &'static str,
    /// Its folder in `targets/`.
    pub folder: &'static str,
    /// What it is compiled for.
    pub triple: &'static str,
    /// How it runs.
    pub machine: Machine,
}

const fn cortex(
    name: &'static str,
    triple: &'static str,
    machine: &'static str,
    case: (u32, usize),
    workspace: usize,
) -> Board {
    Board { name, folder: name, triple, machine: Machine::Cortex { machine, case, workspace } }
}

const fn linux(name: &'static str, cpu: &'static str) -> Board {
    Board { name, folder: "linux", triple: "aarch64-unknown-linux-gnu", machine: Machine::Linux { cpu } }
}

const fn pi(name: &'static str, machine: &'static str) -> Board {
    Board { name, folder: "pi", triple: "aarch64-unknown-none", machine: Machine::Pi { machine } }
}

const M4: &str = "thumbv7em-none-eabihf";
const M33: &str = "thumbv8m.main-none-eabihf";

/// All of them, the host first.
pub const ALL: [Board; 11] = [
    Board { name: "host", folder: "", triple: "", machine: Machine::Host },
    linux("linux-a53", "cortex-a53"),
    linux("linux-a72", "cortex-a72"),
    linux("linux-a76", "cortex-a76"),
    linux("linux-max", "max"),
    pi("pi3", "raspi3b"),
    pi("pi4", "raspi4b"),
    cortex("qemu-m4", M4, "mps2-an386", (0x2100_0000, 16 << 20), 3 << 20),
    cortex("qemu-m7", M4, "mps2-an500", (0x6000_0000, 16 << 20), 3 << 20),
    cortex("qemu-m33", M33, "mps2-an505", (0x8000_0000, 16 << 20), 3 << 20),
    cortex("stm32f405", M4, "olimex-stm32-h405", (0x0803_0000, 832 << 10), 104 << 10),
];

/// The folder of the firmware workspace.
pub fn targets_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../targets")
}

impl Board {
    /// Whether the board's memory has room for a case of this size and its workspace.
    pub fn fits(&self, case: usize, workspace: usize) -> bool {
        match self.machine {
            Machine::Cortex { case: (_, room), workspace: most, .. } => case <= room && workspace <= most,
            Machine::Host | Machine::Linux { .. } | Machine::Pi { .. } => true,
        }
    }

    /// Builds a program of the board's folder for the emulator and says where it is.
    ///
    /// # Errors
    /// The compiler's, or that the target isn't set up.
    pub fn build(&self, binary: &str, model: Option<&Path>) -> Result<PathBuf> {
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
        if let Machine::Cortex { case: (address, _), .. } = self.machine {
            fs::write(case, elf::wrap(&fs::read(case)?, address))?;
        }
        self.emulate(program, Some(case), counts, limit)
    }

    /// Runs a program that needs nothing but itself, on an emulated board or under qemu-aarch64.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run_alone(&self, program: &Path, counts: Option<&Path>, limit: Duration) -> Result<Run> {
        self.emulate(program, None, counts, limit)
    }

    fn emulate(&self, program: &Path, case: Option<&Path>, counts: Option<&Path>, limit: Duration) -> Result<Run> {
        let (qemu, mut arguments): (_, Vec<String>) = match self.machine {
            Machine::Host => bail!("the host runs cases in this process"),
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
            Machine::Linux { .. } => command.arg(program).args(case),
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
            Machine::Host | Machine::Linux { .. } => panic!("{} has no serial port", self.name),
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
