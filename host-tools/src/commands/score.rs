//! `jamlet score`.

use super::image::ImageArgs;
use super::sampling::SamplerArgs;
use super::style::StyleArgs;
use super::{BeamsArgs, PlanArgs, bar, positive, write_json};
use anyhow::{Context, Result};
use clap::Args;
use jamlet_tools::destination::Destination;
use jamlet_tools::progress;
use jamlet_tools::score::{Pair, Report, Rouge, Scored, read_pairs, report, signals, summarize};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Scores summaries of many texts: ROUGE beside simple rules, repetitions, invented names
#[derive(Args, Debug)]
pub struct Score {
    #[command(flatten)]
    image: ImageArgs,
    /// Lines of {"text": .., "summaries": [..]}
    #[arg(long, value_name = "FILE.jsonl")]
    pairs: PathBuf,
    /// Only the first so many
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    limit: Option<usize>,
    #[command(flatten)]
    style: StyleArgs,
    /// Print so many random texts with their summaries, for reading
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    sheet: Option<usize>,
    /// Write what every summary was chosen by to this file, one JSON object a line, and nothing else: for fitting parameters
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "summaries")]
    signals: Option<PathBuf>,
    /// With --signals: only what sentences tell without the model, which takes no time
    #[arg(long, requires = "signals")]
    cheap: bool,
    /// Write every summary with its scores to this file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    summaries: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    beams: BeamsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Score {
    /// Summarizes, and scores.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        let mut pairs = read_pairs(&self.pairs)?;
        let summaries = self.summaries.as_deref().map(|path| Destination::new(path, [&*self.pairs])).transpose()?;
        pairs.truncate(self.limit.unwrap_or(usize::MAX));
        let bar = progress::count("summarizing", pairs.len() as u64);
        // Right summaries have one line.
        let asked = self.style.options(&self.sampler)?.lines(1);
        let beams = self.beams.count(&self.plan, &self.sampler, asked.limit)?;
        let options = self.plan.options()?.beams(beams);
        if let Some(path) = &self.signals {
            let destination = Destination::new(path, [&*self.pairs])?;
            let examined = match self.cheap {
                true => Ok(signals::examine_sentences(&pairs)),
                false => signals::examine(&model, options, asked, &pairs, || bar.inc(1)),
            };
            bar.finish_and_clear();
            return write_lines(&destination, &examined?);
        }
        let how = self.sampler.how(beams, asked)?;
        let scored = summarize(&model, options, &how, &pairs, || bar.inc(1));
        bar.finish_and_clear();
        let scored = scored?;
        if let Some(summaries) = &summaries {
            write_lines(summaries, &scored)?;
        }
        if let Some(count) = self.sheet {
            return sheet(&pairs, &scored, count);
        }
        let report = report(&pairs, &scored);
        let mut out =
            summaries.map_or_else(|| Box::new(std::io::stdout()) as Box<dyn Write>, |summaries| summaries.report());
        if self.json { write_json(&mut out, &report) } else { print(&mut out, &report) }
    }
}

fn write_lines(summaries: &Destination, scored: &[impl Serialize]) -> Result<()> {
    let mut draft = summaries.draft()?;
    let mut out = std::io::BufWriter::new(draft.as_file_mut());
    for line in scored {
        write_line(&mut out, line).with_context(|| summaries.name())?;
    }
    out.flush().with_context(|| summaries.name())?;
    drop(out);
    summaries.publish(draft)
}

/// Prints some texts, always the same ones of a file, with their summaries.
fn sheet(pairs: &[Pair], scored: &[Scored], count: usize) -> Result<()> {
    // Scattered by a multiplicative hash of their numbers.
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by_key(|&at| (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut out = std::io::stdout().lock();
    for (&at, number) in order.iter().take(count).zip(1..) {
        let (pair, one) = (&pairs[at], &scored[at]);
        writeln!(out, "{number}. text {at}\n\n{}\n", pair.text.trim())?;
        writeln!(out, "=> {} ({}, {:.2})", one.summary, one.way.unwrap_or("nothing"), one.confidence)?;
        if !one.reference.is_empty() {
            writeln!(out, "   right: {}", one.reference)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(writeln!(out)?)
}

fn print(out: &mut dyn Write, r: &Report) -> Result<()> {
    writeln!(out, "{} texts          ROUGE-1  ROUGE-2  ROUGE-L", r.texts)?;
    let mut row = |name: &str, rouge: &Rouge| {
        let drawn = bar((10.0 * rouge.rouge_l) as u64, 600, 30);
        writeln!(out, "  {name:16} {:8.1} {:8.1} {:8.1}  {drawn}", rouge.rouge1, rouge.rouge2, rouge.rouge_l)
    };
    row("model", &r.model)?;
    row("first sentence", &r.first_sentence)?;
    row("first 12 words", &r.first_words)?;
    row("heuristic", &r.heuristic)?;
    row("best sentence", &r.best_sentence)?;
    writeln!(out, "  empty {:.1} %, repeats {:.1} %", r.empty, r.repeats)?;
    writeln!(out, "  a name that isn't in the text: {:.1} % (people: {:.1} %)", r.invents, r.reference_invents)?;
    writeln!(out, "  another word that isn't: {:.1} % (people: {:.1} %)", r.foreign, r.reference_foreign)?;
    let ways: Vec<String> = r.ways.iter().map(|(way, share)| format!("{way} {share:.1} %")).collect();
    writeln!(out, "  ways: {}", ways.join(", "))?;
    let curve: Vec<String> = r.coverage.iter().map(|score| format!("{score:.1}")).collect();
    writeln!(out, "  ROUGE-L of the surest 10, 20, .. 100 %: {}", curve.join(" "))?;
    Ok(())
}
