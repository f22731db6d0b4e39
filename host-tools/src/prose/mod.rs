//! The prose of what people bring: a file's Markdown, HTML, mail headers, quoted replies, time stamps and line breaks are taken away
//! before it is summarized. Paragraphs are parted by a blank line; headings, list items and lines of a log have a line of their own,
//! because no sentence goes over the end of a line. Headings begin with `# ` and items with `- `, as the engine knows them.

mod blocks;
mod builder;
mod detect;
mod html;
mod log;
mod mail;
mod markdown;
mod plain;

use crate::input::Input;
use anyhow::{Result, ensure};
use blocks::Blocks;
use std::io::Read;
use std::path::Path;

pub use detect::Format;

/// The most bytes of a text that has to be read as a whole.
const WHOLE: usize = 16 << 20;

/// Bytes of a text that are worked on at a time, where it may be endless.
const BLOCK: usize = 16 << 10;
/// The same of Markdown, which has blocks that go over blank lines.
const MARKDOWN_BLOCK: usize = 1 << 20;

/// The prose of the file at `path`, or of standard input for none and for `-`. Plain text, logs and Markdown may be endless, and take
/// the same memory then. Reading fails where there is no prose.
///
/// # Errors
/// When it can't be read, is no text, or is a mail or HTML of more than 16 MiB.
pub fn open(path: Option<&Path>, format: Format) -> Result<Box<dyn Read>> {
    let input = Input::open(path)?;
    let format = match format {
        Format::Auto => detect::format(path, &String::from_utf8_lossy(input.head())),
        chosen => chosen,
    };
    of(input, format)
}

/// The prose of `input`.
fn of(input: Input, format: Format) -> Result<Box<dyn Read>> {
    let name = input.name().to_owned();
    Ok(match format {
        Format::Raw | Format::Auto => Box::new(input),
        Format::Text => Box::new(Blocks::new(input, BLOCK, plain::prose)),
        Format::Log => Box::new(Blocks::new(input, BLOCK, log::prose)),
        Format::Markdown => {
            Box::new(NotEmpty::new(name, "Markdown", Blocks::new(input, MARKDOWN_BLOCK, markdown::prose)))
        }
        Format::Html => {
            let bytes = whole(input)?;
            let prose = html::prose(&String::from_utf8_lossy(&bytes));
            Box::new(NotEmpty::new(name, "HTML", std::io::Cursor::new(prose)))
        }
        Format::Mail => Box::new(NotEmpty::new(name, "mail", std::io::Cursor::new(mail::prose(&whole(input)?)))),
    })
}

/// The whole of a text of at most [`WHOLE`] bytes.
fn whole(input: Input) -> Result<Vec<u8>> {
    let name = input.name().to_owned();
    let mut bytes = Vec::new();
    input.take(WHOLE as u64 + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() <= WHOLE,
        "{name}: more than {} MiB of HTML or mail; --format text reads any length, as plain text",
        WHOLE >> 20
    );
    Ok(bytes)
}

/// Prose that has a word, or else an error where it ends.
struct NotEmpty<R> {
    name: String,
    format: &'static str,
    prose: R,
    begun: bool,
}

impl<R: Read> NotEmpty<R> {
    fn new(name: String, format: &'static str, prose: R) -> Self {
        Self { name, format, prose, begun: false }
    }
}

impl<R: Read> Read for NotEmpty<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.prose.read(buffer)?;
        self.begun |= !buffer[..count].trim_ascii().is_empty();
        if count == 0 && !self.begun && !buffer.is_empty() {
            let Self { name, format, .. } = self;
            let problem = format!("{name}: no prose in it, read as {format}; --raw takes it as it is");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, problem));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prose of `text` as the command would read it.
    pub(super) fn read(name: &str, text: &[u8]) -> Result<String> {
        let source: Box<dyn Read> = Box::new(std::io::Cursor::new(text.to_vec()));
        let input = Input::new(name.into(), source)?;
        let format = detect::format(Some(Path::new(name)), &String::from_utf8_lossy(input.head()));
        let mut prose = String::new();
        of(input, format)?.read_to_string(&mut prose)?;
        Ok(prose)
    }

    #[test]
    fn markup_without_prose_is_refused() {
        for (name, text) in [
            ("badges.md", "[![Build](https://ci/badge.svg)](https://ci)\n\n```\ncode\n```\n"),
            (
                "empty.html",
                "<html><head><style>p { color: red }</style></head><body><script>go()</script></body></html>",
            ),
            ("no.eml", "From: a@example.org\nTo: b@example.org\n\n"),
        ] {
            let error = read(name, text.as_bytes()).expect_err("no prose");
            assert!(error.to_string().contains(name) && error.to_string().contains("--raw"), "{error}");
        }
    }

    #[test]
    fn a_text_that_has_to_be_read_as_a_whole_is_not_endless() {
        let endless = Box::new(std::io::repeat(b'a'));
        let error = whole(Input::new("endless".into(), endless).unwrap()).expect_err("too much");
        assert!(error.to_string().contains("16 MiB"), "{error}");
    }
}
