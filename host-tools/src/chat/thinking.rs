//! What a model thinks before it answers, between `<think>` and `</think>`.

/// Where thinking begins.
pub const BEGIN: &str = "<think>";
/// Where it ends.
pub const END: &str = "</think>";

/// What a piece of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is said.
    Answer,
    /// What is thought.
    Thought,
    /// A mark: where thinking begins or ends.
    Mark,
}

/// Cuts an answer that comes in pieces into its parts.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    thinks: bool,
    /// What may be the beginning of a mark.
    held: String,
}

impl Splitter {
    /// Reads the next piece and gives what is certain by now to `out`.
    pub fn push(&mut self, piece: &str, mut out: impl FnMut(Part, &str)) {
        self.held.push_str(piece);
        loop {
            let (mark, part) = if self.thinks { (END, Part::Thought) } else { (BEGIN, Part::Answer) };
            let Some(at) = self.held.find(mark) else {
                let keep = (1..mark.len()).rev().find(|&n| self.held.ends_with(&mark[..n])).unwrap_or(0);
                let certain = self.held.len() - keep;
                give(part, &self.held[..certain], &mut out);
                self.held.drain(..certain);
                return;
            };
            give(part, &self.held[..at], &mut out);
            out(Part::Mark, mark);
            self.held.drain(..at + mark.len());
            self.thinks = !self.thinks;
        }
    }

    /// Ends the answer: gives what is left to `out`.
    pub fn finish(&mut self, mut out: impl FnMut(Part, &str)) {
        let part = if self.thinks { Part::Thought } else { Part::Answer };
        give(part, &std::mem::take(&mut self.held), &mut out);
        self.thinks = false;
    }

    /// Whether the answer is within its thinking.
    pub fn thinks(&self) -> bool {
        self.thinks
    }
}

fn give(part: Part, text: &str, out: &mut impl FnMut(Part, &str)) {
    if !text.is_empty() {
        out(part, text);
    }
}

/// Thoughts and answer of a whole text, white space around each dropped; `None` where nothing was thought.
pub fn split(text: &str) -> (Option<String>, String) {
    let (mut thought, mut answer, mut thinks) = (String::new(), String::new(), false);
    let mut splitter = Splitter::default();
    let mut put = |part: Part, text: &str| match part {
        Part::Answer => answer.push_str(text),
        Part::Thought => thought.push_str(text),
        Part::Mark => thinks = true,
    };
    splitter.push(text, &mut put);
    splitter.finish(&mut put);
    (thinks.then(|| thought.trim().to_owned()), answer.trim().to_owned())
}

/// What a prompt has of an answer already, where its template begins with thinking: `<think>` and the white space behind it.
pub fn opened(prompt: &str) -> &str {
    prompt.rfind(BEGIN).map(|at| &prompt[at..]).filter(|tail| tail[BEGIN.len()..].trim().is_empty()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pieces: &[&str]) -> Vec<(Part, String)> {
        let (mut splitter, mut parts) = (Splitter::default(), Vec::<(Part, String)>::new());
        let mut put = |part: Part, text: &str| match parts.last_mut() {
            Some((last, said)) if *last == part => said.push_str(text),
            _ => parts.push((part, text.into())),
        };
        pieces.iter().for_each(|piece| splitter.push(piece, &mut put));
        splitter.finish(&mut put);
        parts
    }

    #[test]
    fn marks_are_found_wherever_they_are_cut() {
        let text = "a <b<think>x < y</thin k></think>\n\nz <thi";
        let right = [
            (Part::Answer, "a <b"),
            (Part::Mark, BEGIN),
            (Part::Thought, "x < y</thin k>"),
            (Part::Mark, END),
            (Part::Answer, "\n\nz <thi"),
        ]
        .map(|(part, text)| (part, text.to_owned()));
        assert_eq!(parts(&[text]), right);
        for at in 0..=text.len() {
            assert_eq!(parts(&[&text[..at], &text[at..]]), right, "cut at {at}");
        }
        let letters: Vec<&str> = text.split_inclusive(|_: char| true).collect();
        assert_eq!(parts(&letters), right);
    }

    #[test]
    fn thoughts_and_answer_of_a_whole_text() {
        assert_eq!(split(" yes "), (None, "yes".into()));
        assert_eq!(split("<think>\nhm\n</think>\n\nyes"), (Some("hm".into()), "yes".into()));
        assert_eq!(split("<think>never ends"), (Some("never ends".into()), String::new()));
    }

    #[test]
    fn a_prompt_may_begin_the_thinking() {
        assert_eq!(opened("<|im_start|>assistant\n<think>\n"), "<think>\n");
        assert_eq!(opened("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "");
        assert_eq!(opened("what is <think> for?<|im_end|>"), "");
        assert_eq!(opened(""), "");
    }
}
