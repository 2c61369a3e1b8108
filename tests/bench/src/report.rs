//! What was measured, as a table for people and as JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("<={}", digits(limit)),
            Self::AtLeast(limit) => format!(">={}", digits(limit)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Figure {
    label: &'static str,
    value: f64,
    target: Option<Target>,
}

/// One thing that was measured, with its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    part: &'static str,
    name: String,
    figures: Vec<Figure>,
}

impl Row {
    /// A row without figures.
    #[must_use]
    pub fn new(part: &'static str, name: impl Into<String>) -> Self {
        Self {
            part,
            name: name.into(),
            figures: Vec::new(),
        }
    }

    /// With this figure; its label says the unit.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: f64) -> Self {
        self.figures.push(Figure {
            label,
            value,
            target: None,
        });
        self
    }

    /// With this figure and what it should be.
    #[must_use]
    pub fn with_target(mut self, label: &'static str, value: f64, target: Option<Target>) -> Self {
        self.figures.push(Figure {
            label,
            value,
            target,
        });
        self
    }

    fn misses(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|figure| {
            figure
                .target
                .is_some_and(|target| !target.is_met(figure.value))
        })
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a row, and shows it at once: a run takes minutes.
    pub fn add(&mut self, row: Row) {
        let figures: Vec<String> = row
            .figures
            .iter()
            .map(|figure| format!("{} {}", figure.label, shown(figure)))
            .collect();
        eprintln!("  {}: {}", row.name, figures.join("  "));
        self.rows.push(row);
    }

    /// A table for each part, and what was missed.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut parts: Vec<&str> = self.rows.iter().map(|row| row.part).collect();
        parts.dedup();
        for part in parts {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.part == part).collect();
            table_of(part, &rows, &mut out);
        }
        let missed: Vec<String> = self
            .rows
            .iter()
            .flat_map(|row| {
                row.misses()
                    .map(move |figure| format!("{}: {} {}", row.name, figure.label, shown(figure)))
            })
            .collect();
        let verdict = if missed.is_empty() {
            "every target is met\n".to_owned()
        } else {
            format!(
                "targets missed ({}):\n  {}\n",
                missed.len(),
                missed.join("\n  ")
            )
        };
        out.push_str(&verdict);
        out
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let figures = row.figures.iter().map(|figure| {
                let mut value = json!({"label": figure.label, "value": figure.value});
                if let Some(target) = figure.target {
                    value["target"] = json!(target.text());
                    value["met"] = json!(target.is_met(figure.value));
                }
                value
            });
            json!({"part": row.part, "name": row.name, "figures": figures.collect::<Vec<_>>()})
        });
        json!({"rows": rows.collect::<Vec<_>>()})
    }
}

/// One table: a column for every label that any row has, in the order in which they first come.
fn table_of(part: &str, rows: &[&Row], out: &mut String) {
    let mut labels: Vec<&str> = Vec::new();
    for figure in rows.iter().flat_map(|row| &row.figures) {
        if !labels.contains(&figure.label) {
            labels.push(figure.label);
        }
    }
    let mut lines = vec![
        std::iter::once(part.to_owned())
            .chain(labels.iter().map(|label| (*label).to_owned()))
            .collect::<Vec<_>>(),
    ];
    for row in rows {
        let cells = labels.iter().map(|label| {
            let figure = row.figures.iter().find(|figure| figure.label == *label);
            figure.map_or_else(String::new, shown)
        });
        lines.push(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=labels.len()).map(width).collect();
    for line in &lines {
        let _ = write!(out, "{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
    out.push('\n');
}

fn shown(figure: &Figure) -> String {
    let mut text = digits(figure.value);
    if let Some(target) = figure.target {
        let mark = if target.is_met(figure.value) { "" } else { "!" };
        let _ = write!(text, "{mark} ({})", target.text());
    }
    text
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Row::new("stages", "copy").with("us/record", 2.345));
        let ratio = Row::new("stages", "relay").with("us/record", 12.0);
        report.add(ratio.with_target("of copy", 0.25, Some(Target::AtLeast(0.45))));
        report
    }

    #[test]
    fn the_table_has_a_column_for_every_label_and_names_what_was_missed() {
        let expected = concat!(
            "stages  us/record         of copy\n",
            "copy         2.35                \n",
            "relay          12  0.25! (>=0.45)\n",
            "\n",
            "targets missed (1):\n",
            "  relay: of copy 0.25! (>=0.45)\n",
        );
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn the_json_says_which_target_was_met() {
        let json = report().json();
        assert_eq!(json["rows"][1]["figures"][1]["met"], false);
        assert_eq!(json["rows"][0]["figures"][0]["met"], Value::Null);
    }

    #[test]
    fn a_target_is_met_at_its_limit() {
        assert!(Target::AtMost(45.0).is_met(45.0) && !Target::AtMost(45.0).is_met(45.1));
        assert!(Target::AtLeast(0.6).is_met(0.6) && !Target::AtLeast(0.6).is_met(0.59));
    }
}
