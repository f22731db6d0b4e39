//! Chat templates as transformers' `apply_chat_template` renders them: Jinja with Python's methods, without tools and documents.

use super::Message;
use minijinja::{Environment, Error, ErrorKind, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Steps that a template may take for one message: some thousand times what the longest known one takes.
const STEPS: u64 = 1_000_000;
/// Steps for each message more.
const STEPS_A_MESSAGE: u64 = 20_000;

/// The special tokens that a template may name.
pub const TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"];

/// What a template made of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The date that the text has in it.
    pub date: Option<String>,
}

/// Renders the template `source` for `messages`, up to where an answer begins if `answer` is set. `tokens` are the special tokens'
/// texts by their names.
///
/// # Errors
/// What is wrong with the template, or what it says of the messages.
pub fn render(
    source: &str,
    messages: &[Message],
    answer: bool,
    tokens: &BTreeMap<String, String>,
) -> Result<Rendered, Error> {
    let date = Arc::new(Mutex::new(None));
    let jinja = environment(messages.len(), &date);
    let mut context = BTreeMap::from([
        ("messages", Value::from_serialize(messages)),
        ("add_generation_prompt", Value::from(answer)),
        ("tools", Value::from(())),
        ("documents", Value::from(())),
    ]);
    context.extend(tokens.iter().map(|(name, text)| (name.as_str(), Value::from(text.as_str()))));
    let text = jinja.render_str(&adapted(source), context)?;
    let date = date.lock().ok().and_then(|mut date| date.take());
    Ok(Rendered { text, date })
}

/// Jinja as transformers sets it up. `date` gets the date if a template asks for it.
fn environment(messages: usize, date: &Arc<Mutex<Option<String>>>) -> Environment<'static> {
    let mut jinja = Environment::new();
    // A template is a program, and a stranger's may go on for ever.
    jinja.set_fuel(Some(STEPS + STEPS_A_MESSAGE * messages as u64));
    jinja.set_trim_blocks(true);
    jinja.set_lstrip_blocks(true);
    // Templates call methods of Python's strings, lists and dictionaries.
    jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    jinja.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    let seen = date.clone();
    jinja.add_function("strftime_now", move |format: String| -> Result<String, Error> {
        let now = jiff::Zoned::now();
        let text = jiff::fmt::strtime::format(&format, &now);
        let text = text.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))?;
        if let Ok(mut seen) = seen.lock() {
            *seen = Some(text.clone());
        }
        Ok(text)
    });
    // Without the escapes of HTML that Jinja's own makes.
    jinja.add_filter("tojson", |value: Value| -> Result<String, Error> {
        serde_json::to_string(&value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
    });
    // In Python None isn't iterable.
    jinja.add_test("iterable", |value: Value| !value.is_none() && value.try_iter().is_ok());
    jinja
}

/// The template as minijinja needs it, tag by tag.
fn adapted(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (text, tag) = rest.split_at(at + 2);
        out.push_str(text);
        let end = tag.find("%}").unwrap_or(tag.len());
        let inner = &tag[..end];
        // These mark the answers to train on and mean nothing to a prompt: a condition that holds stands for them.
        match inner.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            name @ "generation" => out.push_str(&inner.replace(name, " if true ")),
            name @ "endgeneration" => out.push_str(&inner.replace(name, " endif ")),
            _ => out.push_str(&seen_by_macros(inner).unwrap_or_else(|| inner.to_owned())),
        }
        rest = &tag[end..];
    }
    out + rest
}

/// `set ns.field = value` with a look at `ns`: minijinja's macros see only the variables around them that they read, and in the
/// templates of Jamba macros set what they don't read. `None` for other tags.
fn seen_by_macros(tag: &str) -> Option<String> {
    let (target, value) = tag.split_once('=')?;
    let (before, name) = target.split_once('.')?.0.rsplit_once(char::is_whitespace)?;
    let is_set = before.trim_start_matches(['-', '+']).trim() == "set";
    let (value, control) = match value.strip_suffix(['-', '+']) {
        Some(inner) => (inner, &value[inner.len()..]),
        None => (value, ""),
    };
    // A tag's end within a string is none: what looks like a tag is then cut off.
    let whole = ['\'', '"'].iter().all(|quote| value.matches(*quote).count() % 2 == 0);
    (is_set && whole).then(|| format!("{target}= ({value}) if {name} is defined {control}"))
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    fn rendered(source: &str) -> String {
        let messages = [Message::new(Role::User, "hi")];
        render(source, &messages, true, &BTreeMap::new()).map_or_else(|error| error.to_string(), |found| found.text)
    }

    #[test]
    fn macros_set_what_they_do_not_read() {
        let source = "{% set ns = namespace(found=False, text='') -%}
            {% macro look(x) %}{% set ns.found = x is defined and x is not none %}{%- set ns.text = 'a' if x else '-' -%}{% endmacro %}
            {%- set _ = look(messages) %}{{ ns.found }}{{ ns.text }}{% set _ = look(none) %}{{ ns.found }}{{ ns.text }}";
        assert_eq!(rendered(source), "Truea False-".replace(' ', ""));
        // What is cut off stays as it is.
        assert_eq!(rendered("{% set ns = namespace(x='') %}{% set ns.x = '%}' %}{{ ns.x }}"), "%}");
        assert_eq!(rendered("{% set x = 'a.b=c' %}{{ x }}{% if x == 'a.b=c' %}!{% endif %}"), "a.b=c!");
    }

    #[test]
    fn a_template_does_not_go_on_for_ever() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(rendered(endless).contains("fuel"), "{}", rendered(endless));
    }
}
