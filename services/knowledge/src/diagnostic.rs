//! What is wrong with a knowledge directory, where, and what to write instead.

use std::fmt;

use serde::Serialize;

use crate::yaml::Mark;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It loads, and does less than one might think.
    Warning,
    /// It is not loaded.
    Error,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// The file's path, as it was given.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub suggestion: Option<String>,
    /// The line of the file, cut if it is long; `caret` counts from its start.
    pub excerpt: String,
    /// Characters of the excerpt before the place.
    pub caret: usize,
    /// Characters that the place covers, at least one.
    pub width: usize,
}

impl Diagnostic {
    /// True if it keeps the set from being loaded.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

/// ```text
/// rules.yaml:3:5: error: a rule has no field `severty`
///   3 |     severty: Critical
///     |     ^^^^^^^
///   help: did you mean `severity`?
/// ```
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let number = self.line.to_string();
        writeln!(
            formatter,
            "{}:{}:{}: {level}: {}",
            self.path, self.line, self.column, self.message
        )?;
        writeln!(formatter, "  {number} | {}", self.excerpt)?;
        write!(
            formatter,
            "  {} | {}{}",
            " ".repeat(number.len()),
            " ".repeat(self.caret),
            "^".repeat(self.width)
        )?;
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "\n  help: {suggestion}")?;
        }
        Ok(())
    }
}

/// Characters of a line that an excerpt shows, and how many of them before the place.
const EXCERPT: usize = 120;
const BEFORE: usize = 80;

/// The mistakes of one file, as they are found.
pub(crate) struct Report<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        Self {
            path,
            lines: text.lines().collect(),
            found: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &'a str {
        self.path
    }

    pub(crate) fn error(&mut self, at: Mark, width: usize, message: impl Into<String>) {
        self.push(Level::Error, at, width, message.into(), None);
    }

    pub(crate) fn error_with(
        &mut self,
        at: Mark,
        width: usize,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        let suggestion = Some(suggestion.into());
        self.push(Level::Error, at, width, message.into(), suggestion);
    }

    pub(crate) fn push(
        &mut self,
        level: Level,
        at: Mark,
        width: usize,
        message: String,
        suggestion: Option<String>,
    ) {
        let line = self.lines.get(at.line.saturating_sub(1)).copied();
        let before = at.column.saturating_sub(1);
        let skipped = before.saturating_sub(BEFORE);
        let excerpt: String = line
            .unwrap_or_default()
            .chars()
            .skip(skipped)
            .take(EXCERPT)
            // Tabs and control characters would move the caret, or the terminal.
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        let caret = before - skipped;
        let room = excerpt.chars().count().saturating_sub(caret).max(1);
        self.found.push(Diagnostic {
            level,
            path: self.path.to_owned(),
            line: at.line,
            column: at.column,
            message,
            suggestion,
            excerpt,
            caret,
            width: width.clamp(1, room),
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Mark {
        Mark { line, column }
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands() {
        let mut report = Report::new("rules.yaml", "rules:\n  - severty: x\n");
        report.error_with(
            at(2, 5),
            7,
            "no field `severty`",
            "did you mean `severity`?",
        );
        assert_eq!(
            report.into_found()[0].to_string(),
            "rules.yaml:2:5: error: no field `severty`\n  2 |   - severty: x\n    |     ^^^^^^^\n  \
             help: did you mean `severity`?"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}é!{}", "a".repeat(500), "b".repeat(500));
        let mut report = Report::new("x.yaml", &line);
        report.error(at(1, 501), 9_000, "there");
        let found = report.into_found();
        assert_eq!(found[0].excerpt.chars().count(), EXCERPT);
        assert_eq!(found[0].excerpt.chars().nth(found[0].caret), Some('é'));
        assert_eq!(found[0].width, EXCERPT - BEFORE);
    }

    #[test]
    fn a_place_outside_of_the_file_does_no_harm() {
        let mut report = Report::new("x.yaml", "");
        report.error(at(9, 9), 0, "there");
        assert_eq!((report.into_found()[0].width), 1);
    }
}
