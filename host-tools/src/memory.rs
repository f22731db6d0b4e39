//! Memory of this process, as Linux tells it.

use std::fs;

/// Bytes of this process that lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Now, by page: Rss of `smaps_rollup`.
    pub current: u64,
    /// At most so far: VmHWM of `status`.
    pub peak: u64,
}

/// Of this process, where the system tells.
pub fn resident() -> Option<Resident> {
    Some(Resident { current: field("/proc/self/smaps_rollup", "Rss:")?, peak: peak()? })
}

/// The most that this process had so far.
pub fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Now, roughly: cheap enough for a progress bar.
pub fn current() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// A field in kB, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}
