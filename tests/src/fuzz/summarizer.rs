//! A text from a stranger, summarized: however it is cut, the summary is the same.
//!
//! Byte 0 chooses image, style and grounding, byte 1 lines and limit, byte 2 how the text is cut; the rest is the text.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use jamlet::summary::{Answer, Examined, Line, Listener, Memory, Style};
use jamlet::{Model, Options, Plan, Session, Summarizer, SummaryOptions};

use super::Input;
use crate::images::AlignedBytes;
use crate::random::Random;
use crate::tiny;

/// Those with a tokenizer, and one that says how summaries are chosen.
static IMAGES: LazyLock<Vec<AlignedBytes>> = LazyLock::new(|| {
    let all = tiny::all();
    let image = |name| &all.iter().find(|(found, _)| *found == name).expect("a small image").1;
    let tuned = tiny::with_summary(image("text"));
    [image("text"), image("template"), image("marked"), &tuned].map(|image| AlignedBytes::new(image)).into()
});

const BEAMS: usize = 2;
/// The narrowest window that an encoder may have.
const WORD: usize = 256;

/// Summarizes a text in several pieces, and at once.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let [choice, answer, cut] = [input.byte(), input.byte(), input.byte()];
    let text = input.rest();
    let image = &IMAGES[usize::from(choice & 3)];
    let model = Model::parse(image.get()).expect("a small image");
    let style = match (choice >> 2 & 3, choice & 64) {
        (0, _) => Style::Auto,
        (1, _) => Style::Rewrite,
        (2, 0) => Style::Compress,
        (2, _) => Style::Title,
        _ => Style::Quote,
    };
    let how = SummaryOptions::new()
        .style(style)
        .grounded(choice & 16 == 0)
        .examine(choice & 32 != 0)
        .lines(usize::from(answer & 15))
        .limit(1 + usize::from(answer >> 4));
    let whole = summarize(&model, how, &mut std::iter::once(text));
    let mut random = Random(cut.into());
    let mut rest = text;
    let mut pieces = std::iter::from_fn(|| {
        let longest = if cut & 1 == 0 { 4 } else { 300 };
        let (piece, behind) = rest.split_at_checked(random.below(longest)).unwrap_or((rest, &[]));
        let more = !rest.is_empty();
        rest = behind;
        more.then_some(piece)
    });
    assert_eq!(summarize(&model, how, &mut pieces), whole, "a text in pieces has the summary of the whole");
}

/// Texts of each kind, by every style.
pub fn seeds() -> Vec<Vec<u8>> {
    let sentence = "The abc of bca is a cab. It was abc in 1999, and they said \u{201c}cab\u{201d}. ";
    let texts = [
        String::new(),
        "abc".into(),
        "  \n\n--- ***\n".into(),
        format!("{sentence}\n\nA b\u{e9} was there. <s> 12\n"),
        "2026-11-02 03:12:44 abc WARN cab\n2026-11-02 03:13:01 abc ERROR bca\n".into(),
        (sentence.repeat(12) + "\n\n").repeat(2),
    ];
    let choices = (0..64u8).step_by(5).map(|choice| [choice, 0x30 | (choice / 16), choice.wrapping_mul(7)]);
    choices.flat_map(|head| texts.iter().map(move |text| [&head, text.as_bytes()].concat())).collect()
}

/// What a listener heard, and what came of it.
#[derive(Debug, PartialEq)]
struct Heard {
    text: String,
    lines: Vec<Line>,
    examined: usize,
    answer: Option<Answer>,
}

impl Listener for Heard {
    fn line(&mut self, line: &Line) {
        assert!((0.0..=1.0).contains(&line.confidence), "{line:?}");
        self.lines.push(*line);
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self.text.push_str(piece);
        ControlFlow::Continue(())
    }

    fn examined(&mut self, _what: &Examined<'_>) {
        self.examined += 1;
    }
}

fn summarize(model: &Model<'_>, how: SummaryOptions, pieces: &mut dyn Iterator<Item = &[u8]>) -> Heard {
    let options = Options::window(4).sinks(1).chunk(4).beams(BEAMS as u32);
    let mut workspace = AlignedBytes::zeros(Plan::new(model.image().bytes(), options).expect("a plan").bytes());
    let session = Session::new(model, options, workspace.get_mut()).expect("a planned workspace");
    let mut memory = Box::new(Memory::<BEAMS, WORD>::new());
    let mut summarizer = Summarizer::new(session, &mut memory, how).expect("a tokenizer");
    let mut heard = Heard { text: String::new(), lines: Vec::new(), examined: 0, answer: None };
    for piece in pieces {
        summarizer.feed(piece, &mut heard).expect("nobody interrupts");
    }
    let answer = summarizer.finish(&mut heard).expect("nobody interrupts");
    assert_eq!((heard.lines.len(), heard.lines.first().copied()), (answer.lines, answer.first));
    Heard { answer: Some(answer), ..heard }
}
