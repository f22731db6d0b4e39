//! The comparison as a Markdown table.

use super::measured::{Line, Point};
use crate::boards::emulated::Emulated;
use std::fmt::Write as _;

/// A table for each task, of memory and of instructions.
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
    out
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
        let line = |model, sight| Line { model, sight, parameters: 84_000, points: points() };
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
