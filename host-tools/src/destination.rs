//! Where a command writes: a file that is replaced at once or not at all, a pipe, a character device, or standard output.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A place that was found fit to write to, before the work for it begins.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As it was named.
    path: PathBuf,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Standard,
    /// What can't be replaced, only written to: a pipe or a character device.
    Stream,
    /// A file, there or not, behind all links.
    File(PathBuf),
}

impl Destination {
    /// The place at `path`, or standard output for `-`. `inputs` are files that the work reads.
    ///
    /// # Errors
    /// When it is one of them, a folder, a disk, a socket, a terminal or write-protected, or its folder can't be written to.
    pub fn new<'p>(path: &Path, inputs: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let place = place(path).with_context(|| path.display().to_string())?;
        for input in inputs {
            ensure!(
                !is_same(path, input),
                "{}: the same file as {}, which is read; another name is needed",
                path.display(),
                input.display()
            );
        }
        let destination = Self { path: path.into(), place };
        if let Place::File(_) = destination.place {
            // It is removed again.
            destination.draft()?;
        }
        Ok(destination)
    }

    /// As it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is standard output, where reports would be mixed with it.
    pub fn is_standard(&self) -> bool {
        matches!(self.place, Place::Standard)
    }

    /// Where reports about the work go: standard output, or standard error where that is the destination.
    pub fn report(&self) -> Box<dyn Write> {
        if self.is_standard() { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
    }

    /// What to call it in messages.
    pub fn name(&self) -> String {
        if self.is_standard() { "standard output".into() } else { self.path.display().to_string() }
    }

    /// A file for what is to be written, beside the one that it will replace.
    ///
    /// # Errors
    /// When there can't be one.
    pub fn draft(&self) -> Result<NamedTempFile> {
        let folder = match &self.place {
            Place::File(target) => folder(target),
            Place::Standard | Place::Stream => std::env::temp_dir(),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".jamlet-");
        // As any new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&folder).with_context(|| format!("{}: can't write here", folder.display()))
    }

    /// Puts the finished draft in its place.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn publish(&self, mut draft: NamedTempFile) -> Result<()> {
        let written = match &self.place {
            Place::File(target) => {
                if let Ok(replaced) = fs::metadata(target) {
                    draft.as_file().set_permissions(replaced.permissions()).with_context(|| self.name())?;
                }
                draft.persist(target).map(drop).map_err(|error| error.error)
            }
            Place::Standard => copy(&mut draft, &mut io::stdout().lock()),
            Place::Stream => {
                OpenOptions::new().write(true).open(&self.path).and_then(|mut stream| copy(&mut draft, &mut stream))
            }
        };
        written.with_context(|| format!("{}: can't be written", self.name()))
    }
}

fn copy(draft: &mut NamedTempFile, out: &mut dyn Write) -> io::Result<()> {
    draft.as_file_mut().rewind()?;
    io::copy(draft.as_file_mut(), out)?;
    out.flush()
}

/// What is at `path`.
fn place(path: &Path) -> Result<Place> {
    if path == Path::new("-") {
        ensure!(!io::stdout().is_terminal(), "standard output is a terminal; `> FILE` or a pipe would be right");
        return Ok(Place::Standard);
    }
    let target = behind_links(path)?;
    // The files of an open process are what it has open, not names to be replaced.
    let is_open_file = ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"].iter().any(|open| path.starts_with(open));
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder(&target);
            ensure!(folder.is_dir(), "{}: no such folder", folder.display());
            ensure!(target.file_name().is_some() && !ends_in_separator(path), "the name of a file is needed");
            return Ok(Place::File(target));
        }
        Err(error) => return Err(error.into()),
    };
    if found.is_dir() {
        bail!("a folder; the name of a file in it would be right");
    }
    if is_stream(&found) || (is_open_file && found.is_file()) {
        return Ok(Place::Stream);
    }
    ensure!(found.is_file(), "neither a file, a pipe nor a character device");
    ensure!(!found.permissions().readonly(), "write-protected");
    Ok(Place::File(target))
}

/// The place that a chain of links ends at, there or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(next) => target = folder(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("links that lead to each other"))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.into(),
        _ => ".".into(),
    }
}

fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

#[cfg(unix)]
fn is_stream(found: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_fifo() || found.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_stream(_: &Metadata) -> bool {
    false
}

/// Whether two paths name one file, by whatever links.
fn is_same(a: &Path, b: &Path) -> bool {
    let (Ok(of_a), Ok(of_b)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (of_a.dev(), of_a.ino()) == (of_b.dev(), of_b.ino())
    }
    #[cfg(not(unix))]
    {
        of_a.is_file() && of_b.is_file() && a.canonicalize().ok() == b.canonicalize().ok()
    }
}

/// The files in a folder, to be compared with a destination.
///
/// # Errors
/// When it can't be listed.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Opens `path` for lines of text that are written as they come: see [`Destination`] for what is refused.
///
/// # Errors
/// As [`Destination::new`], and when it can't be opened.
pub fn draft_of<'p>(path: &Path, inputs: impl IntoIterator<Item = &'p Path>) -> Result<(Destination, NamedTempFile)> {
    let destination = Destination::new(path, inputs)?;
    let draft = destination.draft()?;
    Ok((destination, draft))
}

/// A file's whole content in its place, as [`Destination::publish`] does it.
///
/// # Errors
/// As [`Destination::new`] and [`Destination::publish`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let (destination, mut draft) = draft_of(path, [])?;
    let file: &mut File = draft.as_file_mut();
    file.write_all(bytes).with_context(|| destination.name())?;
    destination.publish(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &Path, inputs: &[&Path]) -> String {
        format!("{:#}", Destination::new(path, inputs.iter().copied()).expect_err("refused"))
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, b"old").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            write(&file, b"new").unwrap();
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn folders_and_inputs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, missing) = (folder.path().join("file"), folder.path().join("missing/file"));
        fs::write(&file, "precious").unwrap();
        assert!(says(folder.path(), &[]).contains("a folder"));
        assert!(says(&missing, &[]).contains("missing: no such folder"));
        assert!(says(&folder.path().join("new/"), &[]).contains("needed"));
        assert!(says(&file, &[&file]).contains("which is read"));
        assert!(says(&folder.path().join(".").join("file"), &[&file]).contains("which is read"));
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
        assert!(says(&file, &[]).contains("write-protected"));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("shelf")).unwrap();
        fs::write(path("shelf/target"), "old").unwrap();
        symlink("shelf/target", path("link")).unwrap();
        symlink("link", path("second")).unwrap();
        write(&path("second"), b"new").unwrap();
        assert!(path("link").is_symlink() && path("second").is_symlink());
        assert_eq!(fs::read(path("shelf/target")).unwrap(), b"new");
        // A link to what isn't there yet.
        symlink("shelf/later", path("dangling")).unwrap();
        write(&path("dangling"), b"made").unwrap();
        assert_eq!(fs::read(path("shelf/later")).unwrap(), b"made");
        symlink("round", path("round")).unwrap();
        assert!(!says(&path("round"), &[]).is_empty());
        // A link to an input, and a second name of it.
        fs::hard_link(path("shelf/target"), path("twin")).unwrap();
        for name in ["link", "twin"] {
            assert!(says(&path(name), &[&path("shelf/target")]).contains("which is read"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pipes_are_written_to_and_stay() {
        use std::os::unix::fs::FileTypeExt;
        let kind = |path: &Path| fs::symlink_metadata(path).unwrap().file_type();
        write(Path::new("/dev/null"), b"nothing").unwrap();
        assert!(kind(Path::new("/dev/null")).is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(kind(&pipe).is_fifo());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(says(&socket, &[]).contains("neither a file"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_that_is_full_is_an_error() {
        let error = write(Path::new("/dev/full"), b"too much").expect_err("no room");
        assert!(format!("{error:#}").contains("/dev/full: can't be written"), "{error:#}");
    }
}
