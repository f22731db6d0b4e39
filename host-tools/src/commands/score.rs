//! `jamlet score`.

use super::image::ImageArgs;
use super::sampling::SamplerArgs;
use super::{BeamsArgs, PlanArgs, bar, positive, write_json};
use anyhow::{Context, Result};
use clap::Args;
use jamlet_tools::destination::Destination;
use jamlet_tools::progress;
use jamlet_tools::score::{Report, Rouge, Scored, read_pairs, report, summarize};
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
    /// Longest summary in tokens
    #[arg(short = 'n', long, default_value_t = 64, value_parser = positive)]
    max_tokens: usize,
    /// Write every summary with its scores to this file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    summaries: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    beams: BeamsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Don't prefer the text's words
    #[arg(long)]
    ungrounded: bool,
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
        let beams = self.beams.count(&self.plan, &self.sampler, self.max_tokens)?;
        let how = self.sampler.how(beams, self.max_tokens, self.ungrounded)?;
        let scored = summarize(&model, self.plan.options()?.beams(beams), &how, &pairs, || bar.inc(1));
        bar.finish_and_clear();
        let scored = scored?;
        if let Some(summaries) = &summaries {
            write_lines(summaries, &scored)?;
        }
        let report = report(&pairs, &scored);
        let mut out =
            summaries.map_or_else(|| Box::new(std::io::stdout()) as Box<dyn Write>, |summaries| summaries.report());
        if self.json { write_json(&mut out, &report) } else { print(&mut out, &report) }
    }
}

fn write_lines(summaries: &Destination, scored: &[Scored]) -> Result<()> {
    let mut draft = summaries.draft()?;
    let mut out = std::io::BufWriter::new(draft.as_file_mut());
    for line in scored {
        write_line(&mut out, line).with_context(|| summaries.name())?;
    }
    out.flush().with_context(|| summaries.name())?;
    drop(out);
    summaries.publish(draft)
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
    Ok(())
}
