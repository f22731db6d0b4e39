//! Baked prompts: the state after a fixed prefix, in the image.

use crate::destination::Destination;
use crate::frame;
use crate::image_file::ImageFile;
use crate::mapped::Mapped;
use crate::pack;
use crate::workspace::HostWorkspace;
use anyhow::{Context, Result};
use jamlet::image::{Role, features};
use jamlet::{Model, Options};
use std::io::Write;
use std::path::Path;

/// What was baked.
#[derive(Clone, Copy, Debug)]
pub struct Baked {
    /// Tokens of the prefix.
    pub tokens: usize,
    /// Bytes that the image grew by.
    pub bytes: usize,
}

/// Writes a copy of the image at `from` to `out` in which `prefix` follows the prompt's own beginning, and the state after both
/// is kept, for sessions with `options`. What was baked in before is replaced. A signature is left out, because it is of
/// other bytes. `tick` hears of tokens read and of all of them.
///
/// # Errors
/// When the image or the text can't be read, or the new image not written.
pub fn bake(
    from: &ImageFile,
    prefix: &str,
    options: Options,
    out: &Path,
    mut tick: impl FnMut(u64, u64),
) -> Result<Baked> {
    let model = from.model()?;
    let tokens = frame::to_bake(&model, prefix)?;
    anyhow::ensure!(!tokens.is_empty(), "nothing to bake: neither the prompt nor the text has a token");
    let section = section(&model, &tokens, options, |read| tick(read, tokens.len() as u64))?;
    let destination = Destination::new(out, [])?;
    let mut file = destination.draft()?;
    let mut writer = pack::Blocks::new(file.as_file_mut());
    let wanted = model.header().features & !features::SIGNED | features::BAKED;
    pack::rewrite(model.image(), wanted, &[(Role::Baked, &section)], &mut writer)?;
    writer.flush().with_context(|| out.display().to_string())?;
    drop(writer);
    check(file.path(), options)?;
    destination.publish(file)?;
    Ok(Baked { tokens: tokens.len(), bytes: section.len() })
}

/// The section [`Role::Baked`].
fn section(model: &Model<'_>, tokens: &[u32], options: Options, mut tick: impl FnMut(u64)) -> Result<Vec<u8>> {
    let mut workspace = HostWorkspace::new(model, options)?;
    let mut session = workspace.session(model)?;
    for piece in tokens.chunks(256) {
        session.feed(piece)?;
        tick(session.position());
    }
    let words = [model.identity(), tokens.len() as u32];
    let mut section: Vec<u8> = words.iter().chain(tokens).flat_map(|word| word.to_le_bytes()).collect();
    session.snapshot_to(|piece| section.write_all(piece))?;
    Ok(section)
}

/// A session must start from what was written.
fn check(path: &Path, options: Options) -> Result<()> {
    let written = Mapped::open(path)?;
    let model = Model::parse_with(&written, crc32fast::hash)?;
    let mut workspace = HostWorkspace::new(&model, options)?;
    anyhow::ensure!(workspace.session(&model)?.start_baked(), "the state that was baked can't be restored");
    Ok(())
}
