//! A conversation of which a session reads each turn only what is new.
//!
//! Every turn the whole conversation is rendered and encoded anew, as transformers would, and compared with what the session has
//! read, answers included. Where they agree nothing is read again. Where a template rewrites what was said (those of reasoning
//! models drop the thinking of earlier turns), the session goes back to the last state that was kept before that.

use super::template::encode;
use super::{ChatTemplate, Message, Role, thinking};
use crate::prompts::Prompts;
use anyhow::{Result, ensure};
use jamlet::tokenizer::{Decoder, Tokenizer};
use jamlet::{RewindPoints, Sampler, Session};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::Instant;

/// Who hears how a turn goes on, and may end it.
pub trait Listener {
    /// So many tokens were read, in this turn.
    fn read(&mut self, tokens: u64) -> ControlFlow<()>;
    /// The next piece of the answer, thinking and its marks included.
    fn text(&mut self, piece: &str) -> ControlFlow<()>;
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The model ended its turn.
    Stop,
    /// It reached the most tokens that it may have.
    Limit,
    /// The listener wanted it.
    Interrupted,
}

/// What a turn took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Turn {
    /// Tokens of the conversation up to where the answer begins.
    pub prompt_tokens: usize,
    /// Those of them that the session had read before.
    pub reused_tokens: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Why the answer ended.
    pub end: End,
    /// Seconds of reading.
    pub prefill_seconds: f64,
    /// Seconds of writing.
    pub decode_seconds: f64,
}

/// A conversation.
#[derive(Debug)]
pub struct Conversation<'t, 'b> {
    template: &'t ChatTemplate,
    /// It finds the template's marks.
    tokenizer: Tokenizer<'t>,
    prompts: Prompts<'b>,
    messages: Vec<Message>,
}

impl<'t, 'b> Conversation<'t, 'b> {
    /// Nobody has said anything, and nothing was fed to a session. `tokenizer` is that of [`Marks`](super::template::Marks).
    pub fn new(template: &'t ChatTemplate, tokenizer: Tokenizer<'t>, points: RewindPoints<'b>) -> Self {
        Self { template, tokenizer, prompts: Prompts::new(points), messages: Vec::new() }
    }

    /// What was said.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What the session has read.
    pub fn tokens(&self) -> &[u32] {
        self.prompts.known()
    }

    /// Begins anew, with what the model is told, if anything. What the next turn has in common with what was read is not read
    /// again.
    pub fn reset(&mut self, system: Option<&str>) {
        self.messages.clear();
        self.messages.extend(system.map(|text| Message::new(Role::System, text)));
    }

    /// Goes on from a state that was restored to `session`: that after `tokens` of a conversation of these `messages`.
    pub fn resume(&mut self, session: &mut Session<'_, '_>, messages: Vec<Message>, tokens: Vec<u32>) {
        self.prompts.restored(session, tokens);
        self.messages = messages;
    }

    /// Reads what the user says and writes an answer of at most `limit` tokens. An answer that was interrupted is part of the
    /// conversation as far as it came; if that was while reading, nothing was said.
    ///
    /// # Errors
    /// When the template refuses the conversation, which is then as it was.
    pub fn turn(
        &mut self,
        session: &mut Session<'_, '_>,
        sampler: &mut Sampler,
        text: &str,
        limit: usize,
        listener: &mut dyn Listener,
    ) -> Result<Turn> {
        let start = Instant::now();
        self.messages.push(Message::new(Role::User, text));
        let begun = self.begin(session, listener);
        let Some((prompt, ids, reused_tokens)) = begun.inspect_err(|_| self.take_back())? else {
            self.take_back();
            let seconds = start.elapsed().as_secs_f64();
            let (prompt_tokens, end) = (self.tokens().len(), End::Interrupted);
            return Ok(Turn {
                prompt_tokens,
                reused_tokens: 0,
                tokens: 0,
                end,
                prefill_seconds: seconds,
                decode_seconds: 0.0,
            });
        };
        let (prefill_seconds, start) = (start.elapsed().as_secs_f64(), Instant::now());
        let mut content = thinking::opened(&prompt).to_owned();
        let mut flow = if content.is_empty() { ControlFlow::Continue(()) } else { listener.text(&content) };
        let mut say = |piece: &str| {
            content.push_str(piece);
            flow = if flow.is_continue() { listener.text(piece) } else { flow };
            flow
        };
        sampler.reset();
        let (answer, end) = self.answer(session, sampler, limit, &mut say)?;
        // The last one may not have been fed.
        let fed = session.position() as usize - ids;
        self.prompts.decoded(&answer[..fed.min(answer.len())]);
        self.keep_answer(&content);
        Ok(Turn {
            prompt_tokens: ids,
            reused_tokens,
            tokens: answer.len(),
            end,
            prefill_seconds,
            decode_seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Unsays the last message.
    fn take_back(&mut self) {
        self.messages.pop();
    }

    /// Reads up to where the answer begins. Returns the text of that, its tokens, and how many of them weren't read again; `None`
    /// where it was interrupted.
    fn begin(
        &mut self,
        session: &mut Session<'_, '_>,
        listener: &mut dyn Listener,
    ) -> Result<Option<(String, usize, usize)>> {
        let prompt = self.template.render(&self.messages, true)?;
        let ids = encode(self.tokenizer, &prompt);
        ensure!(!ids.is_empty(), "the chat template makes no text of this conversation");
        let marks = [self.told(&ids), self.stays(&prompt, &ids), ids.len()];
        let reused = self.prompts.read_while(session, &ids, &marks, |_, read| listener.read(read as u64))?;
        Ok((self.tokens().len() == ids.len()).then_some((prompt, ids.len(), reused)))
    }

    /// Of the first prompt's ids, how many come before the question: those that a conversation after a reset begins with, too.
    fn told(&self, ids: &[u32]) -> usize {
        let [told @ .., question] = &self.messages[..] else { return 0 };
        if told.iter().any(|message| message.role != Role::System) {
            return 0;
        }
        let another = if question.content.starts_with('a') { "b" } else { "a" };
        let other = [told, &[Message::new(Role::User, another)]].concat();
        self.template.render(&other, true).map_or(0, |text| agree(&encode(self.tokenizer, &text), ids))
    }

    /// Of a prompt's ids, how many the next turn's will begin with, whatever the template does to what the model thinks.
    fn stays(&self, prompt: &str, ids: &[u32]) -> usize {
        let answer = match thinking::opened(prompt) {
            "" => "a".to_owned(),
            opened => [opened, "a\n", thinking::END, "\n\na"].concat(),
        };
        let mut next = self.messages.clone();
        next.extend([Message::new(Role::Assistant, answer), Message::new(Role::User, "a")]);
        // A template that refuses this one may take another: then the prompt's end alone is kept.
        self.template.render(&next, true).map_or(ids.len(), |text| agree(&encode(self.tokenizer, &text), ids))
    }

    /// Writes an answer: its tokens, and why it ended.
    fn answer(
        &self,
        session: &mut Session<'_, '_>,
        sampler: &mut Sampler,
        limit: usize,
        say: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(Vec<u32>, End)> {
        let stops = session.model().prompt();
        // The marks of thinking belong to the text even where they are special.
        let marks = [thinking::BEGIN, thinking::END].map(|mark| (self.tokenizer.added_token(mark), mark));
        let mut decoder = Decoder::resume(self.tokenizer, true);
        let (mut answer, mut flow) = (Vec::new(), ControlFlow::Continue(()));
        let end = loop {
            if answer.len() == limit {
                break End::Limit;
            }
            let token = session.next(sampler)?;
            if stops.is_stop(token) {
                break End::Stop;
            }
            answer.push(token);
            match marks.iter().find(|(id, _)| *id == Some(token)) {
                Some((_, mark)) => flow = say(mark),
                None => decoder.push(token, |part| flow = say(part)),
            }
            if flow.is_break() {
                break End::Interrupted;
            }
        };
        decoder.finish(|part| flow = say(part));
        Ok((answer, end))
    }

    /// Adds an answer to the conversation: as it was written, or without the white space around it where the template makes of that
    /// what the model wrote.
    fn keep_answer(&mut self, content: &str) {
        let mut best = None;
        for content in [content, content.trim_start(), content.trim()] {
            self.messages.push(Message::new(Role::Assistant, content));
            let text = self.template.render(&self.messages, false);
            let ids = text.map_or_else(|_| Vec::new(), |text| encode(self.tokenizer, &text));
            let agrees = agree(&ids, self.tokens());
            let message = self.messages.pop();
            if best.as_ref().is_none_or(|(most, _)| agrees > *most) {
                best = Some((agrees, message));
            }
        }
        self.messages.extend(best.and_then(|(_, message)| message));
    }

    /// Takes the session back to where the next turn will begin to read, so that no more of its state is saved than is used.
    ///
    /// # Errors
    /// What the template says of the conversation.
    pub fn settle(&mut self, session: &mut Session<'_, '_>) -> Result<()> {
        let mut next = self.messages.clone();
        next.push(Message::new(Role::User, "a"));
        let ids = encode(self.tokenizer, &self.template.render(&next, true)?);
        let common = agree(&ids, self.tokens());
        self.prompts.go_back(session, common);
        Ok(())
    }
}

/// How many ids two begin with alike.
fn agree(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
