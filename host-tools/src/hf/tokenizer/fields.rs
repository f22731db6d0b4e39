//! Fields of a `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{ImportError, TokenizerError};

/// Reads values and names them when they are wrong.
pub(super) struct Json<'a> {
    pub file: &'a Path,
}

impl Json<'_> {
    pub(super) fn wrong(&self, field: &str, found: impl ToString, expected: &str) -> TokenizerError {
        ImportError::field(self.file, field, found, expected)
    }

    pub(super) fn object<'v>(&self, value: &'v Value, field: &str) -> Result<&'v Map<String, Value>, TokenizerError> {
        value.as_object().ok_or_else(|| self.wrong(field, value, "an object"))
    }

    /// A switch; `field` is its path, whose last part is its key in `map`.
    pub(super) fn flag(&self, map: &Map<String, Value>, field: &str, default: bool) -> Result<bool, TokenizerError> {
        let key = field.rsplit('.').next().unwrap_or(field);
        match map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(field, other, "true or false")),
        }
    }

    /// The steps of a `Sequence`, which lie under `key`, or the one step, or none.
    pub(super) fn sequence<'v>(&self, value: &'v Value, key: &str) -> &'v [Value] {
        match value {
            Value::Null => &[],
            Value::Object(map) if map.get("type").is_some_and(|kind| kind == "Sequence") => {
                map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
            }
            step => std::slice::from_ref(step),
        }
    }
}
