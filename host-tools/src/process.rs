//! Running other programs, never without a time limit.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program did.
pub struct Run {
    /// How it ended; `None` if it was killed at the time limit.
    pub status: Option<ExitStatus>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// How long it took.
    pub time: Duration,
}

/// Runs a program without standard input, and kills it at the time limit.
///
/// # Errors
/// When it can't be started.
pub fn run(command: &mut Command, limit: Duration) -> Result<Run> {
    run_on(Stdio::null(), command, limit)
}

/// As [`run`], on a standard input.
///
/// # Errors
/// As there.
pub fn run_on(input: Stdio, command: &mut Command, limit: Duration) -> Result<Run> {
    let start = Instant::now();
    let mut child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    // Both pipes are drained while the program runs, or it would stop at a full one.
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                // What came before an error is all there is to show.
                let _ = pipe.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Run { status, stdout: text(stdout), stderr: text(stderr), time: start.elapsed() })
}

/// What a program prints.
///
/// # Errors
/// When it fails, with what it complained about.
pub fn output(command: &mut Command) -> Result<String> {
    let run = run(command, Duration::from_secs(1200))?;
    if !run.status.is_some_and(|status| status.success()) {
        bail!("{} failed:\n{}", command.get_program().display(), run.stderr.trim());
    }
    Ok(run.stdout)
}
