//! The small files of a folder: read whole, with JSON as Python writes it.

use super::ImportError;
use serde::de::DeserializeOwned;
use std::path::Path;

/// How a file begins that git-lfs put in the place of a large one.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The content of a file.
///
/// # Errors
/// If the file can't be read or is a git-lfs pointer.
pub fn read(file: &Path) -> Result<Vec<u8>, ImportError> {
    let bytes = std::fs::read(file).map_err(ImportError::io(file))?;
    refuse_pointer(file, &bytes)?;
    Ok(bytes)
}

/// As [`read`], with `None` where there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, ImportError> {
    match read(file) {
        Err(ImportError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Refuses what git-lfs leaves where a large file wasn't fetched.
///
/// # Errors
/// If `start`, the first bytes of a file, are those of a pointer.
pub fn refuse_pointer(file: &Path, start: &[u8]) -> Result<(), ImportError> {
    match start.starts_with(LFS_POINTER) {
        false => Ok(()),
        true => Err(ImportError::file(
            file,
            "a git-lfs pointer, which stands for a file that wasn't fetched: run `git lfs pull` in the folder",
        )),
    }
}

/// Reads JSON. `NaN`, `Infinity` and `-Infinity`, which Python writes although JSON has no such numbers, become strings:
/// where such a field matters, its error names what stands there.
///
/// # Errors
/// What is wrong, and where.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if json.starts_with(b"\xef\xbb\xbf") {
        return Err(
            "it begins with a byte order mark (EF BB BF), which JSON may not: save it as UTF-8 without one".into()
        );
    }
    serde_json::from_slice(json).or_else(|error| match quote_constants(json) {
        Some(quoted) => serde_json::from_slice(&quoted).map_err(|error| error.to_string()),
        None => Err(error.to_string()),
    })
}

/// The JSON with Python's constants in quotes; `None` where it has none.
fn quote_constants(json: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(json.len() + 16);
    let (mut rest, mut in_string, mut found) = (json, false, false);
    while let Some((&byte, after)) = rest.split_first() {
        let constants: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
        if let Some(constant) = constants.into_iter().find(|constant| !in_string && rest.starts_with(constant)) {
            quoted.extend([b"\"", constant, b"\""].concat());
            rest = &rest[constant.len()..];
            found = true;
            continue;
        }
        // An escaped quote doesn't end a string.
        let length = if in_string && byte == b'\\' { rest.len().min(2) } else { 1 };
        in_string ^= byte == b'"';
        quoted.extend(&rest[..length]);
        rest = if length == 1 { after } else { &rest[length..] };
    }
    found.then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_constants_of_python_are_read_and_texts_stay() {
        let text = br#"{"a": [0.0, Infinity], "b": -Infinity, "c": NaN, "d": "NaN \" Infinity\\", "e": "Infinity"}"#;
        let right =
            json!({"a": [0.0, "Infinity"], "b": "-Infinity", "c": "NaN", "d": "NaN \" Infinity\\", "e": "Infinity"});
        assert_eq!(parse::<Value>(text), Ok(right));
        assert!(parse::<Value>(b"{\"a\": Infinit}").unwrap_err().contains("line 1 column 7"));
        assert!(parse::<Value>(b"{\"a\": Infinity").unwrap_err().contains("EOF"));
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        assert!(parse::<Value>(b"\xef\xbb\xbf{}").unwrap_err().contains("byte order mark"));
    }
}
