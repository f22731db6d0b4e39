//! What a program takes of its board.

use crate::binaries::forbidden_symbols;
use crate::binaries::panics;
use crate::binaries::stack_bound::{Bound, MOST_STACK, RESET};
use crate::boards::emulated::{Emulated, named};
use crate::boards::{self, console::Console};
use crate::checks::conformance;
use anyhow::{Context, Result, ensure};
use jamlet::Plan;
use jamlet_boards::{BOARDS, Flashing, WINDOW};
use jamlet_tools::boards::options;
use jamlet_tools::estimate::Work;
use jamlet_tools::firmware::build::Build;
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use jamlet_tools::firmware::layout;
use jamlet_tools::firmware::program::Program;
use jamlet_tools::firmware::sizes::Sizes;
use jamlet_tools::image_file::ImageFile;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Writes the table to targets/README.md.
    #[arg(long)]
    write: bool,
}

const TEXT: &str =
    "This package contains a tool that reads the log files of web servers and writes a report about them.";
const LIMIT: Duration = Duration::from_secs(300);

/// A line of the table.
struct Line {
    board: &'static str,
    model: String,
    sizes: Sizes,
    parts: jamlet::state::Parts,
    stack: Option<u64>,
    bound: Option<Bound>,
    instructions: Option<(u64, u64)>,
    /// Places in libraries that can panic.
    others: BTreeMap<String, usize>,
}

/// Builds every board, checks layout, symbols and limits, and prints the table.
///
/// # Errors
/// The first board that doesn't build, fit or keep a limit.
pub fn run(args: &Args) -> Result<()> {
    let shelf = models_folder();
    let mut lines = Vec::new();
    for target in BOARDS.iter().filter(|board| board.flash().is_some()) {
        let model = shelf.join(target.image).with_extension("jamlet");
        let path = Build::of(target).run()?;
        let program = Program::read(&path)?;
        layout::check(target, &program)?;
        let sizes = Sizes::of(&program)?;
        let flat = program.flat()?;
        let image = layout::model(&flat)?;
        let options = options(target);
        let plan = Plan::new(image, options).map_err(anyhow::Error::msg)?;
        let parts = plan.parts();
        let statics = sizes.statics.saturating_sub(plan.bytes() as u64);
        ensure!(
            statics <= target.statics,
            "{}: {statics} bytes of statics beside the workspace; at most {} would be right by the table of boards",
            target.name,
            target.statics
        );
        ensure!(
            sizes.code <= target.code,
            "{}: {} bytes of code; at most {} would be right by the table of boards",
            target.name,
            sizes.code,
            target.code
        );
        let (mut stack, mut bound, mut instructions) = (None, None, None);
        let others = panics::inspect(&path).with_context(|| target.name.to_owned())?;
        if let Flashing::Emulator = target.flashing {
            forbidden_symbols::check(&program).with_context(|| target.name.to_owned())?;
            let board = named(target.name)?;
            let used = stack_used(board, &model)?;
            stack = Some(used);
            let most = Bound::of(&program, RESET)?;
            ensure!(
                (used..=MOST_STACK).contains(&most.bytes),
                "{}: a stack bound of {} bytes; from {used}, which are used, to {MOST_STACK} would be right",
                target.name,
                most.bytes
            );
            bound = Some(most);
            instructions = conformance::instructions(board, image)?;
            if let Some((prefill, decode)) = instructions {
                let file = ImageFile::open(Some(&model))?;
                let estimates = Work::of(&file.model()?).instructions(target.core);
                for (estimate, counted) in estimates.into_iter().zip([prefill, decode]) {
                    ensure!(
                        (0.9..1.1).contains(&(estimate / counted as f64)),
                        "{}: {counted} instructions a token, and {estimate:.0} in host-tools/src/estimate.rs: count anew",
                        target.name
                    );
                }
            }
        }
        let model = model.file_stem().unwrap_or_default().display().to_string();
        lines.push(Line { board: target.name, model, sizes, parts, stack, bound, instructions, others });
    }
    let table = table(&lines);
    println!("{table}");
    if args.write {
        let file = targets_folder().join("README.md");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let between = |text: &str, [begin, end]: [&str; 2], new: &str| -> Result<String> {
            let (head, rest) =
                text.split_once(begin).with_context(|| format!("{}: no line {begin:?}", file.display()))?;
            let (_, tail) = rest.split_once(end).with_context(|| format!("{}: no line {end:?}", file.display()))?;
            Ok(format!("{head}{begin}\n\n{new}\n{end}{tail}"))
        };
        let text = between(&text, BOARDS_TABLE, &boards::table::markdown()?)?;
        fs::write(&file, between(&text, SIZES_TABLE, &table)?)?;
    }
    Ok(())
}

/// The lines around the tables that are written to targets/README.md.
const BOARDS_TABLE: [&str; 2] = ["<!-- Boards: written by `cargo xtask sizes --write` -->", "<!-- End of boards -->"];
const SIZES_TABLE: [&str; 2] = ["<!-- Written by `cargo xtask sizes --write` -->", "<!-- End of sizes -->"];

/// Bytes of stack after a summary.
fn stack_used(board: &Emulated, model: &Path) -> Result<u64> {
    let program = board.build(board.folder, Some(model))?;
    let mut console = Console::start(&mut board.serial(&program, model))?;
    console.wait_for("> ", LIMIT)?;
    console.type_in(TEXT.as_bytes());
    console.type_in(b"\x04");
    console.wait_for(" tokens written", LIMIT)?;
    console.wait_for(", stack ", LIMIT)?;
    Ok(console.wait_for("]", LIMIT)?.parse()?)
}

fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "Bytes, with an attention window of {WINDOW} tokens. *Code* is the whole firmware without the image: engine, application, \
         drivers. *Statics* include the workspace, whose parts follow. Stack used and instructions are measured in QEMU; a dash \
         where there is no emulator. The *stack bound* is read from the program's instructions, see `cargo xtask stack`.\n\n\
         | board | model | code | image | statics | ssm | conv | cache | second beam | scratch | stack used | stack bound | instructions a token: prefill | decode |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    let or_dash = |number: Option<u64>| number.map_or("–".into(), |number| number.to_string());
    for Line { board, model, sizes, parts, stack, bound, instructions, .. } in lines {
        let jamlet::state::Parts { ssm, conv, cache, beams, scratch } = parts;
        let (prefill, decode) = (instructions.map(|(prefill, _)| prefill), instructions.map(|(_, decode)| decode));
        text += &format!(
            "| {board} | {model} | {} | {} | {} | {ssm} | {conv} | {cache} | {beams} | {scratch} | {} | {} | {} | {} |\n",
            sizes.code,
            sizes.image,
            sizes.statics,
            or_dash(*stack),
            or_dash(bound.as_ref().map(|bound| bound.bytes)),
            or_dash(prefill),
            or_dash(decode)
        );
    }
    text += "\nIn none of these programs that have no HAL are `core::fmt`, f64 arithmetic or panics linked. No panic of \
             the engine or the application is reachable in any of these programs; those of HALs and their libraries, in \
             places:\n\n";
    for line in lines.iter().filter(|line| !line.others.is_empty()) {
        let others: Vec<String> = line.others.iter().map(|(owner, places)| format!("{owner} {places}")).collect();
        text += &format!("- {}: {}\n", line.board, others.join(", "));
    }
    text
}
