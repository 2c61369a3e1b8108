//! What came of a task: success, a further attempt, failure and what follows from it, a result that never came.

use prunella_knowledge::{AfterFailure, OnSuccess, Task};
use prunella_schemas::{ActionResult, ResultStatus, RunState, Severity, TaskState};
use prunella_stream::Digest;
use serde_json::json;

use crate::notify::{Notice, alert_line, cut, place_of};
use crate::step::{About, Step, Work};

/// The longest cause that is kept of a task, in bytes.
const CAUSE_BYTES: usize = 1_000;

/// How a task failed: what follows depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Tried and failed, or never sent.
    Plain,
    /// A guard refused it, here or right before the effect; nothing was done.
    Refused,
    /// Nobody knows whether something was changed.
    Unknown,
}

impl Step<'_, '_> {
    /// Takes a result to the task that waits for it. Every other result is recorded and changes nothing.
    pub(crate) fn result(&mut self, result: ActionResult) {
        let id = Digest::from_hex(&result.run_id);
        let run = id.and_then(|id| Some((id, self.state.runs.get(&id)?.clone())));
        let Some((id, run)) = run else {
            return self.stray(&result);
        };
        let mut work = match self.work(id, run) {
            Ok(work) => work,
            Err(run) => {
                self.stray(&result);
                return self.finish_unplanned(id, run);
            }
        };
        let place = work.plan.place(&result.task_id).filter(|place| {
            let waits = work.run.tasks.get(*place);
            waits.is_some_and(|task| {
                task.state == TaskState::Running && task.attempts == result.attempt
            })
        });
        let Some(place) = place else {
            return self.stray(&result);
        };
        let text = format!(
            "task {}, attempt {}: {}{}",
            result.task_id,
            result.attempt,
            result.status,
            because(&cut(&result.cause, CAUSE_BYTES))
        );
        self.note(&work.run_id, &work.run, "", &text);
        self.settle(&mut work, place, result);
        self.advance(&mut work);
        self.close(work);
    }

    /// A result that no task waits for: it came twice, or too late, or is about a notification. Only a
    /// notification that was delivered leaves no trace.
    fn stray(&mut self, result: &ActionResult) {
        if result.task_id.starts_with('_') && result.status == ResultStatus::Succeeded {
            return;
        }
        let summary = format!(
            "a result that nothing waits for: task {} of run {}, attempt {}: {}{}",
            result.task_id,
            result.run_id,
            result.attempt,
            result.status,
            because(&result.cause)
        );
        self.audit(About::action(&result.domain, &result.action_id), summary);
    }

    fn settle(&mut self, work: &mut Work, place: usize, result: ActionResult) {
        let cause = cut(&result.cause, CAUSE_BYTES);
        let mutating = work.plan.tasks[place].mutating;
        match result.status {
            ResultStatus::Succeeded => self.succeed(work, place, result.output),
            ResultStatus::Failed => self.fail_or_retry(work, place, &cause),
            // Asking once more for what only reads does no harm.
            ResultStatus::Unknown if !mutating => {
                self.fail_or_retry(work, place, &format!("outcome unknown{}", because(&cause)));
            }
            ResultStatus::Unknown => {
                let cause = format!("nobody knows whether it was done{}", because(&cause));
                self.fail(work, place, Failure::Unknown, &cause);
            }
            ResultStatus::Refused => {
                let cause = format!("refused, nothing was done{}", because(&cause));
                self.fail(work, place, Failure::Refused, &cause);
            }
            ResultStatus::Expired => {
                let cause = format!("expired, nothing was done{}", because(&cause));
                self.fail(work, place, Failure::Plain, &cause);
            }
        }
    }

    fn succeed(&mut self, work: &mut Work, place: usize, output: Option<String>) {
        let limit = match work.task(place).output_variable {
            Some(_) => self.limits.output_bytes,
            None => self.limits.snapshot_output_bytes,
        };
        let output = output.map(|output| bounded(output, limit));
        let now = self.now();
        let progress = &mut work.run.tasks[place];
        progress.state = TaskState::Succeeded;
        progress.finished_at = now;
        progress.due = 0;
        progress.output = output;
        progress.target.clear();
        progress.request.clear();
        if work.task(place).on_success == OnSuccess::Notify {
            self.tell_of_task(work, place, Severity::Info, "done", "");
        }
    }

    fn fail_or_retry(&mut self, work: &mut Work, place: usize, cause: &str) {
        let retry = work.task(place).retry;
        let attempts = work.run.tasks[place].attempts;
        let left = i64::from(attempts) < i64::from(retry.max_attempts);
        if !left || work.is_ending() {
            return self.fail(work, place, Failure::Plain, cause);
        }
        let doublings = u32::try_from(attempts.saturating_sub(1))
            .unwrap_or(0)
            .min(40);
        let wait = retry
            .backoff_ms
            .saturating_mul(1_i64 << doublings)
            .min(retry.max_backoff_ms);
        let due = self.now().saturating_add(wait.max(0));
        let progress = &mut work.run.tasks[place];
        progress.state = TaskState::Waiting;
        progress.due = due;
        cause.clone_into(&mut progress.cause);
    }

    /// Fails a task for good, and does what its playbook says follows. A refused change and an unknown outcome
    /// always reach a person; after an unknown outcome nothing goes on.
    pub(crate) fn fail(&mut self, work: &mut Work, place: usize, failure: Failure, cause: &str) {
        let now = self.now();
        let progress = &mut work.run.tasks[place];
        progress.state = TaskState::Failed;
        progress.finished_at = now;
        progress.due = 0;
        progress.cause = cut(cause, CAUSE_BYTES);
        progress.target.clear();
        progress.request.clear();
        if failure == Failure::Refused {
            let text = format!("task {}: {cause}", work.task(place).id);
            self.note(&work.run_id, &work.run, "", &text);
        }
        let task = work.task(place);
        let policy = task.on_failure;
        let end = match (failure, policy.then) {
            (Failure::Unknown, _) | (_, AfterFailure::Escalate) => Some(RunState::Escalated),
            (_, AfterFailure::Continue) => None,
            (Failure::Refused, AfterFailure::Abort) => Some(RunState::Refused),
            (Failure::Plain, AfterFailure::Abort) => Some(RunState::Aborted),
        };
        let tell = policy.notify || failure != Failure::Plain || end == Some(RunState::Escalated);
        if let Some(end) = end {
            let cause = format!("task {} failed: {cause}", task.id);
            work.end_as(end, &cut(&cause, CAUSE_BYTES));
        }
        if tell {
            let what = match failure {
                Failure::Plain => "failed",
                Failure::Refused => "refused",
                Failure::Unknown => "outcome unknown, a person must look",
            };
            let severity = work.run.facts.alert.severity.max(Severity::Warning);
            self.tell_of_task(work, place, severity, what, cause);
        }
    }

    /// Passes a task over. A condition that could not be evaluated is told.
    pub(crate) fn skip(&mut self, work: &mut Work, place: usize, cause: &str, tell: bool) {
        let now = self.now();
        let progress = &mut work.run.tasks[place];
        progress.state = TaskState::Skipped;
        progress.finished_at = now;
        progress.cause = cut(cause, CAUSE_BYTES);
        if tell {
            let severity = work.run.facts.alert.severity.max(Severity::Warning);
            self.tell_of_task(work, place, severity, "skipped", cause);
        }
    }

    /// Does what of a run is due: its end, retries, results that did not come.
    pub(crate) fn wake(&mut self, id: Digest) {
        let Some(mut run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        run.wake_at = 0;
        if run.state == RunState::Queued {
            return self.admit(id, run);
        }
        let mut work = match self.work(id, run) {
            Ok(work) => work,
            Err(run) => return self.finish_unplanned(id, run),
        };
        let now = self.now();
        if !work.is_ending() && now >= self.run_ends_at(&work) {
            let limit = crate::guards::span(work.plan.playbook.timeout_ms);
            work.end_as(RunState::TimedOut, &format!("it took longer than {limit}"));
        }
        for place in 0..work.run.tasks.len() {
            let progress = &work.run.tasks[place];
            if progress.due > now {
                continue;
            }
            match progress.state {
                TaskState::Waiting if !work.is_ending() => self.retry(&mut work, place),
                TaskState::Running => self.lose(&mut work, place),
                _ => {}
            }
        }
        self.advance(&mut work);
        self.close(work);
    }

    /// A result did not come in time. The action is not sent again: its executor may still be at it. What comes
    /// later is recorded and changes nothing.
    fn lose(&mut self, work: &mut Work, place: usize) {
        let failure = match work.plan.tasks[place].mutating {
            true => Failure::Unknown,
            false => Failure::Plain,
        };
        let cause = "no result came: the executor is gone or cannot report; look at the target";
        self.fail(work, place, failure, cause);
    }

    fn tell_of_task(
        &mut self,
        work: &Work,
        place: usize,
        severity: Severity,
        what: &str,
        cause: &str,
    ) {
        let task: &Task = work.task(place);
        let alert = &work.run.facts.alert;
        let name = if task.name.is_empty() {
            &task.id
        } else {
            &task.name
        };
        let mut message = format!("Task {} ({name}): {what}{}", task.id, because(cause));
        message.push('\n');
        message.push_str(&alert_line(alert));
        let notice = Notice {
            task_id: format!("_notify_{}", task.id),
            severity,
            title: format!(
                "{}: {} {what} ({})",
                work.plan.playbook.name,
                task.id,
                place_of(alert)
            ),
            message,
        };
        self.note(
            &work.run_id,
            &work.run,
            "",
            &format!("people are told: {}", notice.task_id),
        );
        self.tell(&work.run_id, &work.run, notice);
    }
}

/// A cause after what it is the cause of.
fn because(cause: &str) -> String {
    match cause {
        "" => String::new(),
        cause => format!(": {cause}"),
    }
}

/// An output of at most so many bytes; a longer one is replaced by its beginning and a mark.
pub(crate) fn bounded(output: String, limit: usize) -> String {
    if output.len() <= limit {
        return output;
    }
    json!({"cut": true, "bytes": output.len(), "head": cut(&output, limit.min(1_024))}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_replaced_by_a_mark_that_is_json() {
        let output = bounded(format!("\"{}\"", "ü".repeat(5_000)), 4_096);
        let mark: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(mark["cut"], true);
        assert_eq!(mark["bytes"], 10_002);
        assert!(output.len() < 4_096);
    }

    #[test]
    fn a_short_output_stays() {
        assert_eq!(bounded("{}".to_owned(), 2), "{}");
    }
}
