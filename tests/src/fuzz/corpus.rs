//! The committed corpus: one compressed tar file a target, `tests/fuzz/corpus/TARGET.tar.gz`, so that a checkout has a
//! few files in place of thousands.

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The archive of the target `name`.
fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name).with_extension("tar.gz")
}

/// The inputs of the target `name`, each with its file name, in the order of the archive; none where there is no archive.
///
/// # Errors
/// When the archive can't be read.
pub fn read(name: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let path = archive(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let entries = || -> Result<_> {
        let mut inputs = Vec::new();
        for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
            let mut entry = entry?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            inputs.push((entry.path()?.display().to_string(), bytes));
        }
        Ok(inputs)
    };
    entries().with_context(|| path.display().to_string())
}

/// Replaces the archive of the target `name`. The same inputs give the same bytes.
///
/// # Errors
/// When the archive can't be written.
pub fn write(name: &str, inputs: &[(String, Vec<u8>)]) -> Result<()> {
    let path = archive(name);
    let write = || -> Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(File::create(&path)?, Compression::best()));
        for (name, bytes) in inputs {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        archive.into_inner()?.finish()?;
        Ok(())
    };
    write().with_context(|| path.display().to_string())
}
