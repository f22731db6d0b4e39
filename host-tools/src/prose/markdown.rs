//! Markdown: headings, paragraphs and list items, without code blocks, tables, pictures, link targets and comments.

use super::builder::Prose;
use super::html;
use pulldown_cmark::{BrokenLink, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

/// The prose of a document, without a line end at its end.
pub fn prose(text: &str) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut reader = Reader::default();
    for event in Parser::new_with_broken_link_callback(text, options, Some(known)) {
        reader.see(event);
    }
    reader.prose.text
}

/// A reference whose definition is in another block is still a link; words in brackets alone are none.
fn known<'i>(link: BrokenLink<'i>) -> Option<(CowStr<'i>, CowStr<'i>)> {
    let explicit = matches!(link.link_type, LinkType::Reference | LinkType::Collapsed);
    explicit.then(|| ("".into(), "".into()))
}

#[derive(Default)]
struct Reader {
    prose: Prose,
    /// Blocks and pictures that are open and left out.
    skipped: usize,
    /// HTML that is between the blocks.
    html: html::Reader,
    /// A block of HTML is open.
    in_html: String,
}

impl Reader {
    fn see(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Html(html) => self.in_html.push_str(&html),
            _ if self.skipped > 0 || self.html.skips() => {}
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) => self.prose.words(&text),
            Event::SoftBreak => self.prose.words(" "),
            Event::HardBreak => self.prose.line(),
            Event::InlineHtml(tag) if tag.to_ascii_lowercase().starts_with("<br") => self.prose.line(),
            Event::Rule => self.prose.paragraph(),
            Event::InlineHtml(_) | Event::DisplayMath(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(_)
            | Tag::Table(_)
            | Tag::Image { .. }
            | Tag::FootnoteDefinition(_)
            | Tag::MetadataBlock(_) => self.skipped += 1,
            Tag::Heading { .. } => {
                // An element that was left open doesn't take all that follows along.
                self.html.forget();
                self.prose.heading();
            }
            Tag::HtmlBlock | Tag::List(None | Some(_)) | Tag::BlockQuote(_) => self.prose.line(),
            Tag::Item => self.prose.item(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock
            | TagEnd::Table
            | TagEnd::Image
            | TagEnd::FootnoteDefinition
            | TagEnd::MetadataBlock(_) => self.skipped = self.skipped.saturating_sub(1),
            TagEnd::HtmlBlock => {
                self.html.read(&std::mem::take(&mut self.in_html));
                let text = self.html.take();
                if self.skipped == 0 {
                    self.lines(&text);
                }
            }
            TagEnd::Item => {
                self.prose.end_mark();
                self.prose.line();
            }
            TagEnd::Heading(_) => {
                self.prose.end_mark();
                self.prose.paragraph();
            }
            TagEnd::Paragraph | TagEnd::List(_) | TagEnd::BlockQuote(_) => self.prose.paragraph(),
            _ => {}
        }
    }

    /// Appends prose that has lines and paragraphs already.
    fn lines(&mut self, text: &str) {
        self.prose.paragraph();
        for line in text.lines() {
            match line {
                "" => self.prose.paragraph(),
                line => {
                    self.prose.words(line);
                    self.prose.line();
                }
            }
        }
        self.prose.paragraph();
    }
}

#[cfg(test)]
mod tests {
    use super::prose;
    use crate::prose::tests::read;

    const README: &str = r#"---
layout: page
---
<!-- markdownlint-disable -->
<div align="center">
  <h1>tidewatch</h1>
  <img src="logo.svg" alt="logo">
</div>

[![Build](https://ci.example.org/badge.svg)](https://ci.example.org) [![Crate][crate-badge]][crate]
![demo](demo.gif)

**tidewatch** shows *tide levels* of `NOAA` stations
in a [terminal](https://en.wikipedia.org/wiki/Terminal),
with [no][faq] browser[^1].

Install
-------

```console
$ cargo install tidewatch
```

    indented --code

| station | level |
|---------|-------|
| Boston  | 3.1 m |

## Features <a name="features"></a>

* Reads any station
  by its number
* [x] Works offline
  1. from a file
  2. from memory

- Loose item one.

- Loose item two.
<details><summary>More</summary>

Caches the last month.

</details>

> **Note** It is beta.

First line  
second line<br>third &amp; last <kbd>Ctrl</kbd>.

[^1]: Not even a small one.
[crate]: https://crates.io
[crate-badge]: https://img.example.org
"#;

    #[test]
    fn a_readme_becomes_its_prose() {
        assert_eq!(
            read("README.md", README.replace('\n', "\r\n").as_bytes()).unwrap(),
            "# tidewatch\n\ntidewatch shows tide levels of NOAA stations in a terminal, with no browser.\n\n# Install\n\n# Features\n\n\
             - Reads any station by its number\n- Works offline\n- from a file\n- from memory\n\n- Loose item one.\n\n- Loose item two.\n\n\
             More\n\nCaches the last month.\n\nNote It is beta.\n\nFirst line\nsecond line\nthird & last Ctrl.\n"
        );
        // Without a name it is the same.
        assert_eq!(read("README", README.as_bytes()).unwrap(), read("README.md", README.as_bytes()).unwrap());
    }

    #[test]
    fn html_that_is_left_open_ends_at_the_next_heading() {
        assert_eq!(prose("# One\n<nav>\n\n* menu\n\n# Two\n\nText."), "# One\n\n# Two\n\nText.");
    }

    #[test]
    fn words_in_brackets_are_no_links() {
        assert_eq!(prose("See [the docs][1] and arrays[index] [sic]."), "See the docs and arrays[index] [sic].");
    }
}
