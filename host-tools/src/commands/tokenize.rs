//! `jamlet tokenize`.

use super::print_json;
use anyhow::{Context, Result, ensure};
use clap::Args;
use jamlet::tokenizer::{Encoder, Tokenizer};
use jamlet_tools::endless::StandardInput;
use jamlet_tools::hf::tokenizer::load;
use jamlet_tools::image_file::ImageFile;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Prints the tokens of a text: their ids and pieces
#[derive(Args, Debug)]
pub struct Tokenize {
    /// The image: a file, or `pico`, `nano`, `pico-4bit` or `nano-4bit` for a built-in model; or a Hugging Face folder with a tokenizer [default: pico]
    #[arg(short, long, value_name = "IMAGE|FOLDER")]
    model: Option<PathBuf>,
    /// The text [default: standard input]
    text: Option<OsString>,
    /// A file with the text
    #[arg(short, long, value_name = "FILE", conflicts_with = "text")]
    file: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Most tokens that a vocabulary can have.
const LARGEST: u32 = (1 << 24) - 1;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    tokens: usize,
    ids: Vec<u32>,
    /// The text of each; what is no UTF-8 in it stands as `\xNN`.
    pieces: Vec<String>,
}

impl Tokenize {
    /// Reads all of the text, then prints.
    pub fn run(&self) -> Result<()> {
        match &self.model {
            Some(folder) if folder.is_dir() => {
                let packed = load(folder, LARGEST)?;
                let packed = packed.with_context(|| {
                    format!(
                        "{}: no tokenizer; tokenizer.json, tokenizer.model, or vocab.json with merges.txt was expected",
                        folder.display()
                    )
                })?;
                packed.notes.iter().for_each(|note| eprintln!("jamlet: {note}"));
                self.print(packed.view())
            }
            image => {
                let file = ImageFile::open(image.as_deref())?;
                let model = file.model()?;
                self.print(model.tokenizer().context("the image has no tokenizer")?)
            }
        }
    }

    fn print(&self, tokenizer: Tokenizer<'_>) -> Result<()> {
        // Of any bytes, white space alone among them.
        let mut text = Vec::new();
        match (&self.text, &self.file) {
            (Some(argument), _) => text.extend(argument.as_encoded_bytes()),
            (None, Some(file)) if file != Path::new("-") => {
                ensure!(!file.is_dir(), "{}: a folder; a text was expected", file.display());
                text = std::fs::read(file).with_context(|| file.display().to_string())?;
            }
            _ => drop(StandardInput::open()?.read_to_end(&mut text)?),
        }
        let name = match (&self.text, &self.file) {
            (Some(_), _) => "the text".into(),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => "standard input".into(),
        };
        ensure!(!text.is_empty(), "{name}: empty; a text was expected");
        let mut ids = Vec::new();
        let mut encoder = Encoder::<512>::new(tokenizer);
        encoder.feed(&text, |id| ids.push(id));
        encoder.finish(|id| ids.push(id));
        let pieces: Vec<String> = ids.iter().map(|&id| piece(&tokenizer, id)).collect();
        if self.json {
            return print_json(&Report { tokens: ids.len(), ids, pieces });
        }
        let mut out = std::io::stdout().lock();
        for (id, piece) in ids.iter().zip(&pieces) {
            // As in a program's text, so that spaces and newlines are seen.
            writeln!(
                out,
                "{id:>7}  \"{}\"",
                piece.replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
            )?;
        }
        out.flush().context("standard output")
    }
}

/// A token's text.
fn piece(tokenizer: &Tokenizer<'_>, id: u32) -> String {
    let bytes: Vec<u8> = tokenizer.piece(id).into_iter().flatten().collect();
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text
}
