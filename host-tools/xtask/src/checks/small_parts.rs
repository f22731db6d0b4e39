//! Parts with less memory than any emulated board has: their firmware runs on a board that stands in for them, linked into as much.

use crate::boards::conversation::Conversation;
use crate::boards::emulated::named;
use anyhow::{Context, Result};
use jamlet_boards::Board;
use jamlet_tools::firmware::build::{Build, models_folder};
use jamlet_tools::firmware::layout;
use jamlet_tools::firmware::program::Program;
use jamlet_tools::firmware::sizes::Sizes;
use std::fs;
use std::time::{Duration, Instant};

/// A part, what stands in for it, and the built-in model that it has room for.
struct Part {
    name: &'static str,
    board: &'static str,
    model: &'static str,
    flash: u64,
    ram: u64,
}

const PARTS: [Part; 1] =
    [Part { name: "STM32H743ZI", board: "qemu-m7", model: "pico-4bit", flash: 2 << 20, ram: 512 << 10 }];

/// Types a text at each part whose board is `wanted`, and compares the summary with this machine's.
///
/// # Errors
/// The first part whose firmware doesn't fit, or says anything else.
pub fn run(wanted: impl Fn(&str) -> bool, text: &str, limit: Duration) -> Result<()> {
    PARTS.iter().filter(|part| wanted(part.board)).try_for_each(|part| part.run(text, limit).context(part.name))
}

impl Part {
    fn run(&self, text: &str, limit: Duration) -> Result<()> {
        let (emulated, board) = (named(self.board)?, Board::named(self.board).context(self.board)?);
        let model = models_folder().join(self.model).with_extension("jamlet");
        let image = fs::read(&model).with_context(|| model.display().to_string())?;
        let (flash, ram) = (Some(self.flash), Some(self.ram));
        let program = Build { emulated: true, model: Some(&model), flash, ram, ..Build::of(board) }.run()?;
        let linked = Program::read(&program)?;
        layout::check(&board.part(flash, ram), &linked)?;
        let start = Instant::now();
        let mut talk = Conversation::begin(emulated, &program, &model, &image, limit)?;
        talk.summary(text, text.as_bytes())?;
        println!(
            "{} of {} KiB flash and {} KiB RAM: {}, summary as on this machine ({:.1} s on {}); {}",
            self.name,
            self.flash >> 10,
            self.ram >> 10,
            self.model,
            start.elapsed().as_secs_f64(),
            self.board,
            Sizes::of(&linked)?
        );
        Ok(())
    }
}
