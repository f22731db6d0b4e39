//! Paragraphs and lines from pieces of text.

/// Characters that nobody sees: soft hyphens, spaces without a width, marks of byte order.
const INVISIBLE: [char; 4] = ['\u{ad}', '\u{200b}', '\u{2060}', '\u{feff}'];

/// Builds prose. Ends of lines and paragraphs count once, however often they are given.
#[derive(Debug, Default)]
pub(super) struct Prose {
    pub text: String,
    /// Line ends that come before the next word: 1 a line, 2 a paragraph.
    owed: usize,
    /// A space comes before the next word.
    space: bool,
    /// What comes before the next word at the beginning of a line: the mark of an item or a heading.
    mark: &'static str,
}

impl Prose {
    /// Appends text in which all white space is one space.
    pub fn words(&mut self, text: &str) {
        for part in text.split_inclusive(char::is_whitespace) {
            let word = part.trim_end();
            let word: std::borrow::Cow<'_, str> = match word.contains(INVISIBLE) {
                true => word.replace(INVISIBLE, "").into(),
                false => word.into(),
            };
            if !word.is_empty() {
                if self.owed > 0 {
                    self.text.extend(std::iter::repeat_n('\n', self.owed));
                } else if self.space && !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(std::mem::take(&mut self.mark));
                (self.owed, self.space) = (0, false);
                self.text.push_str(&word);
            }
            self.space |= part.len() > part.trim_end().len();
        }
    }

    /// What follows is a list item, which has a line.
    pub fn item(&mut self) {
        self.line();
        self.mark = "- ";
    }

    /// What follows is a heading, which has a paragraph.
    pub fn heading(&mut self) {
        self.paragraph();
        self.mark = "# ";
    }

    /// What follows is no item and no heading, even if one was empty.
    pub fn end_mark(&mut self) {
        self.mark = "";
    }

    /// What follows has another line.
    pub fn line(&mut self) {
        if !self.text.is_empty() {
            self.owed = self.owed.max(1);
        }
    }

    /// What follows is another paragraph.
    pub fn paragraph(&mut self) {
        if !self.text.is_empty() {
            self.owed = 2;
        }
    }
}
