//! How long a board takes: an estimate from counts, for boards that nobody measured yet.
//!
//! ```text
//! seconds a token = multiply-accumulates × instructions each × cycles an instruction ÷ clock
//!                 + bytes of weights ÷ bytes/s of the flash or RAM that they lie in
//! ```
//!
//! * *Multiply-accumulates* and *bytes* are those of the image's matrices, of a mixture's experts as many as a token uses.
//!   Prefill has no head, and reads the weights once a chunk of 8 tokens; a summary's beams read them together.
//! * *Instructions each* is what a whole token took, everything else that it computes included, divided by its
//!   multiply-accumulates: counted in QEMU, see [`Counted`]. Of a matrix with 4 bits a weight they are as many times more or fewer as
//!   a token of all such matrices takes.
//! * *Cycles an instruction* is what llvm-mca says of the kernels' inner loops on that core, see [`Counted`].
//! * *Clock* and *bytes/s* are the board's in `targets/support/boards`: the bandwidth is a data sheet's bound.
//!
//! One core computes in this estimate, and computing and reading take turns. A second core, and caches that fetch ahead, make a board
//! faster; waiting for RAM, which is not in it, slower. Nothing of this was measured on hardware.

use jamlet::image::{NONE_U16, Role, features};
use jamlet::matrix::Bits;
use jamlet::{Model, Options};
use jamlet_boards::{Board, Core};
use serde::Serialize;

/// Tokens of the text in [`Estimate::text_seconds`].
pub const TEXT: u32 = 100;
/// Tokens of its summary.
pub const SUMMARY: u32 = 20;

/// What was counted on a core.
struct Counted {
    /// Instructions a token of prefill in chunks of 8, and its multiply-accumulates.
    prefill: [f64; 2],
    /// Instructions of a decoded token, and its multiply-accumulates.
    decode: [f64; 2],
    /// Instructions with 4 bits a weight over those with 8: of a token of prefill, and of a decoded one.
    nibbles: [f64; 2],
    /// Cycles and instructions of one pass through the inner loop of the matrix product.
    cycles: [f64; 2],
}

/// Of `pico` at 3.3M parameters, by `cargo xtask sizes`; on aarch64 of the random model `S`, by
/// `cargo xtask conformance linux-a53 linux-a76 --image S.jamlet`. Cycles by `cargo xtask bench`, and so the ratios, of `S` in 4 bits.
fn counted(core: Core) -> Counted {
    const PICO: [f64; 2] = [2_618_880.0, 3_274_240.0];
    const S: [f64; 2] = [6_094_848.0, 7_143_424.0];
    let of = |[prefill, decode]: [f64; 2], macs: [f64; 2], cycles, nibbles| Counted {
        prefill: [prefill, macs[0]],
        decode: [decode, macs[1]],
        nibbles,
        cycles,
    };
    let (dsp_nibbles, neon_nibbles, sdot_nibbles) = ([1.06, 1.16], [0.95, 0.89], [1.05, 0.97]);
    // The product's inner loops: `eight_rows` of dsp, `one_token` of neon, and of that with SDOT (on a Neoverse N1, a Cortex-A76's twin).
    let cortex_m4 = [267.0, 235.0];
    let dsp = [3_438_499.0, 4_682_344.0];
    let neon = [2_400_000.0, 3_170_000.0];
    match core {
        Core::CortexM4 => of(dsp, PICO, cortex_m4, dsp_nibbles),
        Core::CortexM7 => of(dsp, PICO, [204.0, 235.0], dsp_nibbles),
        Core::CortexM33 => of([3_436_304.0, 4_678_887.0], PICO, cortex_m4, dsp_nibbles),
        Core::CortexA53 => of(neon, S, [641.0, 351.0], neon_nibbles),
        Core::CortexA72 => of(neon, S, [198.0, 351.0], neon_nibbles),
        Core::CortexA76 => of([1_450_000.0, 2_210_000.0], S, [111.0, 216.0], sdot_nibbles),
    }
}

/// What a token of a model takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Multiply-accumulates of the layers' matrices with 8 and with 4 bits a weight.
    layers: [f64; 2],
    /// Of the head, likewise.
    head: [f64; 2],
    /// Bytes of the layers' matrices.
    layers_bytes: f64,
    /// Bytes of the head.
    head_bytes: f64,
}

impl Work {
    /// Of a token of this model.
    pub fn of(model: &Model<'_>) -> Self {
        let header = model.header();
        let mut work = Self { layers: [0.0; 2], head: [0.0; 2], layers_bytes: 0.0, head_bytes: 0.0 };
        let share = f64::from(header.top_k) / f64::from(header.experts.max(1));
        for (spec, section) in model.image().sections() {
            let (Some(bits), Some((rows, cols))) = (spec.encoding.bits(), spec.shape) else { continue };
            let share = if spec.expert == NONE_U16 { 1.0 } else { share };
            let (macs, bytes) = (share * f64::from(rows) * f64::from(cols), share * section.bytes.len() as f64);
            let macs = if bits == Bits::Four { [0.0, macs] } else { [macs, 0.0] };
            match spec.role {
                // Where it isn't tied to the head, a token needs one row of it.
                Role::Embedding if !header.has(features::TIED) => {}
                Role::Embedding | Role::Head => (work.head, work.head_bytes) = (macs, bytes),
                _ => {
                    work.layers = [work.layers[0] + macs[0], work.layers[1] + macs[1]];
                    work.layers_bytes += bytes;
                }
            }
        }
        work
    }

    /// Instructions of a token of prefill, and of a decoded one.
    pub fn instructions(&self, core: Core) -> [f64; 2] {
        let Counted { prefill, decode, nibbles, .. } = counted(core);
        let weighed = |[eight, four]: [f64; 2], nibbles: f64| eight + nibbles * four;
        let layers = weighed(self.layers, nibbles[0]);
        let all = weighed(self.layers, nibbles[1]) + weighed(self.head, nibbles[1]);
        [layers * prefill[0] / prefill[1], all * decode[0] / decode[1]]
    }

    /// How fast a board is under these options.
    pub fn on(&self, board: &Board, options: Options) -> Estimate {
        let cycles = counted(board.core).cycles;
        let computing = |instructions: f64| instructions * cycles[0] / cycles[1] / f64::from(board.clock);
        let reading = |bytes: f64| bytes / board.bandwidth as f64;
        let [prefill, decode] = self.instructions(board.core);
        let prefill = computing(prefill) + reading(self.layers_bytes) / f64::from(options.chunk.clamp(1, 8));
        // A token of every beam.
        let step = computing(decode) * f64::from(options.beams) + reading(self.layers_bytes + self.head_bytes);
        Estimate {
            read_per_second: 1.0 / prefill,
            written_per_second: 1.0 / step,
            text_seconds: f64::from(TEXT) * prefill + f64::from(SUMMARY) * step,
        }
    }
}

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Tokens/s that are read.
    pub read_per_second: f64,
    /// Tokens/s of a summary, with all its beams.
    pub written_per_second: f64,
    /// Seconds for a text of [`TEXT`] tokens and its summary of [`SUMMARY`].
    pub text_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_change_instructions_and_halve_what_is_read() {
        let eight = Work { layers: [1e6, 0.0], head: [5e5, 0.0], layers_bytes: 1.1e6, head_bytes: 5.5e5 };
        let four = Work { layers: [0.0, 1e6], head: [0.0, 5e5], layers_bytes: 5.6e5, head_bytes: 2.8e5 };
        let ratios = |core| {
            let (four, eight) = (four.instructions(core), eight.instructions(core));
            [four[0] / eight[0], four[1] / eight[1]]
        };
        for (core, right) in [(Core::CortexM4, [1.06, 1.16]), (Core::CortexA53, [0.95, 0.89])] {
            let found = ratios(core);
            assert!(found.iter().zip(right).all(|(found, right)| (found - right).abs() < 1e-9), "{found:?}");
        }
        // One that waits for its flash is faster.
        let board = jamlet_boards::BOARDS.iter().find(|board| board.name == "pico2").expect("a Pico 2");
        let options = Options::default();
        assert!(four.on(board, options).written_per_second > 1.2 * eight.on(board, options).written_per_second);
    }
}
