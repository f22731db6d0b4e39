//! What can be wrong with a Hugging Face folder. Every message names the file, the field or tensor in it, what was
//! found there and what would be right.

use std::path::{Path, PathBuf};

/// Why a Hugging Face folder can't be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The operating system refused.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system says. No source of this error, which says it already.
        error: std::io::Error,
    },
    /// A file as a whole is missing, damaged or of an unsupported kind.
    #[error("{}: {problem}", file.display())]
    File {
        /// The file or folder.
        file: PathBuf,
        /// What was found, and what would be right.
        problem: String,
    },
    /// A field of a JSON file is wrong.
    #[error("{}: {field}: found {found}, expected {expected}", file.display())]
    Field {
        /// The JSON file.
        file: PathBuf,
        /// The key.
        field: String,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor is missing, unknown, misshapen, of an unsupported type, or holds numbers that are none.
    #[error("{}: tensor {tensor}: found {found}, expected {expected}", file.display())]
    Tensor {
        /// The safetensors file; the folder if the tensor is in none.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is there.
        found: String,
        /// What would be right.
        expected: String,
    },
}

impl ImportError {
    /// An [`ImportError::Io`] at `file`, for `map_err`.
    pub fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Io { file: file.into(), error }
    }

    /// An [`ImportError::File`].
    pub fn file(file: &Path, problem: impl Into<String>) -> Self {
        Self::File { file: file.into(), problem: problem.into() }
    }

    /// An [`ImportError::Field`].
    pub fn field(file: &Path, field: &str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Field { file: file.into(), field: field.into(), found: found.to_string(), expected: expected.into() }
    }

    /// An [`ImportError::Tensor`].
    pub fn tensor(file: &Path, tensor: &str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Tensor { file: file.into(), tensor: tensor.into(), found: found.into(), expected: expected.into() }
    }
}
