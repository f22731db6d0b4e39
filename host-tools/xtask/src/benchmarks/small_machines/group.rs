//! Runs programs in as much memory as a small machine has: a control group of Linux bounds all that they touch, the pages of files
//! included, and has no swap.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How memory is bounded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// By `systemd-run`.
    Systemd,
    /// By a group within this folder, of version 2 or 1 of the interface.
    Group { parent: PathBuf, version: u8 },
    /// By nothing, and why: the peak is measured all the same.
    Nothing(String),
}

/// What a program took.
#[derive(Debug)]
pub struct Run {
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// How long it took.
    pub time: Duration,
    /// The most bytes that it had in memory, mapped files included: VmHWM.
    pub peak: u64,
    /// The most of them that were of no file: RssAnon.
    pub anonymous: u64,
}

/// How often a program's memory is looked at; its peak is kept by the system in between.
const LOOK: Duration = Duration::from_millis(5);

impl Bound {
    /// What this machine has.
    pub fn here() -> Self {
        let mut systemd = Command::new("systemd-run");
        systemd.args(["--scope", "--quiet", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if systemd.status().is_ok_and(|status| status.success()) {
            return Self::Systemd;
        }
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let Some((parent, version)) = parent(&groups, |file| file.exists()) else {
            return Self::Nothing("neither systemd nor control groups for memory are here".into());
        };
        let bound = Self::Group { parent, version };
        match bound.group(1 << 30) {
            Ok(_) => bound,
            Err(error) => Self::Nothing(format!("{error:#}; root may")),
        }
    }

    /// In words.
    pub fn name(&self) -> String {
        match self {
            Self::Systemd => "systemd-run's MemoryMax".into(),
            Self::Group { version, .. } => format!("a control group, version {version}"),
            Self::Nothing(why) => format!("nothing, only the peak is measured ({why})"),
        }
    }

    /// Runs a program in at most so many bytes.
    ///
    /// # Errors
    /// When it fails, or is ended because it needs more: with what it complained about.
    pub fn run(&self, memory: u64, program: &Path, arguments: &[&str]) -> Result<Run> {
        let group = self.group(memory)?;
        let mut command = match (self, &group) {
            (Self::Systemd, _) => {
                let mut command = Command::new("systemd-run");
                command.args(["--scope", "--quiet", "-p", &format!("MemoryMax={memory}"), "-p", "MemorySwapMax=0"]);
                command
            }
            (_, Some(group)) => {
                // The shell enters the group, and becomes the program.
                let mut command = Command::new("sh");
                command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(group.0.join("cgroup.procs"));
                command
            }
            (_, None) => Command::new("env"),
        };
        let within = match self {
            Self::Nothing(_) => String::new(),
            _ => format!(" in {} MiB of memory", memory >> 20),
        };
        watch(command.arg(program).args(arguments))
            .with_context(|| format!("{} {}{within}", program.display(), arguments.join(" ")))
    }

    /// A new group, where this needs one.
    fn group(&self, memory: u64) -> Result<Option<Group>> {
        let Self::Group { parent, version } = self else { return Ok(None) };
        let group = Group(parent.join(format!("jamlet-{}", std::process::id())));
        fs::create_dir(&group.0).with_context(|| group.0.display().to_string())?;
        // Without the first, memory isn't bounded. The second is there where the kernel counts swap, and isn't less than the first.
        let (limit, swap) = match version {
            1 => ("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", memory)),
            _ => ("memory.max", ("memory.swap.max", 0)),
        };
        let write = |name: &str, bytes: u64| {
            let file = group.0.join(name);
            fs::write(&file, bytes.to_string()).with_context(|| file.display().to_string())
        };
        write(limit, memory)?;
        if group.0.join(swap.0).exists() {
            write(swap.0, swap.1)?;
        }
        Ok(Some(group))
    }
}

/// A group, which is removed at the end.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        // It can't be removed before the last process left it, which the kernel notes a moment after its end.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        eprintln!("{} couldn't be removed", self.0.display());
    }
}

/// Takes a file out of memory: its pages are counted where they are read next.
///
/// # Errors
/// When it can't be opened, or `dd` is missing.
pub fn forget(file: &Path) -> Result<()> {
    // What isn't written yet stays.
    fs::File::open(file).and_then(|file| file.sync_all()).with_context(|| file.display().to_string())?;
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", file.display())).args(["iflag=nocache", "count=0", "status=none"]);
    ensure!(dd.status().context("dd")?.success(), "{}: dd can't take it out of memory", file.display());
    Ok(())
}

/// Where groups for memory can be made, and the interface's version, by `/proc/self/cgroup`.
fn parent(groups: &str, exists: impl Fn(&Path) -> bool) -> Option<(PathBuf, u8)> {
    const ROOT: &str = "/sys/fs/cgroup";
    for line in groups.lines() {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let path = path.trim_start_matches('/');
        // Version 1: the group that this process is in may have others within.
        if controllers.split(',').any(|name| name == "memory") {
            let folder = Path::new(ROOT).join("memory").join(path);
            return exists(&folder).then_some((folder, 1));
        }
    }
    // Version 2: a group with processes has no others within, but the outermost one.
    let folder = Path::new(ROOT);
    exists(&folder.join("cgroup.controllers")).then(|| (folder.into(), 2))
}

/// Runs a program, and looks at its memory until it ends.
fn watch(command: &mut Command) -> Result<Run> {
    let scratch = tempfile::tempdir()?;
    let [out, err] = ["out", "err"].map(|name| scratch.path().join(name));
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(fs::File::create(&out)?).stderr(fs::File::create(&err)?);
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let (mut peak, mut anonymous) = (0, 0);
    let status = loop {
        let text = fs::read_to_string(&status_file).unwrap_or_default();
        peak = peak.max(kib(&text, "VmHWM:"));
        anonymous = anonymous.max(kib(&text, "RssAnon:"));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(LOOK);
    };
    let time = start.elapsed();
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (stdout, stderr) = (text(&out)?, text(&err)?);
    ensure!(status.success(), "{}\n{}", ending(status), stderr.trim());
    Ok(Run { stdout, stderr, time, peak, anonymous })
}

/// How a program ended, in words.
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    const KILL: i32 = 9;
    match status.signal() {
        Some(KILL) => "it needs more, so Linux killed it".into(),
        _ => format!("it failed: {status}"),
    }
}

/// A field of `/proc/PID/status` in bytes, 0 where it isn't there.
fn kib(status: &str, name: &str) -> u64 {
    let value =
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    1024 * value.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_where_they_may_be() {
        let first = "9:name=systemd:/\n4:memory:/a/b\n0::/\n";
        assert_eq!(parent(first, |_| true), Some((PathBuf::from("/sys/fs/cgroup/memory/a/b"), 1)));
        assert_eq!(parent("0::/user.slice/a\n", |_| true), Some((PathBuf::from("/sys/fs/cgroup"), 2)));
        assert_eq!(parent("0::/\n", |_| false), None);
        assert_eq!(parent("", |_| false), None);
    }

    #[test]
    fn fields_are_bytes() {
        let status = "Name:\tsh\nVmHWM:\t    1980 kB\nRssAnon:\t 12 kB\n";
        assert_eq!(
            (kib(status, "VmHWM:"), kib(status, "RssAnon:"), kib(status, "RssFile:")),
            (1980 << 10, 12 << 10, 0)
        );
    }

    #[test]
    fn what_needs_more_is_killed_and_said_so() {
        let bound = Bound::here();
        if let Bound::Nothing(why) = &bound {
            eprintln!("not checked: {why}");
            return;
        }
        let fill =
            |memory| bound.run(memory, Path::new("sh"), &["-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' a)"]);
        assert!(fill(1 << 30).is_ok_and(|run| run.peak > 100_000_000 && run.anonymous > 100_000_000));
        let error = format!("{:#}", fill(32 << 20).expect_err("less than it fills"));
        assert!(error.contains("needs more") && error.contains("32 MiB"), "{error}");
    }
}
