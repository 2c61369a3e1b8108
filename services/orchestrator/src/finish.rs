//! The end of a run: its last snapshot, its summary for people, and the next run's turn.

use prunella_schemas::state::LiveRun;
use prunella_schemas::{PlaybookRun, RunState, TaskRun, TaskState};
use prunella_stream::Digest;

use crate::notify::Notice;
use crate::outcome::bounded;
use crate::plan::Plan;
use crate::state::{NO_TURN, lane_key};
use crate::step::Step;
use crate::summary;

/// Task id of the one notification that ends a run.
pub const SUMMARY: &str = "_summary";

impl Step<'_, '_> {
    /// Ends a run: whatever state it is in, people get exactly one summary.
    pub(crate) fn finish(
        &mut self,
        id: Digest,
        mut run: LiveRun,
        plan: Option<&Plan>,
        end: RunState,
        cause: &str,
    ) {
        self.skip_the_rest(&mut run, cause);
        self.wake_at(id, &mut run, 0);
        let run_id = id.hex();
        let text = summary::text(&run, plan, end, cause);
        let notice = Notice {
            task_id: SUMMARY.to_owned(),
            severity: summary::severity(&run, end),
            title: summary::title(&run, plan, end),
            message: text.clone(),
        };
        let mut entry = format!("{} ended: {end}", run.facts.playbook_id);
        if !cause.is_empty() {
            entry.push_str(": ");
            entry.push_str(cause);
        }
        self.note(&run_id, &run, "", &entry);
        self.leave_lane(id, &run);
        let mut ended = self.picture(&run_id, &run, plan);
        ended.state = end;
        ended.finished_at = self.now();
        ended.summary = text;
        let trace = run.facts.trace.as_deref().map(str::as_bytes);
        self.context.forward_traced(&ended, trace);
        self.tell(&run_id, &run, notice);
        self.state.runs.remove(&id);
        self.use_up(id);
    }

    /// Ends a run whose knowledge is no longer known here.
    pub(crate) fn finish_unplanned(&mut self, id: Digest, run: LiveRun) {
        let cause = format!(
            "the knowledge {} that it follows is known here no longer; see what was done and finish by hand",
            run.facts.knowledge_digest
        );
        self.finish(id, run, None, RunState::Escalated, &cause);
    }

    fn skip_the_rest(&self, run: &mut LiveRun, cause: &str) {
        let now = self.now();
        for progress in &mut run.tasks {
            if progress.state == TaskState::Pending {
                progress.state = TaskState::Skipped;
                progress.finished_at = now;
                cause.clone_into(&mut progress.cause);
            }
        }
    }

    /// Leaves the service to the next run, or the queue to the others.
    fn leave_lane(&mut self, id: Digest, run: &LiveRun) {
        let alert = &run.facts.alert;
        let key = lane_key(&alert.domain, alert.service_name.as_deref());
        let Some(mut lane) = self.state.lanes.0.get(&key).cloned() else {
            return;
        };
        if run.turn != NO_TURN {
            self.state.queue.0.remove(&(key, run.turn));
            lane.waiting -= 1;
            self.state.lanes.0.put(key, lane);
            return;
        }
        if run.state != RunState::Running || lane.active != id {
            return;
        }
        let first = (lane.waiting > 0)
            .then(|| self.state.queue.0.range((key, i64::MIN)..).next())
            .flatten()
            .map(|(place, next)| (*place, *next));
        let Some((place, next)) = first else {
            self.state.lanes.0.remove(&key);
            return;
        };
        self.state.queue.0.remove(&place);
        lane.waiting -= 1;
        lane.active = next;
        self.state.lanes.0.put(key, lane);
        self.turns.push(next);
    }

    /// Shows a run as it stands now.
    pub(crate) fn snapshot(
        &mut self,
        run_id: &str,
        run: &LiveRun,
        plan: Option<&Plan>,
        summary: String,
    ) {
        let mut picture = self.picture(run_id, run, plan);
        picture.summary = summary;
        let trace = run.facts.trace.as_deref().map(str::as_bytes);
        self.context.forward_traced(&picture, trace);
    }

    fn picture(&self, run_id: &str, run: &LiveRun, plan: Option<&Plan>) -> PlaybookRun {
        let facts = &run.facts;
        let tasks = run.tasks.iter().enumerate().map(|(place, progress)| {
            let task = plan.and_then(|plan| plan.playbook.tasks.get(place));
            TaskRun {
                task_id: task.map_or_else(|| format!("#{}", place + 1), |task| task.id.clone()),
                kind: task.map_or_else(String::new, |task| task.kind.clone()),
                state: progress.state,
                attempts: progress.attempts,
                started_at: progress.started_at,
                finished_at: progress.finished_at,
                cause: progress.cause.clone(),
                output: progress
                    .output
                    .clone()
                    .map(|output| bounded(output, self.limits.snapshot_output_bytes)),
            }
        });
        PlaybookRun {
            run_id: run_id.to_owned(),
            playbook_id: facts.playbook_id.clone(),
            playbook_name: plan.map_or_else(String::new, |plan| plan.playbook.name.clone()),
            rule_id: facts.rule_id.clone(),
            decision_id: facts.decision_id.clone(),
            root: facts.root.clone(),
            alert_id: facts.alert.alert_id.clone(),
            fingerprint: facts.alert.fingerprint.clone(),
            domain: facts.alert.domain.clone(),
            service_name: facts.alert.service_name.clone(),
            state: run.state,
            created_at: facts.created_at,
            started_at: run.started_at,
            finished_at: 0,
            tasks: tasks.collect(),
            summary: String::new(),
            knowledge_digest: facts.knowledge_digest.clone(),
        }
    }
}
