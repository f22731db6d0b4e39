//! Conversations with a chat model, on a machine that has a heap.
//!
//! * [`jinja`] renders a chat template as transformers does.
//! * [`template`] is the template as an image carries it, and the ids that it gives a conversation.
//! * [`conversation`] is a conversation: of each turn only what is new is read.
//! * [`saved`] is a conversation as a file.
//! * [`thinking`] tells what a model thinks from what it answers.
//! * [`summary`] asks for a summary.

pub mod conversation;
pub mod jinja;
pub mod saved;
pub mod summary;
pub mod template;
pub mod thinking;

pub use conversation::{Conversation, End, Listener, Turn};
pub use template::ChatTemplate;

use serde::{Deserialize, Serialize};

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the model is told before anybody says something.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// What `role` says.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}
