//! Summaries that a chat model is asked for.

/// What it is asked, with `{text}` where the text stands. `jamlet summarize --prompt` changes it.
pub const PROMPT: &str = "Summarize the following text in a few sentences. Keep names and numbers as they are, and add nothing that \
                          the text doesn't say.\n\n{text}";

/// Where a prompt has the text.
const PLACE: &str = "{text}";

/// The message that asks for a summary of `text`: a `prompt` without a place for it has it at the end.
pub fn ask(prompt: &str, text: &str) -> String {
    match prompt.split_once(PLACE) {
        Some((before, after)) => [before, text, after].concat(),
        None => [prompt, "\n\n", text].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stands_where_the_prompt_says() {
        assert_eq!(ask("Of {text}: what?", "{text}s"), "Of {text}s: what?");
        assert_eq!(ask("What is this?", "a"), "What is this?\n\na");
        assert!(ask(PROMPT, "a").ends_with("\n\na"));
    }
}
