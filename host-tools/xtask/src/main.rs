//! jamlet's developer commands: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod board;
mod conformance;
mod elf;
mod images;
mod process;
mod setup;
mod unicode;

use clap::{Parser, Subcommand};

/// jamlet's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs cross targets and emulators; free when they are there.
    Setup,
    /// Runs models on every emulated board and compares all bits with the committed goldens.
    Conformance(conformance::Args),
    /// Writes the engine's tables of letters and numbers.
    Unicode,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Setup => setup::run(),
        Task::Conformance(args) => conformance::run(&args),
        Task::Unicode => unicode::run(),
    }
}
