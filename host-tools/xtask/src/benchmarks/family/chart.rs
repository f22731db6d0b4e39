//! The comparison as a picture: a panel for each task, one for memory, one for instructions, and a legend.

use super::measured::{Line, Point, Sight};
use crate::boards::emulated::Emulated;
use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Pixels.
const SIZE: (u32, u32) = (1080, 640);
/// A colour a model, which people with colour blindness can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 5] = [
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];
const FONT: &str = "sans-serif";
/// Pixels of a dash, and between two.
const DASH: i32 = 7;
const GAP: i32 = 4;
/// Pixels from one line of the legend to the next.
const ROW: i32 = 20;

/// Writes an SVG file.
///
/// # Errors
/// When it can't be written.
pub fn draw(lines: &[Line], board: &Emulated, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    drawing(&root, lines, board).map_err(|error| anyhow!("{error}")).with_context(|| path.display().to_string())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn drawing(root: &Area<'_>, lines: &[Line], board: &Emulated) -> Drawn {
    root.fill(&WHITE)?;
    let panels = root.split_evenly((2, 3));
    let tasks = lines[0].points[0].recalled.iter().map(|(task, _)| task.clone());
    let mut panel = panels.iter();
    for (at, task) in tasks.enumerate() {
        let area = panel.next().ok_or("more tasks than panels")?;
        let title = format!("{task}: answers found, %");
        plot(area, lines, &title, 0.0..100.0, |point| point.recalled.get(at).map(|(_, percent)| *percent))?;
    }
    let kilobytes = |point: &Point| Some(point.ram as f64 / 1024.0);
    logarithmic(panel.next().ok_or("no panel")?, lines, "workspace, KB", kilobytes)?;
    let thousands = |point: &Point| point.instructions.map(|count| count as f64 / 1e3);
    let title = format!("thousand instructions a token, {}", board.name);
    logarithmic(panel.next().ok_or("no panel")?, lines, &title, thousands)?;
    legend(panel.next().ok_or("no panel")?, lines, board)?;
    root.present()?;
    Ok(())
}

/// From the power of two below the least value to the one above the largest.
fn logarithmic(area: &Area<'_>, lines: &[Line], title: &str, value: impl Fn(&Point) -> Option<f64>) -> Drawn {
    let values = || lines.iter().flat_map(|line| &line.points).filter_map(|point| value(point).map(f64::log2));
    let least = values().fold(f64::INFINITY, f64::min).floor();
    let most = values().fold(f64::NEG_INFINITY, f64::max).ceil();
    let label = |log: &f64| format!("{:.0}", log.exp2());
    panel(area, lines, title, least..most, (most - least) as usize + 1, &label, |point| value(point).map(f64::log2))
}

fn plot(
    area: &Area<'_>,
    lines: &[Line],
    title: &str,
    range: std::ops::Range<f64>,
    value: impl Fn(&Point) -> Option<f64>,
) -> Drawn {
    panel(area, lines, title, range, 6, &|percent| format!("{percent:.0}"), value)
}

fn panel(
    area: &Area<'_>,
    lines: &[Line],
    title: &str,
    range: std::ops::Range<f64>,
    labels: usize,
    label: &dyn Fn(&f64) -> String,
    value: impl Fn(&Point) -> Option<f64>,
) -> Drawn {
    let logs = || lines[0].points.iter().map(|point| f64::from(point.length).log2());
    let (first, last) = (logs().fold(f64::INFINITY, f64::min), logs().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(20)
        .caption(title, (FONT, 15))
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(first..last.max(first + 1.0), range)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_labels(lines[0].points.len())
        .y_labels(labels)
        .x_label_formatter(&|log| format!("{:.0}", log.exp2()))
        .y_label_formatter(label)
        .x_desc("tokens of the text")
        .label_style((FONT, 12))
        .draw()?;
    for (line, style) in lines.iter().zip(styles(lines)) {
        let points = line.points.iter().filter_map(|point| Some((f64::from(point.length).log2(), value(point)?)));
        match line.sight {
            Sight::HeavyHitters(_) => chart.draw_series(DashedLineSeries::new(points, DASH, GAP, style))?,
            _ => chart.draw_series(LineSeries::new(points, style))?,
        };
    }
    Ok(())
}

/// Thin where attention doesn't see all.
fn styles(lines: &[Line]) -> impl Iterator<Item = ShapeStyle> {
    let mut models: Vec<&str> = lines.iter().map(|line| line.model).collect();
    models.dedup();
    lines.iter().map(move |line| {
        let model = models.iter().position(|model| *model == line.model).unwrap_or(0);
        let bounded = matches!(line.sight, Sight::Last(_) | Sight::HeavyHitters(_));
        COLOURS[model % COLOURS.len()].stroke_width(if bounded { 2 } else { 4 })
    })
}

fn legend(area: &Area<'_>, lines: &[Line], board: &Emulated) -> Drawn {
    for ((line, style), row) in lines.iter().zip(styles(lines)).zip(0..) {
        let y = 28 + ROW * row;
        let (begin, end) = (40, 80);
        let dash = if matches!(line.sight, Sight::HeavyHitters(_)) { DASH } else { end - begin };
        for x in (begin..end).step_by((dash + GAP) as usize) {
            area.draw(&PathElement::new([(x, y), ((x + dash).min(end), y)], style))?;
        }
        area.draw(&Text::new(line.name(), (92, y - 7), (FONT, 15)))?;
    }
    let below = 28 + ROW * lines.len() as i32;
    let parameters = lines.iter().map(|line| line.parameters).max().unwrap_or(0) / 1000;
    let notes = [
        format!("{parameters},000 parameters each, int8."),
        "Guessing finds 12.5 %.".into(),
        format!("Lines end where {} has no memory left.", board.name),
    ];
    for (note, row) in notes.into_iter().zip(0..) {
        area.draw(&Text::new(note, (40, below + 4 + 18 * row), (FONT, 13).into_font().color(&RGBColor(90, 90, 90))))?;
    }
    Ok(())
}
