//! A run told in words: what was done, what was not, and why.

use std::fmt::Write as _;

use prunella_schemas::state::LiveRun;
use prunella_schemas::{RunState, Severity, TaskState};

use crate::notify::{alert_line, cut, place_of};
use crate::plan::Plan;

/// The longest summary, in bytes.
const LONGEST: usize = 8 * 1024;
/// The longest cause in it.
const CAUSE: usize = 300;

/// One line.
#[must_use]
pub(crate) fn title(run: &LiveRun, plan: Option<&Plan>, end: RunState) -> String {
    let facts = &run.facts;
    let name = plan.map_or("", |plan| plan.playbook.name.as_str());
    let name = if name.is_empty() {
        &facts.playbook_id
    } else {
        name
    };
    format!("{name}: {} ({})", words(end), place_of(&facts.alert))
}

/// How bad it is that a run ended this way.
#[must_use]
pub(crate) fn severity(run: &LiveRun, end: RunState) -> Severity {
    let alert = run.facts.alert.severity;
    match end {
        RunState::Succeeded => Severity::Info,
        RunState::Escalated => Severity::Critical,
        _ => alert.max(Severity::Warning),
    }
}

/// The whole story, a line for each task.
#[must_use]
pub(crate) fn text(run: &LiveRun, plan: Option<&Plan>, end: RunState, cause: &str) -> String {
    let mut text = alert_line(&run.facts.alert);
    let _ = write!(text, "\nThe run {}", words(end));
    if !cause.is_empty() {
        let _ = write!(text, ": {}", cut(cause, CAUSE));
    }
    text.push('.');
    if run.tasks.is_empty() {
        text.push_str("\nNo task was begun.");
    }
    for (place, progress) in run.tasks.iter().enumerate() {
        match plan.and_then(|plan| plan.playbook.tasks.get(place)) {
            Some(task) => _ = write!(text, "\n- {}: ", task.id),
            None => _ = write!(text, "\n- task {}: ", place + 1),
        }
        text.push_str(match progress.state {
            TaskState::Succeeded => "done",
            TaskState::Failed => "failed",
            TaskState::Skipped => "skipped",
            TaskState::Pending => "not begun",
            TaskState::Running | TaskState::Waiting => "its outcome is not known",
        });
        if progress.attempts > 1 {
            let _ = write!(text, " after {} attempts", progress.attempts);
        }
        if !progress.cause.is_empty() {
            let _ = write!(text, ": {}", cut(&progress.cause, CAUSE));
        }
    }
    cut(&text, LONGEST)
}

fn words(end: RunState) -> &'static str {
    match end {
        RunState::Queued => "waits",
        RunState::Running => "is at work",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "went to its end with failures",
        RunState::Aborted => "was aborted",
        RunState::Escalated => "needs a person",
        RunState::Refused => "was refused",
        RunState::TimedOut => "took too long",
        RunState::Cancelled => "was cancelled",
    }
}
