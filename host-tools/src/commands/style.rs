//! How summaries are made: the options of `summarize` and `score`.

use super::positive;
use super::sampling::SamplerArgs;
use anyhow::Result;
use clap::{Args, ValueEnum};
use jamlet::SummaryOptions;
use jamlet::summary::Style;

/// How summaries are made.
#[derive(Args, Clone, Copy, Debug)]
pub struct StyleArgs {
    /// Quoted, compressed or rewritten
    #[arg(long, value_enum, default_value = "auto")]
    style: StyleArg,
    /// Longest line that the model writes, in tokens
    #[arg(short = 'n', long, default_value_t = 64, value_parser = positive)]
    max_tokens: usize,
    /// Rewrite without a preference for the text's words: names may be made up then
    #[arg(long)]
    ungrounded: bool,
}

/// How a summary is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StyleArg {
    /// Rewritten where the model is sure, otherwise quoted
    Auto,
    /// Written by the model
    Rewrite,
    /// Quoted, parts left out where that is safe
    Compress,
    /// The sentence that says most
    Quote,
}

impl StyleArgs {
    /// As the engine has it. What only a rewrite can have asks for one: tokens that are chosen otherwise, or without the text.
    pub fn options(&self, sampler: &SamplerArgs) -> Result<SummaryOptions> {
        let only_rewritten = self.ungrounded || !sampler.is_default()?;
        let style = match self.style {
            StyleArg::Auto if only_rewritten => Style::Rewrite,
            StyleArg::Auto => Style::Auto,
            StyleArg::Rewrite => Style::Rewrite,
            StyleArg::Compress => Style::Compress,
            StyleArg::Quote => Style::Quote,
        };
        Ok(SummaryOptions::new().style(style).limit(self.max_tokens).grounded(!self.ungrounded))
    }
}
