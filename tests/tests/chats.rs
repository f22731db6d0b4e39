//! Conversations have the text and the ids that transformers' `apply_chat_template` gives, through an image, for templates of the
//! forms of Jamba 1.5 to 2, Granite 4.0 and Qwen 3.
//!
//! `fixtures/chats/make.py` writes what transformers makes of these, and of more of them or of other folders: with
//! `make.py OUT.json COUNT [FOLDER...]` and `JAMLET_CHATS=OUT.json cargo test -p jamlet-tests --test chats -- --ignored` those
//! are compared.

use std::fs;
use std::path::{Path, PathBuf};

use std::ops::ControlFlow;

use jamlet::{Model, Options, RewindPoints, Sampler, Session};
use jamlet_tests::images::{AlignedBytes, workspace};
use jamlet_tests::tiny;
use jamlet_tests::tokenizers::{vocabulary, write_folder};
use jamlet_tools::chat::template::{Marks, encode};
use jamlet_tools::chat::{ChatTemplate, Conversation, Listener, Message, saved};
use jamlet_tools::hf::JambaConfig;
use jamlet_tools::hf::tokenizer::{load, prompt};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    name: String,
    /// A folder that is there.
    folder: Option<PathBuf>,
    /// Or a template and a tokenizer of the fixtures, with these added tokens.
    template: Option<String>,
    tokenizer: Option<String>,
    added: Option<Value>,
    #[serde(default)]
    settings: Value,
    conversations: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    messages: Vec<Message>,
    answer: bool,
    text: String,
    ids: Vec<u32>,
}

/// What ends a turn in the fixtures' templates.
const ENDS: [(&str, &str); 5] = [
    ("jamba-1.5", "<|eom|>"),
    ("jamba-1.7", "<|eom|>"),
    ("jamba-reasoning-3b", "<|im_end|>"),
    ("granite-4.0", "<|end_of_text|>"),
    ("qwen-3", "<|im_end|>"),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chats")
}

fn open(file: &Path) -> Vec<Case> {
    serde_json::from_slice(&fs::read(file).expect("the cases")).expect("cases")
}

fn write(case: &Case, folder: &Path) {
    let template = case.template.as_ref().expect("a template");
    let template = fs::read_to_string(fixtures().join(format!("{template}.jinja"))).expect("a template");
    let tokenizer = case.tokenizer.as_ref().expect("a tokenizer");
    write_folder(folder, tokenizer, case.added.as_ref(), &case.settings, Some(&template));
}

/// What differs, and the texts of what ends an answer.
///
/// # Errors
/// Why the folder is refused.
fn compare(case: &Case, folder: &Path) -> Result<(Vec<String>, Vec<String>), String> {
    let vocab = vocabulary(folder);
    let config = json!({"model_type": "jamba", "vocab_size": vocab, "bos_token_id": null, "eos_token_id": null});
    let config = JambaConfig::parse("config.json".as_ref(), config.to_string().as_bytes()).expect("a config");
    let packed = load(folder, vocab).map_err(|error| error.to_string())?.expect("a tokenizer");
    let prompt = prompt(folder, &packed, &config, true).map_err(|error| error.to_string())?;
    let image = AlignedBytes::new(&tiny::with_prompt(vocab, packed.bytes, &prompt));
    let model = Model::parse(image.get()).expect("an image");
    let template = ChatTemplate::of(&model, "the image").map_err(|error| error.to_string())?;
    let marks = Marks::new(&model, &template).expect("a tokenizer");
    let tokenizer = marks.tokenizer().expect("a tokenizer");
    let mut wrong = Vec::new();
    for Expected { messages, answer, text, ids } in &case.conversations {
        match template.render(messages, *answer) {
            Ok(found) if found != *text => wrong.push(format!("{messages:?}: {found:?} instead of {text:?}")),
            Err(error) => wrong.push(format!("{messages:?}: {error:#}")),
            Ok(found) => {
                let found = encode(tokenizer, &found);
                if found != *ids {
                    wrong.push(format!("{text:?}: {found:?} instead of {ids:?}"));
                }
            }
        }
    }
    let stops = model.prompt().stops().filter_map(|id| String::from_utf8(tokenizer.piece(id)?.collect()).ok());
    Ok((wrong, stops.collect()))
}

fn report(case: &Case, wrong: &[String], all: &mut String) {
    let (name, count) = (&case.name, case.conversations.len());
    match wrong {
        [] => println!("{name}: {count} equal"),
        wrong => println!("{name}: {} of {count} differ", wrong.len()),
    }
    wrong.iter().take(3).for_each(|wrong| *all += &format!("{name}: {wrong}\n"));
}

fn compare_fixtures(file: &Path, count: usize) {
    let cases = open(file);
    assert_eq!(cases.len(), 9);
    let mut all = String::new();
    for case in &cases {
        assert!(case.conversations.len() >= count);
        let folder = tempfile::tempdir().expect("a folder");
        write(case, folder.path());
        let (wrong, stops) = compare(case, folder.path()).expect("a folder that can be packed");
        report(case, &wrong, &mut all);
        // Only where the tokenizer has the mark.
        let end = ENDS.iter().find(|(template, _)| case.template.as_deref() == Some(template) && case.added.is_some());
        if let Some((_, end)) = end {
            assert!(stops.iter().any(|stop| stop == end), "{}: {stops:?} without {end}", case.name);
        }
    }
    assert!(all.is_empty(), "{all}");
}

#[test]
fn conversations_of_all_templates() {
    compare_fixtures(&fixtures().join("cases.json"), 12);
}

#[test]
#[ignore = "compares with what make.py is asked to write"]
fn more_conversations() {
    let file = PathBuf::from(std::env::var_os("JAMLET_CHATS").expect("JAMLET_CHATS names the file of make.py"));
    let cases = open(&file);
    if cases.iter().all(|case| case.folder.is_none()) {
        return compare_fixtures(&file, 1);
    }
    let mut all = String::new();
    for case in &cases {
        match compare(case, case.folder.as_ref().expect("a folder")) {
            Ok((wrong, stops)) => {
                report(case, &wrong, &mut all);
                println!("    answers end with {stops:?}");
            }
            Err(refused) => println!("{}: refused: {refused}", case.name),
        }
    }
    assert!(all.is_empty(), "{all}");
}

struct Quiet;

impl Listener for Quiet {
    fn read(&mut self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A file of which one byte is wrong, behind a checksum that is right, is refused with all as it was, or is one: then what was
/// said is other words, or the state other numbers.
#[test]
fn hostile_saved_conversations_do_no_harm() {
    let cases = open(&fixtures().join("cases.json"));
    let case = cases.iter().find(|case| case.template.as_deref() == Some("qwen-3")).expect("a case");
    let folder = tempfile::tempdir().expect("a folder");
    write(case, folder.path());
    let vocab = vocabulary(folder.path());
    let config = json!({"model_type": "jamba", "vocab_size": vocab, "bos_token_id": null, "eos_token_id": null});
    let config = JambaConfig::parse("config.json".as_ref(), config.to_string().as_bytes()).expect("a config");
    let packed = load(folder.path(), vocab).expect("a tokenizer").expect("a tokenizer");
    let prompt = prompt(folder.path(), &packed, &config, true).expect("a prompt");
    let image = AlignedBytes::new(&tiny::with_prompt(vocab, packed.bytes, &prompt));
    let model = Model::parse(image.get()).expect("an image");
    let template = ChatTemplate::of(&model, "the image").expect("a template");
    let marks = Marks::new(&model, &template).expect("a tokenizer");
    let options = Options::window(8);
    let mut memory = workspace(image.get(), options);
    let mut session = Session::new(&model, options, memory.get_mut()).expect("a session");
    let points = RewindPoints::new(session.plan(), &mut []);
    let mut conversation = Conversation::new(&template, marks.tokenizer().expect("a tokenizer"), points);
    let turn = |conversation: &mut Conversation<'_, '_>, session: &mut Session<'_, '_>| {
        conversation.turn(session, &mut Sampler::greedy(), "Hello", 3, &mut Quiet).expect("a turn")
    };
    turn(&mut conversation, &mut session);
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    saved::save(&good, &mut conversation, &mut session).expect("a file");
    let bytes = fs::read(&good).expect("the file");
    let (messages, tokens) = (conversation.messages().to_vec(), conversation.tokens().to_vec());
    let mut refused = 0;
    for at in 0..bytes.len() - 4 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let content = bytes.len() - 4;
        let sum = crc32fast::hash(&bytes[..content]);
        bytes[content..].copy_from_slice(&sum.to_le_bytes());
        fs::write(&bad, &bytes).expect("a file");
        let before = session.position();
        match saved::load(&bad, &mut conversation, &mut session) {
            Ok(()) => assert_eq!(session.position(), conversation.tokens().len() as u64),
            Err(_) => {
                refused += 1;
                assert_eq!(session.position(), before);
            }
        }
        // It is a conversation, or still the one before.
        if at % 64 == 0 {
            conversation.settle(&mut session).expect("a conversation");
        }
        saved::load(&good, &mut conversation, &mut session).expect("the good one");
        assert_eq!((conversation.messages(), conversation.tokens()), (&messages[..], &tokens[..]));
    }
    // The snapshot has a checksum of its own, which isn't made right here.
    assert!(refused > bytes.len() / 2, "{refused} of {}", bytes.len());
    turn(&mut conversation, &mut session);
}
