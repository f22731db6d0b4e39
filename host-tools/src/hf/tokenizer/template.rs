//! A chat template around one message of the user: the text before and after the message, and what becomes of the message.

use super::ImportError;
use crate::chat::jinja::{self, TOKENS};
use crate::chat::{self, Message, Role};
use crate::hf::files;
use serde_json::Value;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Stands for the message: a control character that no template holds, no trimming removes and nothing merges with.
pub(super) const MARK: &str = "\u{1}";

/// Why there is no prompt of a template.
#[derive(Debug)]
pub(super) enum TemplateError {
    /// It can't be rendered, changes the message, or hasn't the message once.
    Unusable(ImportError),
    /// The text that it puts around a message depends on the message.
    Depends(ImportError),
}

impl From<ImportError> for TemplateError {
    fn from(error: ImportError) -> Self {
        Self::Unusable(error)
    }
}

/// A template and the file that holds it.
#[derive(Clone, Debug)]
pub(super) struct ChatTemplate {
    pub file: PathBuf,
    pub source: String,
}

/// What a template puts around a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Around {
    pub before: String,
    pub after: String,
    /// White space at the start and end of the message is dropped.
    pub trims: [bool; 2],
    /// A message without a letter gets other text around it.
    pub empty_differs: bool,
    /// The date that the text has in it.
    pub date: Option<String>,
}

impl Around {
    /// What the template leaves of a message.
    pub fn message<'t>(&self, text: &'t str) -> &'t str {
        let text = if self.trims[0] { text.trim_start() } else { text };
        if self.trims[1] { text.trim_end() } else { text }
    }
}

impl ChatTemplate {
    /// The folder's template, if it has one.
    pub fn open(dir: &Path, settings: &Value) -> Result<Option<Self>, ImportError> {
        let file = dir.join("chat_template.jinja");
        if let Some(bytes) = files::read_if_there(&file)? {
            let source = String::from_utf8(bytes).map_err(|_| ImportError::file(&file, "not UTF-8"))?;
            return Ok(Some(Self { file, source }));
        }
        let file = dir.join("tokenizer_config.json");
        let source = match settings.get("chat_template") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(template)) => template,
            // Several by name, as a list of objects or as one object.
            Some(Value::Array(list)) => {
                let default = list.iter().find(|template| template["name"] == "default");
                default.and_then(|template| template["template"].as_str()).ok_or_else(|| no_default(&file))?
            }
            Some(Value::Object(map)) => map.get("default").and_then(Value::as_str).ok_or_else(|| no_default(&file))?,
            Some(other) => return Err(ImportError::field(&file, "chat_template", other, "a Jinja template")),
        };
        let source = source.to_owned();
        Ok(Some(Self { file, source }))
    }

    /// What the template puts around any message. Known from a number of messages: what they all get, others get too.
    ///
    /// # Errors
    /// If the template can't be rendered, or doesn't have the message once and as it is.
    pub fn around<'s>(&self, special: &impl Fn(&str) -> Option<&'s str>) -> Result<Around, TemplateError> {
        let error = |problem: String| ImportError::file(&self.file, problem);
        let stored = self.stored(special, true);
        let asked = Cell::new(None);
        let render = |message: &str| {
            let rendered = jinja::render(&self.source, &[Message::new(Role::User, message)], true, &stored.tokens)
                .map_err(|problem| error(format!("the chat template can't be rendered: {problem}")))?;
            asked.set(rendered.date.or_else(|| asked.take()));
            Ok::<_, ImportError>(rendered.text)
        };
        let rendered = render(MARK)?;
        let parts: Vec<&str> = rendered.split(MARK).collect();
        let [before, after] = parts[..] else {
            let times = parts.len() - 1;
            return Err(error(format!("the chat template has the user's message {times} times; expected once")).into());
        };
        let refused = |rendered: &str, message: &str| {
            // The message and more than stands around others.
            let longer = |rest: &str| rest.len() > message.len();
            let rest = rendered.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            match rendered.contains(message.trim()) && rest.is_none_or(longer) {
                true => TemplateError::Depends(error(depends(rendered, message, [before, after]))),
                false => error(CHANGES.into()).into(),
            }
        };
        let mut around =
            Around { before: before.into(), after: after.into(), trims: [false; 2], empty_differs: false, date: None };
        let spaced = format!(" \n{MARK}\n ");
        let rendered = render(&spaced)?;
        let choices = [[false, false], [true, true], [true, false], [false, true]];
        let trims = choices.into_iter().find(|&trims| {
            around.trims = trims;
            rendered == [before, around.message(&spaced), after].concat()
        });
        around.trims = trims.ok_or_else(|| refused(&rendered, &spaced))?;
        for message in probes() {
            let (rendered, kept) = (render(&message)?, around.message(&message));
            if rendered == [before, kept, after].concat() {
                continue;
            }
            if message.trim().is_empty() {
                around.empty_differs = true;
            } else {
                return Err(refused(&rendered, kept));
            }
        }
        around.date = asked.take();
        Ok(around)
    }

    /// As an image carries it.
    pub fn stored<'s>(&self, special: &impl Fn(&str) -> Option<&'s str>, legacy: bool) -> chat::ChatTemplate {
        let tokens = TOKENS.iter().filter_map(|name| Some(((*name).into(), special(name)?.into())));
        chat::ChatTemplate { template: self.source.clone(), tokens: tokens.collect(), legacy }
    }
}

/// What stands behind an answer that ends a conversation, and behind one after which it goes on: some templates write the mark
/// only there. Behind the user's message, where the template shows no answers: turns end alike.
pub(super) fn after_answer(template: &chat::ChatTemplate) -> Vec<String> {
    let message = |role, text| Message::new(role, text);
    let behind = |messages: &[Message], answer| {
        let text = template.render(messages, answer).ok()?;
        text.rsplit_once(MARK).map(|(_, after)| after.to_owned())
    };
    let last = [message(Role::User, "a"), message(Role::Assistant, MARK)];
    let goes_on = [&last[..], &[message(Role::User, "a")]].concat();
    let shown: Vec<String> = [behind(&last, false), behind(&goes_on, true)].into_iter().flatten().collect();
    if shown.is_empty() { behind(&[message(Role::User, MARK)], true).into_iter().collect() } else { shown }
}

/// What is wrong with a template that puts other text around this message than `around`.
fn depends(rendered: &str, message: &str, around: [&str; 2]) -> String {
    let [before, after] = around;
    let usual = [before, message, after].concat();
    let same = rendered.chars().zip(usual.chars()).take_while(|(a, b)| a == b).count();
    // Enough of both to find the place in the file.
    let show = |text: &str| text.chars().skip(same.saturating_sub(20)).take(40).collect::<String>();
    format!(
        "the text that the chat template puts around a message depends on the message: found {:?}, where {:?} was expected \
         from other messages; --no-template packs without the template",
        show(rendered),
        show(&usual)
    )
}

const CHANGES: &str = "the chat template changes the message, in another way than dropping white space around it";

fn no_default(file: &Path) -> ImportError {
    ImportError::field(file, "chat_template", "several without \"default\"", "one template, or a \"default\"")
}

/// Messages of all kinds.
fn probes() -> Vec<String> {
    let texts = [
        "",
        " ",
        "\n",
        "a",
        "7",
        "Hello, world! 123",
        "  begins",
        "ends  ",
        "\n\nline\n",
        "A\r\nB\n\n\tC",
        "a  b",
        "Größe 日本語 العربية हिन्दी 👩‍💻",
        "<b>&amp; \"it's\"</b>",
        "{{ x }} {% y %} {# z #}",
        "\\n \\\\ %s $1",
        "UPPER lower",
    ];
    let mut texts: Vec<String> = texts.map(String::from).into();
    texts.push("a long message, ".repeat(300));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(source: &str) -> Result<Around, String> {
        let template = ChatTemplate { file: "chat_template.jinja".into(), source: source.into() };
        let special = |name: &str| (name == "bos_token").then_some("<s>");
        template.around(&special).map_err(|error| match error {
            TemplateError::Unusable(error) => error.to_string(),
            TemplateError::Depends(error) => format!("refused: {error}"),
        })
    }

    #[test]
    fn what_becomes_of_a_message() {
        let loop_of =
            |content: &str| format!("{{{{ bos_token }}}}{{% for m in messages %}}[{{{{ {content} }}}}]{{% endfor %}}");
        let right =
            |trims| Ok(Around { before: "<s>[".into(), after: "]".into(), trims, empty_differs: false, date: None });
        assert_eq!(around(&loop_of("m.content")), right([false, false]));
        assert_eq!(around(&loop_of("m['content'] | trim")), right([true, true]));
        assert_eq!(around(&loop_of("m.content.strip()")), right([true, true]));
        assert_eq!(around(&loop_of("m.content.lstrip()")), right([true, false]));
        assert_eq!(around(&loop_of("m.content.rstrip()")), right([false, true]));
        let changed = ["| upper", "| e", ".split() | join(' ')", "[:100]", ".strip('\\n')", " | replace('  ', ' ')"];
        for change in changed {
            let message = around(&loop_of(&format!("m.content{change}"))).unwrap_err();
            assert!(message.contains("changes the message") && !message.contains("refused"), "{change}: {message}");
        }
        for (content, found) in [
            (
                "m.content | length ~ ':' ~ m.content",
                "found \"<s>[5: \\n\\u{1}\\n ]\", where \"<s>[1: \\n\\u{1}\\n ]\" was expected",
            ),
            ("m.content ~ ('?' if 'world' in m.content else '')", "llo, world! 123?]"),
            ("('long' if m.content | length > 4000 else 'short') ~ m.content", "found \"<s>[longa long"),
        ] {
            let message = around(&loop_of(content)).unwrap_err();
            assert!(message.starts_with("refused") && message.contains("depends on the message"), "{message}");
            assert!(message.contains(found), "{message}");
        }
        assert!(around(&loop_of("m.content ~ m.content")).unwrap_err().contains("2 times"));
        let empty = around(&loop_of("m.content or 'nothing'")).expect("a template");
        assert!(empty.empty_differs);
    }

    #[test]
    fn names_are_defined_as_transformers_defines_them() {
        let source = "{{ tools is defined }} {{ tools is none }} {{ pad_token is defined }} {{ bos_token }}{{ messages[0].content }}";
        assert_eq!(around(source).expect("a template").before, "True True False <s>");
    }

    #[test]
    fn nothing_is_not_iterable() {
        let source = "{% if tools is iterable and tools | length > 0 %}tools{% endif %}{{ messages[0].content }}";
        assert_eq!(around(source).map(|around| around.before), Ok(String::new()));
    }

    #[test]
    fn tags_of_training_mean_nothing() {
        let source = "{% for m in messages -%}\n {%- generation -%} {{ m.content }} {% endgeneration %}\n{% endfor %}.";
        let same = source.replace(" endgeneration ", " endif ").replace(" generation ", " if true ");
        assert_eq!(around(source), around(&same));
        assert_eq!(around(source).map(|around| (around.before, around.after)), Ok((String::new(), " .".into())));
    }

    #[test]
    fn the_date_is_that_of_today() {
        let found = around("{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}").expect("a template");
        let today = jiff::Zoned::now().strftime("%d %b %Y").to_string();
        assert_eq!((found.before, found.date), (format!("{today}: "), Some(today)));
        assert!(around("{{ strftime_now('%!') }}").unwrap_err().contains("strftime_now"));
    }
}
