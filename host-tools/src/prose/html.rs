//! HTML: the text of its body, without scripts, navigation, code and tables of data.

use super::builder::Prose;
use html5gum::Tokenizer;
use html5gum::emitters::default::{DefaultEmitter, StartTag, Token};

/// Elements that hold no prose.
const SKIPPED: [&str; 22] = [
    "script",
    "style",
    "noscript",
    "template",
    "title",
    "nav",
    "footer",
    "aside",
    "menu",
    "form",
    "button",
    "select",
    "textarea",
    "svg",
    "math",
    "iframe",
    "object",
    "canvas",
    "audio",
    "video",
    "figcaption",
    "datalist",
];
/// Elements that are paragraphs, or have some.
const PARAGRAPHS: [&str; 26] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "section",
    "article",
    "main",
    "header",
    "pre",
    "table",
    "hr",
    "figure",
    "body",
    "details",
    "address",
    "fieldset",
    "center",
    "hgroup",
];
/// Elements that are a line.
const LINES: [&str; 12] = ["br", "li", "dt", "dd", "tr", "td", "th", "summary", "caption", "option", "thead", "tbody"];
/// Elements without an end.
const VOID: [&str; 10] = ["br", "hr", "img", "input", "link", "meta", "wbr", "source", "embed", "area"];

/// The prose of a page, without a line end at its end.
pub fn prose(html: &str) -> String {
    let mut reader = Reader::default();
    reader.read(html);
    reader.prose.text
}

/// Reads pages, or parts of one.
#[derive(Debug, Default)]
pub struct Reader {
    prose: Prose,
    /// The element that is being left out, and how many of its name are open.
    skipped: Option<(Vec<u8>, usize)>,
    /// Tables that are open: how long the prose was, and whether there was a head, as tables of data have.
    tables: Vec<(usize, bool)>,
    /// Preformatted text is open: its lines count.
    preformatted: bool,
}

impl Reader {
    /// Reads a page or some more of it.
    pub fn read(&mut self, html: &str) {
        let mut emitter = DefaultEmitter::default();
        // Scripts and the like are not read as tags.
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => self.start(&tag),
                Token::EndTag(tag) => self.end(&tag.name),
                Token::String(text) if self.skipped.is_none() => self.text(&String::from_utf8_lossy(&text)),
                _ => {}
            }
        }
    }

    /// Whether what comes belongs to an element that is left out.
    pub fn skips(&self) -> bool {
        self.skipped.is_some()
    }

    /// The prose that was read, and no longer kept here.
    pub fn take(&mut self) -> String {
        self.tables.clear();
        std::mem::take(&mut self.prose).text
    }

    /// Begins anew: no element is open.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn text(&mut self, text: &str) {
        if !self.preformatted {
            return self.prose.words(text);
        }
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 && line.trim().is_empty() {
                self.prose.paragraph();
            }
            self.prose.words(" ");
            self.prose.words(line);
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = &tag.name[..];
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += usize::from(name == skipped && !tag.self_closing);
            return;
        }
        let text = String::from_utf8_lossy(name);
        let one_of = |names: &[&str]| names.contains(&&*text);
        // Source code is mostly a `code` in a `pre`.
        if one_of(&SKIPPED) || is_hidden(tag) || (self.preformatted && name == b"code") {
            if !one_of(&VOID) && !tag.self_closing {
                self.skipped = Some((name.to_vec(), 1));
            }
            return;
        }
        match name {
            b"table" => self.tables.push((self.prose.text.len(), false)),
            b"th" => {
                if let Some((_, data)) = self.tables.last_mut() {
                    *data = true;
                }
            }
            b"pre" => self.preformatted = true,
            b"li" => return self.prose.item(),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => return self.prose.heading(),
            _ => {}
        }
        self.part(&text);
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= usize::from(name == skipped);
            if *depth == 0 {
                self.skipped = None;
            }
            return;
        }
        match name {
            b"table" => {
                if let Some((before, true)) = self.tables.pop() {
                    self.prose.text.truncate(before);
                }
            }
            b"pre" => self.preformatted = false,
            b"li" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.prose.end_mark(),
            _ => {}
        }
        self.part(&String::from_utf8_lossy(name));
    }

    fn part(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) {
            self.prose.paragraph();
        } else if LINES.contains(&name) {
            self.prose.line();
        }
    }
}

/// Whether an element is hidden or navigation.
fn is_hidden(tag: &StartTag<()>) -> bool {
    let is = |name: &[u8], right: &[&[u8]]| tag.attributes.get(name).is_some_and(|value| right.contains(&&value[..]));
    let style = tag.attributes.get(&b"style"[..]).map(|value| String::from_utf8_lossy(value).replace(' ', ""));
    tag.attributes.contains_key(&b"hidden"[..])
        || is(b"aria-hidden", &[b"true"])
        || is(b"role", &[b"navigation", b"banner", b"contentinfo", b"search", b"menu"])
        || style.is_some_and(|style| style.contains("display:none"))
}

#[cfg(test)]
mod tests {
    use super::prose;
    use crate::prose::tests::read;

    const PAGE: &str = r#"<!DOCTYPE html>
<html lang=en><head><meta charset=utf-8><title>Harbour News | Home</title>
<style>p > a { color: red }</style><script>if (a < b && c > d) document.write("<p>no</p>");</script></head>
<body class="x"><nav><ul><li><a href="/">Home</a><li><a href="/about">About</a></ul></nav>
<!-- an <b>old</b> remark -->
<main><h1>Ferry stops&nbsp;on Sundays</h1>
<p>From <b>May</b> on, the ferry to Mill Island
   no longer runs on Sundays &mdash; the operator lacks&#8239;crew.<br>Season tickets stay valid.
<p>Two ways remain:
<ul><li>the bridge at Alder Lock, <a href="https://example.org/a?b=1">open</a> all day<li>the <span hidden>secret</span>water taxi</ul>
<table><tr><th>Day<th>Boats</tr><tr><td>Mon<td>12</tr></table>
<pre><code class="language-sh">curl https://example.org
</code></pre>
<img src=a.png alt="A ferry"></main>
<footer>Imprint</footer></body></html>"#;

    #[test]
    fn a_page_becomes_its_paragraphs() {
        assert_eq!(
            read("page", PAGE.as_bytes()).unwrap(),
            "# Ferry stops on Sundays\n\nFrom May on, the ferry to Mill Island no longer runs on Sundays — the operator lacks \
             crew.\nSeason tickets stay valid.\n\nTwo ways remain:\n\n- the bridge at Alder Lock, open all day\n- the water taxi"
        );
    }

    #[test]
    fn tables_that_lay_out_a_mail_are_read() {
        let mail = "<table><tr><td>Your parcel</td></tr><tr><td><table><tr><td>arrives on <i>Friday</i>.</td></tr></table></table>";
        assert_eq!(prose(mail), "Your parcel\n\narrives on Friday.");
    }

    #[test]
    fn broken_pages_are_read_to_the_end() {
        assert_eq!(prose("<p>one<div>two</p></span>three &amp four <b"), "one\n\ntwo\n\nthree & four");
        assert_eq!(prose("a < b and 3 > 2"), "a < b and 3 > 2");
        assert_eq!(prose(""), "");
    }

    #[test]
    fn preformatted_letters_are_paragraphs() {
        assert_eq!(prose("<pre>Dear all,\n\nthe water is\noff today.\n</pre>"), "Dear all,\n\nthe water is off today.");
    }
}
