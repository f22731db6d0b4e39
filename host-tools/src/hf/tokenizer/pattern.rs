//! Regular expressions of pre-tokenizers, as Oniguruma reads them for the `tokenizers` library: what an automaton that
//! looks one character ahead can do. Back references, look-behind and groups in look-ahead are refused.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// A parsed expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// One character.
    Set(ClassUnicode),
    /// No character: the next one must be of the set, or, if `end`, there may be none.
    Look { next: ClassUnicode, end: bool },
    /// One after the other.
    Sequence(Vec<Node>),
    /// The first that matches.
    Alternatives(Vec<Node>),
    /// As often as possible; if not `greedy`, as seldom.
    Repeat { node: Box<Node>, least: u32, most: Option<u32>, greedy: bool },
}

/// Most times that a counted repetition may have.
const MOST_COUNT: u32 = 1000;
/// Deepest nesting of groups.
const DEEPEST: u32 = 100;

/// Parses an expression. The error says what can't be done, and where.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { text, at: 0, ignore_case: false, depth: 0 };
    let node = parser.alternatives()?;
    if parser.at < text.len() { Err(parser.cannot("a closing parenthesis")) } else { Ok(node) }
}

/// The set of a class such as `\p{L}` or `[a-z]`.
pub(super) fn set(class: &str) -> ClassUnicode {
    class_of(class, false).expect("a class")
}

/// A text as it stands.
pub(super) fn literal(text: &str) -> Node {
    Node::Sequence(text.chars().map(|c| Node::Set(one(c))).collect())
}

/// All characters but those of a set.
pub(super) fn not(set: &ClassUnicode) -> ClassUnicode {
    let mut set = set.clone();
    set.negate();
    set
}

/// Whether it matches an empty text wherever it stands.
fn may_be_empty(node: &Node) -> bool {
    match node {
        Node::Set(_) | Node::Look { .. } => false,
        Node::Sequence(list) => list.iter().all(may_be_empty),
        Node::Alternatives(list) => list.iter().any(may_be_empty),
        Node::Repeat { node, least, .. } => *least == 0 || may_be_empty(node),
    }
}

fn one(c: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(c, c)])
}

fn class_of(class: &str, ignore_case: bool) -> Option<ClassUnicode> {
    let hir = regex_syntax::ParserBuilder::new().case_insensitive(ignore_case).build().parse(class).ok()?;
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
        HirKind::Literal(literal) => {
            let mut characters = str::from_utf8(&literal.0).ok()?.chars();
            characters.next().filter(|_| characters.next().is_none()).map(one)
        }
        _ => None,
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    ignore_case: bool,
    depth: u32,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    fn cannot(&self, what: &str) -> String {
        let place: String = self.rest().chars().take(16).collect();
        format!("{what} at byte {} ({place:?})", self.at)
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        let outer = self.ignore_case;
        let mut list = vec![self.sequence()?];
        while self.eat("|") {
            list.push(self.sequence()?);
        }
        self.ignore_case = outer;
        Ok(if list.len() == 1 { list.remove(0) } else { Node::Alternatives(list) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let (mut list, mut guards) = (Vec::new(), Vec::new());
        while self.peek().is_some_and(|c| c != '|' && c != ')') {
            if self.eat("(?i)") {
                self.ignore_case = true;
                continue;
            }
            let node = self.atom()?;
            let (node, guard) = self.repeated(node)?;
            list.push(node);
            guards.extend(guard.map(|guard| (list.len(), guard)));
        }
        // Where nothing has to follow, taking all and taking all without giving back are the same, and the match is certain
        // at once.
        let must = list.iter().rposition(|node| !may_be_empty(node)).map_or(0, |at| at + 1);
        let certain = if self.depth == 0 { must } else { list.len() + 1 };
        for (at, guard) in guards.into_iter().rev().filter(|&(at, _)| at < certain) {
            list.insert(at, guard);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Node::Sequence(list) })
    }

    fn atom(&mut self) -> Result<Node, String> {
        match self.peek() {
            Some('(') => self.group(),
            Some('[') => self.bracket(),
            Some('\\') => self.escape(),
            Some('$') => {
                self.at += 1;
                Ok(Node::Look { next: one('\n'), end: true })
            }
            Some('.') => {
                self.at += 1;
                Ok(Node::Set(not(&one('\n'))))
            }
            Some('^' | '*' | '+' | '?') => Err(self.cannot("an anchor or a repetition of nothing")),
            Some(c) => {
                let mut set = one(c);
                if self.ignore_case {
                    set.try_case_fold_simple().map_err(|e| e.to_string())?;
                }
                self.at += c.len_utf8();
                Ok(Node::Set(set))
            }
            None => Err(self.cannot("the end")),
        }
    }

    fn group(&mut self) -> Result<Node, String> {
        let (start, outer) = (self.at, self.ignore_case);
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.cannot("a group nested too deeply"));
        }
        let negative = self.eat("(?!");
        let look = negative || self.eat("(?=");
        if !look {
            if self.eat("(?i:") {
                self.ignore_case = true;
            } else if !self.eat("(?:") && (self.rest().starts_with("(?") || !self.eat("(")) {
                return Err(self.cannot("a group of another kind than (?:…), (?i:…), (?=…) and (?!…)"));
            }
        }
        let node = self.alternatives()?;
        if !self.eat(")") {
            return Err(self.cannot("no closing parenthesis"));
        }
        (self.ignore_case, self.depth) = (outer, self.depth - 1);
        match (look, node) {
            (false, node) => Ok(node),
            (true, Node::Set(set)) if negative => Ok(Node::Look { next: not(&set), end: true }),
            (true, Node::Set(set)) => Ok(Node::Look { next: set, end: false }),
            _ => {
                self.at = start;
                Err(self.cannot("look-ahead by more than one character"))
            }
        }
    }

    fn bracket(&mut self) -> Result<Node, String> {
        let (mut depth, mut escaped, mut end) = (0, false, None);
        for (at, c) in self.rest().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = Some(at + 1);
                break;
            }
        }
        self.class(end)
    }

    fn escape(&mut self) -> Result<Node, String> {
        let rest = self.rest();
        let end = match rest[1..].chars().next() {
            Some('z') => {
                self.at += 2;
                return Ok(Node::Look { next: ClassUnicode::empty(), end: true });
            }
            Some('p' | 'P' | 'x') if rest[2..].starts_with('{') => rest.find('}').map(|at| at + 1),
            Some('p' | 'P') => rest[2..].chars().next().map(|c| 2 + c.len_utf8()),
            Some('x') => Some(4),
            Some('u') => Some(6),
            Some('b' | 'B' | 'A' | 'G' | 'Z' | 'k' | 'K' | 'h' | 'H' | 'R' | 'X' | '0'..='9') | None => None,
            Some(c) => Some(1 + c.len_utf8()),
        };
        self.class(end)
    }

    /// A class that ends `end` bytes further on.
    fn class(&mut self, end: Option<usize>) -> Result<Node, String> {
        let class = end.and_then(|end| self.rest().get(..end));
        // Oniguruma's \w has no joiners and other alphabetic characters.
        let set = match class {
            Some(r"\w") => class_of(r"[\p{L}\p{M}\p{Nd}\p{Pc}]", false),
            Some(r"\W") => class_of(r"[^\p{L}\p{M}\p{Nd}\p{Pc}]", false),
            class => class.and_then(|class| class_of(class, self.ignore_case)),
        };
        match (set, end) {
            (Some(set), Some(end)) => {
                self.at += end;
                Ok(Node::Set(set))
            }
            _ => Err(self.cannot("no class of characters")),
        }
    }

    /// The repetitions after an atom, and what must come after one that gives nothing back.
    fn repeated(&mut self, mut node: Node) -> Result<(Node, Option<Node>), String> {
        loop {
            let (least, most, counted) = match self.peek() {
                Some('?') => (0, Some(1), false),
                Some('*') => (0, None, false),
                Some('+') => (1, None, false),
                Some('{') => match self.count()? {
                    Some((least, most)) => (least, most, true),
                    None => return Ok((node, None)),
                },
                _ => return Ok((node, None)),
            };
            if !counted {
                self.at += 1;
            }
            // After a count, Oniguruma's `+` is another repetition.
            let possessive = !counted && self.eat("+");
            let Node::Set(set) = &node else {
                if possessive {
                    return Err(self.cannot("a possessive repetition of a group"));
                }
                node = Node::Repeat { node: Box::new(node), least, most, greedy: !self.eat("?") };
                continue;
            };
            if possessive {
                let guard = Node::Look { next: not(set), end: true };
                return Ok(match most {
                    // Nothing, only where it can't be one.
                    Some(_) => (Node::Alternatives(vec![node, guard]), None),
                    None => (Node::Repeat { node: Box::new(node), least, most, greedy: true }, Some(guard)),
                });
            }
            node = Node::Repeat { node: Box::new(node), least, most, greedy: !self.eat("?") };
        }
    }

    /// `{n}`, `{n,}`, `{,m}` and `{n,m}`; `None` where the brace is a character like any other.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let Some(inner) = self.rest().strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(inner, _)| inner)
        else {
            return Err(self.cannot("an open brace"));
        };
        let number = |text: &str, none: Option<u32>| match text {
            "" => Some(none),
            text => text.parse::<u32>().ok().map(Some),
        };
        let bounds = match inner.split_once(',') {
            Some((least, most)) => number(least, Some(0)).zip(number(most, None)),
            None => number(inner, None).filter(Option::is_some).map(|count| (count, count)),
        };
        let length = inner.len() + 2;
        match bounds {
            Some((least, most)) => {
                let least = least.unwrap_or(0);
                if least.max(most.unwrap_or(0)) > MOST_COUNT || most.is_some_and(|most| most < least) {
                    return Err(self.cannot("a count"));
                }
                self.at += length;
                Ok(Some((least, most)))
            }
            None => Err(self.cannot("a count")),
        }
    }
}
