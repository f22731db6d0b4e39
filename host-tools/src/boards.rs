//! Whether a model fits a board.

pub use jamlet_boards::{BOARDS, Board};

use jamlet::Options;
use serde::Serialize;

/// What a board's firmware is built with unless told otherwise.
pub fn options(board: &Board) -> Options {
    Options::window(board.window).beams(board.beams).chunk(board.chunk).heads_at_once(board.cores)
}

/// What is left on a board, in bytes; negative where it doesn't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Left in flash, where there is a limit.
    pub flash_left: Option<i64>,
    /// Left in RAM.
    pub ram_left: i64,
    /// Whether both suffice.
    pub fits: bool,
}

/// How an image of `image` bytes with a workspace of `workspace` bytes lies on a board.
pub fn fit(board: &Board, image: u64, workspace: u64) -> Fit {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let flash_left = board.flash().map(|flash| signed(flash) - signed(image) - signed(board.code));
    let in_ram = if board.flash().is_none() { image } else { 0 };
    let ram_left = signed(board.ram_beside_stack()) - signed(board.statics) - signed(in_ram) - signed(workspace);
    Fit { flash_left, ram_left, fits: flash_left.is_none_or(|left| left >= 0) && ram_left >= 0 }
}

/// The largest image that fits a board beside a workspace of `workspace` bytes; `None` where the workspace alone doesn't fit.
pub fn room(board: &Board, workspace: u64) -> Option<u64> {
    let Fit { flash_left, ram_left, fits } = fit(board, 0, workspace);
    u64::try_from(flash_left.unwrap_or(ram_left)).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jamlet::Plan;
    use std::path::Path;

    fn named(name: &str) -> &'static Board {
        Board::named(name).unwrap()
    }

    #[test]
    fn a_byte_too_many_does_not_fit() {
        let pico2 = named("pico2");
        let flash = (4 << 20) - pico2.code;
        let ram = (504 << 10) - pico2.statics;
        assert!(fit(pico2, flash, ram).fits);
        assert_eq!(fit(pico2, flash + 1, ram).flash_left, Some(-1));
        assert!(!fit(pico2, flash + 1, ram).fits);
        assert!(!fit(pico2, flash, ram + 1).fits);
    }

    #[test]
    fn what_fills_the_room_fits_and_a_byte_more_does_not() {
        for board in &BOARDS {
            let room = room(board, 4096).unwrap();
            assert!(fit(board, room, 4096).fits && !fit(board, room + 1, 4096).fits, "{}", board.name);
        }
        assert_eq!(room(named("stm32f405"), 1 << 20), None);
    }

    #[test]
    fn where_the_image_is_a_file_it_takes_ram() {
        let pi = named("pi-zero-2w");
        assert!(fit(pi, 40 << 20, 10 << 20).fits);
        assert!(!fit(pi, 448 << 20, 10 << 20).fits);
    }

    #[test]
    fn the_default_is_one() {
        assert_eq!(Options::default(), Options::window(jamlet_boards::WINDOW));
        assert_eq!(jamlet::beams::DEFAULT_BEAMS, jamlet_boards::BEAMS);
    }

    #[test]
    fn every_board_fits_its_own_model() {
        for board in &BOARDS {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(board.image).with_extension("jamlet");
            let image = std::fs::read(path).unwrap();
            let plan = Plan::new(&image, options(board)).unwrap();
            let fit = fit(board, image.len() as u64, plan.bytes() as u64);
            assert!(fit.fits, "{}: {fit:?}", board.name);
        }
    }
}
