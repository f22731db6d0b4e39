//! One message to a chat model: what `run --chat` and `summarize` share.

use super::voice::{Spoken, Voice};
use anyhow::Result;
use jamlet::kernels::Kernels;
use jamlet::{Model, Options, RewindPoints, Sampler};
use jamlet_tools::chat::template::Marks;
use jamlet_tools::chat::{ChatTemplate, Conversation};
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::workspace::HostWorkspace;

/// How a model is asked.
pub struct Ask<'a> {
    /// The model's template.
    pub template: &'a ChatTemplate,
    /// What the model is told first, if anything.
    pub system: Option<&'a str>,
    /// What a session remembers.
    pub options: Options,
    /// Threads that compute.
    pub threads: usize,
    /// Most tokens of the answer.
    pub limit: usize,
    /// What is thought isn't shown.
    pub hide_thinking: bool,
    /// The answer isn't printed.
    pub quiet: bool,
}

impl Ask<'_> {
    /// Asks `model`, and prints the answer as it comes.
    ///
    /// # Errors
    /// When the template refuses the message, or nobody reads the answer.
    pub fn ask(&self, model: &Model<'_>, sampler: &mut Sampler, message: &str) -> Result<Spoken> {
        let options = self.options.heads_at_once(heads_at_once(self.threads));
        let mut workspace = HostWorkspace::new(model, options)?;
        let marks = Marks::new(model, self.template)?;
        on_threads(self.threads, Kernels::detect(), |kernels| {
            let mut session = workspace.session_on(model, kernels)?;
            // Nothing comes behind it, so there is nothing to go back to.
            let points = RewindPoints::new(session.plan(), &mut []);
            let mut conversation = Conversation::new(self.template, marks.tokenizer()?, points);
            conversation.reset(self.system);
            let mut voice = Voice::new(self.hide_thinking, self.quiet, None);
            let turn = conversation.turn(&mut session, sampler, message, self.limit, &mut voice);
            let text = voice.finish();
            Ok(Spoken::new(&turn?, &text?, session.plan()))
        })
    }
}
