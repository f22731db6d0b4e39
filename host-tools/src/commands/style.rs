//! How summaries are made: the options of `summarize` and `score`.

use super::positive;
use super::sampling::SamplerArgs;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use jamlet::SummaryOptions;
use jamlet::summary::Style;

/// How summaries are made.
#[derive(Args, Clone, Copy, Debug)]
pub struct StyleArgs {
    /// Quoted, compressed, rewritten, or as a title
    #[arg(long, value_enum, default_value = "auto")]
    style: StyleArg,
    /// Longest line that the model writes, in tokens [default: 64; 512 where a chat model is asked, thinking included]
    #[arg(short = 'n', long, value_parser = positive)]
    max_tokens: Option<usize>,
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
    /// A title: the text's heading, or the first clause of the sentence that says most
    Title,
}

/// Tokens of a line where nothing else is asked for.
const LINE: usize = 64;
/// Tokens of a chat model's answer where nothing else is asked for.
const ANSWER: usize = 512;

impl StyleArgs {
    /// Whether the model may write the summary in its own words.
    pub fn may_write(&self) -> bool {
        matches!(self.style, StyleArg::Auto | StyleArg::Rewrite)
    }

    /// Whether a title is asked for, which is one line.
    pub fn is_title(&self) -> bool {
        self.style == StyleArg::Title
    }

    /// Most tokens of a chat model's answer.
    ///
    /// # Errors
    /// For an option that does nothing there.
    pub fn answer(&self) -> Result<usize> {
        ensure!(!self.ungrounded, "--ungrounded does nothing where a chat model is asked: its words are its own");
        Ok(self.max_tokens.unwrap_or(ANSWER))
    }

    /// As the engine has it. What only a rewrite can have asks for one: tokens that are chosen otherwise, or without the text.
    pub fn options(&self, sampler: &SamplerArgs) -> Result<SummaryOptions> {
        let only_rewritten = self.ungrounded || !sampler.is_default()?;
        let style = match self.style {
            StyleArg::Auto if only_rewritten => Style::Rewrite,
            StyleArg::Auto => Style::Auto,
            StyleArg::Rewrite => Style::Rewrite,
            StyleArg::Compress => Style::Compress,
            StyleArg::Quote => Style::Quote,
            StyleArg::Title => Style::Title,
        };
        Ok(SummaryOptions::new().style(style).limit(self.max_tokens.unwrap_or(LINE)).grounded(!self.ungrounded))
    }
}
