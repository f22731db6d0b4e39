//! jamlet's developer commands: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod board;
mod conformance;
mod elf;
mod images;
mod process;
mod quantization;
mod setup;
mod synthetic;
mod test;
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
    /// All checks: what continuous integration runs.
    Test,
    /// Writes a random checkpoint of a given size.
    Synthetic(synthetic::Args),
    /// Prints what each part of int8 quantization costs.
    Quantization(quantization::Args),
    /// Runs models on every emulated board and compares all bits with the committed goldens.
    Conformance(conformance::Args),
    /// Writes the engine's tables of letters and numbers.
    Unicode,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Setup => setup::run(),
        Task::Test => test::run(),
        Task::Synthetic(args) => synthetic::run(&args),
        Task::Quantization(args) => quantization::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Unicode => unicode::run(),
    }
}
