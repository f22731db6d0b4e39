//! Summaries depend on nothing but the text: not on the pieces that it comes in, the baked prompt, or the chunk; and what they say
//! comes from it.

use jamlet::image::{Image, ImageError, Role, features};
use jamlet::model::parameters::FIXED_BYTES;
use jamlet::summary::{Answer, Examined, Line, Listener, MOST_LINES, Style, SummaryError, TextKind, Way};
use jamlet::{Model, Options, Summarizer, SummaryOptions};
use jamlet_tests::images::AlignedBytes;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::pack;
use jamlet_tools::summary;
use jamlet_tools::tune::Tuning;
use jamlet_tools::workspace::HostWorkspace;
use std::ops::ControlFlow;
use std::path::Path;

const MAIL: &str = "Hi team,\n\njust a reminder that the quarterly review meeting has been moved from Thursday to Friday at 2pm \
because the large conference room is being painted. Please bring your updated budget spreadsheets.\n\nThanks,\nMark";
const LOG: &str = "2026-11-02 03:12:44 pump-3 WARN inlet pressure 0.8 bar below threshold 1.2 bar\n2026-11-02 03:13:01 \
pump-3 ERROR dry-run protection tripped, motor stopped\n2026-11-02 03:13:02 controller INFO switching to pump-4\n";
const GERMAN: &str = "Der Ausschuss hat gestern beschlossen, dass die Bibliothek an Sonntagen offen bleibt. Das kostet im Jahr \
etwa zwanzigtausend Euro, die aus dem Haushalt der Stadt kommen.";

fn nano() -> ImageFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-tools/models/nano.jamlet");
    ImageFile::open(Some(&path)).expect("nano")
}

/// A document of passages that differ.
fn document(passages: usize) -> String {
    let subjects = ["library", "harbour", "railway", "orchard", "museum", "reactor", "glacier", "theatre", "bakery"];
    let passage = |number: usize| {
        let subject = subjects[number % subjects.len()];
        let about =
            (0..12).map(|line| format!("The {subject} of district {number} reports item {line} to its board today. "));
        about.collect::<String>()
            + &format!("The board of the {subject} decided to close it in year {}.", 2000 + number)
    };
    (0..passages).map(passage).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// What a listener heard.
#[derive(Default)]
struct Heard {
    text: String,
    lines: Vec<Line>,
    sentences: Vec<String>,
}

impl Listener for Heard {
    fn line(&mut self, line: &Line) {
        self.lines.push(*line);
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self.text.push_str(piece);
        ControlFlow::Continue(())
    }

    fn examined(&mut self, what: &Examined<'_>) {
        if let Examined::Sentence { text, .. } = what {
            self.sentences.push(String::from_utf8_lossy(text).into_owned());
        }
    }
}

fn heard(model: &Model<'_>, plan: Options, options: SummaryOptions, pieces: &[&[u8]]) -> (Heard, Answer) {
    let mut workspace = HostWorkspace::new(model, plan).expect("a workspace");
    let mut memory = summary::memory();
    let session = workspace.session(model).expect("a session");
    let mut summarizer = Summarizer::new(session, &mut memory, options).expect("a tokenizer");
    let mut heard = Heard::default();
    for piece in pieces {
        summarizer.feed(piece, &mut heard).expect("nobody interrupts");
    }
    let answer = summarizer.finish(&mut heard).expect("nobody interrupts");
    assert_eq!(heard.lines.len(), answer.lines);
    assert_eq!(heard.lines.first().copied(), answer.first);
    assert_eq!(heard.text.lines().count(), answer.lines);
    (heard, answer)
}

fn of(model: &Model<'_>, options: SummaryOptions, text: &str) -> (Heard, Answer) {
    heard(model, Options::default().beams(2), options, &[text.as_bytes()])
}

/// An image whose summaries are chosen by everything that there is.
fn tuned(file: &ImageFile) -> AlignedBytes {
    let model = file.model().expect("a model");
    let mut tuning = Tuning { mark: Some(0), likelihoods: 3, likelihood: [0.5, 0.1], ..Tuning::default() };
    tuning.gate[..7].copy_from_slice(&[2.0, 1.0, -0.1, 0.0, -0.2, 0.0, 0.01]);
    tuning.probe = vec![0.01; model.header().hidden as usize];
    AlignedBytes::new(&with_section(&model, &tuning.section().expect("lengths agree")))
}

fn with_section(model: &Model<'_>, section: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    let features = model.header().features | features::SUMMARY;
    pack::rewrite(model.image(), features, &[(Role::Summary, section)], &mut image).expect("an image");
    image
}

#[test]
fn pieces_of_a_text_are_the_text() {
    let file = nano();
    let image = tuned(&file);
    let model = Model::parse_with(image.get(), crc32fast::hash).expect("a model");
    let long = document(3);
    for (text, options) in [
        (MAIL, SummaryOptions::new()),
        (LOG, SummaryOptions::new().style(Style::Compress)),
        (MAIL, SummaryOptions::new().style(Style::Title)),
        (&long, SummaryOptions::new()),
    ] {
        let whole = of(&model, options, text);
        for size in [1, 2, 7, 64] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            for chunk in [1, 8] {
                let plan = Options::default().beams(2).chunk(chunk);
                let (found, answer) = heard(&model, plan, options, &pieces);
                assert_eq!(found.text, whole.0.text, "pieces of {size} bytes");
                assert_eq!(answer, whole.1, "pieces of {size} bytes");
            }
        }
    }
}

#[test]
fn quotes_are_sentences_of_the_text() {
    let file = nano();
    let model = file.model().expect("a model");
    let (found, answer) = of(&model, SummaryOptions::new().style(Style::Quote), MAIL);
    assert_eq!((answer.text, answer.first.map(|line| line.way)), (TextKind::Prose, Some(Way::Quote)));
    assert!(MAIL.replace('\n', " ").contains(&found.text), "{}", found.text);
    assert_eq!(answer.written, 0, "nothing is searched for that isn't wanted");
    let (found, _) = of(&model, SummaryOptions::new().style(Style::Compress), MAIL);
    assert!(found.text.starts_with("The quarterly review meeting has been moved"), "{}", found.text);
    let (found, answer) = of(&model, SummaryOptions::new(), LOG);
    assert_eq!(answer.text, TextKind::Lines);
    assert!(LOG.lines().any(|line| line == found.text), "{}", found.text);
    let (found, answer) = of(&model, SummaryOptions::new(), GERMAN);
    assert_eq!((answer.text, answer.first.map(|line| line.way)), (TextKind::OtherLanguage, Some(Way::Quote)));
    assert!(GERMAN.contains(&found.text));
}

#[test]
fn a_title_is_the_text_s_heading_or_the_first_clause_of_what_it_says() {
    let file = nano();
    let model = file.model().expect("a model");
    let title = |text: &str| {
        let (found, answer) = of(&model, SummaryOptions::new().style(Style::Title).lines(3), text);
        assert!(answer.lines <= 1 && found.lines.len() == answer.lines, "{text}");
        (found.text, answer.first.map(|line| line.way))
    };
    let moved = "The quarterly review meeting has been moved from Thursday to Friday at 2pm";
    assert_eq!(title(MAIL), (moved.into(), Some(Way::Compress)));
    let headed = format!("# Room 4 is being painted\n\n{MAIL}");
    assert_eq!(title(&headed), ("Room 4 is being painted".into(), Some(Way::Quote)));
    let mail = format!("From: Mark Li\nTo: all\nSubject: Review moved to Friday\n\n{MAIL}");
    assert_eq!(title(&mail), ("Review moved to Friday".into(), Some(Way::Quote)));
    let minutes = "Date: 3 May\n\nThe board closes the harbour office in June.";
    assert_eq!(title(minutes).0, "The board closes the harbour office in June");
    assert_eq!(title("--- ***"), (String::new(), None));
    assert!(LOG.contains(&title(LOG).0), "a log has no heading");
}

/// Boards see lines as people broke them; the host joins these of mails before.
#[test]
fn where_lines_are_broken_changes_no_sentence() {
    let text = "The harbour office of Port Alba closes for good in June. Its four clerks move to the town hall in Elm Street, \
        where Maria Santos and Peter Brandt already keep the ships' register. Captains who call at night reach the \
        Coast Guard on channel 16 as before. On Monday the Mayor told the Council that the rent of the old building, \
        which belongs to Northern Rail, had doubled since March 2019.";
    let sentences = |text: &str| {
        let mut found = Vec::new();
        jamlet::summary::examine(text.as_bytes(), |sentence, _| {
            found.push(String::from_utf8(sentence.to_vec()).expect("UTF-8"));
        });
        found
    };
    let right = sentences(text);
    assert_eq!(right.len(), 4);
    for width in 56..=110 {
        let (mut broken, mut line) = (String::new(), 0);
        for word in text.split(' ') {
            if line + 1 + word.len() > width {
                broken.push('\n');
                line = 0;
            } else if line > 0 {
                broken.push(' ');
                line += 1;
            }
            broken.push_str(word);
            line += word.len();
        }
        assert_eq!(sentences(&broken), right, "{width} bytes a line");
    }
}

#[test]
fn macros_end_no_sentence_and_notices_of_licences_are_not_quoted() {
    let text = "Rust infers how to capture the value, and because println! needs only a reference, the closure borrows it. \
        It works!\n\nLicensed under either of Apache License, Version 2.0 or MIT license at your option.\n\nUnless you \
        explicitly state otherwise, any contribution shall be dual licensed as above.";
    let mut found = Vec::new();
    jamlet::summary::examine(text.as_bytes(), |sentence, _| {
        found.push(String::from_utf8(sentence.to_vec()).expect("UTF-8"));
    });
    assert_eq!(found, [text.split(" It works").next().expect("a sentence")]);
}

#[test]
fn what_a_document_says_of_its_upkeep_is_not_quoted() {
    let file = nano();
    let model = file.model().expect("a model");
    let tagline = "Data structures that need no dynamic memory allocation";
    for notice in [
        "This project is developed and maintained by the libs team.",
        "Contribution to this crate is organized under the terms of the Rust Code of Conduct, the maintainer of this crate, the \
         libs team, promises to intervene to uphold that code of conduct.",
        "This crate is guaranteed to compile on stable Rust 1.81.0 and up.",
        "Dual-licensed to be compatible with the Rust project.",
        "This file may not be copied, modified, or distributed except according to those terms.",
        "License: MIT or Apache-2.0, at your option, as the whole of it.",
    ] {
        let text = format!("ledger\n\n{tagline}\n\n{notice}\n");
        assert_eq!(of(&model, SummaryOptions::new(), &text).0.text, tagline, "{notice}");
    }
}

#[test]
fn a_text_without_words_has_no_summary_and_a_short_one_is_its_own() {
    let file = nano();
    let model = file.model().expect("a model");
    for text in ["", "\n\n", "--- *** ...", "```\ncode\n```"] {
        let (found, answer) = of(&model, SummaryOptions::new(), text);
        assert_eq!((found.text.as_str(), answer.lines, answer.text), ("", 0, TextKind::Nothing), "{text:?}");
    }
    assert_eq!(of(&model, SummaryOptions::new(), "Out of order").0.text, "Out of order");
    let endless = "no end of it ".repeat(300);
    let (found, _) = of(&model, SummaryOptions::new().lines(1), &endless);
    assert!(found.text.starts_with("no end of it") && found.text.ends_with('…'), "{}", found.text);
}

#[test]
fn a_digest_has_a_line_a_passage_in_the_order_of_the_text() {
    let file = nano();
    let model = file.model().expect("a model");
    for (passages, asked) in [(2, 0), (4, 0), (9, 0), (9, 3), (30, 0), (30, 7)] {
        let text = document(passages);
        let (found, answer) = of(&model, SummaryOptions::new().lines(asked), &text);
        let by_length = (1 + (text.len() - 1) / 1500).min(MOST_LINES);
        let right = if asked == 0 { by_length } else { asked };
        assert!(
            answer.lines <= right.min(passages + 1) && answer.lines >= right.min(passages) - 1,
            "{answer:?}, {right}"
        );
        let mut from = 0;
        for line in found.text.lines() {
            let at = text[from..].find(line).unwrap_or_else(|| panic!("{line:?} is not in the rest of the text"));
            from += at + line.len();
        }
    }
}

#[test]
fn lines_of_a_digest_are_statements_by_themselves() {
    let file = nano();
    let model = file.model().expect("a model");
    let passage = |subject: &str, number: usize| {
        let clauses = format!(
            "{number}.1 The {subject} of the district and what its board decided to close\n\n\
             The board of the {subject} decided that the {subject} is to be closed this year if:\n\n\
             (a) the {subject} of the district and its board have decided to close it by the end of the year.\n\n\
             where the board of the {subject} is the one that decided to close the {subject} of the district.\n\n"
        );
        let about =
            format!("Visitors of the {subject} came in {number} hundreds last year. Some left early in the day. ");
        clauses + &about.repeat(9) + "\n\n"
    };
    let subjects = ["library", "harbour", "railway", "orchard", "museum"];
    let text: String = subjects.iter().zip(1..).map(|(subject, number)| passage(subject, number)).collect();
    for (lines, text) in [(0, text.as_str()), (2, &text[..1000])] {
        let (found, answer) = of(&model, SummaryOptions::new().lines(lines), text);
        assert!(answer.lines >= 2, "{answer:?}");
        for line in found.text.lines() {
            assert!(line.starts_with("Visitors") || line.starts_with("Some"), "{line:?} of {}", found.text);
        }
    }
}

#[test]
fn as_many_lines_of_a_short_text_as_one_asks_for() {
    let file = nano();
    let model = file.model().expect("a model");
    let text = "The harbour was closed on Monday. Nobody knows why. The mayor said it will open again on Friday after repairs. \
                Ships wait outside. The repairs cost two million and were paid by the state.";
    for lines in 1..=3 {
        let (found, answer) = of(&model, SummaryOptions::new().style(Style::Quote).lines(lines), text);
        assert_eq!(answer.lines, lines);
        assert!(found.text.lines().all(|line| text.contains(line)));
    }
}

#[test]
fn memory_and_steps_stay_the_same_for_an_endless_text() {
    let file = nano();
    let model = file.model().expect("a model");
    let (short, long) = (document(3), document(60));
    let [short, long] = [&short, &long].map(|text| of(&model, SummaryOptions::new().lines(1).examine(true), text).0);
    assert!(short.sentences.len() <= jamlet::summary::KEPT && long.sentences.len() == jamlet::summary::KEPT);
}

#[test]
fn a_listener_can_break_off_and_begin_again() {
    struct Impatient(usize);
    impl Listener for Impatient {
        fn before(&mut self) -> ControlFlow<()> {
            self.0 = self.0.saturating_sub(1);
            if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn text(&mut self, _: &str) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }
    let file = nano();
    let image = tuned(&file);
    let model = Model::parse_with(image.get(), crc32fast::hash).expect("a model");
    let right = of(&model, SummaryOptions::new(), MAIL);
    let mut workspace = HostWorkspace::new(&model, Options::default().beams(2)).expect("a workspace");
    let mut memory = summary::memory();
    let session = workspace.session(&model).expect("a session");
    let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new()).expect("a tokenizer");
    for patience in 1..12 {
        let mut listener = Impatient(patience);
        let fed =
            summarizer.feed(MAIL.as_bytes(), &mut listener).and_then(|()| summarizer.finish(&mut listener).map(drop));
        assert_eq!(fed, Err(SummaryError::Interrupted), "{patience}");
        summarizer.reset();
        let mut heard = Heard::default();
        summarizer.feed(MAIL.as_bytes(), &mut heard).expect("nobody interrupts");
        let answer = summarizer.finish(&mut heard).expect("nobody interrupts");
        assert_eq!((heard.text, answer), (right.0.text.clone(), right.1));
        summarizer.reset();
    }
}

#[test]
fn one_beam_quotes_too_and_a_rewrite_is_the_search_s() {
    let file = nano();
    let image = tuned(&file);
    let model = Model::parse_with(image.get(), crc32fast::hash).expect("a model");
    let (found, _) = heard(&model, Options::default(), SummaryOptions::new().style(Style::Quote), &[MAIL.as_bytes()]);
    assert!(MAIL.replace('\n', " ").contains(&found.text));
    // Shown as it is settled, or kept until it is chosen: the same.
    let rewrite = SummaryOptions::new().style(Style::Rewrite);
    let shown = of(&model, rewrite, MAIL).0.text;
    let kept = of(&model, rewrite.examine(true), MAIL).0.text;
    assert_eq!(shown, kept);
}

#[test]
fn parameters_are_read_as_they_were_written_and_checked() {
    let file = nano();
    let model = file.model().expect("a model");
    let hidden = model.header().hidden as usize;
    let mut tuning = Tuning { mark: Some(3), likelihoods: 5, compress: true, ..Tuning::default() };
    tuning.weights = vec![vec![0.25; tuning.mean.len()]; 3];
    (tuning.bias, tuning.out) = (vec![0.5; 3], vec![-1.0; 3]);
    tuning.probe = (0..hidden).map(|at| at as f32).collect();
    (tuning.words, tuning.word_scale) = (vec![-128, 127, 0, 1, 2, 3, -1, -2], 0.25);
    let section = tuning.section().expect("lengths agree");
    let written = AlignedBytes::new(&with_section(&model, &section));
    let read = Model::parse_with(written.get(), crc32fast::hash).expect("a model");
    let again = Tuning::of(&read.parameters());
    assert_eq!(serde_json::to_value(&again).expect("JSON"), serde_json::to_value(&tuning).expect("JSON"));
    // Readers that don't know the feature refuse the image by its bit.
    assert!(read.header().has(features::SUMMARY));
    let signals = tuning.mean.len();
    let word = |at: usize, word: u32| (at, word.to_le_bytes());
    let number = |at: usize, number: f32| (at, number.to_le_bytes());
    let vocab = model.header().vocab;
    for ((at, bytes), field) in [
        (word(0, 0), "version"),
        (word(0, 1), "version"),
        (word(0, 3), "version"),
        (word(4, vocab), "mark"),
        (word(8, 0), "number of signals"),
        (word(8, 97), "number of signals"),
        (word(8, signals as u32 + 1), "length"),
        (word(12, 257), "number of hidden units"),
        (word(12, 2), "length"),
        (word(16, 1), "length of the probe"),
        (word(16, 0), "length"),
        (word(20, 256), "number of first words"),
        (word(24, 25), "number of likelihoods"),
        (word(28, 2), "flags"),
        (number(32, f32::NAN), "a number"),
        (number(56, f32::INFINITY), "a number"),
        (word(120, 6), "number of weights of words"),
        (word(120, 2), "number of weights of words"),
        (word(120, 1 << 17), "number of weights of words"),
        (word(120, 4), "length"),
        (word(120, 0), "length"),
        (number(124, f32::NAN), "a number"),
        (number(FIXED_BYTES, 1e7), "a number"),
        (number(FIXED_BYTES + 4 * signals, 0.0), "a deviation"),
        (number(FIXED_BYTES + 4 * signals, -1.0), "a deviation"),
        (number(section.len() - tuning.words.len() - 4, f32::NEG_INFINITY), "a number"),
    ] {
        let mut wrong = section.clone();
        wrong[at..at + 4].copy_from_slice(&bytes);
        assert_eq!(parse(&model, &wrong), Some(ImageError::Summary { field }), "{bytes:?} at {at}");
    }
    for length in [0, 1, 31, FIXED_BYTES - 1, FIXED_BYTES, section.len() - 4, section.len() - 1] {
        assert!(matches!(parse(&model, &section[..length]), Some(ImageError::Summary { .. })), "{length} bytes");
    }
    let longer = [&section[..], &[0; 4]].concat();
    assert_eq!(parse(&model, &longer), Some(ImageError::Summary { field: "length" }));
    assert!(Image::parse(written.get()).is_ok());
}

fn parse(model: &Model<'_>, section: &[u8]) -> Option<ImageError> {
    let image = AlignedBytes::new(&with_section(model, section));
    Model::parse_with(image.get(), crc32fast::hash).map(|_| ()).err()
}
