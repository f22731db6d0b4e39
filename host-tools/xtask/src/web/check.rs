//! Tests of the module and of the page: in Node, and in headless Chromium.

use super::build::{self, Folders};
use super::module::{self, Flavor};
use crate::boards::conversation;
use crate::boards::emulated::named;
use crate::checks::conformance;
use crate::models::random_text_model;
use crate::setup;
use anyhow::{Context, Result, ensure};
use jamlet::Options;
use jamlet::beams::MAX_SUMMARY;
use jamlet_boards::{BEAMS, WINDOW};
use jamlet_tools::firmware::build::{models_folder, targets_folder};
use jamlet_tools::process::{self, output};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a script may take: many times what it takes on a machine that does nothing else.
const LIMIT: Duration = Duration::from_secs(600);
/// The board that the page talks to, and its model.
const BOARD: &str = "qemu-m4";
const BOARD_MODEL: &str = "nano";
/// Rounds of the comparison of both builds.
const ROUNDS: &str = "15";

/// What `tests/page.js` is to do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task<'a> {
    /// The folder with the page.
    page: PathBuf,
    /// A folder with the tests' module and the cases.
    checks: &'a Path,
    cases: Vec<Case>,
    chromium: PathBuf,
    text: &'a str,
    /// Its lines.
    summary: Vec<String>,
    image_bytes: u64,
    /// Another image, and its summary of the same text.
    other: PathBuf,
    other_summary: Vec<String>,
    /// The command that starts the board.
    board: Vec<String>,
    board_summary: Vec<String>,
    screenshots: Option<&'a Path>,
}

/// A case of the conformance suite.
#[derive(Serialize)]
struct Case {
    name: String,
    /// What its report must have.
    golden: String,
}

/// Builds and tests everything.
///
/// # Errors
/// What a test found; what is missing on this machine.
pub fn check() -> Result<()> {
    all(&build::build(&module::folder())?, None)
}

/// Tests the kernels and the page.
///
/// # Errors
/// As [`check`].
pub fn all(folders: &Folders, screenshots: Option<&Path>) -> Result<()> {
    ensure!(setup::has("node"), setup::NO_NODE);
    for flavor in Flavor::ALL {
        let module = module::build("wasm-checks", flavor)?;
        let names = output(node("node.js").arg(&module))?;
        println!("{}: {}", flavor.name(), names.trim().replace('\n', ", "));
    }
    page(folders, screenshots)
}

/// A script of the tests, in Node.
fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(tests().join(script));
    node
}

fn tests() -> PathBuf {
    targets_folder().join("web/tests")
}

/// Runs a case of the conformance suite in Node.
///
/// # Errors
/// When Node can't be started.
pub fn run_case(module: &Path, case: &Path, limit: Duration) -> Result<process::Run> {
    process::run(node("node.js").arg(module).arg(case), limit).context(setup::NO_NODE)
}

/// Prints how fast both builds are.
///
/// # Errors
/// When Node can't run them.
pub fn measure(folders: &Folders) -> Result<()> {
    let text = targets_folder().join("../tests/texts/tidewatch.txt");
    print!("{}", output(node("speed.js").arg(folders.page.canonicalize()?).arg(text).arg(ROUNDS))?);
    Ok(())
}

/// Tests the page.
fn page(folders: &Folders, screenshots: Option<&Path>) -> Result<()> {
    let chromium = setup::browser()?;
    let mut npm = Command::new("npm");
    npm.current_dir(tests()).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    output(&mut npm).context("npm fetches what the page is tested with")?;

    let scratch = tempfile::tempdir()?;
    let checks = scratch.path();
    fs::write(checks.join("blank.html"), "<!doctype html><title>Checks</title><link rel=icon href=data:,>")?;
    fs::copy(tests().join("checks.js"), checks.join("checks.js"))?;
    for flavor in Flavor::ALL {
        let module = module::build("wasm-checks", flavor)?;
        fs::copy(module, checks.join(flavor.name()).with_extension("wasm"))?;
    }
    let mut cases = Vec::new();
    for case in conformance::cases()? {
        fs::write(checks.join(&case.name).with_extension("case"), &case.blob)?;
        cases.push(Case { name: case.name, golden: case.golden });
    }

    let text = fs::read_to_string(targets_folder().join("../tests/texts/tidewatch.txt"))?;
    let models = models_folder().canonicalize()?;
    let (image, other) = (models.join(build::MODEL), models.join(BOARD_MODEL).with_extension("jamlet"));
    let (image, other_image) = (crate::models::read(&image)?, crate::models::read(&other)?);
    let board = named(BOARD)?;
    let program = board.build(board.folder, Some(&other))?;
    let serial = board.serial(&program, &other);
    let words = std::iter::once(serial.get_program()).chain(serial.get_args());
    let task = Task {
        page: folders.page.canonicalize()?,
        checks,
        cases,
        chromium,
        summary: summary(&image, Options::window(WINDOW).beams(BEAMS), &text)?,
        image_bytes: image.len() as u64,
        other_summary: summary(&other_image, Options::window(WINDOW).beams(BEAMS), &text)?,
        other,
        board: words.map(|word| word.display().to_string()).collect(),
        board_summary: summary(&other_image, conversation::options(board), &text)?,
        text: &text,
        screenshots,
    };
    let file = checks.join("task.json");
    fs::write(&file, serde_json::to_string(&task)?)?;
    let run = process::run(node("page.js").arg(&file), LIMIT)?;
    print!("{}", run.stdout);
    ensure!(run.status.is_some_and(|status| status.success()), "the page in Chromium: {}{}", run.stdout, run.stderr);
    Ok(())
}

/// The lines of this machine's summary.
fn summary(image: &[u8], options: Options, text: &str) -> Result<Vec<String>> {
    let (_, _, summary) = random_text_model::answer(image, options, text.as_bytes(), MAX_SUMMARY as u64)?;
    Ok(summary.trim().split('\n').map(String::from).collect())
}
