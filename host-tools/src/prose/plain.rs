//! Plain text: lines that an editor or mailer broke are joined to paragraphs again.

use super::builder::Prose;
use std::borrow::Cow;

/// Characters of a line that was broken because it was full, at least and at most.
const FULL: std::ops::RangeInclusive<usize> = 50..=100;
/// The same where every line of a paragraph is full, which is no accident.
const ALL_FULL: usize = 40;
/// Characters of a line whose sentence plainly goes on in the next one, at least: shorter ones may be a list of words.
const SENTENCE: usize = 30;

/// A line of a paragraph.
struct Line<'t> {
    text: Cow<'t, str>,
    /// A mark of a list item stood before it.
    item: bool,
}

impl Line<'_> {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The prose of a plain text, without a line end at its end.
pub fn prose(text: &str) -> String {
    let mut prose = Prose::default();
    let mut paragraph = Vec::new();
    for line in lines(text) {
        match clean(line) {
            Some(line) => paragraph.push(line),
            None => write(&mut prose, &mut paragraph),
        }
    }
    write(&mut prose, &mut paragraph);
    prose.text
}

/// The lines of a text, whatever system wrote it.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    const OTHER_ENDS: [char; 6] = ['\r', '\x0B', '\x0C', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.flat_map(|line| line.split(OTHER_ENDS))
}

/// A line without what isn't prose; `None` for one that parts paragraphs: an empty one, a rule, or Debian's dot.
fn clean(line: &str) -> Option<Line<'_>> {
    let line = without_escapes(line);
    if !line.contains(char::is_alphanumeric) {
        return None;
    }
    let (rest, item) = match item(line.trim()) {
        Some(rest) => (rest, true),
        None => (line.trim(), false),
    };
    if rest.len() == line.len() {
        return Some(Line { text: line, item });
    }
    Some(Line { text: Cow::Owned(rest.to_owned()), item })
}

/// What follows the mark of a list item.
fn item(line: &str) -> Option<&str> {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = match digits {
        0 => line.strip_prefix(['-', '*', '+', '•', '◦', '‣', '·', '–']),
        1 | 2 => line.get(digits..)?.strip_prefix(['.', ')']),
        _ => None,
    }?;
    let text = rest.trim_start();
    (text.len() < rest.len()).then_some(text)
}

/// A line without the escape sequences of a terminal.
pub fn without_escapes(line: &str) -> Cow<'_, str> {
    if !line.contains('\x1b') {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split('\x1b');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = match part.strip_prefix('[') {
            Some(sequence) => sequence.trim_start_matches(|c: char| !c.is_ascii_alphabetic()),
            None => part,
        };
        clean.extend(rest.chars().skip(1));
    }
    Cow::Owned(clean)
}

/// Appends the paragraph, and begins another.
fn write(prose: &mut Prose, paragraph: &mut Vec<Line<'_>>) {
    let widest = paragraph.iter().map(Line::width).max().unwrap_or(0);
    let full = |line: &Line<'_>, next: &Line<'_>| {
        let first = next.text.split_whitespace().next().unwrap_or_default().chars().count();
        line.width() + 1 + first > widest
    };
    let all_full = paragraph.len() > 2 && paragraph.windows(2).all(|pair| !pair[1].item && full(&pair[0], &pair[1]));
    let wrapped = FULL.contains(&widest) || all_full && (ALL_FULL..=*FULL.end()).contains(&widest);
    for (at, line) in paragraph.iter().enumerate() {
        match at.checked_sub(1).and_then(|before| paragraph.get(before)) {
            _ if line.item => prose.item(),
            Some(last) if !(goes_on(last, line) || wrapped && full(last, line)) => prose.line(),
            Some(last) if !ends_in_hyphen(&last.text) => prose.words(" "),
            _ => {}
        }
        prose.words(&line.text);
    }
    paragraph.clear();
    prose.paragraph();
}

/// Whether a sentence plainly goes on in the next line.
fn goes_on(line: &Line<'_>, next: &Line<'_>) -> bool {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | ':' | ';');
    line.width() >= SENTENCE && !line.text.ends_with(ends) && next.text.starts_with(char::is_lowercase)
}

fn ends_in_hyphen(text: &str) -> bool {
    text.strip_suffix('-').is_some_and(|word| word.ends_with(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::prose;
    use crate::prose::tests::read;

    #[test]
    fn full_lines_are_joined_and_short_ones_are_not() {
        let letter = "Dear neighbours,\r\n\r\nthe water will be turned off on Tuesday from eight in the morning\r\n\
            until noon, because the meters of the whole house are exchanged. Please\r\nkeep some water in a pot.\r\n\r\n\
            Yours\r\nAnna Berg\r\nFirst floor\r\n";
        assert_eq!(
            read("letter.txt", letter.as_bytes()).unwrap(),
            "Dear neighbours,\n\nthe water will be turned off on Tuesday from eight in the morning until noon, because the meters \
             of the whole house are exchanged. Please keep some water in a pot.\n\nYours\nAnna Berg\nFirst floor\n"
        );
    }

    #[test]
    fn narrow_columns_are_joined() {
        let column = "The committee met on Monday and heard\nthe treasurer. Ms Abel reported that the\nclub has more \
            members than ever before\nand that dues stay as they are.";
        assert!(!prose(column).contains('\n'), "{}", prose(column));
    }

    #[test]
    fn a_line_is_a_paragraph_where_editors_wrap() {
        let long = "A line of an editor that wraps ".repeat(9);
        let text = format!("{long}end.\nAnother one, which is shorter.\n{long}end.\n");
        assert_eq!(prose(&text).lines().count(), 3);
    }

    #[test]
    fn items_poems_and_tables_keep_their_lines() {
        let list = "To do before the meeting on Thursday:\n - book the large room, for at least twelve people, and\n   ask \
            for a projector\n - send the agenda\n 3. print it";
        assert_eq!(
            prose(list),
            "To do before the meeting on Thursday:\n- book the large room, for at least twelve people, and ask for a \
             projector\n- send the agenda\n- print it"
        );
        let poem = "The fog comes in\nOn little feet\nIt sits looking\nOver harbor";
        assert_eq!(prose(poem), poem);
        assert_eq!(prose("bread\nmilk\neggs"), "bread\nmilk\neggs");
    }

    #[test]
    fn rules_dots_and_blank_lines_part_paragraphs() {
        assert_eq!(prose("Title\n=====\n\n\none\n.\ntwo\n  \n***\nthree"), "Title\n\none\n\ntwo\n\nthree");
    }

    #[test]
    fn marks_and_escapes_are_left_out() {
        let text = "\u{feff}A\u{a0}soft\u{ad}ly  spaced\tline \u{1b}[31mred\u{1b}[0m.";
        assert_eq!(read("a.txt", text.as_bytes()).unwrap(), "A softly spaced line red.\n");
        assert_eq!(read("mac.txt", b"one\rtwo\r\rthree").unwrap(), "one\ntwo\n\nthree\n");
    }

    #[test]
    fn a_compound_that_was_broken_keeps_its_hyphen() {
        let text = "The engine computes the same on every processor because of a well-\nknown order of operations.";
        assert!(prose(text).contains("a well-known order"), "{}", prose(text));
    }
}
