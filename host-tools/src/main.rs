//! `jamlet`: packs Jamba checkpoints into images, and runs, checks and measures them.
#![forbid(unsafe_code)]

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// int8 Jamba language models for boards: pack them, plan them, run them
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pack(commands::pack::Pack),
    Inspect(commands::inspect::Inspect),
    Verify(commands::verify::Verify),
    Sign(commands::sign::Sign),
    Bake(commands::bake::Bake),
    Firmware(jamlet_tools::firmware::Args),
    Tune(commands::tune::Tune),
    Plan(commands::plan::PlanCommand),
    Run(commands::run::Run),
    Chat(commands::chat::Chat),
    Summarize(commands::summarize::Summarize),
    Tokenize(commands::tokenize::Tokenize),
    #[command(hide = true)]
    Retokenize(commands::retokenize::Retokenize),
    Score(commands::score::Score),
    Eval(commands::eval::Eval),
    Bench(commands::bench::Bench),
}

/// 0: done. 1: it could not be done, and standard error says why. 2: the arguments are wrong.
fn main() -> ExitCode {
    // A reader that goes away, as `head` does, ends this process quietly instead of with a panic.
    sigpipe::reset();
    let result = match Cli::parse().command {
        Command::Pack(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Sign(command) => command.run(),
        Command::Bake(command) => command.run(),
        Command::Firmware(args) => jamlet_tools::firmware::run(args),
        Command::Tune(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Chat(command) => command.run(),
        Command::Summarize(command) => command.run(),
        Command::Tokenize(command) => command.run(),
        Command::Retokenize(command) => command.run(),
        Command::Score(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Bench(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jamlet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
