//! `jamlet chat`, `run --chat` and summaries by a chat model.

use crate::chat_model::{Answers, ChatModel};
use crate::tool::{error, fed, json, ok, sample, text};
use serde_json::Value;
use std::fs;

/// `Ċ` is a newline, as byte-level tokenizers write it: the last token before an answer.
const PLAIN: Answers = Answers::Chain(&[("Ċ", "q"), ("q", "z"), ("z", "<|im_end|>")]);
const THINKS: Answers = Answers::Chain(&[
    ("Ċ", "<think>"),
    ("<think>", "h"),
    ("h", "</think>"),
    ("</think>", "q"),
    ("q", "z"),
    ("z", "<|im_end|>"),
]);
/// Its prompt begins the thinking.
const GOES_ON_THINKING: Answers =
    Answers::Chain(&[("Ċ", "h"), ("h", "</think>"), ("</think>", "q"), ("q", "z"), ("z", "<|im_end|>")]);
const NEVER_ENDS: Answers = Answers::Chain(&[("Ċ", "q"), ("q", "z"), ("z", "q")]);

/// What a conversation of these lines prints.
fn said(model: &ChatModel, options: &[&str], lines: &str) -> String {
    let output = fed(&[&["chat", text(&model.image())], options].concat(), lines.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing else in a pipe");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same, in JSON.
fn turns(model: &ChatModel, options: &[&str], lines: &str) -> Vec<Value> {
    said(model, &[&["--json"], options].concat(), lines).lines().map(json).collect()
}

/// What a conversation of which a line fails says about it.
fn complaint(model: &ChatModel, options: &[&str], lines: &str) -> String {
    let output = fed(&[&["chat", text(&model.image())], options].concat(), lines.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn number(turn: &Value, name: &str) -> u64 {
    turn[name].as_u64().expect(name)
}

#[test]
fn a_turn_reads_only_what_is_new() {
    let model = ChatModel::new("qwen-3", &PLAIN);
    let turns = turns(&model, &[], "Hello there\n\nAnd again, please\nThanks\n/stats\n");
    let mut known = 0;
    for turn in &turns[..3] {
        // The end of the turn, which the template writes, ends the answer: no other file names it.
        assert_eq!((&turn["text"], &turn["end"], &turn["tokens"]), (&"qz".into(), &"stop".into(), &2.into()));
        assert_eq!(number(turn, "reused_tokens"), known, "{turn}");
        assert_eq!(number(turn, "read_tokens"), number(turn, "prompt_tokens") - known);
        known = number(turn, "prompt_tokens") + 2;
    }
    let stats = &turns[3]["stats"];
    assert_eq!((&stats["messages"], number(stats, "state_tokens")), (&6.into(), known));
    let read: u64 = turns[..3].iter().map(|turn| number(turn, "read_tokens")).sum();
    assert_eq!(number(&stats["all_turns"], "read_tokens"), read);
    // As plain text, an answer a line.
    assert_eq!(said(&model, &[], "Hello there\nAnd again, please\n"), "qz\nqz\n");
}

#[test]
fn what_a_template_rewrites_is_read_again_from_there() {
    for (template, answers) in [("qwen-3", THINKS), ("jamba-reasoning-3b", GOES_ON_THINKING)] {
        let model = ChatModel::new(template, &answers);
        let turns = turns(&model, &[], "Hello there\nAnd again, please\n");
        for turn in &turns {
            assert_eq!((&turn["text"], &turn["thinking"], &turn["end"]), (&"qz".into(), &"h".into(), &"stop".into()));
        }
        // Up to where the first answer began, or its thinking, which the second prompt hasn't any more.
        let (first, reused) = (number(&turns[0], "prompt_tokens"), number(&turns[1], "reused_tokens"));
        assert!(reused >= first - 2 && reused <= first, "{template}: {reused} of {first}");
    }
}

#[test]
fn going_back_and_going_on_make_the_same_answers() {
    for template in ["qwen-3", "jamba-reasoning-3b", "jamba-2"] {
        let model = ChatModel::new(template, &Answers::Random);
        let lines = "Hello there\nAnd again, please\n/reset\nHello you\nWhat?\n";
        let of = |options: &[&str]| {
            let options = [&["--temperature", "1", "-n", "24", "--system", "You are brief."], options].concat();
            turns(&model, &options, lines)
        };
        // The usual number of states, none, and room for all, also for those before the first conversation ended.
        let (usual, anew, kept) = (of(&[]), of(&["--checkpoints", "0"]), of(&["--checkpoints", "16"]));
        assert_eq!([usual.len(), anew.len(), kept.len()], [4; 3]);
        for (kept, anew) in kept.iter().chain(&usual).zip(anew.iter().chain(&anew)) {
            assert_eq!((&kept["text"], &kept["thinking"]), (&anew["text"], &anew["thinking"]), "{template}");
            assert!(number(kept, "reused_tokens") >= number(anew, "reused_tokens"));
        }
        let said = |turn: &Value| (turn["text"].clone(), turn["thinking"].clone());
        assert_ne!(said(&kept[0]), said(&kept[1]), "it depends on what was read");
        // What the model is told first is the same in both conversations.
        assert!(number(&kept[2], "reused_tokens") > 0);
        let told = |system| turns(&model, &["--temperature", "1", "-n", "24", "--system", system], "Hello there\n");
        assert_eq!(said(&told("You are brief.")[0]), said(&kept[0]));
        assert_ne!(said(&told("You are long-winded.")[0]), said(&kept[0]));
    }
}

#[test]
fn thinking_is_shown_or_hidden() {
    let model = ChatModel::new("qwen-3", &THINKS);
    assert_eq!(said(&model, &[], "Hi\n"), "<think>h</think>qz\n");
    assert_eq!(said(&model, &["--hide-thinking"], "Hi\n"), "qz\n");
    let model = ChatModel::new("jamba-reasoning-3b", &GOES_ON_THINKING);
    assert_eq!(said(&model, &[], "Hi\n"), "<think>\nh</think>qz\n");
    assert_eq!(said(&model, &["--hide-thinking"], "Hi\n"), "qz\n");
}

#[test]
fn a_saved_conversation_goes_on_as_if_it_had_not_been_saved() {
    for template in ["qwen-3", "jamba-reasoning-3b"] {
        let model = ChatModel::new(template, &Answers::Random);
        let file = model.file("talk");
        let options = ["--temperature", "1", "-n", "24"];
        let whole = turns(&model, &options, "Hello there\nAnd again, please\nThanks\n");
        let save = format!("Hello there\nAnd again, please\n/save {}\nThanks\n", text(&file));
        let saved = turns(&model, &options, &save);
        let loaded = turns(&model, &[&options[..], &["--load", text(&file)]].concat(), "Thanks\n");
        for name in ["text", "thinking", "tokens"] {
            assert_eq!(saved[2][name], whole[2][name], "saving changes nothing");
            assert_eq!(loaded[0][name], whole[2][name], "{template}");
        }
        assert!(number(&loaded[0], "reused_tokens") > 0 && number(&loaded[0], "read_tokens") < 200, "{}", loaded[0]);
        // Loaded by a command, over another conversation.
        let lines = format!("Something else\n/load {}\nThanks\n", text(&file));
        assert_eq!(turns(&model, &options, &lines)[1]["text"], whole[2]["text"]);
        assert_eq!(fs::read_dir(model.file("")).expect("a folder").count(), 3, "no draft stays");
    }
}

#[test]
fn what_can_not_be_loaded_is_named_and_loses_nothing() {
    let (model, other) = (ChatModel::new("qwen-3", &Answers::Random), ChatModel::new("qwen-3", &PLAIN));
    let options = ["--temperature", "1", "-n", "12"];
    let (good, bad) = (model.file("good"), model.file("bad"));
    let whole = turns(&model, &options, &format!("Hello there\n/save {}\nThanks\n", text(&good)));
    let bytes = fs::read(&good).expect("the file");
    let load = format!("Hello there\n/load {}\nThanks\n", text(&bad));
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    for (content, says) in [
        (bytes[..bytes.len() - 1].to_vec(), "it was cut or changed"),
        (bytes[..20].to_vec(), "it was cut or changed"),
        (Vec::new(), "not a saved conversation"),
        (changed(0, b'x'), "not a saved conversation"),
        (changed(8, 2), "saved by version 2 of this format; this jamlet reads version 1"),
        (changed(23, 0x7f), "would be right"),
        (changed(bytes.len() / 2, bytes[bytes.len() / 2] ^ 1), "it is damaged"),
    ] {
        fs::write(&bad, content).expect("a file");
        let image = model.image();
        let output = fed(&[&["chat", text(&image), "--json"], &options[..]].concat(), load.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("line 2: ") && stderr.contains(text(&bad)) && stderr.contains(says),
            "{says}: {stderr}"
        );
        assert!(stderr.ends_with("1 of 3 lines failed\n"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(json(stdout.lines().nth(1).expect("a turn"))["text"], whole[1]["text"], "it went on");
    }
    let good = text(&good);
    assert!(complaint(&other, &["--load", good], "").contains("the snapshot belongs to model"));
    let narrow = complaint(&model, &["--window", "64", "--load", good], "");
    assert!(narrow.contains("made with window 4096; this session has 64"), "{narrow}");
    assert!(complaint(&model, &["--load", text(&model.file("missing"))], "").contains("missing"));
    assert!(complaint(&model, &[], "Hi\n/save\n").contains("/save needs the name of a file"));
    assert!(complaint(&model, &[], "Hi\n/save /nowhere/at/all\n").contains("no such folder"));
}

#[test]
fn commands_that_are_none_are_refused() {
    let model = ChatModel::new("qwen-3", &PLAIN);
    let says = complaint(&model, &[], "/summarise this\nHi\n");
    assert!(says.contains("line 1: /summarise is no command; /help lists them"), "{says}");
    assert_eq!(said(&model, &[], "//bin is a folder\n"), "qz\n");
    assert_eq!(said(&model, &[], "/quit\nHi\n"), "");
    let help = said(&model, &[], "/help\n");
    for name in ["/reset", "/system", "/save", "/load", "/stats", "/quit"] {
        assert!(help.contains(name), "{name}: {help}");
    }
    let stats = said(&model, &[], "Hi\n/stats\n");
    assert!(stats.contains("2 messages") && stats.contains("0 kept from before, 2 written"), "{stats}");
    let limit = turns(&model, &["-n", "1"], "Hi\n");
    assert_eq!((&limit[0]["text"], &limit[0]["end"]), (&"q".into(), &"limit".into()));
}

#[test]
fn an_image_without_a_template_says_how_to_get_one() {
    for arguments in [&["chat", "pico"][..], &["run", "-m", "pico", "--chat", "Hi"]] {
        let says = error(arguments);
        assert!(says.contains("no chat template in this image") && says.contains("`jamlet pack` the folder"), "{says}");
    }
    let model = ChatModel::new("qwen-3", &PLAIN);
    ok(&["pack", text(&model.folder()), "--no-template", "-o", text(&model.image())]);
    assert!(error(&["chat", text(&model.image())]).contains("no chat template in this image"));
}

#[test]
fn what_a_template_refuses_is_said_and_the_conversation_stays() {
    let model = ChatModel::new("qwen-3", &PLAIN);
    let template = "{% if messages | length > 2 %}{{ raise_exception('one question only') }}{% endif %}\
                    {% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    fs::write(model.folder().join("chat_template.jinja"), template).expect("a template");
    ok(&["pack", text(&model.folder()), "-o", text(&model.image())]);
    let output = fed(&["chat", text(&model.image())], b"Hi\nAgain\n/stats\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2: the chat template can't be rendered"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("one question only"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 messages"));
}

#[test]
fn one_message_is_answered_as_in_a_conversation() {
    let model = ChatModel::new("qwen-3", &Answers::Random);
    let image = model.image();
    let run = ["run", "-m", text(&image), "--chat", "--temperature", "1", "-n", "24"];
    let report = json(&ok(&[&run[..], &["--json", "Hello there"]].concat()));
    let turn = &turns(&model, &["--temperature", "1", "-n", "24"], "Hello there\n")[0];
    for name in ["text", "prompt_tokens", "tokens", "thinking", "end"] {
        assert_eq!(report[name], turn[name], "{name}");
    }
    assert_eq!(report["sampling"]["temperature"]["from"], "option");
    let told = json(&ok(&[&run[..], &["--json", "--system", "You are brief.", "Hello there"]].concat()));
    assert!(number(&told, "prompt_tokens") > number(&report, "prompt_tokens"));
    let model = ChatModel::new("qwen-3", &THINKS);
    assert_eq!(ok(&["run", "-m", text(&model.image()), "--chat", "--hide-thinking", "Hi"]), "qz\n");
    assert_eq!(ok(&["run", "-m", text(&model.image()), "--chat", "-f", text(&sample())]), "<think>h</think>qz\n");
}

#[test]
fn a_chat_model_is_asked_for_a_summary() {
    let model = ChatModel::new("qwen-3", &THINKS);
    let image = model.image();
    let summarize = ["summarize", "-m", text(&image)];
    let of = |options: &[&str]| ok(&[&summarize[..], options].concat());
    assert_eq!(of(&[text(&sample())]), "qz\n", "without what was thought");
    let report = json(&of(&[text(&sample()), "--json"]));
    assert_eq!((&report["way"], &report["text"], &report["thinking"]), (&"chat".into(), &"qz".into(), &"h".into()));
    // What it is asked is in the prompt, and changes with it.
    let bare = json(&of(&[text(&sample()), "--json", "--prompt", "{text}"]));
    assert!(number(&bare, "prompt_tokens") < number(&report, "prompt_tokens"));
    let behind = json(&of(&[text(&sample()), "--json", "--prompt", "What is this?"]));
    assert!(number(&behind, "prompt_tokens") > number(&bare, "prompt_tokens"));
    // A long text is read whole.
    let long = model.file("long");
    fs::write(&long, "The tide comes and the tide goes. ".repeat(600)).expect("a text");
    let report = json(&of(&[text(&long), "--json"]));
    assert!(number(&report, "prompt_tokens") > 3000, "{report}");
    // Quotes need no chat.
    assert!(of(&[text(&sample()), "--style", "quote"]).split_whitespace().count() > 2);
    for (option, says) in [
        (&["--lines", "2"][..], "--lines does nothing where a chat model is asked"),
        (&["--beams", "2"], "--beams does nothing where a chat model is asked"),
        (&["--ungrounded"], "--ungrounded does nothing where a chat model is asked"),
        (&["--style", "quote", "--prompt", "Why?"], "--prompt does nothing here"),
        (&["-n", "2"], "after 2 tokens the model still thinks"),
    ] {
        let message = error(&[&summarize[..], &[text(&sample())], option].concat());
        assert!(message.contains(says), "{option:?}: {message}");
    }
    assert!(error(&["summarize", "--prompt", "Why?", text(&sample())]).contains("--prompt does nothing here"));
}

#[test]
fn an_image_shows_that_one_can_talk_with_it() {
    let model = ChatModel::new("qwen-3", &PLAIN);
    let shown = ok(&["inspect", text(&model.image())]);
    assert!(
        shown.contains("conversations        by a chat template of") && !shown.contains("add_generation"),
        "{shown}"
    );
    let report = json(&ok(&["inspect", text(&model.image()), "--json"]));
    assert!(report["provenance"]["chat"]["template"].as_str().is_some_and(|text| text.contains("add_generation")));
    assert_eq!(report["prompt"]["stops"], serde_json::json!(["<|im_end|>"]));
}

/// On a terminal, which `script` of util-linux makes.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_stops_an_answer_and_leaves_at_the_prompt() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    let model = ChatModel::new("qwen-3", &NEVER_ENDS);
    // The shell lives through Ctrl-C and says on the same screen how the command ended.
    let jamlet = env!("CARGO_BIN_EXE_jamlet");
    let command = format!("trap : INT; {jamlet} chat {} -n 1000000000; echo left with $?.", text(&model.image()));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("script");
    let (mut keys, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut shown = String::new();
    // Reads on until the screen shows a text, and forgets what it showed up to there.
    let mut wait = |for_what: &str| loop {
        if let Some(at) = shown.find(for_what) {
            shown.drain(..at + for_what.len());
            return;
        }
        let mut bytes = [0; 4096];
        let count = screen.read(&mut bytes).expect("a screen");
        assert!(count > 0, "{for_what}: {shown}");
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
    };
    wait("> ");
    keys.write_all(b"Hi\r").expect("a key");
    wait("qzqzqz");
    keys.write_all(b"\x03").expect("a key");
    wait("[stopped]");
    wait("> ");
    keys.write_all(b"/stats\r").expect("a key");
    wait("2 messages");
    wait("> ");
    keys.write_all(b"Hi\r").expect("a key");
    wait("qzqzqz");
    keys.write_all(b"\x03").expect("a key");
    wait("[stopped]");
    wait("> ");
    keys.write_all(b"\x03").expect("a key");
    wait("left with 0.");
    child.wait().expect("script");
}
