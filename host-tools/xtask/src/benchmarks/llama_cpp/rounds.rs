//! Measures both in turns.

use super::build::LlamaCpp;
use super::models::Pair;
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

/// Medians of one measurement, in tokens a second.
#[derive(Debug, Serialize)]
pub struct Row {
    pub size: Size,
    pub threads: usize,
    /// What was measured.
    pub what: String,
    pub llama_cpp_fa_off: f64,
    pub llama_cpp_fa_on: f64,
    pub jamlet: f64,
    /// jamlet over the better of llama.cpp's.
    pub ratio: f64,
    /// Bytes of weights a second over bytes that are read a second, in jamlet's decode.
    pub share_of_read_bandwidth: Option<f64>,
}

/// What is measured together.
struct Test {
    size: Size,
    threads: usize,
    what: String,
    /// Of the rounds: llama.cpp without and with flash attention, jamlet, share of the bandwidth.
    results: [Vec<f64>; 4],
}

/// Measures everything `rounds` times.
///
/// # Errors
/// When a program fails.
pub fn measure(
    pairs: &[Pair],
    jamlet: &Path,
    llama: &LlamaCpp,
    rounds: usize,
    threads: &[usize],
    depths: &[usize],
) -> Result<Vec<Row>> {
    let mut tests: Vec<Test> = Vec::new();
    let mut add = |size: Size, threads: usize, what: String, column: usize, value: f64| {
        let known = tests.iter().position(|test| test.size == size && test.threads == threads && test.what == what);
        let at = known.unwrap_or_else(|| {
            tests.push(Test { size, threads, what, results: Default::default() });
            tests.len() - 1
        });
        tests[at].results[column].push(value);
    };
    for round in 0..rounds.max(1) {
        for pair in pairs {
            let depths = if pair.size == Size::S { depths } else { &[0] };
            for &threads in threads {
                eprintln!("round {} of {rounds}: {:?}, {threads} thread(s)", round + 1, pair.size);
                let mut add = |what: String, column, value| add(pair.size, threads, what, column, value);
                // Whoever is second profits from warm files, or suffers from a warm processor.
                for turn in [round, round + 1] {
                    match turn % 2 {
                        0 => theirs(pair, llama, threads, depths, &mut add)?,
                        _ => ours(pair, jamlet, threads, depths, &mut add)?,
                    }
                }
            }
        }
    }
    Ok(tests.into_iter().map(row).collect())
}

fn row(test: Test) -> Row {
    let [off, on, jamlet, share] = test.results.map(median);
    let ratio = jamlet / off.max(on);
    Row {
        size: test.size,
        threads: test.threads,
        what: test.what,
        llama_cpp_fa_off: off,
        llama_cpp_fa_on: on,
        jamlet,
        ratio,
        share_of_read_bandwidth: share.is_finite().then_some(share),
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

/// Where a measurement goes: what, which column, tokens a second.
type Add<'a> = dyn FnMut(String, usize, f64) + 'a;

fn theirs(pair: &Pair, llama: &LlamaCpp, threads: usize, depths: &[usize], add: &mut Add<'_>) -> Result<()> {
    for &depth in depths {
        let prompt = if depth == 0 { PROMPT } else { 0 };
        let mut bench = Command::new(&llama.bench);
        let results = json(bench.args(llama_arguments(&pair.gguf, threads, &["0", "1"], prompt, DECODE, depth)))?;
        for result in results.as_array().context("llama-bench prints a list")? {
            let number = |name: &str| result[name].as_f64().with_context(|| format!("llama-bench's {name}"));
            let what = if number("n_gen")? > 0.0 { decode(depth, usize::MAX) } else { format!("prefill {PROMPT}") };
            // 0 and 1, or false and true, or their names.
            let on = matches!(&result["flash_attn"], Value::Bool(true))
                || result["flash_attn"].as_i64() == Some(1)
                || result["flash_attn"] == "on";
            // Attention with a bounded window is beside theirs, which sees all.
            if depth > 0 {
                add(decode(depth, WINDOW), usize::from(on), number("avg_ts")?);
            }
            add(what, usize::from(on), number("avg_ts")?);
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

fn ours(pair: &Pair, jamlet: &Path, threads: usize, depths: &[usize], add: &mut Add<'_>) -> Result<()> {
    // A window that holds everything, as theirs does; and for long texts the bounded one.
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let all = deepest + PROMPT + DECODE;
    let bounded = deepest > WINDOW;
    for window in [Some(all), bounded.then_some(WINDOW)].into_iter().flatten() {
        let depths: Vec<_> = depths.iter().filter(|&&depth| window == all || depth > 0).map(usize::to_string).collect();
        let mut bench = Command::new(jamlet);
        bench.arg("bench").arg(&pair.image).args(["--json", "--repeat", "1", "--depths", &depths.join(",")]);
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
                add(format!("prefill {PROMPT}"), 2, number(&prefill, "tokens_per_second")?);
            }
        }
        for result in list("decodes")? {
            let depth = number(&result, "depth")? as usize;
            add(decode(depth, window), 2, number(&result, "tokens_per_second")?);
            if depth == 0 {
                add(decode(depth, window), 3, number(&result, "share_of_read_bandwidth")?);
            }
        }
    }
    Ok(())
}

fn json(command: &mut Command) -> Result<Value> {
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{}: {text}", command.get_program().display()))
}
