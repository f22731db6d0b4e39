//! Prompts have the ids that transformers gives: 18 templates of all kinds, each around 50 messages, through an image.
//!
//! `fixtures/templates/make.py` writes what transformers makes of these, and of other folders: with
//! `make.py OUT.json FOLDER...` and `JAMLET_TEMPLATES=OUT.json cargo test -p jamlet-tests --test templates -- --ignored` those of
//! real models are compared.

use std::fs;
use std::path::{Path, PathBuf};

use jamlet::Model;
use jamlet_tests::images::AlignedBytes;
use jamlet_tests::tiny;
use jamlet_tests::tokenizers::{vocabulary, write_folder};
use jamlet_tools::frame::Frame;
use jamlet_tools::hf::JambaConfig;
use jamlet_tools::hf::tokenizer::{load, prompt};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Cases {
    messages: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// A folder that is there.
    folder: Option<PathBuf>,
    /// Or a tokenizer of the fixtures, with these added tokens.
    tokenizer: Option<String>,
    added: Option<Value>,
    #[serde(default)]
    settings: Value,
    template: Option<String>,
    /// The ids of every message in the template.
    prompts: Vec<Vec<u32>>,
    /// The ids of every message alone.
    texts: Vec<Vec<u32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn open(file: &Path) -> Cases {
    serde_json::from_slice(&fs::read(file).expect("the cases")).expect("cases")
}

/// Writes the folder of a case.
fn write(case: &Case, folder: &Path) {
    let tokenizer = case.tokenizer.as_ref().expect("a tokenizer");
    write_folder(folder, tokenizer, case.added.as_ref(), &case.settings, case.template.as_deref());
}

/// What differs.
///
/// # Errors
/// Why the folder's tokenizer or template is refused.
fn compare(case: &Case, messages: &[String], folder: &Path) -> Result<Vec<String>, String> {
    let vocab = vocabulary(folder);
    let config = json!({"model_type": "jamba", "vocab_size": vocab, "bos_token_id": null, "eos_token_id": null});
    let config = JambaConfig::parse("config.json".as_ref(), config.to_string().as_bytes()).expect("a config");
    let packed = load(folder, vocab).map_err(|error| error.to_string())?.expect("a tokenizer");
    let packed_has_summary = packed.view().added_token("<|summary|>").is_some();
    let prompt = prompt(folder, &packed, &config, true).map_err(|error| error.to_string())?;
    if let Some(warning) = prompt.warnings.iter().find(|warning| warning.contains("--no-template")) {
        return Err(warning.clone());
    }
    let image = AlignedBytes::new(&tiny::with_prompt(vocab, packed.bytes, &prompt));
    let model = Model::parse(image.get()).expect("an image");
    let mut wrong = Vec::new();
    // A model with the mark of summaries begins every text as it was trained to. And `tokenizer.model` is read as
    // SentencePiece reads it, which is what transformers does unless `legacy` is off.
    let own = packed_has_summary || case.settings["legacy"] == false;
    for ((message, in_prompt), alone) in messages.iter().zip(&case.prompts).zip(&case.texts) {
        for (template, right) in [(true, in_prompt), (false, alone)].into_iter().take(if own { 1 } else { 2 }) {
            let found = Frame::new(&model, template, None).expect("a tokenizer").encode(message);
            if found != *right {
                wrong.push(format!(
                    "{message:?} {}: {found:?} instead of {right:?}",
                    if template { "in it" } else { "alone" }
                ));
            }
        }
    }
    Ok(wrong)
}

fn report(name: &str, wrong: &[String], all: &mut String) {
    println!("{name}: {}", if wrong.is_empty() { "equal".into() } else { format!("{} differ", wrong.len()) });
    wrong.iter().take(4).for_each(|wrong| *all += &format!("{name}: {wrong}\n"));
}

#[test]
fn templates_of_all_kinds() {
    let Cases { messages, cases } = open(&fixtures().join("templates/cases.json"));
    assert!(messages.len() == 50 && cases.len() == 18);
    let mut all = String::new();
    for case in &cases {
        let folder = tempfile::tempdir().expect("a folder");
        write(case, folder.path());
        let wrong = compare(case, &messages, folder.path()).expect("a template that can be packed");
        report(&case.name, &wrong, &mut all);
    }
    assert!(all.is_empty(), "{all}");
}

#[test]
#[ignore = "compares with files of real models, which are fetched and not kept"]
fn templates_of_real_models() {
    let file = std::env::var_os("JAMLET_TEMPLATES").expect("JAMLET_TEMPLATES names the file of make.py");
    let Cases { messages, cases } = open(file.as_ref());
    let mut all = String::new();
    for case in &cases {
        match compare(case, &messages, case.folder.as_ref().expect("a folder")) {
            Ok(wrong) => report(&case.name, &wrong, &mut all),
            // Said, and never wrong.
            Err(refused) => println!("{}: refused: {refused}", case.name),
        }
    }
    assert!(all.is_empty(), "{all}");
}
