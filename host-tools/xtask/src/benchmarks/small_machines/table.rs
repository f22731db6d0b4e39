//! What was measured, as tables.

use super::theirs::{FORMATS, Theirs};
use super::{At, Report, Row, mib};

/// Prints all.
pub fn print(report: &Report) {
    println!("Memory bounded by {}; attention window {}.\n", report.bound, report.window);
    header(&[
        "",
        "machine",
        "image",
        "packing: seconds",
        "peak",
        "of no file",
        "running: workspace",
        "peak after",
        "after",
    ]);
    for row in &report.rows {
        let packing = row.packing.as_ref().map(|p| [format!("{:.0}", p.seconds), mib(p.peak), mib(p.anonymous)]);
        let [seconds, peak, anonymous] = packing.unwrap_or_default();
        cells(&[
            named(row),
            row.machine.into(),
            mib(row.image),
            seconds,
            peak,
            anonymous,
            mib(row.workspace),
            after(&row.shallow),
            after(&row.deep),
        ]);
    }
    println!("\nTokens/s here; of reading, those from the token on.\n");
    header(&["", "reading", "decoding after", "after"]);
    for row in &report.rows {
        let reading = row.deep.reading.iter().map(|p| format!("from {}: {:.1}", p.begin, p.tokens_per_second));
        let decoding = |at: &At| format!("{}: {:.1}", at.depth, at.tokens_per_second);
        let reading = reading.collect::<Vec<_>>().join(", ");
        cells(&[named(row), reading, decoding(&row.shallow), decoding(&row.deep)]);
    }
    println!("\nBeside llama.cpp, whose peak is that of a token at the beginning of a context:\n");
    header(&[
        "",
        "machine",
        "jamlet: image",
        "peak after",
        "workspace",
        "workspace that holds the longest context",
        "llama.cpp: file",
        "context: peak, of no file, cache and state, compute buffers",
        "estimate of tokens/s at most",
    ]);
    for row in &report.rows {
        // 8 bits stand beside Q8_0, 4 beside Q4_0.
        let format = FORMATS[usize::from(row.bits <= 4)];
        let theirs: Vec<_> =
            report.llama_cpp.iter().filter(|theirs| theirs.model == row.model && theirs.format == format).collect();
        let context = |&&Theirs { context, peak, anonymous, cache, compute, .. }: &&Theirs| {
            format!("{context}: {}, {}, {}, {}", mib(peak), mib(anonymous), mib(cache), mib(compute))
        };
        let estimate = |e: &super::Estimate| format!("{}: {:.1}", e.board, e.tokens_per_second);
        cells(&[
            named(row),
            row.machine.into(),
            mib(row.image),
            after(&row.deep),
            mib(row.workspace),
            mib(row.workspace_of_context),
            theirs.first().map_or_else(String::new, |theirs| mib(theirs.file)),
            theirs.iter().map(context).collect::<Vec<_>>().join("; "),
            row.boards.iter().map(estimate).collect::<Vec<_>>().join(", "),
        ]);
    }
    println!(
        "\nThe estimate is the bandwidth of the board's RAM, by its data sheet, over the weights that a token reads."
    );
}

fn after(at: &At) -> String {
    format!("{}: {}", at.depth, mib(at.peak))
}

fn named(row: &Row) -> String {
    format!("{}, {} bits", row.model, row.bits)
}

fn header(names: &[&str]) {
    println!("| {} |\n|{}", names.join(" | "), "---|".repeat(names.len()));
}

fn cells(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}
