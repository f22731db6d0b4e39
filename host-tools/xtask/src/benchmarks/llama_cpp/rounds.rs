//! Measures both in turns.

use super::build::LlamaCpp;
use super::models::{BITS, FORMATS, Files};
use crate::models::synthetic::Size;
use anyhow::{Context, Result};
use jamlet_tools::process::output;
use serde::Serialize;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Tokens of the prompt.
const PROMPT: usize = 512;
/// Tokens that are decoded.
const DECODE: usize = 32;
/// Tokens that jamlet reads together.
const CHUNK: usize = 128;
/// What attention sees of a long text by default.
const WINDOW: usize = 512;

/// Medians of one measurement, in tokens a second, and of ratios.
#[derive(Debug, Serialize)]
pub struct Row {
    pub model: String,
    pub threads: usize,
    /// What was measured.
    pub what: String,
    pub q8_0: Theirs,
    pub q4_0: Theirs,
    pub q4_k_m: Theirs,
    pub bits_8: f64,
    pub bits_4: f64,
    pub bits_8_over_q8_0: f64,
    pub bits_4_over_q4_0: f64,
    pub bits_4_over_q4_k_m: f64,
    pub bits_4_over_bits_8: f64,
    /// Bytes of weights a second over bytes that are read a second, in jamlet's decode.
    pub bits_8_share_of_read_bandwidth: Option<f64>,
    pub bits_4_share_of_read_bandwidth: Option<f64>,
}

/// llama.cpp without and with flash attention.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Theirs {
    pub fa_off: f64,
    pub fa_on: f64,
}

impl Theirs {
    /// The faster one.
    pub fn better(self) -> f64 {
        self.fa_off.max(self.fa_on)
    }
}

/// What a number of a round says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measured {
    /// llama.cpp's tokens a second: of which of [`FORMATS`], and with flash attention or without.
    Theirs(usize, bool),
    /// jamlet's tokens a second: of which of [`BITS`].
    Ours(usize),
    /// jamlet's share of the read bandwidth.
    Share(usize),
}

/// What is measured together.
struct Test {
    size: Size,
    threads: usize,
    what: String,
    /// Of each round.
    results: Vec<(Measured, f64)>,
}

/// Measures everything `rounds` times.
///
/// # Errors
/// When a program fails.
pub fn measure(
    models: &[Files],
    jamlet: &Path,
    llama: &LlamaCpp,
    rounds: usize,
    threads: &[usize],
    depths: &[usize],
) -> Result<Vec<Row>> {
    let mut tests: Vec<Test> = Vec::new();
    let mut add = |size: Size, threads: usize, what: String, measured: Measured, value: f64| {
        let known = tests.iter().position(|test| test.size == size && test.threads == threads && test.what == what);
        let at = known.unwrap_or_else(|| {
            tests.push(Test { size, threads, what, results: Vec::new() });
            tests.len() - 1
        });
        tests[at].results.push((measured, value));
    };
    for round in 0..rounds.max(1) {
        for files in models {
            let depths = if files.size == Size::S { depths } else { &[0] };
            for &threads in threads {
                eprintln!("round {} of {rounds}: {}, {threads} thread(s)", round + 1, files.size.name());
                let mut add = |what: String, measured, value| add(files.size, threads, what, measured, value);
                // The rows compare neighbours: 8 bits beside Q8_0, 4 bits beside Q4_0. Whoever is first profits from a cool
                // processor, or suffers from cold files, so each round begins with the next.
                const TURNS: usize = BITS.len() + FORMATS.len();
                for turn in 0..TURNS {
                    match (round + turn) % TURNS {
                        0 => theirs(files, 0, llama, threads, depths, &mut add)?,
                        1 => ours(files, 0, jamlet, threads, depths, &mut add)?,
                        2 => theirs(files, 1, llama, threads, depths, &mut add)?,
                        3 => ours(files, 1, jamlet, threads, depths, &mut add)?,
                        _ => theirs(files, 2, llama, threads, depths, &mut add)?,
                    }
                }
            }
        }
    }
    Ok(tests.into_iter().map(row).collect())
}

fn row(test: Test) -> Row {
    let of = |measured| {
        let values = test.results.iter().filter(|(what, _)| *what == measured).map(|(_, value)| *value);
        values.collect::<Vec<_>>()
    };
    let theirs = |format| Theirs {
        fa_off: median(of(Measured::Theirs(format, false))),
        fa_on: median(of(Measured::Theirs(format, true))),
    };
    let ours = |bits| of(Measured::Ours(bits));
    // What else the machine does changes within minutes: the two of one round are compared, and the median is that of the ratios.
    let ratio = |ours: Vec<f64>, others: Vec<f64>| {
        median(ours.into_iter().zip(others).map(|(ours, others)| ours / others).collect())
    };
    let over = |bits, format| {
        let both = theirs(format);
        ratio(ours(bits), of(Measured::Theirs(format, both.fa_on > both.fa_off)))
    };
    let share = |bits| Some(median(of(Measured::Share(bits)))).filter(|share| share.is_finite());
    Row {
        q8_0: theirs(0),
        q4_0: theirs(1),
        q4_k_m: theirs(2),
        bits_8: median(ours(0)),
        bits_4: median(ours(1)),
        bits_8_over_q8_0: over(0, 0),
        bits_4_over_q4_0: over(1, 1),
        bits_4_over_q4_k_m: over(1, 2),
        bits_4_over_bits_8: ratio(ours(1), ours(0)),
        bits_8_share_of_read_bandwidth: share(0),
        bits_4_share_of_read_bandwidth: share(1),
        model: test.size.name(),
        threads: test.threads,
        what: test.what,
    }
}

/// NaN of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len() / 2), values.len().checked_sub(1).and_then(|last| values.get(last / 2))) {
        (Some(upper), Some(lower)) => (upper + lower) / 2.0,
        _ => f64::NAN,
    }
}

fn decode(depth: usize, window: usize) -> String {
    match depth {
        0 => "decode".into(),
        _ if window > depth => format!("decode after {depth}"),
        _ => format!("decode after {depth}, window {window}"),
    }
}

/// Where a measurement goes: of what, what it says, the number.
type Add<'a> = dyn FnMut(String, Measured, f64) + 'a;

fn theirs(
    files: &Files,
    format: usize,
    llama: &LlamaCpp,
    threads: usize,
    depths: &[usize],
    add: &mut Add<'_>,
) -> Result<()> {
    for &depth in depths {
        let prompt = if depth == 0 { PROMPT } else { 0 };
        let mut bench = Command::new(&llama.bench);
        let gguf = &files.ggufs[format];
        let results = json(bench.args(llama_arguments(gguf, threads, &["0", "1"], prompt, DECODE, depth)))?;
        for result in results.as_array().context("llama-bench prints a list")? {
            let number = |name: &str| result[name].as_f64().with_context(|| format!("llama-bench's {name}"));
            let what = if number("n_gen")? > 0.0 { decode(depth, usize::MAX) } else { format!("prefill {PROMPT}") };
            // 0 and 1, or false and true, or their names.
            let on = matches!(&result["flash_attn"], Value::Bool(true))
                || result["flash_attn"].as_i64() == Some(1)
                || result["flash_attn"] == "on";
            let measured = Measured::Theirs(format, on);
            // Attention with a bounded window is beside theirs, which sees all.
            if depth > 0 {
                add(decode(depth, WINDOW), measured, number("avg_ts")?);
            }
            add(what, measured, number("avg_ts")?);
        }
    }
    Ok(())
}

/// What `llama-bench` is told; `attention` are its settings of flash attention.
pub fn llama_arguments(
    gguf: &Path,
    threads: usize,
    attention: &[&str],
    prompt: usize,
    tokens: usize,
    depth: usize,
) -> Vec<OsString> {
    let mut arguments = vec!["-m".into(), gguf.into(), "-fa".into(), attention.join(",").into()];
    for (name, value) in [("-t", threads), ("-p", prompt), ("-n", tokens), ("-d", depth), ("-r", 1)] {
        arguments.extend([name.into(), value.to_string().into()]);
    }
    arguments.extend(["-o".into(), "json".into()]);
    arguments
}

fn ours(files: &Files, bits: usize, jamlet: &Path, threads: usize, depths: &[usize], add: &mut Add<'_>) -> Result<()> {
    // A window that holds everything, as theirs does; and for long texts the bounded one.
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let all = deepest + PROMPT + DECODE;
    let bounded = deepest > WINDOW;
    for window in [Some(all), bounded.then_some(WINDOW)].into_iter().flatten() {
        let depths: Vec<_> = depths.iter().filter(|&&depth| window == all || depth > 0).map(usize::to_string).collect();
        let mut bench = Command::new(jamlet);
        bench.arg("bench").arg(&files.images[bits]).args(["--json", "--repeat", "1", "--depths", &depths.join(",")]);
        for (name, value) in
            [("threads", threads), ("chunks", CHUNK), ("prompt", PROMPT), ("tokens", DECODE), ("window", window)]
        {
            bench.arg(format!("--{name}")).arg(value.to_string());
        }
        let report = json(&mut bench)?;
        let list = |name: &str| report[name].as_array().with_context(|| format!("jamlet's {name}")).cloned();
        let number = |value: &Value, name: &str| value[name].as_f64().with_context(|| format!("jamlet's {name}"));
        if window == all {
            for prefill in list("prefills")? {
                add(format!("prefill {PROMPT}"), Measured::Ours(bits), number(&prefill, "tokens_per_second")?);
            }
        }
        for result in list("decodes")? {
            let depth = number(&result, "depth")? as usize;
            add(decode(depth, window), Measured::Ours(bits), number(&result, "tokens_per_second")?);
            if depth == 0 {
                add(decode(depth, window), Measured::Share(bits), number(&result, "share_of_read_bandwidth")?);
            }
        }
    }
    Ok(())
}

/// What a program prints.
fn json(command: &mut Command) -> Result<Value> {
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{}: {text}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_a_round_over_the_better_attention() {
        // The machine was busy in the second round.
        let rounds = [(100.0, 80.0, 300.0, 450.0), (10.0, 8.0, 40.0, 40.0), (100.0, 120.0, 500.0, 700.0)];
        let results = rounds.iter().flat_map(|&(off, on, eight, four)| {
            let formats = [0, 1, 2].into_iter().flat_map(move |format| {
                let slower = (format + 1) as f64;
                [(Measured::Theirs(format, false), off / slower), (Measured::Theirs(format, true), on / slower)]
            });
            formats.chain([(Measured::Ours(0), eight), (Measured::Ours(1), four), (Measured::Share(0), 0.5)])
        });
        let row = row(Test { size: Size::S, threads: 1, what: "decode".into(), results: results.collect() });
        assert_eq!((row.q8_0.fa_off, row.q8_0.fa_on, row.q8_0.better()), (100.0, 80.0, 100.0));
        assert_eq!((row.bits_8, row.bits_4), (300.0, 450.0));
        // Of 3, 4 and 5; of 9, 8 and 14; of 1.5, 1 and 1.4.
        assert_eq!((row.bits_8_over_q8_0, row.bits_4_over_q4_0, row.bits_4_over_bits_8), (4.0, 9.0, 1.4));
        assert_eq!((row.bits_8_share_of_read_bandwidth, row.bits_4_share_of_read_bandwidth), (Some(0.5), None));
    }
}
