//! `jamlet plan`.

use super::image::ImageArgs;
use super::{PlanArgs, print_bars, print_json, size};
use anyhow::Result;
use clap::Args;
use jamlet::state::MAX_BEAMS;
use jamlet::{Model, Options, Plan};
use jamlet_tools::boards::{BOARDS, Board, Fit, fit};
use jamlet_tools::c_source;
use jamlet_tools::estimate::{self, Estimate, Work};
use jamlet_tools::numbers::one_to;
use jamlet_tools::pack::kind;
use jamlet_tools::tokenizer_facts::TokenizerFacts;
use jamlet_tools::workspace::HostWorkspace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

/// Shows the flash and RAM that a model takes, and which boards it fits
#[derive(Args, Debug)]
pub struct PlanCommand {
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// Summaries that are written side by side; each needs memory for its state [default: 2, and 1 on boards without room]
    #[arg(long, value_name = "N", value_parser = one_to::<MAX_BEAMS, u32>)]
    beams: Option<u32>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Print a header for programs in C instead: the sizes of workspaces as macros
    #[arg(long, conflicts_with = "json")]
    c_header: bool,
    /// As --c-header, with the image as an array `jamlet_image`, for systems without another way to embed a file
    #[arg(long, conflicts_with_all = ["json", "c_header"])]
    c_array: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    window: u32,
    sinks: u32,
    chunk: u32,
    beams: u32,
    flash: u64,
    flash_by_kind: BTreeMap<&'static str, u64>,
    tokenizer: Option<TokenizerFacts>,
    /// Tokens of the baked prompt, and whether a session with these options starts from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    baked: Option<(usize, bool)>,
    ram: u64,
    ram_by_part: BTreeMap<&'static str, u64>,
    boards: Vec<OnBoard>,
}

/// The model on a board, with the window and the beams of the board's firmware where the command line doesn't say others.
#[derive(Serialize)]
struct OnBoard {
    name: &'static str,
    description: &'static str,
    core: &'static str,
    flash: Option<u64>,
    ram: u64,
    firmware_flash: u64,
    firmware_ram: u64,
    window: u32,
    beams: u32,
    workspace: u64,
    #[serde(flatten)]
    fit: Fit,
    /// An estimate: see `estimate`.
    estimate: Estimate,
}

impl PlanCommand {
    /// Plans, and draws.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        let options = self.plan.options()?.beams(self.beams.unwrap_or(self.plan.beams()));
        if self.c_header || self.c_array {
            return self.print_for_c(file.name(), file.bytes(), options);
        }
        let plan = Plan::new(file.bytes(), options)?;
        let parts = plan.parts();
        let mut kinds = BTreeMap::new();
        for (expected, section) in model.image().sections() {
            *kinds.entry(kind(expected.role)).or_insert(0) += section.bytes.len() as u64;
        }
        let (flash, ram) = (model.header().length, plan.bytes() as u64);
        let report = Report {
            image: file.name().into(),
            window: options.window,
            sinks: options.sinks,
            chunk: options.chunk,
            beams: options.beams,
            flash,
            flash_by_kind: kinds,
            tokenizer: TokenizerFacts::of(&model),
            baked: baked(&model, options)?,
            ram,
            ram_by_part: BTreeMap::from([
                ("SSM state", parts.ssm as u64),
                ("convolution", parts.conv as u64),
                ("attention cache", parts.cache as u64),
                ("other beams", parts.beams as u64),
                ("scratch", parts.scratch as u64),
            ]),
            boards: BOARDS.iter().map(|board| self.on_board(&model, board)).collect::<Result<_>>()?,
        };
        if self.json { print_json(&report) } else { report.print() }
    }

    fn print_for_c(&self, name: &str, image: &[u8], options: Options) -> Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        c_source::header(name, image, options, &mut out)?;
        if self.c_array {
            c_source::array(image, &mut out)?;
        }
        Ok(out.flush()?)
    }

    fn on_board(&self, model: &Model<'_>, board: &Board) -> Result<OnBoard> {
        let beams = self.beams.unwrap_or(board.beams);
        let options = self.plan.options_for(board.window)?.beams(beams).chunk(board.chunk).heads_at_once(board.cores);
        let image = model.image().bytes();
        let workspace = Plan::new(image, options)?.bytes() as u64;
        Ok(OnBoard {
            name: board.name,
            description: board.description,
            core: board.core.name(),
            flash: board.flash(),
            ram: board.ram(),
            firmware_flash: board.code,
            firmware_ram: board.statics,
            window: options.window,
            beams,
            workspace,
            fit: fit(board, image.len() as u64, workspace),
            estimate: Work::of(model).on(board, options),
        })
    }
}

/// Whether sessions with these options start from the image's baked prompt.
fn baked(model: &Model<'_>, options: Options) -> Result<Option<(usize, bool)>> {
    let Some(baked) = model.baked() else { return Ok(None) };
    let starts = HostWorkspace::new(model, options)?.session(model)?.start_baked();
    Ok(Some((baked.tokens().len(), starts)))
}

impl Report {
    fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let sorted = |parts: &BTreeMap<&'static str, u64>| {
            let some = parts.iter().filter(|(_, bytes)| **bytes > 0);
            let mut parts: Vec<(String, u64)> = some.map(|(name, bytes)| ((*name).into(), *bytes)).collect();
            parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
            parts
        };
        writeln!(out, "{}\n\nflash  {}", self.image, size(self.flash))?;
        print_bars(&sorted(&self.flash_by_kind))?;
        if let Some(tokenizer) = &self.tokenizer {
            writeln!(out, "\nof which the tokenizer  {}", size(tokenizer.flash))?;
            print_bars(&sorted(&tokenizer.flash_by_part))?;
        }
        match self.baked {
            None => {}
            Some((tokens, true)) => writeln!(out, "\nstarts from a baked prompt of {tokens} tokens")?,
            Some((tokens, false)) => {
                writeln!(
                    out,
                    "\nthe baked prompt of {tokens} tokens was made for other options: it is read every time"
                )?;
            }
        }
        writeln!(
            out,
            "\nRAM  {}, the same for a text of any length (window {}, sinks {}, chunk {}, beams {})",
            size(self.ram),
            self.window,
            self.sinks,
            self.chunk,
            self.beams
        )?;
        print_bars(&sorted(&self.ram_by_part))?;
        if let Some(tokenizer) = &self.tokenizer {
            writeln!(out, "  and at most {} for the tokenizer", size(tokenizer.ram))?;
        }
        writeln!(out, "\nboards, with flash for the firmware and RAM for its statics")?;
        for board in &self.boards {
            let OnBoard { name, description, core, beams, fit, estimate, .. } = board;
            let mut missing = Vec::new();
            let left = |left: i64| size(left.unsigned_abs());
            if let Some(flash) = fit.flash_left.filter(|&bytes| bytes < 0) {
                missing.push(format!("{} of flash too little", left(flash)));
            }
            if fit.ram_left < 0 {
                missing.push(format!("{} of RAM too little", left(fit.ram_left)));
            }
            let verdict = match missing.is_empty() {
                true => format!("fits, {} of RAM left; {}", left(fit.ram_left), speed(estimate)),
                false => missing.join(", "),
            };
            let own = if *beams == self.beams { String::new() } else { format!(" (beams {beams})") };
            let mark = if fit.fits { '✓' } else { '✗' };
            writeln!(out, "  {mark} {name:<10} {:<42} {verdict}{own}", format!("{description}, {core}"))?;
        }
        writeln!(
            out,
            "\n≈ is an estimate from counted instructions, never measured on hardware: for a text of {} tokens and its summary of {}",
            estimate::TEXT,
            estimate::SUMMARY
        )?;
        Ok(())
    }
}

/// Seconds, and tokens/s that are read and written.
fn speed(estimate: &Estimate) -> String {
    let digits = |x: f64| if x < 9.95 { format!("{x:.1}") } else { format!("{x:.0}") };
    let seconds = match estimate.text_seconds {
        short if short < 0.095 => format!("{:.0} ms", 1e3 * short),
        long => format!("{} s", digits(long)),
    };
    let (read, written) = (digits(estimate.read_per_second), digits(estimate.written_per_second));
    format!("≈ {seconds} ({read} tokens/s read, {written} written)")
}
