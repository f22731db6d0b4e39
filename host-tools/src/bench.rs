//! How fast a model runs here, beside how fast this machine reads memory.

use crate::cores::{heads_at_once, on_threads};
use crate::memory;
use crate::workspace::HostWorkspace;
use anyhow::{Context, Result};
use jamlet::kernels::Kernels;
use jamlet::model::Header;
use jamlet::{Model, Options, Sampler};
use serde::Serialize;
use std::ops::Range;
use std::time::Instant;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Sizes of prefill's chunks.
    pub chunks: Vec<u32>,
    /// Tokens that were read before decoding begins.
    pub depths: Vec<usize>,
    /// Tokens that are read, in a prefill.
    pub prompt: usize,
    /// Tokens that are decoded.
    pub tokens: usize,
    /// Times that everything is done; the fastest counts, since whatever else runs only makes it slower.
    pub repeat: usize,
    /// What the session remembers.
    pub options: Options,
}

impl Plan {
    /// Tokens that are read and decoded in all.
    pub fn tokens(&self) -> usize {
        let decodes: usize = self.depths.iter().map(|depth| depth.max(&1) + self.tokens).sum();
        self.repeat.max(1) * self.threads.len() * (self.chunks.len() * self.prompt + decodes)
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The instruction set.
    pub kernels: &'static str,
    /// Bytes of the image.
    pub image_bytes: usize,
    /// Bytes of weights that a decoded token reads.
    pub weight_bytes_per_token: u64,
    /// Bytes of the workspace, with the last chunk size.
    pub workspace_bytes: usize,
    /// The most memory that this process had, in bytes, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Reading memory.
    pub reads: Vec<Read>,
    /// Prefills.
    pub prefills: Vec<Prefill>,
    /// Decodes.
    pub decodes: Vec<Decode>,
}

/// How fast memory is read.
#[derive(Debug, Serialize)]
pub struct Read {
    /// Threads that read, each its part.
    pub threads: usize,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// How fast a prompt is read.
#[derive(Debug, Serialize)]
pub struct Prefill {
    /// Threads.
    pub threads: usize,
    /// Chunk size.
    pub chunk: u32,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Tokens a second.
    pub tokens_per_second: f64,
}

/// How fast tokens follow.
#[derive(Debug, Serialize)]
pub struct Decode {
    /// Threads.
    pub threads: usize,
    /// Tokens read before.
    pub depth: usize,
    /// Of them [`PIECE`] at the beginning, in the middle and at the end, with the largest chunk.
    pub reading: Vec<Piece>,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Bytes of weights a second.
    pub weight_bytes_per_second: f64,
    /// The same as a share of the read bandwidth of as many threads.
    pub share_of_read_bandwidth: f64,
}

/// How fast some of the tokens before decoding were read.
#[derive(Debug, Serialize)]
pub struct Piece {
    /// Tokens before these.
    pub begin: usize,
    /// Tokens a second.
    pub tokens_per_second: f64,
}

/// Tokens that are read in one piece.
pub const PIECE: usize = 1000;

/// Measures everything, `repeat` times in turns. `done` gets how many tokens more there are, between what is measured; all together
/// are [`Plan::tokens`].
///
/// # Errors
/// When the model can't run with these options.
pub fn measure(model: &Model<'_>, plan: &Plan, done: impl Fn(usize)) -> Result<Report> {
    let kernels = Kernels::detect();
    let mut report = Report {
        kernels: kernels.name(),
        image_bytes: model.image().bytes().len(),
        weight_bytes_per_token: weight_bytes(model),
        workspace_bytes: 0,
        peak_rss_bytes: None,
        reads: Vec::new(),
        prefills: Vec::new(),
        decodes: Vec::new(),
    };
    for &threads in &plan.threads {
        report.reads.push(Read { threads, bytes_per_second: 0.0 });
        for &chunk in &plan.chunks {
            report.prefills.push(Prefill { threads, chunk, tokens: plan.prompt, tokens_per_second: 0.0 });
        }
        for &depth in &plan.depths {
            report.decodes.push(Decode {
                threads,
                depth,
                reading: pieces(depth).map(|begin| Piece { begin, tokens_per_second: 0.0 }).collect(),
                tokens_per_second: 0.0,
                weight_bytes_per_second: 0.0,
                share_of_read_bandwidth: 0.0,
            });
        }
    }
    let widest = plan.chunks.iter().copied().max().unwrap_or(8);
    for _ in 0..plan.repeat.max(1) {
        for prefill in &mut report.prefills {
            let mut workspace = HostWorkspace::new(
                model,
                plan.options.chunk(prefill.chunk).heads_at_once(heads_at_once(prefill.threads)),
            )?;
            let rate = on_threads(prefill.threads, kernels, |kernels| {
                let mut session = workspace.session_on(model, kernels)?;
                let start = Instant::now();
                session.feed(&prompt(model.header(), 0..plan.prompt))?;
                anyhow::Ok(plan.prompt as f64 / start.elapsed().as_secs_f64())
            })?;
            prefill.tokens_per_second = prefill.tokens_per_second.max(rate);
            done(plan.prompt);
        }
        for decode in &mut report.decodes {
            let mut workspace =
                HostWorkspace::new(model, plan.options.chunk(widest).heads_at_once(heads_at_once(decode.threads)))?;
            let rate = on_threads(decode.threads, kernels, |kernels| {
                let mut session = workspace.session_on(model, kernels)?;
                for begin in (0..decode.depth.max(1)).step_by(PIECE) {
                    let tokens = prompt(model.header(), begin..decode.depth.max(1).min(begin + PIECE));
                    let start = Instant::now();
                    session.feed(&tokens)?;
                    let rate = tokens.len() as f64 / start.elapsed().as_secs_f64();
                    if let Some(piece) = decode.reading.iter_mut().find(|piece| piece.begin == begin) {
                        piece.tokens_per_second = piece.tokens_per_second.max(rate);
                    }
                    done(tokens.len());
                }
                let mut sampler = Sampler::greedy();
                session.next(&mut sampler)?;
                let start = Instant::now();
                for _ in 0..plan.tokens {
                    session.next(&mut sampler)?;
                }
                anyhow::Ok(plan.tokens as f64 / start.elapsed().as_secs_f64())
            })?;
            decode.tokens_per_second = decode.tokens_per_second.max(rate);
            done(plan.tokens);
        }
    }
    report.workspace_bytes = jamlet::Plan::new(model.image().bytes(), plan.options.chunk(widest))?.bytes();
    report.peak_rss_bytes = memory::peak();
    // Last, because its buffer is none of the model's memory.
    let buffer = read_buffer()?;
    let buffer: &[u64] = bytemuck::cast_slice(&buffer);
    for read in &mut report.reads {
        read.bytes_per_second =
            (0..5 * plan.repeat.max(1)).map(|_| read_bandwidth(buffer, read.threads)).fold(0.0, f64::max);
    }
    for decode in &mut report.decodes {
        decode.weight_bytes_per_second = decode.tokens_per_second * report.weight_bytes_per_token as f64;
        let read = report
            .reads
            .iter()
            .find(|read| read.threads == decode.threads)
            .context("every count of threads is read with")?;
        decode.share_of_read_bandwidth = decode.weight_bytes_per_second / read.bytes_per_second;
    }
    Ok(report)
}

/// More than any cache holds.
const READ_BYTES: usize = 256 << 20;

/// What is read: in large pages where the system has them, since that is fastest.
fn read_buffer() -> Result<memmap2::MmapMut> {
    let mut buffer = memmap2::MmapMut::map_anon(READ_BYTES)?;
    #[cfg(target_os = "linux")]
    let _ = buffer.advise(memmap2::Advice::HugePage);
    buffer.fill(1);
    Ok(buffer)
}

/// Bytes a second at which the buffer is read by `threads`.
fn read_bandwidth(buffer: &[u64], threads: usize) -> f64 {
    let part = buffer.len().div_ceil(threads.max(1));
    let start = Instant::now();
    let sum: u64 = std::thread::scope(|scope| {
        let readers: Vec<_> = buffer.chunks(part).map(|part| scope.spawn(move || read(part))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or(0)).sum()
    });
    std::hint::black_box(sum);
    size_of_val(buffer) as f64 / start.elapsed().as_secs_f64()
}

/// Reads in a few streams, so that no addition waits for the one before.
fn read(part: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    for block in part.as_chunks::<32>().0 {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// Any tokens do; these go through the vocabulary in no order.
fn prompt(header: &Header, tokens: Range<usize>) -> Vec<u32> {
    tokens.map(|i| (i as u64 * 7919 % u64::from(header.vocab)) as u32).collect()
}

/// Where the pieces begin whose speed counts, of those that are whole: the first, the middle and the last one.
fn pieces(depth: usize) -> impl Iterator<Item = usize> {
    let count = depth / PIECE;
    let [first, middle, last] = [0, count / 2, count.saturating_sub(1)];
    [(first, count > 0), (middle, count > 2), (last, count > 1)]
        .into_iter()
        .filter_map(|(index, counts)| counts.then_some(index * PIECE))
}

/// Bytes of matrices that one token reads: of an embedding that isn't the head next to nothing, of the experts those that
/// are chosen.
fn weight_bytes(model: &Model<'_>) -> u64 {
    use jamlet::matrix::QMatrix;
    use jamlet::model::{FfnWeights, MixerWeights, MlpWeights, SsmWeights};
    let bytes = |matrices: &[QMatrix<'_>]| matrices.iter().map(|w| w.bytes().len() as u64).sum::<u64>();
    let mlp = |w: &MlpWeights<'_>| bytes(&[w.gate, w.up, w.down]);
    let layers = model.layers().map(|layer| {
        let mixer = match &layer.mixer {
            MixerWeights::Mamba(w) => {
                let block = bytes(&[w.in_x, w.in_z, w.out]);
                match &w.ssm {
                    SsmWeights::Selective(s) => block + bytes(&[s.x_proj, s.dt_proj]),
                    SsmWeights::Constant(s) => block + 4 * (s.decay.len() + s.b.len() + s.c.len()) as u64,
                }
            }
            MixerWeights::Mamba2(w) => bytes(&[w.in_x, w.in_z, w.in_bc, w.in_dt, w.out]),
            MixerWeights::Attention(w) => bytes(&[w.q, w.k, w.v, w.o]),
        };
        let ffn = match &layer.ffn {
            FfnWeights::None => 0,
            FfnWeights::Mlp { mlp: w, .. } => mlp(w),
            FfnWeights::Moe { moe, .. } => {
                moe.experts.shared().as_ref().map_or(0, mlp)
                    + u64::from(model.header().top_k) * mlp(&moe.experts.get(0))
            }
        };
        mixer + ffn
    });
    layers.sum::<u64>() + bytes(&[model.head()])
}

#[cfg(test)]
mod tests {
    use super::{Plan, measure, pieces};
    use crate::image_file::ImageFile;
    use jamlet::Options;
    use std::cell::Cell;
    use std::path::Path;

    #[test]
    fn all_tokens_are_told() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/nano.jamlet");
        let file = ImageFile::open(Some(&path)).expect("nano");
        let plan = Plan {
            threads: vec![1, 2],
            chunks: vec![1, 8],
            depths: vec![0, 1001],
            prompt: 5,
            tokens: 3,
            repeat: 1,
            options: Options::window(16),
        };
        let told = Cell::new(0);
        measure(&file.model().expect("a model"), &plan, |tokens| told.set(told.get() + tokens)).expect("figures");
        assert_eq!(told.get(), plan.tokens());
    }

    #[test]
    fn pieces_are_whole_and_each_counts_once() {
        let begins = |depth| pieces(depth).collect::<Vec<_>>();
        assert!(begins(999).is_empty());
        assert_eq!(begins(1000), [0]);
        assert_eq!(begins(2999), [0, 1000]);
        assert_eq!(begins(3000), [0, 1000, 2000]);
        assert_eq!(begins(200_500), [0, 100_000, 199_000]);
    }
}
