//! Conditions as they stand in files: compiled, and held against the variables that they may read.

use crate::condition::{Condition, Reference};
use crate::diagnostic::Report;
use crate::fields::text_of;
use crate::suggest::nearest;
use crate::yaml::{Mark, Node};

/// A condition with the place of its text.
pub(crate) struct ReadCondition {
    pub(crate) condition: Condition,
    at: Mark,
    lead: Option<usize>,
}

impl ReadCondition {
    /// Where a variable stands.
    pub(crate) fn place(&self, reference: &Reference) -> Mark {
        place(self.at, self.lead, Some(reference.at))
    }

    /// Reports every variable that is not known here.
    pub(crate) fn check(
        &self,
        known: &[&str],
        explain: impl Fn(&str) -> Option<String>,
        report: &mut Report<'_>,
    ) {
        for reference in self.condition.references() {
            let name = reference.name.as_str();
            if known.contains(&name) {
                continue;
            }
            let suggestion = explain(name)
                .or_else(|| {
                    nearest(name, known.iter().copied())
                        .map(|near| format!("did you mean `{near}`?"))
                })
                .unwrap_or_else(|| format!("known here are {}", known.join(", ")));
            report.error_with(
                self.place(reference),
                name.chars().count(),
                format!("there is no variable `{name}`"),
                suggestion,
            );
        }
    }
}

/// Compiles a condition; reports one that is none.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<ReadCondition> {
    let Some(text) = text_of(node) else {
        let message = format!("a condition is a text, not {}", node.kind());
        report.error_with(node.at, 1, message, "put it in quotes");
        return None;
    };
    match Condition::compile(&text.value) {
        Ok(condition) => Some(ReadCondition {
            condition,
            at: node.at,
            lead: node.lead,
        }),
        Err(error) => {
            let at = place(node.at, node.lead, error.at());
            let width = if error.at().is_some() {
                1
            } else {
                text.value.chars().count()
            };
            report.error(at, width, error.to_string());
            None
        }
    }
}

/// A place in a condition's text as a place in the file, if the text stands there as it is.
fn place(at: Mark, lead: Option<usize>, offset: Option<usize>) -> Mark {
    match (lead, offset) {
        (Some(lead), Some(offset)) => Mark {
            line: at.line,
            column: at.column + lead + offset,
        },
        _ => at,
    }
}
