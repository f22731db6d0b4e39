//! The `jamlet` command as a user or script meets it: output, errors, exit codes, pipes.

use crate::tool::{error, jamlet, json, ok, output, root, sample, text};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_text_is_summarized_by_the_built_in_model() {
    let from_file = ok(&["summarize", text(&sample())]);
    assert!(from_file.split_whitespace().count() >= 2, "{from_file:?}");
    assert!(from_file.len() < 300 && from_file.ends_with('\n'));

    let mut child = jamlet().arg("summarize").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("jamlet");
    let file = std::fs::read(sample()).expect("the sample");
    child.stdin.take().expect("a pipe").write_all(&file).expect("a pipe");
    let from_pipe = child.wait_with_output().expect("jamlet");
    assert_eq!(String::from_utf8_lossy(&from_pipe.stdout), from_file);

    // Neither the chunk nor a window that holds the text changes a bit.
    for options in [["--chunk", "1"], ["--chunk", "64"], ["--window", "4096"]] {
        assert_eq!(ok(&["summarize", text(&sample()), options[0], options[1]]), from_file);
    }
    let report = json(&ok(&["summarize", text(&sample()), "--json"]));
    assert_eq!(report["text"].as_str().map(str::trim), Some(from_file.trim()));
    assert!(report["prompt_tokens"].as_u64() > Some(50));
}

#[test]
fn names_come_from_the_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = folder.path().join("pairs.jsonl");
    // Texts that leave something out. Which of them make the model add a name depends on the model; one does.
    let texts = [
        "this one does things with other things.",
        "gmobile is a library with mobile related helpers. This package has introspection data for it.",
        "this module adds a driver to the server",
        "a small program that plays sounds in a terminal",
        "documentation of a database",
    ];
    let lines = texts.map(|about| serde_json::json!({ "text": about, "summaries": ["things"] }).to_string());
    std::fs::write(&pairs, lines.join("\n")).expect("a file");
    let invents = |options: &[&str]| {
        let arguments = [&["score", "--pairs", text(&pairs), "--json"], options].concat();
        json(&ok(&arguments))["invents"].as_f64().expect("a share")
    };
    assert_eq!(invents(&[]), 0.0);
    assert!(invents(&["--ungrounded", "--no-repeat-ngram", "3"]) > 0.0, "what it made up");
}

/// Ids and pieces, of an image and of the folder that its tokenizer comes from.
#[test]
fn tokens_of_a_text() {
    let folder = root("tests/fixtures/tokenizers/byte-level-4096");
    let report = json(&ok(&["tokenize", "-m", text(&folder), "--json", "A tool<|summary|>\n"]));
    let pieces: Vec<&str> = report["pieces"].as_array().expect("pieces").iter().filter_map(|p| p.as_str()).collect();
    assert_eq!(pieces.concat(), "A tool<|summary|>\n");
    assert_eq!(report["ids"].as_array().map(Vec::len), Some(pieces.len()));
    assert!(report["ids"].as_array().is_some_and(|ids| ids.contains(&3.into())), "the special token");
    assert_eq!(json(&ok(&["tokenize", "--json", "A tool<|summary|>\n"])), report, "the built-in model has the same");
    let lines = ok(&["tokenize", "-m", text(&folder), "A\n"]);
    assert!(lines.lines().count() >= 2 && lines.contains(r#""\n""#), "{lines}");
    assert!(error(&["tokenize", ""]).contains("the text: empty"));
}

#[test]
fn any_bytes_are_a_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text");
    let long_line: Vec<u8> = b"no end of a line ".iter().copied().cycle().take(20_000).collect();
    for bytes in [
        &b"a"[..],
        b"caf\xe9 au lait, na\xefve and clich\xe9\xf0\x9f",
        "\u{1F469}\u{200D}\u{1F4BB}".as_bytes(),
        &long_line,
    ] {
        std::fs::write(&file, bytes).expect("a file");
        ok(&["summarize", text(&file), "-n", "4"]);
    }
}

#[test]
fn any_number_of_threads_writes_the_same() {
    let arguments = |threads| ["summarize", "--threads", threads, "--chunk", "32"].map(String::from);
    let run = |threads| ok(&[&arguments(threads).each_ref().map(String::as_str)[..], &[text(&sample())]].concat());
    let one = run("1");
    assert_eq!(run("2"), one);
    assert_eq!(run("5"), one);
    assert_eq!(output(&["run", "--threads", "0", "a"]).status.code(), Some(2));
}

#[test]
fn speed_is_measured() {
    let report = json(&ok(&[
        "bench",
        "--json",
        "--repeat",
        "1",
        "--prompt",
        "16",
        "--tokens",
        "4",
        "--threads",
        "1,2",
        "--chunks",
        "8",
        "--depths",
        "0,8",
    ]));
    let positive = |list: &str, name: &str| {
        let list = report[list].as_array().expect("a list");
        assert!(list.iter().all(|result| result[name].as_f64() > Some(0.0)), "{list:?}");
        list.len()
    };
    assert_eq!(positive("reads", "bytes_per_second"), 2);
    assert_eq!(positive("prefills", "tokens_per_second"), 2);
    assert_eq!(positive("decodes", "share_of_read_bandwidth"), 4);
    assert!(report["first_token_seconds"].as_f64() > Some(0.0));
}

#[test]
fn sampling_is_repeatable() {
    let run = |seed: &str| ok(&["run", "A small library for", "-n", "12", "--temperature", "1", "--seed", seed]);
    assert_eq!(run("7"), run("7"));
    assert!((0..4).any(|seed| run(&seed.to_string()) != run("7")));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = jamlet()
        .args(["run", "A library", "-n", "2000", "--temperature", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("jamlet");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut some = [0; 4];
    stdout.read_exact(&mut some).expect("some text");
    drop(stdout);
    let output = child.wait_with_output().expect("jamlet");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!output.status.success());
}

/// How much of a process lies in memory, in KiB.
#[cfg(target_os = "linux")]
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().strip_suffix(" kB").and_then(|kib| kib.parse().ok()).expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn endless_input_takes_no_more_memory_and_ctrl_c_ends_it_with_an_answer() {
    let mut child = jamlet()
        .args(["summarize", "-n", "4", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("jamlet");
    let mut stdin = child.stdin.take().expect("a pipe");
    // One line without an end, of which every 64th byte is no UTF-8. What the command didn't read fills the pipe.
    let piece: Vec<u8> = b"an endless tale of \xFF bytes, and ".iter().copied().cycle().take(4096).collect();
    let mut sizes = Vec::new();
    // Buffers are touched for the first time early on.
    for at in 0..120 {
        stdin.write_all(&piece).expect("a pipe");
        if at >= 100 {
            sizes.push(resident(child.id()));
        }
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(interrupt.success());
    let output = child.wait_with_output().expect("jamlet");
    drop(stdin);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = json(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert!(report["prompt_tokens"].as_u64() > Some(2000), "{report}");
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(last <= first + 64, "{first} KiB became {last} KiB");
}

#[test]
fn a_folder_is_packed_inspected_planned_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("small.jamlet");
    let checkpoint = root("tests/fixtures/checkpoints/moe-in-attention");
    let report = ok(&["pack", text(&checkpoint), "--no-tokenizer", "-o", text(&image), "--json"]);
    let report = json(&report);
    assert_eq!(report["bytes"].as_u64(), std::fs::metadata(&image).ok().map(|file| file.len()));
    let quantized = report["quantized"].as_array().expect("tensors");
    let noise: Vec<f64> = quantized.iter().filter_map(|tensor| tensor["snr_db"].as_f64()).collect();
    assert!(noise.len() > 10 && noise.is_sorted() && noise[0] > 35.0, "{noise:?}");

    let inspected = json(&ok(&["inspect", text(&image), "--json"]));
    assert_eq!(inspected["sizes"]["hidden_size"], config(&checkpoint)["hidden_size"]);
    assert_eq!(inspected["provenance"]["source"], "moe-in-attention");
    assert!(inspected["layers"].as_str().is_some_and(|layers| layers.contains('a')), "attention with experts");
    assert!(ok(&["inspect", text(&image)]).contains("moe-in-attention"));

    let plan = json(&ok(&["plan", text(&image), "--json", "--window", "64"]));
    let parts = plan["ram_by_part"].as_object().expect("parts");
    assert_eq!(plan["ram"].as_u64(), Some(parts.values().filter_map(serde_json::Value::as_u64).sum()));
    assert!(plan["boards"].as_array().is_some_and(|boards| boards.iter().any(|board| board["fits"] == true)));
    assert!(ok(&["plan", text(&image)]).contains('█'));

    assert!(ok(&["verify", text(&image)]).contains("sound"));
    let mut bytes = std::fs::read(&image).expect("the image");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&image, &bytes).expect("an image");
    let says = error(&["verify", text(&image)]);
    assert!(says.contains("small.jamlet") && says.contains("damaged"), "{says}");
    bytes.truncate(1000);
    std::fs::write(&image, &bytes).expect("an image");
    assert!(error(&["run", "-m", text(&image), "x"]).contains("cut off"));
}

fn config(checkpoint: &Path) -> serde_json::Value {
    json(&std::fs::read_to_string(checkpoint.join("config.json")).expect("a config"))
}

#[test]
fn a_failed_pack_leaves_the_old_image_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image.jamlet");
    std::fs::write(&image, "precious").expect("a file");
    let checkpoint = folder.path().join("hf");
    std::fs::create_dir(&checkpoint).expect("a folder");
    let source = root("tests/fixtures/checkpoints/dense-odd");
    std::fs::copy(source.join("config.json"), checkpoint.join("config.json")).expect("a copy");
    let mut weights = std::fs::read(source.join("model.safetensors")).expect("weights");
    // The last number of the last tensor, whatever its type: all ones are NaN.
    let end = weights.len();
    weights[end - 4..].fill(0xFF);
    std::fs::write(checkpoint.join("model.safetensors"), weights).expect("weights");
    let says = error(&["pack", text(&checkpoint), "--no-tokenizer", "-o", text(&image)]);
    assert!(says.contains("model.safetensors") && says.contains("NaN"), "{says}");
    assert_eq!(std::fs::read(&image).expect("the old image"), b"precious");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 2, "no half of an image stays behind");
}

#[test]
fn an_image_is_measured_against_its_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, tokens) = (folder.path().join("image.jamlet"), folder.path().join("tokens.jsonl"));
    let checkpoint = root("tests/fixtures/checkpoints/dense-expand-3");
    ok(&["pack", text(&checkpoint), "--no-tokenizer", "-o", text(&image)]);
    std::fs::write(&tokens, "[1, 5, 9, 33, 17, 20, 8]\n[1, 40, 41]\n").expect("a file");
    let reference = ["--reference", text(&checkpoint), "--tokens", text(&tokens)];
    let report = json(&ok(&[&["eval", text(&image), "--json"], &reference[..]].concat()));
    assert_eq!((report["documents"].as_u64(), report["predictions"].as_u64()), (Some(2), Some(8)));
    let number = |name: &str| report[name].as_f64().expect("a number");
    assert!(number("kl_divergence") > 0.0 && number("kl_divergence") < 0.05, "{report}");
    assert!((number("perplexity") / number("reference_perplexity") - number("perplexity_ratio")).abs() < 1e-9);

    let other = root("tests/fixtures/checkpoints/dense-odd");
    let says = error(&["eval", text(&image), "--reference", text(&other), "--tokens", text(&tokens)]);
    assert!(says.contains("vocabulary"), "{says}");
    let says = error(&["eval", text(&image), "--reference", text(&checkpoint), "--text", text(&sample())]);
    assert!(says.contains("no tokenizer"), "{says}");
}

#[test]
fn summaries_are_scored_beside_simple_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pairs, summaries) = (folder.path().join("pairs.jsonl"), folder.path().join("summaries.jsonl"));
    let first = "Tidewatch shows tide levels. It runs on small computers.";
    let line = serde_json::json!({ "text": first, "summaries": ["shows tide levels", "tide display"] });
    std::fs::write(&pairs, format!("{line}\n{line}\n")).expect("a file");
    let report = json(&ok(&["score", "--pairs", text(&pairs), "--summaries", text(&summaries), "--json"]));
    assert_eq!(report["texts"].as_u64(), Some(2));
    // Three of the first sentence's four words.
    let right = 200.0 * 3.0 / 7.0;
    assert!(report["first_sentence"]["rouge_l"].as_f64().is_some_and(|score| (score - right).abs() < 1e-9));
    assert_eq!(std::fs::read_to_string(&summaries).expect("summaries").lines().count(), 2);

    std::fs::write(&pairs, format!("{line}\n{{\"text\": 3}}\n")).expect("a file");
    let says = error(&["score", "--pairs", text(&pairs)]);
    assert!(says.contains("pairs.jsonl: line 2"), "{says}");
}

#[test]
fn errors_name_what_is_wrong() {
    assert!(error(&["summarize", "/no/such/text"]).contains("/no/such/text"));
    assert!(error(&["inspect", "/no/such/image"]).contains("/no/such/image"));
    assert!(error(&["inspect", text(&sample())]).contains("not a jamlet image"));
    assert!(error(&["inspect", "/"]).contains("folder"));
    assert!(error(&["pack", text(&root("tests")), "-o", "/tmp/x"]).contains("config.json"));
    let checkpoint = root("tests/fixtures/checkpoints/dense");
    let says = error(&["pack", text(&checkpoint), "-o", "/tmp/x"]);
    assert!(says.contains("tokenizer.json") && says.contains("--no-tokenizer"), "{says}");
    assert!(error(&["plan", "--window", "0"]).contains("window"));
    assert_eq!(output(&["summarize", "--nonsense"]).status.code(), Some(2));
    assert_eq!(output(&[]).status.code(), Some(2));
}

#[test]
fn prompts_that_begin_alike_are_read_once() {
    let questions = ["It is used", "It is written", "It is used", ""];
    let run = |extra: &[&str], input: &str| {
        let file = sample();
        let arguments = ["run", "-n", "6", "-f", text(&file)];
        let mut command = jamlet();
        command.args(arguments).args(extra).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("jamlet");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("a pipe");
        let output = child.wait_with_output().expect("jamlet");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let answers = run(&["--interactive", "--json"], &questions.map(|question| format!("{question}\n")).concat());
    let answers: Vec<serde_json::Value> = answers.lines().map(json).collect();
    assert_eq!(answers.len(), questions.len());
    let file = std::fs::read_to_string(sample()).expect("the sample");
    for (index, (question, answer)) in questions.iter().zip(&answers).enumerate() {
        let whole = json(&ok(&["run", "-n", "6", "--json", "--", &format!("{file}{question}")]));
        assert_eq!(answer["text"], whole["text"], "{question:?}: read at once, or from a checkpoint");
        assert_eq!(answer["prompt_tokens"], whole["prompt_tokens"]);
        let (tokens, reused) = (answer["prompt_tokens"].as_u64().unwrap(), answer["reused_tokens"].as_u64().unwrap());
        assert!(if index == 0 { reused == 0 } else { reused > tokens / 2 }, "{reused} of {tokens}");
    }
    // The same for people: answers line by line, and nothing else in a pipe.
    let plain = run(&["-i"], "It is used\n");
    assert_eq!(plain.trim(), answers[0]["text"].as_str().expect("a text").trim());
}

#[test]
fn prompt_and_tokenizer_are_shown_with_what_they_cost() {
    let inspected = json(&ok(&["inspect", "pico", "--json"]));
    let (prompt, tokenizer) = (&inspected["prompt"], &inspected["tokenizer"]);
    assert_eq!((&prompt["prefix"], &prompt["suffix"]), (&"<|startoftext|>".into(), &"<|summary|>".into()));
    assert_eq!(
        (&prompt["stops"][0], &prompt["plain_start"][0]),
        (&"<|endoftext|>".into(), &inspected["prompt_prefix"][0])
    );
    assert_eq!((&tokenizer["kind"], &tokenizer["nfc"]), (&"byte-level BPE".into(), &false.into()));
    assert_eq!((&tokenizer["tokens"], &tokenizer["flash"]), (&4096.into(), &inspected["bytes_by_kind"]["tokenizer"]));
    let shown = ok(&["inspect", "pico"]);
    for part in [
        "begins with          \"<|startoftext|>\"",
        "draws                the most probable token",
        "NFC                  no",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let plan = json(&ok(&["plan", "pico", "--json"]));
    assert_eq!(plan["tokenizer"], *tokenizer);
    assert!(ok(&["plan", "pico"]).contains("of which the tokenizer  36.0 KiB"));
}

#[test]
fn a_prompt_is_baked_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, prompt) = (folder.path().join("baked.jamlet"), folder.path().join("prompt"));
    std::fs::write(&prompt, "A tool of this distribution: ").expect("a file");
    let said = ok(&["bake", "-p", text(&prompt), "--window", "192", "-o", text(&image)]);
    assert!(said.contains("tokens baked in"), "{said}");
    ok(&["verify", text(&image)]);
    let report = json(&ok(&["inspect", text(&image), "--json"]));
    assert_eq!((&report["baked"]["window"], &report["baked"]["sinks"]), (&192.into(), &4.into()));
    assert!(report["baked"]["text"].as_str().expect("a text").contains("of this distribution"), "{report}");
    assert!(ok(&["inspect", text(&image)]).contains("tokens baked in, for window 192"));
    assert!(ok(&["plan", text(&image), "--window", "192"]).contains("starts from a baked prompt"));
    assert!(ok(&["plan", text(&image)]).contains("made for other options"));
    // From the state, or by reading the same tokens: the same summary, of a text that isn't the plain model's.
    let summarize =
        |window: &str| ok(&["summarize", text(&sample()), "-m", text(&image), "--window", window, "-n", "9"]);
    assert_eq!(summarize("192"), summarize("191"), "a text shorter than both windows");
    assert!(error(&["bake", "-p", "/nowhere", "-o", text(&image)]).contains("/nowhere"));
}
