//! A text of any length, block by block: what is kept of it is one block, cut where a paragraph ends.

use std::io::{self, Read};

/// Prose of what a reader gives.
pub struct Blocks<R> {
    input: R,
    /// Bytes that a block has at least, unless the text ends.
    size: usize,
    convert: fn(&str) -> String,
    pending: Vec<u8>,
    ready: Vec<u8>,
    used: usize,
    /// What comes before the next block.
    joint: &'static str,
    /// A word was returned: only then does the next block need what separates it.
    begun: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Converts blocks of at least `size` bytes.
    pub fn new(input: R, size: usize, convert: fn(&str) -> String) -> Self {
        let (pending, ready) = (Vec::with_capacity(size + size / 2), Vec::new());
        Self { input, size, convert, pending, ready, used: 0, joint: "", begun: false, ended: false }
    }

    /// Reads and converts the next block.
    fn next(&mut self) -> io::Result<()> {
        let missing = self.size.saturating_sub(self.pending.len());
        let count = (&mut self.input).take(missing as u64).read_to_end(&mut self.pending)?;
        self.ended = count < missing;
        let (cut, joint) = if self.ended { (self.pending.len(), "") } else { cut(&self.pending) };
        let block: Vec<u8> = self.pending.drain(..cut).collect();
        let prose = (self.convert)(&String::from_utf8_lossy(&block));
        (self.ready, self.used) = (Vec::new(), 0);
        if !prose.is_empty() {
            let joint = if self.begun { self.joint } else { "" };
            self.ready = [joint.as_bytes(), prose.as_bytes()].concat();
            (self.begun, self.joint) = (true, "");
        }
        // A paragraph that ended stays ended, however many blocks have no prose.
        if joint.len() > self.joint.len() || self.joint == " " {
            self.joint = joint;
        }
        if self.ended && self.begun {
            self.ready.push(b'\n');
        }
        Ok(())
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let count = buffer.len().min(self.ready.len() - self.used);
        buffer[..count].copy_from_slice(&self.ready[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

/// Where a block ends, and what the cut took away: the last blank line, or else end of a line, or else space, or else character.
fn cut(bytes: &[u8]) -> (usize, &'static str) {
    let half = bytes.len() / 2;
    let ends = || (half..bytes.len()).rev().filter(|&at| bytes[at] == b'\n');
    let blank = |&at: &usize| bytes[..at].trim_ascii_end_line().ends_with(b"\n");
    if let Some(at) = ends().find(blank) {
        return (at + 1, "\n\n");
    }
    if let Some(at) = ends().next() {
        return (at + 1, "\n");
    }
    if let Some(at) = bytes.iter().rposition(|byte| *byte == b' ').filter(|at| *at > 0) {
        return (at + 1, " ");
    }
    // The end of a character: at most three bytes follow its first one.
    let begins = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80);
    ((bytes.len().saturating_sub(3)..bytes.len()).rev().find(begins).unwrap_or(bytes.len()).max(1), "")
}

/// A line without the white space at its end, its own end of line excepted.
trait TrimLine {
    fn trim_ascii_end_line(&self) -> &[u8];
}

impl TrimLine for [u8] {
    fn trim_ascii_end_line(&self) -> &[u8] {
        let blanks = self.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        &self[..self.len() - blanks]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, size: usize) -> String {
        let mut prose = String::new();
        let upper = |block: &str| block.trim().to_uppercase();
        Blocks::new(text.as_bytes(), size, upper).read_to_string(&mut prose).unwrap();
        prose
    }

    #[test]
    fn a_block_ends_with_a_paragraph() {
        assert_eq!(read("one two\n\nthree\n", 12), "ONE TWO\n\nTHREE\n");
        assert_eq!(read("one\r\n \r\ntwo three\r\n", 10), "ONE\n\nTWO THREE\n");
        assert_eq!(read("one two\nthree four", 12), "ONE TWO\nTHREE FOUR\n");
        assert_eq!(read("one two three", 6), "ONE TWO THREE\n");
        assert_eq!(read("ääääää", 5), "ÄÄÄÄÄÄ\n");
        assert_eq!(read("\n\n\n\n\n\n\n\na", 4), "A\n");
        assert_eq!(read("", 4), "");
    }
}
