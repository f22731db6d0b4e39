//! What was measured, as tables.

use super::theirs::{FORMATS, Theirs};
use super::{At, Estimate, Report, Row, mib};

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
    println!("\nBeside llama.cpp, measured during a token at the beginning of a context:\n");
    let of_context = ["llama.cpp: context of", "peak", "of no file", "cache and state"];
    let ours = ["", "jamlet: peak after", "workspace", "of a whole context"];
    header(&[&ours[..], &of_context, &of_context, &["estimate of tokens/s at most"]].concat());
    for row in &report.rows {
        // 8 bits stand beside Q8_0, 4 beside Q4_0.
        let format = FORMATS[usize::from(row.bits <= 4)];
        let mut theirs = report.llama_cpp.iter().filter(|theirs| theirs.model == row.model && theirs.format == format);
        let mut columns = vec![named(row), after(&row.deep), mib(row.workspace), mib(row.workspace_of_context)];
        for _ in 0..2 {
            columns.extend(theirs.next().map(context).unwrap_or_default());
        }
        let estimate = |e: &Estimate| format!("{}: {:.1}", e.board, e.tokens_per_second);
        columns.push(row.boards.iter().map(estimate).collect::<Vec<_>>().join(", "));
        cells(&columns);
    }
    println!(
        "\nThe estimate is the bandwidth of the board's RAM, by its data sheet, over the weights that a token reads."
    );
}

/// What llama.cpp takes for a context.
fn context(theirs: &Theirs) -> [String; 4] {
    [theirs.context.to_string(), mib(theirs.peak), mib(theirs.anonymous), mib(theirs.cache)]
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
