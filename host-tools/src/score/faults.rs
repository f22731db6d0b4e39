//! What a reader would notice first in a bad summary.

use super::stem;
use jamlet::sampler::grounding::FUNCTION_WORDS;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Faults of one summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// No word at all.
    pub empty: bool,
    /// Goes round in circles: three words in a row for a second time, or the same word three times in a row.
    pub repeats: bool,
    /// Has a name or number that isn't in the text.
    pub invents: bool,
    /// Has a content word that the text has in no form.
    pub foreign: bool,
}

/// Looks for faults.
pub fn faults(text: &str, summary: &str) -> Faults {
    Faults {
        empty: !summary.contains(char::is_alphanumeric),
        repeats: repeats(summary),
        invents: invented(text, summary).next().is_some(),
        foreign: !foreign(text, summary).is_empty(),
    }
}

/// The content words of a summary that its text has in no form: neither their stem is there, nor do they stand within a word.
pub fn foreign(text: &str, summary: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let stems: HashSet<String> = words(&lower).map(stem_of).collect();
    let is_content = |word: &&str| word.chars().count() >= 3 && !FUNCTION_WORDS.contains(word);
    let summary = summary.to_lowercase();
    let content = words(&summary).filter(is_content);
    content.filter(|word| !lower.contains(word) && !stems.contains(&stem_of(word))).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The stem of a word of ASCII letters; another word as it is.
fn stem_of(word: &str) -> String {
    if word.is_ascii() { stem(word) } else { word.to_owned() }
}

fn repeats(summary: &str) -> bool {
    let lower = summary.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let mut seen: HashMap<&[&str], usize> = HashMap::new();
    let twice = words.windows(3).any(|gram| {
        let count = seen.entry(gram).or_default();
        *count += 1;
        *count > 1
    });
    twice || words.windows(3).any(|gram| gram[0] == gram[1] && gram[1] == gram[2])
}

/// The names in a summary that don't occur in the text. A name has a capital letter behind its first letter, or a digit, or
/// begins with a capital letter where no sentence begins.
pub fn invented<'s>(text: &str, summary: &'s str) -> impl Iterator<Item = &'s str> {
    let text = text.to_lowercase();
    let mut begins = true;
    let names = summary.split_whitespace().filter_map(move |word| {
        let first = std::mem::replace(&mut begins, word.ends_with(['.', '!', '?', ':']));
        let name = word.trim_matches(|c: char| !c.is_alphanumeric());
        let mut letters = name.chars();
        let capital = letters.next().is_some_and(char::is_uppercase);
        let inside = letters.any(|c| c.is_uppercase()) || name.contains(|c: char| c.is_ascii_digit());
        (inside || (capital && !first)).then_some(name)
    });
    names.filter(move |name| {
        let name = name.to_lowercase();
        // A plural or genitive of a name is that name.
        let stem = name.strip_suffix("'s").or_else(|| name.strip_suffix('s')).unwrap_or(&name);
        !text.contains(&name) && !text.contains(stem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_words() {
        let text = "The pt2-clone program plays ProTracker modules on Linux.";
        let found = |summary: &'static str| invented(text, summary).collect::<Vec<_>>();
        assert!(found("Player for ProTracker modules").is_empty());
        assert!(found("ProTracker's player (Linux)").is_empty());
        assert_eq!(found("Player for FastTracker modules on Windows"), ["FastTracker", "Windows"]);
        assert_eq!(found("pt3 player"), ["pt3"]);
        assert!(found("Sound. Player").is_empty());
    }

    #[test]
    fn words_from_nowhere_are_found() {
        let text = "The tool provides libraries for reading log files.";
        assert!(foreign(text, "Reads log files, using this library; it is provided by the TOOL").is_empty());
        assert_eq!(foreign(text, "Library with a reader of web logs"), ["reader", "web"]);
    }

    #[test]
    fn circles_and_silence_are_faults() {
        assert!(faults("", "a tool for a tool for").repeats);
        assert!(faults("", "very very very").repeats);
        assert!(!faults("", "a tool for a tool").repeats);
        assert!(faults("", " -- ").empty && !faults("", "x").empty);
    }
}
