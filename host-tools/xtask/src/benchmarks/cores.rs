//! `cargo xtask cores`: how much of a model's work several cores share, counted in instructions on an emulated Raspberry Pi.
//!
//! A program does what cores would do, one share after another, and the counting plugin counts each share. What is in none is
//! serial. A share goes to the core that has done least, as in the worker pool, where whoever is free takes the next one. That
//! leaves out what only a clock shows: waking, waiting for memory, and a core that others use.

use crate::boards::emulated::named;
use crate::checks::conformance;
use crate::models::{self, synthetic};
use anyhow::{Context, Result, ensure};
use jamlet::{Model, Options};
use jamlet_tools::aligned::Aligned;
use jamlet_tools::pack::Widths;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Images; without any, the random model S of 8 and of 4 bits a weight.
    images: Vec<PathBuf>,
    /// The emulated targets.
    #[arg(long, value_delimiter = ',', default_value = "linux-a53,linux-a76")]
    targets: Vec<String>,
    /// Numbers of cores.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
    cores: Vec<usize>,
    /// Tokens of the prompt, which are read in chunks of 64.
    #[arg(long, default_value_t = 128)]
    prompt: u32,
    /// A line of JSON for every figure, instead of a table.
    #[arg(long)]
    json: bool,
}

/// Tokens that are read together.
const CHUNK: u32 = 64;
/// Tokens that attention looks back.
const WINDOW: u32 = 512;
/// What a run may take: a large model takes some minutes.
const LIMIT: Duration = Duration::from_secs(3600);

/// What was counted.
#[derive(Debug, PartialEq, Serialize)]
struct Counted {
    /// All instructions.
    instructions: u64,
    /// Those in no share.
    serial: u64,
    /// Those of the core that does most, with all that is serial.
    longest: u64,
}

/// Prints the figures.
///
/// # Errors
/// When a model can't be packed or run, or instructions can't be counted.
pub fn run(args: &Args) -> Result<()> {
    let mut images = Vec::new();
    for path in &args.images {
        images.push((path.file_stem().unwrap_or_default().display().to_string(), models::read(path)?));
    }
    if images.is_empty() {
        let scratch = tempfile::tempdir()?;
        synthetic::write(synthetic::Size::S, scratch.path())?;
        images.push(("S".into(), models::pack(scratch.path(), Widths::EIGHT)?));
        images.push(("S of 4 bits".into(), models::pack(scratch.path(), Widths::FOUR)?));
    }
    if !args.json {
        println!(
            "| target, model | cores | prefill: gain | serial | decode: gain | serial |\n|---|---|---|---|---|---|"
        );
    }
    for target in &args.targets {
        for (name, image) in &images {
            for &cores in &args.cores {
                let [prefill, decode] = count(target, image, cores, args.prompt)?;
                if args.json {
                    let line = serde_json::json!({ "target": target, "model": name, "cores": cores,
                                                   "prefill": prefill, "decode": decode });
                    println!("{line}");
                } else {
                    println!("| `{target}`, {name} | {cores} | {} | {} |", cells(&prefill), cells(&decode));
                }
            }
        }
    }
    Ok(())
}

/// By what several cores are faster than one, and the serial share.
fn cells(counted: &Counted) -> String {
    let Counted { instructions, serial, longest } = *counted;
    let all = instructions as f64;
    format!("{:.2} | {:.1} %", all / longest as f64, 100.0 * serial as f64 / all)
}

/// Counts prefill and decode of an image on so many cores.
fn count(target: &str, image: &[u8], cores: usize, prompt: u32) -> Result<[Counted; 2]> {
    let board = named(target)?;
    ensure!(board.folder == "checks/linux", "{target} runs no Linux; linux-a53 and linux-a76 do");
    let program = board.build("cores", None)?;
    let image = Aligned::copy(image);
    let vocab = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?.header().vocab;
    // Any tokens do; these go through the vocabulary in no order.
    let prompt: Vec<u32> = (0..prompt).map(|i| 3 + i * 7919 % (vocab - 3)).collect();
    let scratch = tempfile::tempdir()?;
    let (case, counts) = (scratch.path().join("case"), scratch.path().join("counts"));
    fs::write(&case, conformance::blob(image.bytes(), &prompt, Options::window(WINDOW).chunk(CHUNK), 0)?)?;
    let run = board.run_on_cores(&program, &case, cores, &counts, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{target}: {}", run.stderr.trim());
    read(&run.stdout, &counts, cores)
}

/// What the program reported, and the plugin counted.
fn read(report: &str, counts: &Path, cores: usize) -> Result<[Counted; 2]> {
    let text =
        fs::read_to_string(counts).context("instructions can't be counted: `cargo xtask setup` builds the plugin")?;
    let error = report.lines().find_map(|line| line.strip_prefix("error "));
    ensure!(error.is_none(), "{}", error.unwrap_or_default());
    let mut each = numbers(&text, "region 2 ", " each ").into_iter();
    let mut counted = Vec::new();
    for (region, name) in ["prefill", "decode"].into_iter().enumerate() {
        let instructions =
            *numbers(&text, &format!("region {region} "), " insns ").first().context("nothing was counted")?;
        let tasks = numbers(report, "shares ", &format!("shares {name} "));
        counted.push(schedule(instructions, &tasks, &mut each, cores)?);
    }
    ensure!(each.next().is_none(), "the plugin counted more shares than the program has done");
    counted.try_into().ok().context("two regions")
}

/// The numbers behind `before` in a line that begins with `start`; none where there is no such line.
fn numbers(text: &str, start: &str, before: &str) -> Vec<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let (_, numbers) = lines.find_map(|line| line.split_once(before)).unwrap_or_default();
    numbers.split(' ').map_while(|number| number.parse().ok()).collect()
}

/// Gives the shares of all tasks to cores: each to the one that has done least of the task.
fn schedule(instructions: u64, tasks: &[u64], each: &mut impl Iterator<Item = u64>, cores: usize) -> Result<Counted> {
    let (mut shared, mut longest) = (0, 0);
    for &shares in tasks {
        let mut done = vec![0; cores.max(1)];
        for _ in 0..shares {
            let share = each.next().context("the plugin counted fewer shares than the program has done")?;
            shared += share;
            if let Some(least) = done.iter_mut().min() {
                *least += share;
            }
        }
        longest += done.iter().max().copied().unwrap_or_default();
    }
    let serial = instructions.checked_sub(shared).context("shares take more instructions than all")?;
    Ok(Counted { instructions, serial, longest: serial + longest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_to_the_core_that_has_done_least() {
        let counted = |cores| schedule(100, &[3, 0, 2], &mut [10, 20, 10, 30, 20].into_iter(), cores).unwrap();
        assert_eq!(counted(1), Counted { instructions: 100, serial: 10, longest: 100 });
        assert_eq!(counted(2), Counted { instructions: 100, serial: 10, longest: 10 + 20 + 30 });
        assert!(schedule(100, &[2], &mut [1].into_iter(), 2).is_err());
        assert!(schedule(1, &[1], &mut [2].into_iter(), 2).is_err());
    }

    #[test]
    fn reports_and_counts_are_read_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let counts = folder.path().join("counts");
        let text = "total 900\nregion 0 runs 1 insns 100 last 100 each 100\nregion 1 runs 2 insns 60 last 30 each 30 30\n\
                    region 2 runs 3 insns 110 last 20 each 40 50 20\n";
        fs::write(&counts, text).unwrap();
        let [prefill, decode] = read("ids 1\nshares prefill 2\nshares decode 1\nend\n", &counts, 2).unwrap();
        assert_eq!(prefill, Counted { instructions: 100, serial: 10, longest: 60 });
        assert_eq!(decode, Counted { instructions: 60, serial: 40, longest: 60 });
        assert!(read("shares prefill 2\nshares decode \n", &counts, 2).is_err());
        assert!(read("error image: damaged\n", &counts, 2).is_err());
    }
}
