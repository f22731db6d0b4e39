//! What stands before and after a text, and what ends the answer.

use std::collections::BTreeSet;
use std::path::Path;

use jamlet::model::{Sampling, Template};
use jamlet::tokenizer::Tokenizer;
use serde_json::Value;

use super::split::{Parts, first_mark, split};
use super::template::{ChatTemplate, TemplateError, after_answer};
use super::{ImportError, PackedTokenizer, TokenizerError, load_for_prompts, marks};
use crate::chat;
use crate::hf::{Generation, JambaConfig, files};

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

impl PromptIds {
    /// The image's section of the ids, see [`jamlet::model::Prompt`].
    pub fn section(&self) -> Vec<u8> {
        let counts = [&self.prefix, &self.suffix, &self.stops].map(|ids| ids.len() as u32);
        let ids = self.prefix.iter().chain(&self.suffix).chain(&self.stops);
        counts.iter().chain(ids).flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// What the ids don't say, see [`jamlet::model::Template`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateParts {
    /// Text before the message that is encoded with it.
    pub before: String,
    /// Text after the message that is encoded with it.
    pub after: String,
    /// The text before goes on behind the last id of the prefix.
    pub goes_on: bool,
    /// White space at the start and end of the message is dropped.
    pub trims: [bool; 2],
    /// Ids before a text without the template.
    pub plain_start: Vec<u32>,
    /// Ids after a text without the template.
    pub plain_end: Vec<u32>,
}

/// The prompt of a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Its ids.
    pub ids: PromptIds,
    /// What the ids don't say.
    pub template: TemplateParts,
    /// How answers are drawn, if the folder says so.
    pub sampling: Option<Sampling>,
    /// The chat template, for conversations on hosts.
    pub chat: Option<chat::ChatTemplate>,
    /// What a user should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The mark of models that were trained to summarize: it stands between a text and its summary.
pub const SUMMARY: &str = "<|summary|>";

/// The prompt of a model's folder: its chat template around one message of the user, unless `use_template` is off; else what the tokenizer puts
/// around a text, and behind it, where the vocabulary has `<|summary|>`, this token. A template that can't be used is a warning: that of a
/// template whose text depends on the message is an error, since each message would need a prompt of its own.
///
/// Stops are the ends of `generation_config.json` and the config, and the mark that the template puts behind an answer.
///
/// # Errors
/// If a file can't be read, or says what can't be, or the template's text depends on the message.
pub fn prompt(
    dir: &Path,
    tokenizer: &PackedTokenizer,
    config: &JambaConfig,
    use_template: bool,
) -> Result<Prompt, TokenizerError> {
    let view = tokenizer.view();
    let settings = read_json(&dir.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
    let map = read_json(&dir.join("special_tokens_map.json"))?.unwrap_or(Value::Null);
    let special = |key: &str| {
        // Either the text alone, or an object that has it.
        let value = [&settings, &map].into_iter().filter_map(|file| file.get(key)).find(|value| !value.is_null())?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    };
    let token = |key: &str| special(key).and_then(|text| view.added_token(text));
    let bos = token("bos_token").or(config.bos_token_id);
    let Generation { stops, sampling } = Generation::open(dir, config)?;
    let mut prompt = Prompt { ids: PromptIds { stops, ..PromptIds::default() }, sampling, ..Prompt::default() };

    let summary = view.added_token(SUMMARY);
    let marks = marks::around_texts(dir, &settings, view, bos, token("eos_token"))?;
    // A model that was trained to summarize has read this token before every text, whatever its tokenizer does.
    prompt.template.plain_start = if summary.is_some() { bos.into_iter().collect() } else { marks.start };
    prompt.template.plain_end = marks.end;

    let template = ChatTemplate::open(dir, &settings)?.filter(|_| use_template);
    if let Some(template) = &template {
        let legacy = settings["legacy"] != false;
        let with_marks = load_for_prompts(dir, tokenizer.vocab, legacy)?;
        let all: Tokenizer<'_> = with_marks.as_ref().map_or(view, PackedTokenizer::view);
        let stored = template.stored(&special, legacy);
        prompt.ids.stops.extend(after_answer(&stored).iter().find_map(|after| first_mark(all, after)));
        // What can't be rendered at all is none to talk with.
        let hello = [chat::Message::new(chat::Role::User, "a")];
        prompt.chat = stored.render(&hello, true).is_ok().then_some(stored);
    }
    match template.map(|template| in_template(dir, tokenizer, &settings, &template, &special)) {
        Some(Ok((parts, warnings))) => {
            (prompt.ids.prefix, prompt.ids.suffix) = (parts.prefix, parts.suffix);
            (prompt.template.before, prompt.template.after) = (parts.before, parts.after);
            (prompt.template.goes_on, prompt.template.trims) = (parts.goes_on, parts.trims);
            prompt.warnings = warnings;
        }
        Some(Err(TemplateError::Depends(error))) => return Err(error),
        without => {
            if let Some(Err(TemplateError::Unusable(error))) = without {
                prompt
                    .warnings
                    .push(format!("{error}: packed without the template; --no-template does so without this warning"));
            }
            prompt.ids.prefix = prompt.template.plain_start.clone();
            prompt.ids.suffix = summary.map_or_else(|| prompt.template.plain_end.clone(), |id| vec![id]);
        }
    }
    let mut seen = BTreeSet::new();
    prompt.ids.stops.retain(|&id| seen.insert(id));
    Ok(prompt)
}

/// The prompt of a template, and what to warn of.
fn in_template<'s>(
    dir: &Path,
    tokenizer: &PackedTokenizer,
    settings: &Value,
    template: &ChatTemplate,
    special: &impl Fn(&str) -> Option<&'s str>,
) -> Result<(Parts, Vec<String>), TemplateError> {
    let around = template.around(special)?;
    let with_marks = load_for_prompts(dir, tokenizer.vocab, settings["legacy"] != false)?;
    let all: Tokenizer<'_> = with_marks.as_ref().map_or_else(|| tokenizer.view(), PackedTokenizer::view);
    let parts = split(&around, all, tokenizer.view()).ok_or_else(|| {
        ImportError::file(&template.file, "the chat template's text can't be told from that of the message in tokens")
    })?;
    let file = template.file.display();
    let mut warnings = Vec::new();
    if let Some(date) = &around.date {
        warnings.push(format!(
            "{file}: the template asks for the date: {date:?}, that of packing, is in the prompt from now on"
        ));
    }
    if around.empty_differs {
        warnings
            .push(format!("{file}: an empty message gets the prompt of others, which the template gives another one"));
    }
    Ok((parts, warnings))
}

/// A JSON file, if it exists.
fn read_json(file: &Path) -> Result<Option<Value>, TokenizerError> {
    let Some(bytes) = files::read_if_there(file)? else { return Ok(None) };
    let value = files::parse(&bytes).map_err(|e| ImportError::file(file, format!("not JSON: {e}")))?;
    Ok(Some(value))
}

impl Prompt {
    /// The image's section of what the ids don't say; empty where a model with `bos` says nothing more.
    pub fn template_section(&self, bos: Option<u32>) -> Vec<u8> {
        let TemplateParts { before, after, goes_on, trims, plain_start, plain_end } = &self.template;
        let usual = TemplateParts { plain_start: bos.into_iter().collect(), ..TemplateParts::default() };
        if self.template == usual {
            return Vec::new();
        }
        let flags = [(*goes_on, Template::GOES_ON), (trims[0], Template::TRIM_START), (trims[1], Template::TRIM_END)];
        let flags = flags.into_iter().filter(|flag| flag.0).fold(0, |flags, flag| flags | flag.1);
        let counts = [plain_start.len(), plain_end.len(), before.len(), after.len()].map(|count| count as u32);
        let ids = plain_start.iter().chain(plain_end).copied();
        let words = std::iter::once(flags).chain(counts).chain(ids);
        let mut bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        bytes.extend(before.bytes());
        bytes.extend(after.bytes());
        bytes
    }
}
