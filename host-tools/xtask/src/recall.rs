//! `cargo xtask recall`: what a model still knows of a text when its memory is bounded, by task and length of the text, as a
//! Markdown table: a plain window beside heavy hitters in equal memory, and states of the Mamba layers by width.

use crate::aligned::Aligned;
use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use jamlet::{Eviction, Model, Options, Plan, StateWidth};
use jamlet_tools::hf::Weights;
use jamlet_tools::hf::tokenizer::PromptIds;
use jamlet_tools::pack::{self, Blobs};
use jamlet_tools::progress;
use jamlet_tools::workspace::HostWorkspace;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of the command.
#[derive(ClapArgs)]
pub struct Args {
    /// A Hugging Face folder; it needs no tokenizer.
    folder: PathBuf,
    /// Texts of a task, one a line: `{"task": "passkey", "length": 128, "tokens": [1, 7, …], "answers": [130, 132]}`, where answers
    /// are the places of tokens that are to be predicted from all before them.
    #[arg(long)]
    cases: PathBuf,
    /// Tokens in the heavy hitters' window; the plain window gets as many as the same memory holds.
    #[arg(long, value_delimiter = ',', default_value = "32")]
    windows: Vec<u32>,
    /// Parts of the window that are recent tokens, of 8.
    #[arg(long, value_delimiter = ',', default_value = "4,1")]
    recent: Vec<u32>,
}

#[derive(Deserialize)]
struct Case {
    task: String,
    length: u32,
    tokens: Vec<u32>,
    answers: Vec<usize>,
}

/// Prints the table.
///
/// # Errors
/// When a file can't be read or isn't what it should be.
pub fn run(args: &Args) -> Result<()> {
    let image = image(&args.folder)?;
    let model = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?;
    let text = fs::read_to_string(&args.cases).with_context(|| args.cases.display().to_string())?;
    let mut cases: BTreeMap<(String, u32), Vec<Case>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{}: line {}", args.cases.display(), number + 1);
        let case: Case = serde_json::from_str(line).with_context(at)?;
        let right = case.answers.iter().all(|&at| at > 0 && at < case.tokens.len());
        ensure!(right, "{}: answers must lie in the text, behind its first token", at());
        cases.entry((case.task.clone(), case.length)).or_default().push(case);
    }
    let longest = cases.values().flatten().map(|case| case.tokens.len()).max().context("no cases")?;
    let mut rows = vec![];
    for state in [StateWidth::F32, StateWidth::F16, StateWidth::I8] {
        let name = format!("all tokens, state {state:?}").to_lowercase();
        rows.push((name, Options::window(longest as u32).state(state)));
    }
    for &window in &args.windows {
        for &recent in &args.recent {
            let recent = (window * recent / 8).max(1);
            let heavy = Options::window(window).eviction(Eviction::HeavyHitters { recent });
            rows.push((format!("heavy hitters, {window} of which {recent} recent"), heavy));
        }
        if let Some((_, heavy)) = rows.last() {
            let room = bytes(&model, *heavy)?;
            let plain =
                (window..).take_while(|&window| bytes(&model, Options::window(window)).is_ok_and(|b| b <= room));
            let plain = plain.last().unwrap_or(window);
            rows.push((format!("the last {plain}"), Options::window(plain)));
        }
    }
    let keys: Vec<_> = cases.keys().map(|(task, length)| format!("{task} {length}")).collect();
    println!("| attention sees | cache, bytes | {} |", keys.join(" | "));
    println!("|---|---|{}", "---|".repeat(keys.len()));
    let bar = progress::count("recalling", rows.len() as u64);
    for (name, options) in rows {
        let plan = Plan::new(image.bytes(), options).map_err(anyhow::Error::msg)?;
        let mut found = Vec::new();
        for cases in cases.values() {
            found.push(format!("{:.1}", 100.0 * accuracy(&model, options, cases)?));
        }
        println!("| {name} | {} | {} |", plan.parts().cache, found.join(" | "));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn bytes(model: &Model<'_>, options: Options) -> Result<usize> {
    Ok(Plan::new(model.image().bytes(), options).map_err(anyhow::Error::msg)?.parts().cache)
}

/// Share of the answers that are the most probable token at their place.
fn accuracy(model: &Model<'_>, options: Options, cases: &[Case]) -> Result<f64> {
    let mut workspace = HostWorkspace::new(model, options)?;
    let mut session = workspace.session(model)?;
    let (mut right, mut all) = (0usize, 0usize);
    for case in cases {
        session.reset();
        let mut fed = 0;
        for &answer in &case.answers {
            session.feed(&case.tokens[fed..answer])?;
            fed = answer;
            let mut best = (0, f32::NEG_INFINITY);
            session.logits(|first, logits| {
                for (token, &logit) in (first..).zip(&*logits) {
                    if logit > best.1 {
                        best = (token, logit);
                    }
                }
            })?;
            right += usize::from(best.0 == case.tokens[answer] as usize);
            all += 1;
        }
    }
    Ok(right as f64 / all.max(1) as f64)
}

fn image(folder: &Path) -> Result<Aligned> {
    let weights = Weights::open(folder)?;
    let prompt = pack::prompt_section(&PromptIds::default());
    let blobs = Blobs { tokenizer: Vec::new(), prompt, provenance: b"{}".to_vec() };
    let out = tempfile::NamedTempFile::new()?;
    pack::pack(&weights, &blobs, pack::Options::default(), out.path(), |_, _| ())?;
    Ok(Aligned::copy(&fs::read(out.path())?))
}
