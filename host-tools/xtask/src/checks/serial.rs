//! `cargo xtask serial`: someone types at every emulated board, and reads the same summaries as on this machine.

use crate::boards::conversation::{Conversation, options, terminal};
use crate::boards::emulated::{ALL, Emulated, Machine, named};
use crate::checks::small_parts;
use crate::models::{self, random_text_model};
use anyhow::{Context, Result, bail, ensure};
use jamlet_app::app::LONGEST_SUMMARY;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Boards by name; all emulated ones if none is given.
    boards: Vec<String>,
    /// Also types a text at boards that run this image, and interrupts its summary.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Seconds that the board may take to answer.
    #[arg(long)]
    limit: Option<u64>,
}

/// What an answer may take unless told otherwise.
const LIMIT: u64 = 300;

const FIRST: &str = "The quick brown fox jumps over the lazy dog.\nIt is not the first time: the dog never minds.";
const SECOND: &str =
    "Package that provides the shared files of the other packages. Änderungen: größer → schöner, 日本語 too.";

/// Runs the session on every board.
///
/// # Errors
/// The first thing that a board did otherwise than this machine.
pub fn run(args: &Args) -> Result<()> {
    let emulated = |board: &&Emulated| matches!(board.machine, Machine::Cortex { .. } | Machine::Pi { .. });
    let known: Vec<&Emulated> = ALL.iter().filter(emulated).collect();
    for name in &args.boards {
        let names: Vec<_> = known.iter().map(|board| board.name).collect();
        ensure!(names.contains(&name.as_str()), "{name} has no serial port in QEMU; {} have", names.join(", "));
    }
    args.model.as_deref().map(models::read).transpose()?;
    let limit = Duration::from_secs(args.limit.unwrap_or(LIMIT));
    let scratch = tempfile::tempdir()?;
    let image = random_text_model::image()?;
    let path = scratch.path().join("talker.jamlet");
    fs::write(&path, &image)?;
    let wanted = |name: &str| args.boards.is_empty() || args.boards.iter().any(|board| board == name);
    for board in known.into_iter().filter(|board| wanted(board.name)) {
        let start = Instant::now();
        let program = board.build(board.folder, Some(&path))?;
        let built = start.elapsed();
        let mut talk = Conversation::begin(board, &program, &path, &image, limit)?;
        let typed = everything(&mut talk).with_context(|| format!("on {}", board.name))?;
        println!(
            "{:<10} {typed} bytes typed, all summaries as on this machine ({:.1} s, after {:.1} s of building)",
            board.name,
            (start.elapsed() - built).as_secs_f64(),
            built.as_secs_f64()
        );
        drop(talk);
        if let Some(model) = &args.model {
            real(board, model, limit).with_context(|| format!("{} on {}", model.display(), board.name))?;
        }
    }
    small_parts::run(wanted, SECOND, limit)?;
    fault(limit)
}

/// A short text and an interrupted summary, with a model that is large enough to be interrupted.
fn real(board: &Emulated, path: &Path, limit: Duration) -> Result<()> {
    let image = fs::read(path)?;
    let program = match board.build(board.folder, Some(path)) {
        Err(error) if error.to_string().contains("does not fit") => {
            println!("{:<10} {error}", board.name);
            return Ok(());
        }
        built => built?,
    };
    let start = Instant::now();
    let mut talk = Conversation::begin(board, &program, path, &image, limit)?;
    talk.summary(SECOND, SECOND.as_bytes())?;
    talk.type_in(FIRST.as_bytes());
    talk.type_in(b"\x04");
    talk.wait(" tokens read")?;
    talk.wait("]\r\n")?;
    talk.type_in(b"\x03");
    let begun = talk.wait("^C\r\n[")?;
    let (_, _, whole) = random_text_model::answer(&image, options(board), FIRST.as_bytes(), LONGEST_SUMMARY)?;
    ensure!(
        terminal(&whole).starts_with(&begun),
        "the interrupted summary begins {begun:?}, but should begin {whole:?}"
    );
    talk.wait("> ")?;
    talk.summary(SECOND, SECOND.as_bytes())?;
    println!(
        "{:<10} {}: summary as on this machine ({:.1} s)",
        board.name,
        path.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A program for another board runs into memory that isn't there: it must say so and end.
fn fault(limit: Duration) -> Result<()> {
    let (wrong, right) = (named("qemu-m7")?, named("qemu-m4")?);
    let case = tempfile::NamedTempFile::new()?;
    fs::write(case.path(), [0; 64])?;
    let run = right.run_case(&wrong.build("conformance", None)?, case.path(), None, limit)?;
    let said = run.stderr + &run.stdout;
    match run.status {
        None => bail!("a fault hangs"),
        Some(status) => ensure!(
            !status.success() && said.contains("error hard fault at 0x"),
            "a fault ends with {status}: {said:?}"
        ),
    }
    println!("a fault prints where, and ends the run");
    Ok(())
}

/// Two texts, keys that edit, garbage, interruptions, and one text of 100 KB. Gives the bytes typed.
fn everything(talk: &mut Conversation) -> Result<usize> {
    talk.summary(FIRST, FIRST.as_bytes())?;
    // Two at once: the second one is typed while the first is read and summarized.
    talk.type_in(FIRST.as_bytes());
    talk.type_in(b"\x04");
    talk.type_in(SECOND.as_bytes());
    talk.type_in(b"\x0C");
    talk.expect(FIRST.as_bytes())?;
    talk.expect(SECOND.as_bytes())?;
    // Keys that erase, move and mean nothing.
    talk.summary("The quick brown fox", b"Teh\x7F\x7Fhe slow\x17quixk\x08\x08ck brown\x1B[D\x1B[1;5C fox\x00\x1F")?;
    talk.summary_of(b"A \xFF\xFE cut \xC3( off \xE2\x82", b"noise\x15A \xFF\xFE cut \xC3( off \xE2\x82")?;
    talk.summary_of(FIRST.as_bytes(), ["\r\n\n", &FIRST.replace('\n', "\r"), "\n\n\r\n"].concat().as_bytes())?;
    // Ctrl-C in the middle of a text leaves nothing of it.
    talk.type_in(SECOND.repeat(3).as_bytes());
    talk.wait("too.")?;
    talk.type_in(b"\x03");
    talk.wait("^C\r\n> ")?;
    talk.summary(FIRST, FIRST.as_bytes())?;
    let long = long_text();
    talk.summary_of(long.as_bytes(), long.as_bytes())?;
    talk.type_in(b"/stats\r");
    let stats = talk.wait("\r\n> ")?;
    ensure!(stats.contains("texts 8, ") && stats.contains("port errors 0"), "/stats says {stats:?}");
    talk.type_in(b"/reset\r/stats\r/help\r");
    talk.wait("texts 0, tokens read 0 (0.0/s), written 0 (0.0/s)")?;
    talk.wait("Ctrl-C drops the text")?;
    talk.type_in(b"\x15/summarise\r");
    talk.wait("[/summarise: no such command; /help lists them]")?;
    talk.wait("> ")?;
    talk.type_in(b"\x04");
    talk.wait("[no text yet]\r\n> ")?;
    talk.summary(SECOND, SECOND.as_bytes())?;
    Ok(talk.typed)
}

/// 100 KB, with lines of all lengths, longer than can be edited among them.
fn long_text() -> String {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < 100_000 {
        line += 1;
        for word in 0..line % 97 {
            text.push_str(["the", "of", "in", "the", "other", "7,421", "the", "Ünder"][(line * 31 + word * 7) % 8]);
            text.push(' ');
        }
        text.push_str("end.\n");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_io::{ErrorType, Read, ReadReady, Write};
    use jamlet::summary::Style;
    use jamlet::{Options, Plan, SummaryOptions};
    use jamlet_app::{app, extras::Extras};
    use jamlet_tools::aligned::Aligned;
    use std::collections::VecDeque;
    use std::convert::Infallible;

    /// A port at which everything was typed already; `later` arrives once so many bytes were written.
    struct Typed {
        keys: VecDeque<u8>,
        later: (usize, &'static [u8]),
        screen: Vec<u8>,
    }

    impl ErrorType for &mut Typed {
        type Error = Infallible;
    }

    impl ReadReady for &mut Typed {
        fn read_ready(&mut self) -> Result<bool, Infallible> {
            Ok(!self.keys.is_empty())
        }
    }

    impl Read for &mut Typed {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            let byte = self.keys.pop_front();
            buffer[..byte.iter().len()].copy_from_slice(byte.as_slice());
            Ok(byte.iter().len())
        }
    }

    impl Write for &mut Typed {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            self.screen.extend(bytes);
            if self.screen.len() >= self.later.0 {
                self.keys.extend(std::mem::take(&mut self.later.1));
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A board whose clock ticks whenever someone looks.
    struct Bench(u32);

    impl jamlet_app::board::Board for Bench {
        fn micros(&mut self) -> u32 {
            self.0 += 1000;
            self.0
        }

        fn flow_control(&self) -> bool {
            false
        }
    }

    const OPTIONS: Options = Options::window(256).beams(2);

    fn screen(image: &[u8], keys: &[u8], later: (usize, &'static [u8])) -> String {
        let image = Aligned::copy(image);
        let mut workspace = Aligned::zeroed(Plan::new(image.bytes(), OPTIONS).unwrap().bytes());
        let mut port = Typed { keys: keys.iter().copied().collect(), later, screen: Vec::new() };
        app::serve(
            image.bytes(),
            OPTIONS,
            workspace.bytes_mut(),
            &mut app::Memory::<{ OPTIONS.beams as usize }>::new(),
            &mut port,
            Bench(0),
            Extras::of(image.bytes()),
        )
        .unwrap();
        String::from_utf8_lossy(&port.screen).into_owned()
    }

    fn answer(image: &[u8], text: &str) -> String {
        answer_as(image, text, SummaryOptions::new())
    }

    fn answer_as(image: &[u8], text: &str, options: SummaryOptions) -> String {
        let (read, written, summary) =
            random_text_model::answer_as(image, OPTIONS, &[text.as_bytes()], options).unwrap();
        format!("[{read} tokens read, ~/s]\n{summary}\n[{written} tokens written, ~")
    }

    /// The screen with plain line ends and without rates, which the clock makes up.
    fn plain(screen: &str) -> String {
        let mut parts = screen.split("tokens read, ");
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            plain += "tokens read, ~";
            plain += &part[part.find("/s]").unwrap()..];
        }
        let mut parts = plain.split("tokens written, ");
        let mut plainer = parts.next().unwrap().to_owned();
        for part in parts {
            plainer += "tokens written, ~";
            plainer += &part[part.find("/s;").unwrap()..];
        }
        plainer.replace("\r\n", "\n")
    }

    #[test]
    fn texts_are_summarized_however_they_arrive() {
        let image = random_text_model::image().unwrap();
        let long = long_text();
        for text in [FIRST, SECOND, &long] {
            let right = answer(&image, text);
            let screen = plain(&screen(&image, format!("{text}\x04").as_bytes(), (0, b"")));
            assert!(screen.contains(&right), "{screen:?}\nlacks\n{right:?}");
        }
        let both = plain(&screen(&image, format!("{FIRST}\x04\n\n{SECOND}\n\x0C").as_bytes(), (0, b"")));
        let (first, second) = (both.find(&answer(&image, FIRST)).unwrap(), both.find(&answer(&image, SECOND)).unwrap());
        assert!(first < second);
    }

    #[test]
    fn garbage_and_editing_keys_leave_the_text_that_is_meant() {
        let image = random_text_model::image().unwrap();
        let summary = |keys: &[u8]| plain(&screen(&image, keys, (0, b"")));
        let right = answer(&image, "The quick brown fox");
        let edited = b"\x1b[A\r\n\nTeh\x7F\x7Fhe slow\x17quick brown\x1B[1;5C fox\x00\x1F\n\n\x04";
        assert!(summary(edited).contains(&right));
        assert!(summary(b"/stats\r/nothing\x15The quick brown fox\x04").contains(&right));
        assert!(summary(b"\x04\x0C\r\x04").matches("[no text yet]").count() == 3);
        let garbage: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
        let screen = summary(&[&garbage[..], b"\x15The quick brown fox\x04"].concat());
        assert!(screen.contains(" tokens read, ~/s]") && screen.ends_with("> "));
    }

    #[test]
    fn styles_and_lines_are_those_of_the_host() {
        let image = random_text_model::image().unwrap();
        let long = long_text();
        for (command, options) in [
            ("/style quote\r", SummaryOptions::new().style(Style::Quote)),
            ("/style compress\r/lines 2\r", SummaryOptions::new().style(Style::Compress).lines(2)),
            ("/style title\r", SummaryOptions::new().style(Style::Title)),
            ("/lines 1\r", SummaryOptions::new().lines(1)),
        ] {
            for text in [FIRST, &long[..long.floor_char_boundary(9000)]] {
                let screen = plain(&screen(&image, format!("{command}{text}\x04").as_bytes(), (0, b"")));
                let right = answer_as(&image, text, options);
                assert!(screen.contains(&right), "{screen:?}\nlacks\n{right:?}");
            }
        }
    }

    #[test]
    fn ctrl_c_drops_a_text_or_ends_a_summary() {
        let image = random_text_model::image().unwrap();
        let right = answer_as(&image, FIRST, SummaryOptions::new().style(Style::Rewrite));
        let first = format!("/style rewrite\r{FIRST}\x04");
        let dropped = plain(&screen(&image, format!("{SECOND}\n{SECOND}\x03{first}").as_bytes(), (0, b"")));
        assert!(dropped.contains("^C\n> ") && dropped.contains(&right));
        let whole = screen(&image, first.as_bytes(), (0, b""));
        // While the summary is written, a little before its end.
        let middle = whole.find("tokens written").unwrap() - 60;
        let ended = plain(&screen(&image, first.as_bytes(), (middle, b"typed ahead\x03")));
        let summary = right.split_once("/s]\n").unwrap().1;
        let begun = ended.split_once("/s]\n").unwrap().1.split_once("^C\n[").unwrap();
        assert!(!begun.0.is_empty() && summary.starts_with(begun.0), "{begun:?}");
        assert!(
            !begun.1.starts_with("128 ") && begun.1.ends_with("> "),
            "what was typed before Ctrl-C is dropped: {begun:?}"
        );
    }
}
