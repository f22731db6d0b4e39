//! Options that are out of range or do nothing are errors that say what would be right, and names of images are one convention.

use crate::tool::{checkpoint, error, jamlet, json, ok, output, root, sample, text};
use std::fs;

#[test]
fn sampling_out_of_range_is_refused() {
    for (option, says) in [
        ("--temperature=-1", "temperature is -1; 0 "),
        ("--temperature=nan", "temperature is NaN; "),
        ("--temperature=inf", "temperature is inf; "),
        ("--top-p=2", "top-p is 2; more than 0, and at most 1"),
        ("--top-p=0", "top-p is 0; "),
        ("--top-p=-0.5", "top-p is -0.5; "),
        ("--top-p=nan", "top-p is NaN; "),
        ("--top-k=65", "top-k is 65; 0 to 64"),
        ("--top-k=-1", "top-k is -1; 0 to 64"),
        ("--min-p=5", "min-p is 5; 0 to 1"),
        ("--min-p=-0.1", "min-p is -0.1; "),
        ("--repetition-penalty=0", "repetition-penalty is 0; more than 0"),
        ("--repetition-penalty=-1", "repetition-penalty is -1; "),
        ("--repetition-penalty=inf", "repetition-penalty is inf; "),
        ("--no-repeat-ngram=129", "no-repeat-ngram is 129; 0 to 128"),
        ("--recent=5", "recent is 5, which does nothing without --eviction heavy-hitters"),
    ] {
        for command in [
            &["run", "-n", "1", "hi"][..],
            &["run", "-n", "1", "--temperature", "1", "hi"],
            &["summarize", text(&sample())],
        ] {
            if command.contains(&"--temperature") && option.contains("temperature") {
                continue;
            }
            let message = error(&[command, &[option]].concat());
            assert!(message.contains(says), "{command:?} {option}: {message}");
        }
    }
    for recent in ["0", "257"] {
        let message = error(&["run", "-n", "1", "--eviction", "heavy-hitters", "--recent", recent, "hi"]);
        assert!(message.contains(&format!("recent is {recent}; 1 to 256")), "{message}");
    }
    ok(&["run", "-n", "1", "--eviction", "heavy-hitters", "--recent", "256", "hi"]);
}

#[test]
fn sampling_without_effect_is_refused() {
    for option in ["--top-k=5", "--top-p=0.9", "--min-p=0.1"] {
        let message = error(&["run", "-n", "1", option, "hi"]);
        assert!(message.contains("does nothing at temperature 0") && message.contains("--temperature"), "{message}");
        ok(&["run", "-n", "1", option, "--temperature", "1", "hi"]);
    }
    // What they are anyway.
    for option in ["--top-k=0", "--top-p=1", "--min-p=0", "--repetition-penalty=1.3", "--no-repeat-ngram=128"] {
        ok(&["run", "-n", "1", option, "hi"]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let says = error(&["pack", text(&checkpoint("dense")), "--no-tokenizer", "-o", text(&image), "--window", "64"]);
    assert!(says.contains("without --bake"), "{says}");
}

#[test]
fn numbers_that_leave_nothing_to_do_are_wrong_arguments() {
    for (arguments, says) in [
        (&["run", "--threads", "0", "hi"][..], "'--threads <N>': 1 to 255 would be right"),
        (&["run", "--threads", "256", "hi"], "1 to 255 would be right"),
        (&["bench", "--threads", "1,0"], "1 to 255 would be right"),
        (&["bench", "--repeat", "0"], "from 1 on"),
        (&["run", "-n", "0", "hi"], "from 1 on"),
        (&["summarize", "-n", "0"], "from 1 on"),
        (&["score", "--pairs", "x", "--limit", "0"], "from 1 on"),
    ] {
        let output = output(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
}

#[test]
fn an_image_is_named_the_same_way_everywhere() {
    let nano = root("host-tools/models/nano.jamlet");
    let nano = text(&nano);
    for command in ["inspect", "plan", "verify"] {
        let right = ok(&[command, nano]);
        assert_eq!(ok(&[command, "-m", nano]), right);
        assert_eq!(ok(&[command, "--model", nano]), right);
        for built_in in [ok(&[command, "nano"]), ok(&[command, "-m", "nano"])] {
            assert_eq!(built_in.replace("built-in model nano", nano), right);
        }
        assert_eq!(ok(&[command]), ok(&[command, "pico"]));
        assert_ne!(ok(&[command]), right);
        assert_eq!(output(&[command, "nano", "-m", "nano"]).status.code(), Some(2));
    }
    let file = sample();
    let summary = ok(&["summarize", "-m", nano, text(&file)]);
    assert_eq!(ok(&["summarize", "-m", "nano", text(&file)]), summary);
    assert_eq!(ok(&["summarize", "-m", "pico", text(&file)]), ok(&["summarize", text(&file)]));
    // A name that is none of them, and a file that has one of them.
    let says = error(&["inspect", "mico"]);
    assert!(says.contains("mico") && says.contains("pico, nano, pico-4bit, nano-4bit"), "{says}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(nano, folder.path().join("pico")).expect("a copy");
    let inspect = |name: &str| {
        let output = jamlet().current_dir(folder.path()).args(["inspect", "--json", name]).output().expect("jamlet");
        json(&String::from_utf8(output.stdout).expect("UTF-8"))["bytes"].as_u64()
    };
    assert_eq!(inspect("./pico"), fs::metadata(nano).ok().map(|file| file.len()));
    assert_ne!(inspect("pico"), inspect("./pico"));
}

#[test]
fn what_the_system_says_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (empty, missing) = (folder.path().join("empty"), folder.path().join("missing"));
    fs::create_dir(&empty).expect("a folder");
    let weights = checkpoint("dense").join("model.safetensors");
    for arguments in [
        &["pack", text(&empty)][..],
        &["pack", text(&weights)],
        &["pack", text(&missing)],
        &["pack", "owner/name"],
        &["summarize", text(&missing)],
        &["run", "-f", text(&missing)],
        &["inspect", text(&missing)],
        &["bake", "-p", text(&missing), "-o", text(&empty.join("x"))],
        &["sign", "pico", "--key", text(&missing), "-o", text(&empty.join("x"))],
        &["score", "--pairs", text(&missing)],
    ] {
        let says = error(arguments);
        assert!(says.matches("os error").count() <= 1, "{says}");
        assert!(says.lines().count() == 1, "{says}");
    }
}

#[test]
fn one_window_and_number_of_beams_is_the_default_of_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let baked = folder.path().join("baked.jamlet");
    let prompt = folder.path().join("prompt");
    fs::write(&prompt, "A tool: ").expect("a prompt");
    let plan = json(&ok(&["plan", "--json"]));
    let default = jamlet::Options::default();
    assert_eq!(plan["window"], default.window);
    assert_eq!(plan["beams"], jamlet::beams::DEFAULT_BEAMS);
    // A prompt that is baked by default is one that sessions by default start from.
    ok(&["bake", "-p", text(&prompt), "-o", text(&baked)]);
    let report = json(&ok(&["inspect", "--json", text(&baked)]));
    assert_eq!(report["baked"]["window"], default.window);
    assert!(ok(&["plan", text(&baked)]).contains("starts from a baked prompt"));
    let summary = ok(&["summarize", text(&sample())]);
    assert_eq!(ok(&["summarize", "--window", "256", "--beams", "2", text(&sample())]), summary);
}

#[test]
fn a_board_s_name_stands_for_its_window_and_beams() {
    let summarize = |options: &[&str]| ok(&[&["summarize", text(&sample())], options].concat());
    let plan = |options: &[&str]| {
        let plan = json(&ok(&[&["plan", "nano", "--json"], options].concat()));
        (plan["window"].as_u64().expect("a window"), plan["beams"].as_u64().expect("beams"))
    };
    for board in &jamlet_tools::boards::BOARDS {
        let right = (u64::from(board.window), u64::from(board.beams));
        assert_eq!(plan(&["--board", board.name]), right, "{}", board.name);
    }
    assert_eq!(plan(&["--board", "stm32f405", "--window", "64", "--beams", "3"]), (64, 3));
    let named = summarize(&["--board", "stm32f405"]);
    assert_eq!(summarize(&["--window", "256", "--beams", "1"]), named);
    assert_eq!(summarize(&["--board", "pico2"]), summarize(&[]));
    let output = output(&["plan", "--board", "arduino"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stm32f405, pico2"), "the boards are named");
}
