//! Progress bars: on a terminal they move, in a pipe they don't exist.

use crate::memory;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// A bar that counts bytes; `set_length` comes with the first figure.
pub fn bytes(what: &'static str) -> ProgressBar {
    bar(what, "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left")
}

/// A bar that counts things.
pub fn count(what: &'static str, total: u64) -> ProgressBar {
    let bar = bar(what, "{msg} {wide_bar} {pos} of {len}, {eta} left");
    bar.set_length(total);
    bar
}

/// A counter without an end: what was read so far, how fast, and the memory of this process.
pub fn tokens(what: &'static str) -> ProgressBar {
    bar(what, "{spinner} {msg} {pos} tokens, {per_sec}, {prefix}")
}

/// Sets a counter of [`tokens`].
pub fn set_tokens(bar: &ProgressBar, tokens: u64) {
    if bar.is_hidden() {
        return;
    }
    if let Some(bytes) = memory::current() {
        bar.set_prefix(format!("{} of RAM", HumanBytes(bytes)));
    }
    bar.set_position(tokens);
}

fn bar(what: &'static str, template: &str) -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new(0).with_message(what);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
