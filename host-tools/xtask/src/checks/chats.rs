//! A conversation that was saved on one kind of machine goes on on another one: this one, and 64-bit Arm in QEMU.

use crate::models::random_text_model;
use crate::setup;
use anyhow::{Context, Result, ensure};
use jamlet::image::{Image, Role};
use jamlet_tools::aligned::Aligned;
use jamlet_tools::pack::rewrite;
use jamlet_tools::process::run_on;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const TEMPLATE: &str = "{% for message in messages %}<s>{{ message.content }}</s>{% endfor %}\
    {% if add_generation_prompt %}<summary>{% endif %}";
const FIRST: &str = "Where is the harbour?";
const SECOND: &str = "And what is it called?";
/// The longest that a conversation may take in the emulator.
const LIMIT: Duration = Duration::from_secs(300);

/// Saves a conversation on each machine, and goes on with it on both: files and answers must be equal, and what was read is not
/// read again. `program` is the command for Raspberry Pi OS.
///
/// # Errors
/// What differs.
pub fn check(program: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("chat.jamlet");
    fs::write(&image, chat_image()?)?;
    let (mut files, mut answers) = (Vec::new(), Vec::new());
    for machine in MACHINES {
        let file = folder.path().join(machine);
        let save = format!("{FIRST}\n/save {}\n{SECOND}\n", file.display());
        let lines = talk(&mut command(machine, program)?, &image, &save, &[])?;
        ensure!(lines.len() == 2, "{machine}: {} answers instead of 2", lines.len());
        files.push((machine, fs::read(&file).with_context(|| format!("{machine}: /save wrote nothing"))?));
        answers.extend(lines.into_iter().skip(1).map(|line| (machine, machine, line)));
    }
    ensure!(files[0].1 == files[1].1, "{} and {} save different files", files[0].0, files[1].0);
    for (from, to) in [(MACHINES[0], MACHINES[1]), (MACHINES[1], MACHINES[0])] {
        let load = [Path::new("--load"), &folder.path().join(from)];
        let lines = talk(&mut command(to, program)?, &image, &format!("{SECOND}\n"), &load)?;
        answers.extend(lines.into_iter().map(|line| (from, to, line)));
    }
    let right = &answers[0].2;
    ensure!(right["reused_tokens"].as_u64() > Some(0), "nothing that was read is used again: {right}");
    for (from, to, line) in &answers {
        for field in ["text", "tokens", "prompt_tokens", "reused_tokens"] {
            ensure!(line[field] == right[field], "{from} to {to}: {field} is {}, not {}", line[field], right[field]);
        }
    }
    println!("conversations saved on x86-64 and aarch64 are the same {} bytes and go on alike", files[0].1.len());
    Ok(())
}

const MACHINES: [&str; 2] = ["this machine", "aarch64"];

/// `jamlet` on a machine. On this one it is the one that the host's tests ran, beside this program.
fn command(machine: &str, program: &Path) -> Result<Command> {
    if machine == MACHINES[1] {
        let mut emulator = Command::new(setup::qemu("qemu-aarch64"));
        emulator.args(["-cpu", "cortex-a72"]).arg(program);
        return Ok(emulator);
    }
    let jamlet = std::env::current_exe()?.with_file_name("jamlet");
    ensure!(jamlet.exists(), "{}: not there; cargo test --workspace builds it", jamlet.display());
    Ok(Command::new(jamlet))
}

/// What a conversation prints: a line of JSON each turn.
fn talk(jamlet: &mut Command, image: &Path, lines: &str, options: &[&Path]) -> Result<Vec<Value>> {
    let input = tempfile::NamedTempFile::new()?;
    fs::write(input.path(), lines)?;
    jamlet.arg("chat").arg(image).args(["-n", "24", "--threads", "1", "--json"]).args(options);
    let run = run_on(File::open(input.path())?.into(), jamlet, LIMIT)?;
    ensure!(run.status.is_some_and(|status| status.success()), "{:?}: {}", jamlet.get_program(), run.stderr);
    let answers = run.stdout.lines().map(|line| Ok(serde_json::from_str(line)?));
    answers.collect::<Result<Vec<Value>>>().with_context(|| run.stdout.clone())
}

/// The tiny model with a chat template.
fn chat_image() -> Result<Vec<u8>> {
    let plain = Aligned::copy(&random_text_model::image()?);
    let plain = Image::parse(plain.bytes()).map_err(anyhow::Error::msg)?;
    let provenance = json!({ "chat": { "template": TEMPLATE } }).to_string();
    let mut image = Vec::new();
    rewrite(&plain, plain.header().features, &[(Role::Provenance, provenance.as_bytes())], &mut image)?;
    Ok(image)
}
