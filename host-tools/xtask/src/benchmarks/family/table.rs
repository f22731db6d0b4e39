//! The comparison as a Markdown table.

use super::measured::{Line, Point, TRAINED};
use crate::boards::emulated::Emulated;
use std::fmt::Write as _;

/// A table for each task, of memory, of instructions, and of what narrow states cost.
pub fn markdown(board: &Emulated, lines: &[Line]) -> String {
    let Some(first) = lines.first().filter(|line| !line.points.is_empty()) else { return String::new() };
    let mut out = String::new();
    for (at, (task, _)) in first.points[0].recalled.iter().enumerate() {
        table(&mut out, &format!("{task}: answers found, %"), lines, |point| {
            point.recalled.get(at).map_or_else(String::new, |(_, percent)| format!("{percent:.0}"))
        });
    }
    table(&mut out, "workspace, KB", lines, |point| format!("{:.1}", point.ram as f64 / 1024.0));
    table(&mut out, &format!("thousand instructions a token on {}", board.name), lines, |point| {
        point.instructions.map_or_else(|| "no memory".into(), |count| format!("{:.0}", count as f64 / 1e3))
    });
    states(&mut out, lines);
    out
}

/// The perplexity of answers by what states are stored as, and how much more it is than with the widest.
fn states(out: &mut String, lines: &[Line]) {
    let rows = || lines.iter().filter_map(|line| Some((line, line.states.split_first()?)));
    let Some((_, (widest, others))) = rows().next() else { return };
    let names: Vec<_> = std::iter::once(widest).chain(others).map(|(name, _)| *name).collect();
    // Writing to a string can't fail.
    let _ = writeln!(
        out,
        "| perplexity of answers, texts of up to {TRAINED}, by state | {} |\n|---|{}",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for (line, ((_, widest), others)) in rows() {
        let more = |(_, found): &(&str, f64)| format!("{found:.4} ({:+.2} %)", 100.0 * (found / widest - 1.0));
        let cells: Vec<_> = others.iter().map(more).collect();
        let _ = writeln!(out, "| {} | {widest:.4} | {} |", line.name(), cells.join(" | "));
    }
    out.push('\n');
}

fn table(out: &mut String, title: &str, lines: &[Line], cell: impl Fn(&Point) -> String) {
    let lengths: Vec<_> = lines[0].points.iter().map(|point| point.length.to_string()).collect();
    // Writing to a string can't fail.
    let _ = writeln!(out, "| {title} | {} |\n|---|{}", lengths.join(" | "), "---:|".repeat(lengths.len()));
    for line in lines {
        let cells: Vec<_> = line.points.iter().map(&cell).collect();
        let _ = writeln!(out, "| {} | {} |", line.name(), cells.join(" | "));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::family::chart;
    use crate::benchmarks::family::measured::Sight;
    use crate::boards::emulated::ALL;

    fn lines() -> Vec<Line> {
        let point =
            |length, instructions| Point { length, recalled: vec![("copy".into(), 87.5)], ram: 36_864, instructions };
        let points = || vec![point(32, Some(233_400)), point(64, None)];
        let states = || vec![("f32", 1.25), ("f16", 1.255)];
        let line = |model, sight| Line { model, sight, parameters: 84_000, points: points(), states: states() };
        vec![line("Mamba", Sight::NoAttention), line("Jamba", Sight::HeavyHitters(64))]
    }

    #[test]
    fn tables_have_a_row_a_model() {
        let text = markdown(&ALL[1], &lines());
        assert!(
            text.contains("| copy: answers found, % | 32 | 64 |\n|---|---:|---:|\n| Mamba | 88 | 88 |\n"),
            "{text}"
        );
        assert!(text.contains("| Jamba, 64 heavy hitters | 36.0 | 36.0 |\n"), "{text}");
        assert!(text.contains("| Jamba, 64 heavy hitters | 233 | no memory |\n"), "{text}");
        assert!(text.contains("| Mamba | 1.2500 | 1.2550 (+0.40 %) |\n"), "{text}");
    }

    #[test]
    fn the_picture_names_every_model() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("picture.svg");
        chart::draw(&lines(), &ALL[1], &path).expect("a picture");
        let picture = std::fs::read_to_string(path).expect("an SVG");
        for text in ["Mamba", "Jamba, 64 heavy hitters", "copy: answers found, %", "workspace, KB"] {
            assert!(picture.contains(text), "{text}");
        }
    }
}
