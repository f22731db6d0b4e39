//! jamlet's developer commands: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod benchmarks;
mod binaries;
mod boards;
mod c_door;
mod checks;
mod models;
mod repository;
mod setup;
mod test;
mod web;

use benchmarks::{cores, family, host_instructions, instructions, llama_cpp, quantization, recall, small_machines};
use binaries::{panics, sizes, stack_bound};
use c_door::{header, packages};
use checks::{
    attacks, conformance, endless, example, faults, fuzz, host_examples, memory_safety, raspberry_pi_os, runners,
    saved_states, serial, soak,
};
use models::synthetic;
use repository::{coverage, deny, lint, release, session};

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
    /// Writes the `jamlet` command for Raspberry Pi OS, statically linked.
    RaspberryPiOs(raspberry_pi_os::Args),
    /// Counts instructions per token on this machine.
    HostInstructions(host_instructions::Args),
    #[command(hide = true)]
    Tokens(host_instructions::Tokens),
    /// Compares speed with llama.cpp on the same checkpoints, side by side.
    LlamaCpp(llama_cpp::Args),
    /// Packs and runs large models in as much memory as small machines have, and compares it with llama.cpp's.
    SmallMachines(small_machines::Args),
    /// Checks format and lints.
    Lint(lint::Args),
    /// Writes a random checkpoint of a given size.
    Synthetic(synthetic::Args),
    /// Prints what each part of int8 quantization costs.
    Quantization(quantization::Args),
    /// Runs models on every emulated board and compares all bits with the committed goldens.
    Conformance(conformance::Args),
    /// Reads a million tokens here and thousands on an emulated board: memory and cost must stay as they are.
    Endless(endless::Args),
    /// Counts the instructions of every kernel and of a token on emulated targets, and estimates cycles.
    Bench(instructions::Args),
    /// Counts what several cores share of prefill and decode on emulated targets, and what stays serial.
    Cores(cores::Args),
    /// Prints what a model recalls of texts under bounded memory.
    Recall(recall::Args),
    /// Compares S4D, Mamba, Transformer and Jamba on this machine and an emulated board: recall, memory and cost by length.
    Family(family::Args),
    /// Types texts into the serial port of every emulated board, and compares the summaries with this machine's.
    Serial(serial::Args),
    /// Types random texts at an emulated board for as long as one likes, and compares every summary with this machine's.
    Soak(soak::Args),
    /// Flips bits of images at rest and while boards compute, and tries images of others on boards that want theirs signed.
    Faults(faults::Args),
    /// Checks that nothing in the engine or the application can panic, on any board.
    Panics(panics::Args),
    /// Runs kernels and casts between guard pages: natively, in valgrind, on aarch64 and in Miri; and boards that trap accesses
    /// that aren't aligned.
    MemorySafety(memory_safety::Args),
    /// Prints the most stack that programs can need and where, and the most that they use for what the fuzzer found.
    Stack(stack_bound::Args),
    /// Builds every board, checks layout and limits, and prints what takes how much memory.
    Sizes(sizes::Args),
    /// Gives hostile images to emulated boards: each must give the error that its recipe names.
    Attacks(attacks::Args),
    /// Prints which lines of the engine the tests reach.
    Coverage(coverage::Args),
    /// Checks licenses, duplicates, sources and advisories of all dependencies.
    Deny,
    /// Fuzzes what reads bytes from strangers, with libFuzzer and AddressSanitizer.
    Fuzz(fuzz::Args),
    /// States go to every emulated board and back, outlive power cuts, and are baked into images.
    States(saved_states::Args),
    /// Runs the programs that newcomers copy; then `cargo run` in every board's folder, with a stand-in runner.
    Examples,
    /// Writes what a board's users flash: as `jamlet firmware`, which needs less building.
    Firmware(jamlet_tools::firmware::Args),
    /// Compares targets/c/include/jamlet.h with the crate that it is made from, or writes it.
    CHeader(header::Args),
    /// Builds the packages for users of C: header, libraries and examples; Arduino, Zephyr, ESP-IDF.
    CPackages(packages::Args),
    /// Builds C programs, misuses the interface, and compares what is computed in QEMU with this machine and the goldens.
    C(c_door::check::Args),
    /// Builds the page that summarizes in a browser, and the npm package.
    Web(web::Args),
    /// Builds what users download: the command, firmware and images, with checksums.
    Release(release::Args),
    /// Types a text at an emulated board, and draws the picture in the README.
    Session(session::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Setup => setup::run(),
        Task::Test => test::run(),
        Task::RaspberryPiOs(args) => raspberry_pi_os::run(&args),
        Task::HostInstructions(args) => host_instructions::run(&args),
        Task::Tokens(args) => host_instructions::tokens(&args),
        Task::LlamaCpp(args) => llama_cpp::run(&args),
        Task::SmallMachines(args) => small_machines::run(&args),
        Task::Lint(args) => lint::run(&args),
        Task::Synthetic(args) => synthetic::run(&args),
        Task::Quantization(args) => quantization::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Endless(args) => endless::run(&args),
        Task::Bench(args) => instructions::run(&args),
        Task::Cores(args) => cores::run(&args),
        Task::Recall(args) => recall::run(&args),
        Task::Family(args) => family::run(&args),
        Task::Serial(args) => serial::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Faults(args) => faults::run(&args),
        Task::Panics(args) => panics::run(&args),
        Task::MemorySafety(args) => memory_safety::run(&args),
        Task::Stack(args) => stack_bound::run(&args),
        Task::Sizes(args) => sizes::run(&args),
        Task::Attacks(args) => attacks::run(&args),
        Task::Coverage(args) => coverage::run(&args),
        Task::Deny => deny::run(),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::States(args) => saved_states::run(&args),
        Task::Examples => host_examples::check().and_then(|()| example::check()).and_then(|()| runners::check()),
        Task::Firmware(args) => jamlet_tools::firmware::run(args),
        Task::CHeader(args) => header::run(&args),
        Task::CPackages(args) => packages::run(&args),
        Task::C(args) => c_door::check::run(&args),
        Task::Web(args) => web::run(&args),
        Task::Release(args) => release::run(&args),
        Task::Session(args) => session::run(&args),
    }
}
