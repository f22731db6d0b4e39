//! The pre-tokenizers of a `tokenizer.json`.

use jamlet::tokenizer::Prefix;
use regex_syntax::hir::ClassUnicode;
use serde_json::{Map, Value};

use super::TokenizerError;
use super::fields::Json;
use super::pattern::{Node, literal, not, parse, set};
use super::program::Stage;

/// What GPT-2 cuts with; also what `ByteLevel` does when `use_regex` is set.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// What the library takes for punctuation: all of ASCII that is neither letter, digit nor space, and what Unicode 8 had. Two
/// of the latter have other categories since: U+166D is a symbol, U+111C9 a mark.
const PUNCTUATION: &str = r"[!-/:-@\[-`{-~\x{166d}\x{111c9}[\p{P}&&\p{Age=8.0}]]";

/// What the pre-tokenizer does.
pub(super) struct Steps {
    pub byte_level: bool,
    /// Spaces are marks, and Metaspace says where one is put before a text.
    pub metaspace: bool,
    pub stages: Vec<Stage>,
    pub prefix: Prefix,
}

impl Steps {
    fn cut(&mut self, pattern: Node) {
        self.stages.push(Stage { pattern, bytes: self.byte_level });
    }
}

impl Json<'_> {
    /// Reads the pre-tokenizer. With `marks`, the normalizer has made marks of all spaces.
    pub(super) fn pre_tokenizer(&self, value: &Value, marks: bool) -> Result<Steps, TokenizerError> {
        let mut steps = Steps { byte_level: false, metaspace: false, stages: Vec::new(), prefix: Prefix::Never };
        let list = self.sequence(value, "pretokenizers");
        for (index, step) in list.iter().enumerate() {
            let map = self.object(step, "pre_tokenizer")?;
            match step["type"].as_str() {
                Some("Digits") => {
                    let single = self.flag(map, "pre_tokenizer.Digits.individual_digits", false)?;
                    let pattern = if single { r"\p{N}" } else { r"\p{N}+" };
                    steps.cut(self.parse("pre_tokenizer.Digits", pattern)?);
                }
                Some("Punctuation") => {
                    let class = set(PUNCTUATION);
                    let behavior = map.get("behavior").unwrap_or(&Value::Null);
                    let default = Value::from("Isolated");
                    let behavior = if behavior.is_null() { &default } else { behavior };
                    steps.cut(self.isolated(Node::Set(class), behavior, "pre_tokenizer.Punctuation.behavior")?);
                }
                // Spaces that are marks by now are not found.
                Some("Split") if marks && map.get("pattern").is_some_and(|pattern| pattern["String"] == " ") => {}
                Some("Split") if marks => {
                    return Err(self.wrong(
                        "pre_tokenizer.Split",
                        step,
                        "none after the normalizer's Replace of spaces",
                    ));
                }
                Some("Split") => {
                    let pattern = self.split(map)?;
                    steps.cut(pattern);
                }
                Some("ByteLevel") if !steps.byte_level => {
                    if self.flag(map, "pre_tokenizer.ByteLevel.use_regex", true)? {
                        steps.cut(self.parse("pre_tokenizer.ByteLevel", GPT2)?);
                    }
                    steps.byte_level = true;
                    if self.flag(map, "pre_tokenizer.ByteLevel.add_prefix_space", true)? {
                        if index > 0 {
                            let found = "true after a cut, where it adds a space to every part";
                            return Err(self.wrong("pre_tokenizer.ByteLevel.add_prefix_space", found, "false"));
                        }
                        steps.prefix = Prefix::BareSegments;
                    }
                }
                Some("Metaspace") if list.len() == 1 => self.metaspace(map, &mut steps)?,
                _ => {
                    let expected = "ByteLevel, Digits, Punctuation, Split, Metaspace alone, or none";
                    return Err(self.wrong("pre_tokenizer", step, expected));
                }
            }
        }
        Ok(steps)
    }

    fn parse(&self, field: &str, pattern: &str) -> Result<Node, TokenizerError> {
        parse(pattern).map_err(|problem| {
            let expected = format!("an expression that can be matched looking one character ahead: it has {problem}");
            self.wrong(field, format!("{pattern:?}"), &expected)
        })
    }

    fn split(&self, map: &Map<String, Value>) -> Result<Node, TokenizerError> {
        let get = |key: &str| map.get(key).unwrap_or(&Value::Null);
        let pattern = get("pattern");
        let node = match (pattern["Regex"].as_str(), pattern["String"].as_str()) {
            (Some(regex), _) => self.parse("pre_tokenizer.Split.pattern", regex)?,
            (_, Some(text)) => literal(text),
            _ => return Err(self.wrong("pre_tokenizer.Split.pattern", pattern, "a Regex or a String")),
        };
        // Where the expression matches everything, isolating its matches is removing what lies between them.
        let isolated = Value::from("Isolated");
        let behavior = match self.flag(map, "pre_tokenizer.Split.invert", false)? {
            true if get("behavior") == "Removed" => &isolated,
            true => {
                return Err(self.wrong("pre_tokenizer.Split.invert", true, "false, unless the behavior is Removed"));
            }
            false => get("behavior"),
        };
        self.isolated(node, behavior, "pre_tokenizer.Split.behavior")
    }

    /// An expression whose isolated matches are what the behavior makes of those of `node`.
    fn isolated(&self, node: Node, behavior: &Value, field: &str) -> Result<Node, TokenizerError> {
        let many = |set: &ClassUnicode, least| Node::Repeat {
            node: Box::new(Node::Set(set.clone())),
            least,
            most: None,
            greedy: true,
        };
        let set = match &node {
            Node::Set(set) => Some(set.clone()),
            Node::Sequence(list) => match &list[..] {
                [Node::Set(set)] => Some(set.clone()),
                _ => None,
            },
            _ => None,
        };
        match (behavior.as_str(), set) {
            (Some("Isolated"), _) => Ok(node),
            (Some("Contiguous"), _) => Ok(Node::Repeat { node: Box::new(node), least: 1, most: None, greedy: true }),
            (Some("MergedWithNext"), Some(set)) => {
                let other = not(&set);
                let match_first = Node::Sequence(vec![Node::Set(set), many(&other, 0)]);
                Ok(Node::Alternatives(vec![match_first, many(&other, 1)]))
            }
            (Some("MergedWithPrevious"), Some(set)) => {
                let other = not(&set);
                let match_last = Node::Sequence(vec![many(&other, 0), Node::Set(set)]);
                Ok(Node::Alternatives(vec![match_last, many(&other, 1)]))
            }
            _ => {
                let expected = "Isolated, Contiguous, or MergedWithNext or MergedWithPrevious of one character";
                Err(self.wrong(field, behavior, expected))
            }
        }
    }

    fn metaspace(&self, map: &Map<String, Value>, steps: &mut Steps) -> Result<(), TokenizerError> {
        let get = |key: &str| map.get(key).unwrap_or(&Value::Null);
        if get("replacement") != "▁" {
            return Err(self.wrong("pre_tokenizer.Metaspace.replacement", get("replacement"), "\"▁\""));
        }
        if self.flag(map, "pre_tokenizer.Metaspace.split", true)? {
            steps.cut(self.parse("pre_tokenizer.Metaspace", "[ ▁][^ ▁]*|[^ ▁]+")?);
            steps.metaspace = true;
        }
        let add = self.flag(map, "pre_tokenizer.Metaspace.add_prefix_space", true)?;
        steps.prefix = match get("prepend_scheme").as_str() {
            _ if !add => Prefix::Never,
            None | Some("always") => Prefix::BareSegments,
            Some("first") => Prefix::BareText,
            Some("never") => Prefix::Never,
            Some(other) => {
                return Err(self.wrong("pre_tokenizer.Metaspace.prepend_scheme", other, "always, first or never"));
            }
        };
        Ok(())
    }
}
