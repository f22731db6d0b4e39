//! The table of boards in `targets/README.md`, and their speed.

use anyhow::Result;
use jamlet::Plan;
use jamlet_boards::{BOARDS, Board, Flashing};
use jamlet_tools::boards::options;
use jamlet_tools::estimate::{SUMMARY, TEXT, Work};
use jamlet_tools::firmware::build::models_folder;
use jamlet_tools::image_file::ImageFile;

/// The table in Markdown: what each board is, and what its own model takes of it.
///
/// # Errors
/// When a model can't be read.
pub fn markdown() -> Result<String> {
    let mut text = String::from(
        "| board | what it is | folder | flash | RAM | model, window, beams | serial port | flashed by | has run | text ≈ |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for board in &BOARDS {
        let file = ImageFile::open(Some(&models_folder().join(board.image).with_extension("jamlet")))?;
        let (model, options) = (file.model()?, options(board));
        Plan::new(file.bytes(), options)?;
        let estimate = Work::of(&model).on(board, options);
        let cores = if board.cores == 1 { String::new() } else { format!("{} × ", board.cores) };
        text += &format!(
            "| `{}` | {}, {cores}{} at {} MHz | {} | {} | {} | `{}`, {}, {} | {} | {} | {} | {} s |\n",
            board.name,
            board.description,
            board.core.name(),
            board.clock / 1_000_000,
            board.folder.map_or("–".into(), |folder| format!("[`{folder}`]({folder})")),
            board.flash().map_or("card".into(), size),
            size(board.ram()),
            board.image,
            board.window,
            board.beams,
            if board.serial.is_empty() { "–" } else { board.serial },
            flashed_by(board),
            has_run(board),
            seconds(estimate.text_seconds)
        );
    }
    text += &format!(
        "\n*Text ≈* is the time for a text of {TEXT} tokens and its summary of {SUMMARY}, estimated from counted instructions \
         ([estimate.rs](../host-tools/src/estimate.rs) has the formula); nothing was timed on hardware.\n"
    );
    Ok(text)
}

fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn seconds(seconds: f64) -> String {
    let digits = (1 - seconds.log10().floor() as i32).max(0) as usize;
    format!("{seconds:.digits$}")
}

fn flashed_by(board: &Board) -> &'static str {
    match board.flashing {
        Flashing::Probe(_) => "probe-rs",
        Flashing::Uf2 => "UF2, picotool",
        Flashing::Card => "SD card",
        Flashing::Emulator => "QEMU alone",
        Flashing::Linux => "the `jamlet` command on Linux",
    }
}

fn has_run(board: &Board) -> String {
    match (board.emulator, board.flashing) {
        (Some(emulator), _) => format!("in emulation (QEMU {})", emulator.machine),
        (None, Flashing::Linux) => "the command, in emulation (qemu-aarch64)".into(),
        (None, Flashing::Card) => "never; the same program as `pi-3`".into(),
        (None, _) => "never; its layout is checked".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jamlet_tools::firmware::build::targets_folder;

    #[test]
    fn the_readme_has_it() {
        let readme = std::fs::read_to_string(targets_folder().join("README.md")).unwrap();
        let table = markdown().unwrap();
        assert!(readme.contains(&table), "`cargo xtask sizes --write` writes it:\n{table}");
    }
}
