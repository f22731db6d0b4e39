//! The README: short enough to be read, and true where a machine can tell.

use crate::tool::{ok, root};
use regex_lite::Regex;
use std::fs;

const MOST_WORDS: usize = 700;
const MOST_NUMBERS: usize = 25;

fn readme() -> String {
    fs::read_to_string(root("README.md")).expect("README.md")
}

#[test]
fn it_is_short() {
    let words = readme().split_whitespace().count();
    assert!(words <= MOST_WORDS, "{words} words");
}

#[test]
fn it_has_few_numbers() {
    // Those in addresses, and in names such as STM32F405, are none.
    let text = Regex::new(r"\]\([^)]*\)").expect("an expression").replace_all(&readme(), "]").into_owned();
    let digits = |word: &&str| word.trim_matches(|c: char| !c.is_alphanumeric()).parse::<f64>().is_ok();
    let numbers: Vec<&str> = text.split(|c: char| c.is_whitespace() || "-()".contains(c)).filter(digits).collect();
    assert!(numbers.len() <= MOST_NUMBERS, "{} numbers: {numbers:?}", numbers.len());
}

#[test]
fn its_links_lead_somewhere() {
    let text = readme();
    let links = Regex::new(r"\]\(([^)#]+)\)").expect("an expression");
    let targets: Vec<&str> = links.captures_iter(&text).filter_map(|link| Some(link.get(1)?.as_str())).collect();
    assert!(targets.len() > 10, "{targets:?}");
    for target in targets.iter().filter(|target| !target.starts_with("https://")) {
        assert!(root(target).exists(), "{target}");
    }
}

#[test]
fn its_first_command_prints_what_it_says() {
    let file = root("tests/texts/mail.txt");
    let printed = ok(&["summarize", file.to_str().expect("UTF-8")]);
    assert!(readme().contains(&format!("summarize tests/texts/mail.txt\n{printed}")), "{printed}");
}

#[test]
fn the_board_in_the_picture_says_the_same() {
    let picture = fs::read_to_string(root("targets/session.svg")).expect("a picture");
    let file = root("tests/texts/mail.txt");
    let printed = ok(&["summarize", file.to_str().expect("UTF-8")]);
    assert!(picture.contains(&format!(">{}</text>", printed.trim_end())), "{printed}");
}
