//! Logs: time stamps and levels are left out at the start of lines, which stay lines.

use super::builder::Prose;
use super::plain::{lines, without_escapes};
use regex_lite::Regex;
use std::sync::LazyLock;

const LEVELS: &str =
    "TRACE|DEBUG|DBG|INFO|INF|NOTICE|WARN|WARNING|WRN|ERROR|ERR|FATAL|CRIT|CRITICAL|SEVERE|PANIC|ALERT|EMERG";

/// What may stand at the start of a log's line, one of them: dates, times, seconds, levels, and what parts them.
const STAMP: &str = r"(?x) ^ [\s|,;:/\-–\[\](){}<>]* (?:
    (?: [A-Z][a-z]{2},?\s+ )? (?: \d{4} [-/.] \d{1,2} [-/.] \d{1,2} | \d{1,2} [-/] (?: \d{1,2} | [A-Z][a-z]{2} ) [-/] \d{2,4}
        | \d{1,2}\.\d{1,2}\.\d{4} )
        (?: (?: T | :? \s* | : ) \d{1,2}:\d{2} (?: :\d{2} )? (?: [.,:]\d+ )? )? (?: \s*Z\b | \s*[-+]\d{2}:?\d{2}\b | \s*UTC\b )?
  | (?: (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \s+ )? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \s+ \d{1,2} (?: ,?\s+ \d{4} )?
        \s+ \d{1,2}:\d{2}:\d{2} (?: [.,]\d+ )? (?: \s+ \d{4} )?
  | \d{1,2}:\d{2}:\d{2} (?: [.,]\d+ )? (?: Z\b )?
  | \d{1,2}:\d{2} (?: \s*[ap]m\b )?
  | \[\s* \d+\.\d{3,9} \s*\]
  | \d{10} (?: \d{3} )? (?: \.\d+ )? \b
  | \[? \b (?i: LEVELS ) (?: \] | : | \s+[-|:] | \s*\| | \s{2,} )
  | \b (?: LEVELS ) \b
) [\s|,;:\-–\]]* ";

static STAMPS: LazyLock<Regex> = LazyLock::new(|| with_levels(STAMP));

/// A source between the time and the level.
static SOURCE: LazyLock<Regex> = LazyLock::new(|| with_levels(r"^([\w./:@\[\]-]+)\s+[\[(<]?(?:LEVELS)[\])>]?\s*:?\s+"));

fn with_levels(pattern: &str) -> Regex {
    Regex::new(&pattern.replace("LEVELS", LEVELS)).expect("a regular expression")
}

/// What a system log has after the time: a host, and a program with its number.
static PROGRAM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\w.-]+\s+(?:[\w./@-]+(?:\(\w+\))?\[\d+\]|kernel|systemd):\s+(?:\[\s*\d+\.\d+\]\s*)?")
        .expect("a regular expression")
});

/// The lines of a log, without a line end at the end.
pub fn prose(text: &str) -> String {
    let mut prose = Prose::default();
    for line in lines(text) {
        if line.trim().is_empty() {
            prose.paragraph();
            continue;
        }
        let line = without_escapes(line);
        let message = message(&line);
        if message.contains(char::is_alphanumeric) {
            prose.line();
            match SOURCE.captures(message).filter(|_| message.len() < line.trim().len()) {
                Some(found) => {
                    prose.words(&found[1]);
                    prose.words(" ");
                    prose.words(&message[found[0].len()..]);
                }
                None => prose.words(message),
            }
        }
    }
    prose.text
}

/// Whether a line begins as those of a log do.
pub fn is_stamped(line: &str) -> bool {
    message(line).len() < line.trim().len()
}

/// A line of a log without what stands before its message.
fn message(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some(stamp) = STAMPS.find(rest).filter(|stamp| stamp.end() > 0) {
        rest = rest[stamp.end()..].trim_start();
    }
    if rest.len() < line.trim().len()
        && let Some(program) = PROGRAM.find(rest)
    {
        rest = &rest[program.end()..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_message_is_left_out() {
        for line in [
            "2024-05-01T03:12:44.120Z WARN Inlet pressure is low",
            "2024-05-01 03:12:44,120 - WARNING - Inlet pressure is low",
            "[2024-05-01 03:12:44] [error] Inlet pressure is low",
            "03:12:44 [warn] Inlet pressure is low",
            "03:12 Inlet pressure is low",
            "WARN 03:12:44 Inlet pressure is low",
            "[WARN]: Inlet pressure is low",
            "May  1 03:12:44 plant-7 monitor[312]: Inlet pressure is low",
            "May  1 03:12:44 plant-7 kernel: [12345.678901] Inlet pressure is low",
            "[   12.345678] Inlet pressure is low",
            "1714532000.123 INFO Inlet pressure is low",
            "01/May/2024:03:12:44 +0200 Inlet pressure is low",
            "2024/05/01 03:12:44 Inlet pressure is low",
            "\u{1b}[33m2024-05-01T03:12:44+02:00 WARN\u{1b}[0m Inlet pressure is low",
        ] {
            assert_eq!(prose(line), "Inlet pressure is low", "{line}");
        }
    }

    #[test]
    fn a_source_stays_without_the_level_behind_it() {
        assert_eq!(prose("2026-11-02 03:12:44 pump-3 WARN inlet pressure 0.8 bar"), "pump-3 inlet pressure 0.8 bar");
        assert_eq!(prose("pump-3 WARN inlet"), "pump-3 WARN inlet", "no line of a log");
    }

    #[test]
    fn messages_and_their_lines_stay() {
        for line in [
            "10.20.30.40 asked for the page",
            "1.2.3 was released",
            "Error handling was rewritten",
            "Info desk opens at noon",
            "3 pumps run",
            "12 of 30 tests failed",
        ] {
            assert_eq!(prose(line), line);
        }
        let log = "10:00:01 INFO start\n10:00:02 INFO pump on, with a line of log that is as long as many lines of texts\n\
            10:00:03 ERROR valve 3 is stuck\n";
        assert_eq!(
            prose(log),
            "start\npump on, with a line of log that is as long as many lines of texts\nvalve 3 is stuck"
        );
    }
}
