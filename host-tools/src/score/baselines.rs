//! What a reader would do without a model.

use super::rouge::score;

/// A text's sentences: split after `.`, `!` or `?` with white space behind, and at ends of lines.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        let bytes = line.as_bytes();
        for at in 1..bytes.len() {
            if bytes[at].is_ascii_whitespace() && matches!(bytes[at - 1], b'.' | b'!' | b'?') {
                out.push(line[start..at].trim());
                start = at;
            }
        }
        out.push(line[start..].trim());
    }
    out.retain(|sentence| !sentence.is_empty());
    out
}

/// The first sentence.
pub fn first_sentence(text: &str) -> String {
    sentences(text).first().copied().unwrap_or_default().to_owned()
}

/// The first 12 words.
pub fn first_words(text: &str) -> String {
    text.split_whitespace().take(12).collect::<Vec<_>>().join(" ")
}

/// The best simple rule found: of the first sentence what stands behind its first verb of being or giving, without the
/// article, nine words of it.
pub fn heuristic(text: &str) -> String {
    const VERBS: [&str; 5] = ["is", "are", "provides", "contains", "implements"];
    let first = first_sentence(text);
    let words: Vec<&str> = first.split_whitespace().collect();
    let begin = words.iter().position(|word| VERBS.contains(word)).map_or(0, |at| at + 1);
    let article = words.get(begin).is_some_and(|word| ["a", "an", "the"].contains(word));
    let begin = if begin > 0 && article { begin + 1 } else { begin };
    words[begin..].iter().take(9).copied().collect::<Vec<_>>().join(" ")
}

/// The sentence with the best ROUGE-L, which only someone who knows the answer can choose.
pub fn best_sentence(text: &str, references: &[String]) -> String {
    let scored = sentences(text).into_iter().map(|sentence| (score(sentence, references).rouge_l, sentence));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(String::new, |(_, sentence)| sentence.to_owned())
}
