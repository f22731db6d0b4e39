//! What is taken as a text, and what is read of it.

use crate::tool::{error, fed, json, ok, output, root, sample, text};
use std::fs;
use std::path::PathBuf;

/// Files that are no texts, and what is said of each.
fn no_texts(folder: &std::path::Path) -> Vec<(PathBuf, &'static str)> {
    let utf16 = |mark: &str| -> Vec<u8> {
        format!("{mark}The quarterly review moved.").encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let files: [(&str, Vec<u8>, &str); 6] = [
        ("empty", Vec::new(), "empty"),
        ("blank", b" \r\n\t\n".to_vec(), "white space"),
        ("marked", utf16("\u{feff}"), "UTF-16"),
        ("unmarked", utf16(""), "UTF-16"),
        ("binary", (0..=255).collect(), "binary"),
        ("a.jamlet", fs::read(root("host-tools/models/nano.jamlet")).expect("nano"), "-m"),
    ];
    let write = |(name, bytes, says): (&str, Vec<u8>, &'static str)| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a file");
        (path, says)
    };
    files.into_iter().map(write).collect()
}

#[test]
fn what_is_no_text_is_refused_by_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("new.jamlet");
    for (path, says) in no_texts(folder.path()) {
        let file = text(&path);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        for arguments in [
            &["summarize", file][..],
            &["summarize", "--raw", file],
            &["summarize", "--format", "markdown", file],
            &["run", "-f", file],
            &["run", "-i", "-f", file],
            &["eval", "--text", file],
            &["eval", "--tokens", file],
            &["bake", "-p", file, "-o", text(&image)],
            &["score", "--pairs", file],
        ] {
            let message = error(arguments);
            assert!(message.contains(name) && message.contains(says), "{arguments:?}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let bytes = fs::read(&path).expect("the file");
        for arguments in [&["summarize"][..], &["summarize", "-"], &["run"]] {
            let output = fed(arguments, &bytes);
            let message = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{arguments:?}: {message}");
            assert!(message.contains("standard input") && message.contains(says), "{message}");
        }
    }
    assert!(!image.exists());
    for prompt in ["", " \n"] {
        assert!(error(&["run", prompt]).contains("the prompt: "));
    }
    assert!(error(&["summarize", "/"]).contains("a folder"));
    // A pair without a text is a wrong line of a right file.
    let pairs = folder.path().join("pairs.jsonl");
    fs::write(&pairs, "{\"text\": \" \", \"summaries\": [\"a\"]}\n").expect("a file");
    assert!(error(&["score", "--pairs", text(&pairs)]).contains("pairs.jsonl: line 1: text is "));
}

#[test]
fn a_line_that_is_not_utf_8_has_an_answer() {
    let output = fed(&["run", "-i", "-n", "4", "--json"], b"one \xFF\ntwo\r\n");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<serde_json::Value> = answers.lines().map(json).collect();
    assert_eq!(answers.len(), 2);
    // As it is read elsewhere.
    for (answer, whole) in answers.iter().zip([&b"one \xFF"[..], b"two"]) {
        let whole = fed(&["run", "-n", "4", "--json"], whole);
        let whole = json(&String::from_utf8(whole.stdout).expect("UTF-8"));
        assert_eq!((&answer["text"], &answer["prompt_tokens"]), (&whole["text"], &whole["prompt_tokens"]));
    }
}

#[test]
fn a_line_that_is_no_text_does_not_end_the_session() {
    let output = fed(&["run", "-i", "-n", "4", "--json"], b"one\n \ntwo\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8").lines().count(), 2);
    let says = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(says.contains("line 2: nothing but white space") && says.contains("1 of 3 lines"), "{says}");
}

/// Tokens that `summarize` reads of a text.
fn read(arguments: &[&str]) -> u64 {
    let report = json(&ok(&[&["summarize", "--json", "-n", "4"], arguments].concat()));
    report["prompt_tokens"].as_u64().expect("a number")
}

#[test]
fn markup_is_read_by_name_by_beginning_or_as_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let prose = write("prose.txt", "tidewatch\n\ntidewatch shows tide levels in a terminal.\n");
    let markdown = "# tidewatch\n\n[![Build](https://ci/b.svg)](https://ci)\n\n**tidewatch** shows\n[tide levels](https://t) in a \
        terminal.\n\n```sh\ncargo install tidewatch\n```\n";
    let named = write("README.md", markdown);
    let unnamed = write("README", markdown);
    let page = write(
        "page",
        "<!doctype html><title>x</title><nav>Home</nav><h1>tidewatch</h1><p><b>tidewatch</b> shows tide levels in a terminal.</p>",
    );
    let mail = write(
        "mail",
        "From: a@example.org\nTo: b@example.org\nSubject: Re: tidewatch\n\ntidewatch shows tide levels in a terminal.\n\n-- \nA\n",
    );
    let right = read(&[text(&prose)]);
    for path in [&named, &unnamed, &page, &mail] {
        assert!(read(&[text(path)]).abs_diff(right) <= 1, "{path:?}: at most a line's end differs");
        assert!(read(&["--raw", text(path)]) > right + 10, "{path:?}: markup and all");
    }
    assert_eq!(read(&["--format", "raw", text(&named)]), read(&["--raw", text(&named)]));
    assert_eq!(read(&["--format", "markdown", text(&unnamed)]), read(&[text(&named)]));
    assert_eq!(output(&["summarize", "--raw", "--format", "text", text(&named)]).status.code(), Some(2));
    let badges = write("badges.md", "[![Build](https://ci/b.svg)](https://ci)\n");
    let says = error(&["summarize", text(&badges)]);
    assert!(says.contains("badges.md: no prose") && says.contains("--raw"), "{says}");
}

#[test]
fn how_lines_end_and_where_they_break_does_not_change_a_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let prose = fs::read_to_string(sample()).expect("the sample");
    let right = ok(&["summarize", text(&sample())]);
    for width in [60, 72, 80] {
        let (mut wrapped, mut column) = (String::new(), 0);
        for word in prose.split_inclusive([' ', '\n']) {
            if column + word.trim_end().len() > width {
                wrapped = wrapped.trim_end().to_owned() + "\n";
                column = 0;
            }
            wrapped += word;
            column = if word.ends_with('\n') { 0 } else { column + word.len() };
        }
        assert!(wrapped.lines().count() > 6 && wrapped.lines().all(|line| line.len() <= width));
        for (name, bytes) in
            [("unix", wrapped.clone()), ("windows", format!("\u{feff}{}", wrapped.replace('\n', "\r\n")))]
        {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("a file");
            assert_eq!(ok(&["summarize", text(&path)]), right, "{name} {width}");
        }
    }
}
