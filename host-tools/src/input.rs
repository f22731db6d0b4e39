//! Texts as people bring them: a file or standard input, refused where it is none.

use crate::endless::StandardInput;
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Bytes at the start of a text that are looked at before anything is done with it.
const HEAD: usize = 8192;

/// A text: its beginning was looked at and is none of a binary file, the rest comes as it is read. Reading fails where the whole has
/// nothing but white space. A byte order mark of UTF-8 is left out.
pub struct Input {
    name: String,
    head: Vec<u8>,
    /// Bytes of the head that were returned.
    used: usize,
    rest: Box<dyn Read>,
    /// Something other than white space was seen.
    begun: bool,
}

impl Input {
    /// The file at `path`, or standard input for none and for `-`: there Ctrl-C ends the text.
    ///
    /// # Errors
    /// When it can't be read, or is empty, UTF-16 or binary.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) if path != Path::new("-") => Self::new(path.display().to_string(), Box::new(open_file(path)?)),
            _ => Self::new("standard input".into(), Box::new(StandardInput::open()?)),
        }
    }

    /// What `source` gives, called `name` in messages.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn new(name: String, mut source: Box<dyn Read>) -> Result<Self> {
        let mut head = Vec::new();
        (&mut source).take(HEAD as u64).read_to_end(&mut head).with_context(|| name.clone())?;
        if head.starts_with(b"\xEF\xBB\xBF") {
            head.drain(..3);
        }
        if let Err(problem) = check(&head) {
            bail!("{name}: {problem}");
        }
        let begun = !is_blank(&head);
        ensure!(begun || head.len() >= HEAD - 3, "{name}: {BLANK}");
        Ok(Self { name, head, used: 0, rest: source, begun })
    }

    /// The path, or `standard input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The beginning: all of a text that is shorter than 8 KiB.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// All that is left.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The message has the name already.
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.head.get(self.used..).unwrap_or_default();
        if !left.is_empty() {
            let count = left.len().min(buffer.len());
            buffer[..count].copy_from_slice(&left[..count]);
            self.used += count;
            return Ok(count);
        }
        let count = self.rest.read(buffer)?;
        self.begun |= !is_blank(&buffer[..count]);
        match count {
            0 if !self.begun && !buffer.is_empty() => {
                Err(io::Error::new(ErrorKind::InvalidData, format!("{}: {BLANK}", self.name)))
            }
            _ => Ok(count),
        }
    }
}

/// All of the text at `path`, or of standard input for `-`, with U+FFFD for what is no UTF-8.
///
/// # Errors
/// As [`Input::open`].
pub fn read(path: &Path) -> Result<String> {
    let bytes = Input::open(Some(path))?.read_all()?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("{}: no such file; a text was expected", path.display()),
        _ => Error::new(error).context(path.display().to_string()),
    })?;
    // Some systems open a folder and refuse to read it with a riddle.
    ensure!(!file.metadata()?.is_dir(), "{}: a folder; a text was expected", path.display());
    Ok(file)
}

const BLANK: &str = "nothing but white space; a text was expected";

/// Whether there is nothing to read: white space, control characters, and characters without a width.
fn is_blank(bytes: &[u8]) -> bool {
    let blank =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    bytes.utf8_chunks().all(|chunk| chunk.invalid().is_empty() && chunk.valid().chars().all(blank))
}

/// Files that begin with text or look like it, and what to do with them.
const KINDS: [(&[u8], &str); 9] = [
    (&jamlet::image::MAGIC, "a jamlet image; -m names the image, and a text was expected"),
    (b"%PDF-", "a PDF; `pdftotext` makes a text of it"),
    (b"{\\rtf", "RTF; a text was expected"),
    (b"PK\x03\x04", "a ZIP archive, as .docx, .odt and .epub are; a text was expected"),
    (b"\x1F\x8B", "compressed by gzip; `zcat` makes a text of it"),
    (b"\x28\xB5\x2F\xFD", "compressed by zstd; `zstdcat` makes a text of it"),
    (b"\xFD7zXZ\0", "compressed by xz; `xzcat` makes a text of it"),
    (b"\xD0\xCF\x11\xE0", "an old Office document; a text was expected"),
    (b"\x89PNG", "a picture; a text was expected"),
];

/// Checks a text that begins with `head`.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn check(head: &[u8]) -> Result<(), String> {
    const RECODE: &str = "`iconv -f UTF-16 -t UTF-8` makes UTF-8 of it";
    if head.is_empty() {
        return Err("empty; a text was expected".into());
    }
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return Err(format!("UTF-16; {RECODE}"));
    }
    if let Some((_, problem)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err((*problem).into());
    }
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let zeros = [zeros(0), zeros(1)];
    if let Some(at) = head.iter().position(|byte| *byte == 0) {
        // Of English in UTF-16, every other byte is zero.
        let (most, least) = (zeros[0].max(zeros[1]), zeros[0].min(zeros[1]));
        return Err(match most > head.len() / 8 && least <= most / 8 {
            true => format!("UTF-16 without a byte order mark; {RECODE}"),
            false => format!("binary: byte {at} is zero; a text was expected"),
        });
    }
    let escapes = |byte: &&u8| matches!(byte, 0x07 | 0x08 | 0x1B) || byte.is_ascii_whitespace() || **byte == 0x0B;
    let controls = head.iter().filter(|byte| byte.is_ascii_control() && !escapes(byte)).count();
    if controls >= 4 && controls > head.len() / 50 {
        return Err(format!("binary: {controls} of the first {} bytes are control characters", head.len()));
    }
    let invalid: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    if invalid >= 4 && invalid > head.len() * 3 / 10 {
        let all = head.len();
        return Err(format!("{invalid} of the first {all} bytes are no UTF-8; a text in UTF-8 was expected"));
    }
    Ok(())
}

/// Checks a whole text.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn check_whole(bytes: &[u8]) -> Result<(), String> {
    check(bytes)?;
    if is_blank(bytes) { Err(BLANK.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn what_is_no_text_is_named() {
        let says = |bytes: &[u8]| check(bytes).expect_err("no text");
        assert!(says(b"").contains("empty"));
        for big in [false, true] {
            assert!(says(&utf16("\u{feff}A short note.", big)).starts_with("UTF-16;"));
            assert!(says(&utf16("A short note.", big)).contains("UTF-16 without"));
        }
        assert!(says(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0").contains("binary"));
        assert!(says(&std::array::from_fn::<u8, 255, _>(|at| at as u8 + 1)).contains("control"));
        assert!(says(&std::array::from_fn::<u8, 64, _>(|at| 0xC0 | at as u8)).contains("no UTF-8"));
        assert!(says(b"%PDF-1.7\n%").contains("pdftotext"));
        assert!(says(&jamlet::image::MAGIC).contains("-m"));
    }

    #[test]
    fn what_is_nearly_a_text_is_taken() {
        for text in [
            &b"a"[..],
            b"Gr\xFC\xDFe aus K\xF6ln, sch\xF6nes Wetter",
            b"one \xFF",
            b"\x1b[1mbold\x1b[0m",
            "日本語のテキスト".as_bytes(),
            // Cut within a character, as the head of a long text may be.
            &"日本語".as_bytes()[..8],
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn white_space_is_refused_wherever_it_ends() {
        let open = |text: &'static [u8]| Input::new("it".into(), Box::new(text));
        for blank in [&b" \n\t\r\n"[..], b"\xEF\xBB\xBF \n", "\u{3000}\u{a0}\u{200b}".as_bytes()] {
            assert!(open(blank).is_err_and(|error| error.to_string().contains("it: nothing but white")), "{blank:?}");
        }
        let long: &[u8] = vec![b' '; 3 * HEAD].leak();
        let error = open(long).expect("it isn't read yet").read_all().expect_err("all blank");
        assert!(error.to_string().contains("it: nothing but white"), "{error}");
        let mut long = long.to_vec();
        long.extend(b"end");
        assert_eq!(open(long.leak()).unwrap().read_all().unwrap().len(), 3 * HEAD + 3);
        assert_eq!(open(b"\xEF\xBB\xBFa").unwrap().read_all().unwrap(), b"a");
    }
}
