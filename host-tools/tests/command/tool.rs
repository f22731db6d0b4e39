//! The `jamlet` command as tests run it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The command, without standard input.
pub fn jamlet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jamlet"));
    command.stdin(Stdio::null());
    command
}

/// A run with these arguments.
pub fn output(arguments: &[&str]) -> Output {
    jamlet().args(arguments).output().expect("jamlet")
}

/// A run with these arguments that reads `input`.
pub fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = jamlet();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("jamlet");
    // A command that refuses its arguments doesn't read.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("jamlet")
}

/// Standard output of a run that must succeed and must not complain.
pub fn ok(arguments: &[&str]) -> String {
    let output = output(arguments);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaints}");
    assert_eq!(complaints, "", "no progress bar in a pipe");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a run that must fail says.
pub fn error(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// What a text says in JSON.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// A path in the repository.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A text in the manner of those that the default model was trained on.
pub fn sample() -> PathBuf {
    root("tests/texts/tidewatch.txt")
}

/// A checkpoint without a tokenizer.
pub fn checkpoint(name: &str) -> PathBuf {
    root("tests/fixtures/checkpoints").join(name)
}
