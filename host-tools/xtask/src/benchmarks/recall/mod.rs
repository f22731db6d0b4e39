//! `cargo xtask recall`: what a model still knows of a text when its memory is bounded, by task and length of the text, as a
//! Markdown table: a plain window beside heavy hitters in equal memory, and states of the Mamba layers by width.

pub mod texts;

use crate::models;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use jamlet::{Eviction, Model, Options, Plan, StateWidth};
use jamlet_tools::aligned::Aligned;
use jamlet_tools::pack::Widths;
use jamlet_tools::progress;
use std::path::PathBuf;

/// Arguments of the command.
#[derive(ClapArgs)]
pub struct Args {
    /// A Hugging Face folder; it needs no tokenizer.
    folder: PathBuf,
    /// Texts of a task, one a line: `{"task": "passkey", "length": 128, "tokens": [1, 7, …], "answers": [130, 132]}`, where answers
    /// are the places of tokens that are to be predicted from all before them.
    #[arg(long)]
    texts: PathBuf,
    /// Only texts of at most this length.
    #[arg(long)]
    longest: Option<u32>,
    /// Tokens in the heavy hitters' window; the plain window gets as many as the same memory holds.
    #[arg(long, value_delimiter = ',', default_value = "32")]
    windows: Vec<u32>,
    /// Parts of the window that are recent tokens, of 8.
    #[arg(long, value_delimiter = ',', default_value = "4,1")]
    recent: Vec<u32>,
}

/// Prints the table.
///
/// # Errors
/// When a file can't be read or isn't what it should be.
pub fn run(args: &Args) -> Result<()> {
    let image = Aligned::copy(&models::pack(&args.folder, Widths::EIGHT)?);
    let model = Model::parse(image.bytes()).map_err(anyhow::Error::msg)?;
    let mut texts = texts::read(&args.texts)?;
    texts.retain(|(_, length), _| args.longest.is_none_or(|longest| *length <= longest));
    let longest = texts.values().flatten().map(|text| text.tokens.len()).max().context("all texts are longer")?;
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
    let keys: Vec<_> = texts.keys().map(|(task, length)| format!("{task} {length}")).collect();
    println!("| attention sees | cache, bytes | {} |", keys.join(" | "));
    println!("|---|---|{}", "---|".repeat(keys.len()));
    let bar = progress::count("recalling", rows.len() as u64);
    for (name, options) in rows {
        let plan = Plan::new(image.bytes(), options).map_err(anyhow::Error::msg)?;
        let mut found = Vec::new();
        for texts in texts.values() {
            found.push(format!("{:.1}", 100.0 * texts::answers(&model, options, texts)?.accuracy()));
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
