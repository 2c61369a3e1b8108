//! From a verdict to a result.

use prunella_schemas::state::{Answered, Claim};
use prunella_schemas::{Action, ActionResult, ResultStatus};
use prunella_stream::{Clock, Context, Digest, Millis};

use crate::executor::{Executor, Flow};
use crate::output::bounded;
use crate::state::{ExecutorState, Open, Timer, identity, line_while};

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: ResultStatus,
    pub(crate) cause: String,
    pub(crate) output: Option<String>,
    pub(crate) probed: bool,
    /// When the edge began it, if it said so.
    pub(crate) began: Option<Millis>,
}

impl Verdict {
    pub(crate) fn new(status: ResultStatus, cause: String) -> Self {
        Self {
            status,
            cause,
            output: None,
            probed: false,
            began: None,
        }
    }

    pub(crate) fn failed(cause: String) -> Self {
        Self::new(ResultStatus::Failed, cause)
    }

    pub(crate) fn refused(cause: String) -> Self {
        Self::new(ResultStatus::Refused, cause)
    }

    pub(crate) fn expired(cause: String) -> Self {
        Self::new(ResultStatus::Expired, cause)
    }

    pub(crate) fn unknown(cause: String) -> Self {
        Self::new(ResultStatus::Unknown, cause)
    }

    /// Success of an earlier attempt of the same task.
    pub(crate) fn succeeded_before(attempt: i32) -> Self {
        let cause = format!("attempt {attempt} had succeeded: it was not done again");
        Self::new(ResultStatus::Succeeded, cause)
    }
}

impl Executor {
    /// Gives an open action its result. Whoever stands behind it in its line is the caller's to let begin.
    pub(crate) fn conclude(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: &Open,
        verdict: Verdict,
    ) -> Flow {
        state.open.remove(&id);
        match line_while(open) {
            Some(line) => drop(state.lines.0.remove(&(line, open.claim.sequence))),
            None => state.reads.change(|reads| *reads -= 1),
        }
        cx.close_effect(&id);
        cx.cancel_timer(Clock::Processing, &Timer::Action(id));
        self.answer(state, cx, &open.action, &open.claim, verdict);
        Flow::Closed
    }

    /// Reports how an action ended and remembers that its task was answered.
    pub(crate) fn answer(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        action: &Action,
        claim: &Claim,
        verdict: Verdict,
    ) {
        let status = verdict.status;
        let limit = self.settings.output_bytes;
        let result = ActionResult {
            action_id: action.action_id.clone(),
            idempotency_key: action.idempotency_key.clone(),
            run_id: action.run_id.clone(),
            task_id: action.task_id.clone(),
            attempt: action.attempt,
            claim_attempt: claim.attempt,
            root: action.root.clone(),
            domain: action.domain.clone(),
            target: action.target.clone(),
            kind: action.kind.clone(),
            mutating: action.mutating,
            status,
            started_at: began(claim, &verdict),
            finished_at: cx.now(),
            received_at: action.received_at,
            probed: verdict.probed,
            cause: verdict.cause,
            output: verdict.output.map(|output| bounded(output, limit)),
        };
        match &claim.trace {
            Some(trace) => cx.forward_traced(&result, Some(trace.as_bytes())),
            None => cx.forward(&result),
        }
        self.remember(state, cx.now(), action, claim, status);
    }

    /// Remembers how a task was answered. An attempt that was never claimed changes nothing about what an
    /// earlier one left behind: what was unknown stays so, and what had succeeded.
    fn remember(
        &self,
        state: &mut ExecutorState,
        now: Millis,
        action: &Action,
        claim: &Claim,
        status: ResultStatus,
    ) {
        let task = identity(&action.idempotency_key);
        let earlier = state.answered.get(&task).filter(|_| claim.started_at == 0);
        let status = earlier.map_or(status, |earlier| earlier.status);
        let until = action
            .not_after
            .max(now)
            .saturating_add(self.settings.remember_ms);
        let attempt = action.attempt;
        state
            .answered
            .put(task, Answered { attempt, status }, until);
    }
}

/// When the effect began: as the edge said; or, if nobody can say, when it was claimed; 0 if it never did.
fn began(claim: &Claim, verdict: &Verdict) -> Millis {
    let maybe = verdict.probed || verdict.status == ResultStatus::Unknown;
    let claimed = if maybe { claim.started_at } else { 0 };
    verdict.began.unwrap_or(claimed)
}
