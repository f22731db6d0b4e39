//! What a text is written in, by the name of its file, or else by its beginning.

use super::{log, mail};
use clap::ValueEnum;
use regex_lite::Regex;
use std::path::Path;
use std::sync::LazyLock;

/// What a text is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// By the file's name, or else its beginning
    #[default]
    Auto,
    /// Nothing is taken away
    Raw,
    /// Plain text: lines are joined to paragraphs
    Text,
    /// CommonMark and GitHub's tables; code, tables, pictures and link targets are left out
    Markdown,
    /// Scripts, navigation, code and tables of data are left out
    Html,
    /// A mail or several (mbox): the subject and the text, without quoted replies and signature
    Mail,
    /// Time stamps and levels at the start of lines are left out
    Log,
}

/// The format of the text that is called `path` and begins with `head`.
pub fn format(path: Option<&Path>, head: &str) -> Format {
    path.and_then(by_name).unwrap_or_else(|| by_content(head))
}

fn by_name(path: &Path) -> Option<Format> {
    Some(match &*path.extension()?.to_str()?.to_ascii_lowercase() {
        "md" | "markdown" | "mdown" | "mkd" | "mkdn" | "mdx" | "rmd" | "qmd" => Format::Markdown,
        "html" | "htm" | "xhtml" => Format::Html,
        "eml" | "mbox" => Format::Mail,
        "log" => Format::Log,
        _ => return None,
    })
}

fn by_content(head: &str) -> Format {
    let start = head.trim_start();
    if is_page(start) {
        Format::Html
    } else if mail::begins_with_headers(
        head.strip_prefix("From ").map_or(head, |rest| rest.split_once('\n').map_or("", |(_, rest)| rest)),
    ) {
        Format::Mail
    } else if is_log(head) {
        Format::Log
    } else if is_markdown(head) {
        Format::Markdown
    } else if is_html(start) {
        Format::Html
    } else if mail::has_marks(head) {
        Format::Mail
    } else {
        Format::Text
    }
}

/// Whether a text says that it is a page.
fn is_page(start: &str) -> bool {
    static PAGE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?i)(?:<\?xml[^>]*>\s*|<!--(?s:.)*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b")
            .expect("a regular expression")
    });
    PAGE.is_match(start)
}

/// Whether a text is a piece of a page: it begins with an element of a block, and has as many ends.
fn is_html(start: &str) -> bool {
    static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)</?(?:p|div|h[1-6]|ul|ol|li|table|tr|td|section|article|header|main|br|span)\b[^<>]*>")
            .expect("a regular expression")
    });
    start.starts_with('<')
        && BLOCK.find(start).is_some_and(|tag| tag.start() == 0)
        && BLOCK.find_iter(start).nth(2).is_some()
}

/// Whether most lines begin as those of a log do.
fn is_log(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|line| !line.trim().is_empty()).take(60).collect();
    let stamped = lines.iter().filter(|line| log::is_stamped(line)).count();
    lines.len() >= 3 && stamped >= 3 && 5 * stamped >= 3 * lines.len()
}

/// Whether a text has several of the marks that Markdown has and other texts don't.
fn is_markdown(head: &str) -> bool {
    static MARKS: LazyLock<[(Regex, usize); 6]> = LazyLock::new(|| {
        [
            // A title, alone in the first line.
            (r"^\s*#{1,2} \S[^\n]*\n\s*\n", 2),
            (r"(?m)^#{1,6} \S", 1),
            (r"(?m)^ {0,3}```", 2),
            (r"\]\((?:https?:|\.{0,2}/|#|[\w./-]+\.\w+\))", 1),
            (r"(?m)^\[[^\]\n]+\]: \S+", 1),
            (r"\*\*\w[^*\n]*\*\*", 1),
        ]
        .map(|(pattern, weight)| (Regex::new(pattern).expect("a regular expression"), weight))
    });
    // The first line of a program is no title.
    let found = |(mark, weight): &(Regex, usize)| mark.find_iter(head).take(3).count().min(3) * weight;
    !head.starts_with("#!") && MARKS.iter().map(found).sum::<usize>() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_name_or_its_beginning() {
        use Format::{Html, Log, Mail, Markdown, Text};
        for (name, head, right) in [
            ("a.md", "plain words", Markdown),
            ("A.HTM", "plain words", Html),
            ("a.log", "plain words", Log),
            ("a.eml", "plain words", Mail),
            ("a.txt", "Plain words, nothing more.", Text),
            ("a", "# Title\n\nWords.\n\n## Use\n\nMore.", Markdown),
            (
                "a",
                "Title\n=====\n\n[![Badge](b.svg)](https://b)\n\nWith **bold** words and [a link](https://c).",
                Markdown,
            ),
            ("a", "#!/bin/sh\n# a comment\n# another\n# a third\n", Text),
            ("a", "# only a comment\nkey = value\n", Text),
            ("a", "<!-- x -->\n<!DOCTYPE html><p>Hi", Html),
            ("a", "<h1 align=center>Name</h1>\n\n## Use\n\n```sh\nx\n```\n", Markdown),
            ("a", "<p>One</p>\n<p>Two</p>", Html),
            ("a", "From: a@b.c\nTo: d@e.f\nSubject: x\n\nText", Mail),
            ("a", "From a@b.c Mon May  6 09:12:01 2024\nFrom: a@b.c\nTo: d@e.f\n\nText", Mail),
            ("a", "10:00 INFO a\n10:01 INFO b\n10:02 ERROR c\n", Log),
            (
                "a",
                "Doors open at ten.\n10:00 talk\n11:00 break\nLunch is at noon, in the hall.\nThen we leave.\n",
                Text,
            ),
            ("a", "Arrays are indexed as a[i](x) in this language, and 2 * 3 ** 4 is a power.", Text),
        ] {
            assert_eq!(format(Some(Path::new(name)), head), right, "{name}: {head}");
        }
    }
}
