//! What stands before and after a text, and what ends the answer.

use std::collections::BTreeSet;
use std::path::Path;

use jamlet::tokenizer::{Encoder, Tokenizer};
use serde_json::Value;

use super::{ImportError, PackedTokenizer, TokenizerError, load_for_prompts};
use crate::hf::JambaConfig;

/// Token ids around a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptIds {
    /// Before the text.
    pub prefix: Vec<u32>,
    /// After it, where the answer begins.
    pub suffix: Vec<u32>,
    /// Any of these ends the answer.
    pub stops: Vec<u32>,
}

/// Stands for the text: a control character that no template holds, no trimming removes and nothing merges with.
const SENTINEL: &str = "\u{1}";
/// The mark of models that were trained to summarize: it stands between a text and its summary.
const SUMMARY: &str = "<|summary|>";
/// Steps that a template may take: some thousand times what the longest known one takes.
const STEPS: u64 = 1_000_000;
/// Tokens that end a turn in chat templates.
const TURN_ENDS: [&str; 2] = ["<|eom|>", "<|im_end|>"];

/// The prompt of a model's folder: its chat template around one message of the user; else, where the vocabulary has
/// `<|summary|>`, the beginning of a text before it and this token after it; else the beginning of a text alone.
///
/// Stops are the ends of `generation_config.json` and the config, and a turn's end in the template.
///
/// # Errors
/// If a file can't be read, a token id is not in the vocabulary, or the template can't be rendered.
pub fn prompt(dir: &Path, tokenizer: &PackedTokenizer, config: &JambaConfig) -> Result<PromptIds, TokenizerError> {
    let view = tokenizer.view();
    let settings = read_json(&dir.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
    let map = read_json(&dir.join("special_tokens_map.json"))?.unwrap_or(Value::Null);
    let special = |key: &str| {
        // Either the text alone, or an object that has it.
        let value = [&settings, &map].into_iter().filter_map(|file| file.get(key)).find(|value| !value.is_null())?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    };
    let bos = special("bos_token").and_then(|text| view.added_token(text)).or(config.bos_token_id);
    let mut ids = PromptIds { stops: stops(dir, config)?, ..PromptIds::default() };

    if let Some((file, template)) = chat_template(dir, &settings)? {
        let rendered = render(&file, &template, &special)?;
        let with_marks = load_for_prompts(dir, tokenizer.vocab)?;
        let view = with_marks.as_ref().map_or(view, PackedTokenizer::view);
        let (all, sentinel) = (encode(&view, &rendered), encode(&view, SENTINEL));
        // As one text, so that what follows the message is cut as in the midst of a text.
        let parts: Vec<&[u32]> = all.split(|id| Some(id) == sentinel.last()).collect();
        let [before, after] = parts[..] else {
            let problem = format!("the chat template has the user's message {} times; expected once", parts.len() - 1);
            return Err(ImportError::file(&file, problem));
        };
        (ids.prefix, ids.suffix) = (before.into(), after.into());
        for end in TURN_ENDS.iter().filter(|end| template.contains(**end)) {
            ids.stops.extend(view.added_token(end));
        }
    } else {
        ids.prefix.extend(bos);
        ids.suffix.extend(view.added_token(SUMMARY));
    }
    let mut seen = BTreeSet::new();
    ids.stops.retain(|&id| seen.insert(id));
    Ok(ids)
}

/// A JSON file, if it exists.
fn read_json(file: &Path) -> Result<Option<Value>, TokenizerError> {
    let Some(text) = read_text(file)? else { return Ok(None) };
    let value = serde_json::from_str(&text).map_err(|e| ImportError::file(file, format!("not JSON: {e}")))?;
    Ok(Some(value))
}

/// A text file, if it exists.
fn read_text(file: &Path) -> Result<Option<String>, TokenizerError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImportError::io(file)(error)),
    }
}

/// The ids that end a text.
fn stops(dir: &Path, config: &JambaConfig) -> Result<Vec<u32>, TokenizerError> {
    let file = dir.join("generation_config.json");
    let generation = read_json(&file)?.unwrap_or(Value::Null);
    let ends = match &generation["eos_token_id"] {
        Value::Array(ids) => ids.as_slice(),
        Value::Null => &[],
        id => std::slice::from_ref(id),
    };
    let vocab = config.vocab_size;
    let mut stops = Vec::new();
    for end in ends {
        let id = end.as_u64().filter(|&id| id < vocab as u64);
        let id = id.ok_or_else(|| {
            let expected = format!("ids below vocab_size {vocab}");
            ImportError::field(&file, "eos_token_id", &generation["eos_token_id"], expected)
        })?;
        stops.push(id as u32);
    }
    stops.extend(&config.eos_token_ids);
    Ok(stops)
}

/// The chat template and the file that holds it.
fn chat_template(dir: &Path, settings: &Value) -> Result<Option<(std::path::PathBuf, String)>, TokenizerError> {
    let file = dir.join("chat_template.jinja");
    if let Some(template) = read_text(&file)? {
        return Ok(Some((file, template)));
    }
    let file = dir.join("tokenizer_config.json");
    let template = match settings.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(template)) => template,
        // Several by name.
        Some(Value::Array(list)) => {
            let default = list.iter().find(|template| template["name"] == "default");
            default.and_then(|template| template["template"].as_str()).ok_or_else(|| {
                ImportError::field(
                    &file,
                    "chat_template",
                    "a list without \"default\"",
                    "one template, or a \"default\"",
                )
            })?
        }
        Some(other) => return Err(ImportError::field(&file, "chat_template", other, "a Jinja template")),
    };
    Ok(Some((file, template.into())))
}

/// Renders a template for one message of the user, as transformers does.
fn render<'s>(
    file: &Path,
    template: &str,
    special: &impl Fn(&str) -> Option<&'s str>,
) -> Result<String, TokenizerError> {
    let mut jinja = minijinja::Environment::new();
    // A template is a program, and a stranger's may go on for ever.
    jinja.set_fuel(Some(STEPS));
    jinja.set_trim_blocks(true);
    jinja.set_lstrip_blocks(true);
    // Templates call methods of Python's strings, lists and dictionaries.
    jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    jinja.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
    });
    jinja.add_function("strftime_now", |_: String| "");
    let messages = minijinja::context! { role => "user", content => SENTINEL };
    let context = minijinja::context! {
        messages => [messages],
        add_generation_prompt => true,
        bos_token => special("bos_token").unwrap_or_default(),
        eos_token => special("eos_token").unwrap_or_default(),
        pad_token => special("pad_token").unwrap_or_default(),
        unk_token => special("unk_token").unwrap_or_default(),
    };
    jinja
        .render_str(template, context)
        .map_err(|error| ImportError::file(file, format!("the chat template can't be rendered: {error}")))
}

fn encode(tokenizer: &Tokenizer<'_>, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut encoder = Encoder::<512>::new(*tokenizer);
    encoder.feed(text.as_bytes(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    ids
}
