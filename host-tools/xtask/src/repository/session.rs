//! `cargo xtask session`: the picture in the README, of a text that is typed at an emulated board.

use crate::boards::console::Console;
use crate::boards::emulated::named;
use anyhow::{Result, ensure};
use jamlet_boards::Board;
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Writes `targets/session.svg`; otherwise it must be what this would write.
    #[arg(long)]
    write: bool,
}

const BOARD: &str = "qemu-m33";
const MODEL: &str = "pico";
const LIMIT: Duration = Duration::from_secs(600);
/// QEMU's clock advances by 2⁶ ns an instruction, about what a core of 20 MHz takes: the picture is the same on every machine.
const CLOCK: &str = "shift=6,sleep=off";

/// Characters of a line.
const COLUMNS: usize = 96;
/// Pixels: of a character, a line, the margins, and the title above.
const ADVANCE: f32 = 8.4;
const LEADING: usize = 20;
const MARGIN: usize = 18;
const TITLE: usize = 38;

/// Types the text at the board, and draws what the terminal shows.
///
/// # Errors
/// When the board doesn't answer, or the committed picture shows something else.
pub fn run(args: &Args) -> Result<()> {
    let screen = session()?;
    let picture = draw(&screen);
    let file = targets_folder().join("session.svg");
    if args.write {
        fs::write(&file, picture)?;
    } else {
        let same = fs::read_to_string(&file).is_ok_and(|committed| committed == picture);
        ensure!(same, "{} shows something else; `cargo xtask session --write` draws it anew", file.display());
    }
    for line in screen.lines() {
        println!("{}", line.text);
    }
    Ok(())
}

/// The text that is typed.
fn text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/texts/mail.txt")
}

/// What a terminal shows, by who wrote it.
struct Screen {
    /// What the board says before the text is typed.
    greeting: String,
    /// The board's echo of the text.
    typed: String,
    /// The summary, and what the board says of it.
    answer: String,
}

fn session() -> Result<Screen> {
    let board = named(BOARD)?;
    let model = models_folder().join(MODEL).with_extension("jamlet");
    let program = board.build(board.folder, Some(&model))?;
    let mut command = board.serial(&program, &model);
    let mut console = Console::start(command.args(["-icount", CLOCK]))?;
    let greeting = console.wait_for("> ", LIMIT)? + "> ";
    console.type_in(fs::read_to_string(text())?.trim_end().as_bytes());
    console.type_in(b"\x04");
    let typed = console.wait_for("\r\n[", LIMIT)?;
    let answer = "[".to_owned() + &console.wait_for("]\r\n> ", LIMIT)? + "]\n> ";
    Ok(Screen { greeting, typed, answer })
}

/// A line of the picture.
struct Line {
    text: String,
    class: &'static str,
}

impl Screen {
    /// All lines, none longer than the terminal is wide: it breaks them between words.
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let typed = self.greeting.clone() + &self.typed;
        let typed = typed.lines().flat_map(wrapped).map(|text| Line { class: "typed", text });
        lines.extend(typed.skip_while(|line| line.text.is_empty()));
        for line in self.answer.lines() {
            let class = if line.starts_with('[') || line == "> " { "board" } else { "summary" };
            lines.extend(wrapped(line).into_iter().map(|text| Line { class, text }));
        }
        lines
    }
}

fn wrapped(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = lines.last_mut().filter(|last| last.len() + word.trim_end().len() <= COLUMNS);
        match last {
            Some(last) => last.push_str(word),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The picture.
fn draw(screen: &Screen) -> String {
    let lines = screen.lines();
    let width = (COLUMNS as f32 * ADVANCE) as usize + 2 * MARGIN;
    let height = TITLE + lines.len() * LEADING + 2 * MARGIN - LEADING / 2;
    let board = Board::named(BOARD).map(|board| format!("{} ({})", board.description, board.core.name()));
    let title = format!("{} in QEMU: model {MODEL} on the serial port", board.as_deref().unwrap_or(BOARD));
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{title}</title>
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: #d5dbe3 }}
.title, .board {{ fill: #8d97a5 }}
.summary {{ fill: #7ddf8a }}
</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="9" fill="#161b22" stroke="#6e7681"/>
<path d="M0.5 {TITLE}.5H{}" stroke="#3a414b"/>
<text class="title" x="{MARGIN}" y="25">{title}</text>
"##,
        width - 1,
        height - 1,
        width as f32 - 0.5
    );
    for (number, line) in lines.iter().enumerate() {
        let y = TITLE + MARGIN + 10 + number * LEADING;
        let text = line.text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(svg, r#"<text class="{}" x="{MARGIN}" y="{y}">{text}</text>"#, line.class);
    }
    svg + "</svg>\n"
}
