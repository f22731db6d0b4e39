//! What stands in a folder's tokenizer files: refused by name where the engine doesn't do it; prompts; stops.

use std::fs;
use std::path::Path;

use jamlet_tests::tokenizers::{dir, encode};
use jamlet_tools::hf::JambaConfig;
use jamlet_tools::hf::tokenizer::{PackedTokenizer, Prompt, PromptIds, load, prompt};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a fixture's files.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn edit(folder: &Path, file: &str, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap();
    edit(&mut value);
    fs::write(folder.join(file), value.to_string()).unwrap();
}

/// Asserts that a change to `tokenizer.json` is refused with a message that holds all `parts`.
#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut Value), parts: &[&str]) {
    let folder = copy(name);
    edit(folder.path(), "tokenizer.json", change);
    let message = load(folder.path(), 4096).unwrap_err().to_string();
    for part in ["tokenizer.json"].iter().chain(parts) {
        assert!(message.contains(part), "{part:?} isn't in: {message}");
    }
}

#[test]
fn refused_by_name() {
    let byte_level = "byte-level-4096";
    refused(byte_level, |t| t["model"]["type"] = json!("Unigram"), &["model.type", "Unigram", "BPE"]);
    refused(byte_level, |t| t["model"]["type"] = json!("WordPiece"), &["model.type", "WordPiece", "BPE"]);
    refused(byte_level, |t| t["model"]["dropout"] = json!(0.1), &["model.dropout", "0.1", "null"]);
    refused(byte_level, |t| t["model"]["end_of_word_suffix"] = json!("</w>"), &["end_of_word_suffix", "</w>"]);
    refused(byte_level, |t| t["normalizer"] = json!({"type": "NFKC"}), &["normalizer", "NFKC", "none"]);
    refused(byte_level, |t| t["pre_tokenizer"] = json!({"type": "BertPreTokenizer"}), &["pre_tokenizer", "BertPre"]);
    refused(byte_level, |t| t["pre_tokenizer"] = Value::Null, &["byte_fallback", "ByteLevel"]);
    refused(byte_level, |t| t["decoder"] = json!({"type": "WordPiece"}), &["decoder", "WordPiece", "ByteLevel"]);
    refused(byte_level, |t| t["decoder"] = Value::Null, &["decoder", "null"]);
    refused(byte_level, |t| t["added_tokens"][3]["lstrip"] = json!(1), &["added_tokens[3].lstrip", "true or false"]);
    refused(byte_level, |t| t["added_tokens"][3]["id"] = json!(4096), &["added_tokens[3].id", "4096"]);
    refused(byte_level, |t| t["added_tokens"][3]["id"] = json!(9), &["added_tokens[3].content", "id 9"]);
    refused(
        byte_level,
        |t| t["model"]["merges"][7] = json!(["qqq", "a"]),
        &["model.merges[7]", "\"qqq\" in model.vocab"],
    );
    refused(byte_level, |t| t["model"]["vocab"]["x y"] = json!(4096), &["model.vocab[\"x y\"]", "4096", "vocab_size"]);
    refused(
        byte_level,
        |t| {
            let id = t["model"]["vocab"].as_object_mut().unwrap().remove("ã").unwrap();
            t["model"]["vocab"]["other"] = id;
        },
        &["no token for byte 0xe3"],
    );
    refused(
        "llama-3",
        |t| t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(r"(?<=a)\w+|\s+"),
        &["pre_tokenizer.Split.pattern", r"(?<=a)\\w+|\\s+", "at byte 0"],
    );
    refused(
        "llama-3",
        |t| t["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = json!(true),
        &["ByteLevel.add_prefix_space"],
    );
    refused("llama-2-json", |t| t["model"]["byte_fallback"] = json!(false), &["model.byte_fallback", "true"]);
    refused("llama-2-json", |t| t["added_tokens"][3]["normalized"] = json!(true), &["added_tokens[3].normalized"]);
}

#[test]
fn damaged_files() {
    let folder = copy("jamba");
    let file = folder.path().join("tokenizer.model");
    let whole = fs::read(&file).unwrap();
    assert!(load(folder.path(), 2499).unwrap_err().to_string().contains("pieces: found more than 2499"));
    for length in (0..whole.len()).step_by(97) {
        fs::write(&file, &whole[..length]).unwrap();
        let message = load(folder.path(), 2500).unwrap_err().to_string();
        assert!(message.contains("tokenizer.model"), "{length} bytes: {message}");
    }
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(load(folder.path(), 2500).unwrap_err().to_string().contains("tokenizer.json: not JSON"));
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    fs::remove_file(file).unwrap();
    assert!(load(folder.path(), 2500).unwrap().is_none(), "a folder without a tokenizer");
}

/// SentencePiece models of other kinds, as its trainer spec (field 2) and normalizer spec (field 3) name them.
#[test]
fn sentencepiece_refused_by_name() {
    let appended: [(&[u8], &str); 5] = [
        (&[0x12, 2, 0x18, 1], "trainer_spec.model_type: found UNIGRAM, expected BPE"),
        (&[0x1a, 3, 0x12, 1, 7], "normalizer_spec.precompiled_charsmap"),
        (&[0x1a, 2, 0x20, 1], "normalizer_spec.remove_extra_whitespaces: found true, expected false"),
        (&[0x1a, 4, 0x20, 0, 0x28, 0], "normalizer_spec.escape_whitespaces: found false, expected true"),
        (&[0x0a, 5, 0x0a, 1, b'q', 0x18, 5], "found type 5"),
    ];
    for (bytes, right) in appended {
        let folder = copy("jamba");
        let file = folder.path().join("tokenizer.model");
        let mut model = fs::read(&file).unwrap();
        model.extend(bytes);
        fs::write(file, model).unwrap();
        let message = load(folder.path(), 4096).unwrap_err().to_string();
        assert!(message.contains(right), "{right:?} isn't in: {message}");
    }
}

fn open_prompt(folder: &Path) -> (PackedTokenizer, Prompt) {
    let config = JambaConfig::open(folder).unwrap();
    let packed = load(folder, config.vocab_size as u32).unwrap().unwrap();
    let prompt = prompt(folder, &packed, &config, true).unwrap();
    (packed, prompt)
}

fn open(folder: &Path) -> (PackedTokenizer, PromptIds) {
    let (packed, prompt) = open_prompt(folder);
    (packed, prompt.ids)
}

/// What is said of a template that can't be used.
fn warning(folder: &Path) -> String {
    open_prompt(folder).1.warnings.concat()
}

#[test]
fn prompt_of_a_summarizing_model() {
    let (_, ids) = open(&dir("byte-level-4096"));
    assert_eq!(ids, PromptIds { prefix: vec![1], suffix: vec![3], stops: vec![2] });
}

#[test]
fn prompt_without_template_or_summary_token() {
    let folder = copy("byte-level-4096");
    edit(folder.path(), "tokenizer.json", |t| {
        t["added_tokens"].as_array_mut().unwrap().remove(3);
    });
    edit(folder.path(), "generation_config.json", |c| c["eos_token_id"] = json!([5, 2, 7]));
    assert_eq!(open(folder.path()).1, PromptIds { prefix: vec![], suffix: vec![], stops: vec![5, 2, 7] });
    edit(folder.path(), "generation_config.json", |c| c["eos_token_id"] = json!([4096]));
    let config = JambaConfig::open(folder.path()).unwrap();
    let packed = load(folder.path(), 4096).unwrap().unwrap();
    let message = prompt(folder.path(), &packed, &config, true).unwrap_err().to_string();
    assert!(message.contains("generation_config.json: eos_token_id: found [4096]"), "{message}");
}

/// With all that the templates of Jamba 1.5 and later need: a namespace that macros change, macros that call later ones,
/// parameters that may not be there.
const JAMBA: &str = r#"{% set ns = namespace(count=0, found=False) %}
{% macro begin(role) %}
  {{- "<|bom|>" + mark(role) -}}
  {% set ns.count = ns.count + 1 %}
{% endmacro %}
{% macro mark(role, add_space=True) %}
  {{- "<|" + role + "|>" -}}
  {% if add_space %}
    {{- " " -}}
  {% endif %}
{% endmacro %}
{% macro find(value, field=none, check_length=False) %}
  {% if field is not none %}
    {% if field in value %}
      {% set value = value[field] %}
    {% else %}
      {% set value = none %}
    {% endif %}
  {% endif %}
  {% set ns.found = value is defined and value is not none %}
  {% if check_length %}
    {% set ns.found = ns.found and value|length > 0 %}
  {% endif %}
{% endmacro %}
{% if bos_token is defined and bos_token is not none %}
  {{- bos_token -}}
{% endif %}
{% set rest = messages[1:] if messages[0].role == "system" else messages %}
{% set _ = find(tools, check_length=True) %}
{% if ns.found %}
  {{ raise_exception("no tools") }}
{% endif %}
{% for message in rest %}
  {% set _ = find(message, field="name") %}
  {% if ns.found %}
    {{- "(" + message.name + ")" -}}
  {% endif %}
  {% if ns.count > 0 %}
    {{- "<|eom|>" -}}
  {% endif %}
  {{- begin(message.role) + message.content -}}
{% endfor %}
{% if add_generation_prompt %}
  {% if ns.count > 0 %}
    {{- "<|eom|>" -}}
  {% endif %}
  {{- "<|bom|>" + mark("assistant", add_space=False) -}}
  {% if preamble is defined and preamble.strip() != "" %}
    {{- " " + preamble -}}
  {% endif %}
{% endif %}
"#;
const CHATML: &str = "{%- for message in messages %}\n{{- '<|im_start|>' + message['role'] + '\\n' + \
                      message['content'].strip() + '<|im_end|>\\n' }}\n{%- endfor %}\n\
                      {%- if add_generation_prompt %}\n{{- '<|im_start|>assistant\\n' }}\n{%- endif %}";

/// A folder with more special tokens.
fn with_specials(names: &[&str]) -> TempDir {
    let folder = copy("byte-level-4096");
    edit(folder.path(), "tokenizer.json", |t| {
        for (id, name) in (4096..).zip(names) {
            t["added_tokens"].as_array_mut().unwrap().push(json!({
                "id": id, "content": name, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            }));
        }
    });
    edit(folder.path(), "config.json", |c| c["vocab_size"] = json!(4200));
    folder
}

#[test]
fn prompt_of_a_chat_template() {
    let folder = with_specials(&["<|bom|>", "<|eom|>", "<|user|>", "<|assistant|>"]);
    edit(folder.path(), "tokenizer_config.json", |c| c["chat_template"] = json!(JAMBA));
    let Prompt { ids, template, .. } = open_prompt(folder.path()).1;
    assert_eq!(ids, PromptIds { prefix: vec![1, 4096, 4098], suffix: vec![4097, 4096, 4099], stops: vec![2, 4097] });
    assert_eq!((template.before.as_str(), template.after.as_str(), template.trims), (" ", "", [false; 2]));

    let folder = with_specials(&["<|im_start|>", "<|im_end|>"]);
    fs::write(folder.path().join("chat_template.jinja"), CHATML).unwrap();
    let (packed, Prompt { ids, template, .. }) = open_prompt(folder.path());
    let view = packed.view();
    assert_eq!((template.before.as_str(), template.after.as_str(), template.trims), ("user\n", "", [true; 2]));
    assert_eq!(ids.prefix, [4096]);
    assert_eq!(ids.suffix, [&[4097][..], &encode(view, b"\n"), &[4096], &encode(view, b"assistant\n")].concat());
    assert_eq!(ids.stops, [2, 4097]);

    fs::write(folder.path().join("chat_template.jinja"), "{{ raise_exception('no users') }}").unwrap();
    let message = warning(folder.path());
    assert!(message.contains("chat_template.jinja") && message.contains("no users"), "{message}");
    assert!(message.contains("--no-template"), "{message}");
    fs::write(folder.path().join("chat_template.jinja"), "{{ bos_token }}").unwrap();
    let message = warning(folder.path());
    assert!(message.contains("0 times"), "{message}");
}

/// Control pieces of a `tokenizer.model` are not found in texts, but in templates they are.
#[test]
fn prompt_with_control_pieces() {
    let folder = copy("jamba");
    fs::copy(dir("byte-level-4096").join("config.json"), folder.path().join("config.json")).unwrap();
    let settings =
        json!({"bos_token": "<s>", "chat_template": "{{ bos_token }}<|user|>{{ messages[0].content }}<|eom|>"});
    fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let (packed, ids) = open(folder.path());
    let id = |text| packed.view().added_token(text).unwrap();
    assert_eq!(ids.prefix, [id("<s>"), id("<|user|>")]);
    assert_eq!(ids.suffix, [id("<|eom|>")]);
    assert!(ids.stops.contains(&id("<|eom|>")));
    assert!(!encode(packed.view(), b"<|eom|>").contains(&id("<|eom|>")));
}
