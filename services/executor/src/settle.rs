//! From the edge's report, or from its absence, to what is next.

use prunella_schemas::ResultStatus;
use prunella_schemas::spec::NOTIFICATION;
use prunella_schemas::state::ClaimPhase;
use prunella_stream::{Clock, Context, Digest};

use crate::effect::{EffectOutcome, Ended, NotStarted};
use crate::executor::{Executor, Flow, under_way};
use crate::probe::{self, Answer};
use crate::results::Verdict;
use crate::state::{ExecutorState, Open, Timer, line_of};

impl Executor {
    /// Processes the edge's report of an effect, which the core has closed.
    pub(crate) fn settle(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        outcome: EffectOutcome,
    ) {
        let Some(open) = state.open.get(&id).cloned() else {
            return;
        };
        let line = line_of(&open.action);
        let flow = match open.claim.phase {
            // Doubted, and then the report came after all: it is better than any probe.
            ClaimPhase::Acting | ClaimPhase::Doubtful => self.acted(state, cx, id, open, outcome),
            ClaimPhase::Probing => self.probed(state, cx, id, open, outcome),
            ClaimPhase::Queued | ClaimPhase::ActLater | ClaimPhase::ProbeLater => Flow::Open,
        };
        if flow == Flow::Closed {
            self.advance(state, cx, line);
        }
    }

    /// Takes note that an effect may have happened or not.
    pub(crate) fn doubt(&self, state: &mut ExecutorState, cx: &mut Context<'_, Self>, id: Digest) {
        let Some(mut open) = state.open.get(&id).cloned() else {
            return;
        };
        if !under_way(open.claim.phase) {
            return;
        }
        let cause = "the executor stopped while the effect was under way";
        let line = line_of(&open.action);
        let read = !open.action.mutating && open.action.kind != NOTIFICATION;
        let flow = if open.claim.phase == ClaimPhase::Probing {
            self.probe(state, cx, id, open)
        } else if read {
            open.claim.cause = cause.to_owned();
            self.act(state, cx, id, open)
        } else {
            open.claim.redo = true;
            self.wait_out(state, cx, id, open, cause.to_owned())
        };
        if flow == Flow::Closed {
            self.advance(state, cx, line);
        }
    }

    /// Waits until whatever was begun has ended.
    fn wait_out(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
        cause: String,
    ) -> Flow {
        open.claim.phase = ClaimPhase::Doubtful;
        open.claim.cause = cause;
        let due = open.claim.deadline.saturating_add(1);
        cx.set_timer(Clock::Processing, Timer::Action(id), due);
        state.open.put(id, open);
        Flow::Open
    }

    /// Goes on with a doubtful effect whose deadline has passed.
    pub(crate) fn resolve(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: Open,
    ) -> Flow {
        if open.action.mutating {
            self.probe(state, cx, id, open)
        } else {
            self.act(state, cx, id, open)
        }
    }

    fn acted(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: Open,
        outcome: EffectOutcome,
    ) -> Flow {
        if let Ended::NotStarted(reason) = outcome.ended {
            return self.unsent(state, cx, id, open, reason, &outcome.cause);
        }
        if open.action.kind == NOTIFICATION && may_arrive_yet(&outcome) {
            return self.pause(state, cx, id, open, ClaimPhase::ActLater, outcome.cause);
        }
        let status = match outcome.ended {
            Ended::Succeeded => ResultStatus::Succeeded,
            Ended::Refused => ResultStatus::Refused,
            Ended::Failed => ResultStatus::Failed,
            // Nobody knows; what changes nothing has simply failed.
            _ if !open.action.mutating => ResultStatus::Failed,
            _ => {
                let mut open = open;
                open.claim.redo = false;
                return self.wait_out(state, cx, id, open, outcome.cause);
            }
        };
        let verdict = Verdict {
            output: outcome.output,
            began: Some(outcome.started_at),
            ..Verdict::new(status, outcome.cause)
        };
        self.conclude(state, cx, id, &open, verdict)
    }

    fn probed(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
        outcome: EffectOutcome,
    ) -> Flow {
        let said_nothing = match outcome.ended {
            Ended::NotStarted(reason) => {
                return self.unsent(state, cx, id, open, reason, &outcome.cause);
            }
            Ended::Answered => match probe::read(&open.action, &outcome) {
                Answer::Done => return self.found_done(state, cx, id, &open, outcome),
                Answer::Absent => return self.found_absent(state, cx, id, open),
                Answer::Unclear(why) => why,
            },
            _ => outcome.cause,
        };
        open.claim.probes += 1;
        if open.claim.probes < self.settings.probes && outcome.ended != Ended::Refused {
            let cause = open.claim.cause.clone();
            return self.pause(state, cx, id, open, ClaimPhase::ProbeLater, cause);
        }
        let cause = format!(
            "{}; the target could not tell ({said_nothing}): a person must look",
            open.claim.cause
        );
        self.conclude(state, cx, id, &open, Verdict::unknown(cause))
    }

    fn found_done(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: &Open,
        outcome: EffectOutcome,
    ) -> Flow {
        let verdict = Verdict {
            output: outcome.output,
            probed: true,
            ..Verdict::new(ResultStatus::Succeeded, String::new())
        };
        self.conclude(state, cx, id, open, verdict)
    }

    fn found_absent(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: Open,
    ) -> Flow {
        if open.claim.redo {
            return self.act(state, cx, id, open);
        }
        let cause = format!("{}; the target says that it was not done", open.claim.cause);
        let verdict = Verdict {
            probed: true,
            ..Verdict::failed(cause)
        };
        self.conclude(state, cx, id, &open, verdict)
    }

    /// Nothing was sent: claims again after a pause, a bounded number of times.
    fn unsent(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
        reason: NotStarted,
        saw: &str,
    ) -> Flow {
        let probing = open.claim.phase == ClaimPhase::Probing;
        open.claim.unsent += 1;
        if !probing {
            open.claim.acts -= 1;
        }
        let spent = open.claim.unsent >= self.settings.unsent;
        let saw = if saw.is_empty() { reason.words() } else { saw };
        let cause = format!("it was not begun: {saw}");
        let verdict = match reason {
            _ if probing && spent => {
                let doubt = &open.claim.cause;
                Verdict::unknown(format!(
                    "{doubt}; the target was not asked: a person must look"
                ))
            }
            _ if probing => {
                let doubt = open.claim.cause.clone();
                return self.pause(state, cx, id, open, ClaimPhase::ProbeLater, doubt);
            }
            NotStarted::KillSwitch => Verdict::refused(cause),
            NotStarted::SwitchUnconfirmed if spent => Verdict::refused(cause),
            _ if spent => Verdict::failed(cause),
            _ => return self.pause(state, cx, id, open, ClaimPhase::ActLater, cause),
        };
        self.conclude(state, cx, id, &open, verdict)
    }

    fn pause(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
        phase: ClaimPhase,
        cause: String,
    ) -> Flow {
        let failures = match phase {
            ClaimPhase::ProbeLater => open.claim.probes,
            _ => open.claim.acts,
        };
        let pause = self.settings.pause(failures.max(open.claim.unsent));
        open.claim.phase = phase;
        open.claim.cause = cause;
        let due = cx.now().saturating_add(pause);
        cx.set_timer(Clock::Processing, Timer::Action(id), due);
        state.open.put(id, open);
        Flow::Open
    }
}

/// Whether a notification that ended so is worth sending again: unless the receiver said why it is no good.
fn may_arrive_yet(outcome: &EffectOutcome) -> bool {
    let for_good = matches!(outcome.status, Some(400..=499))
        && !matches!(outcome.status, Some(408 | 425 | 429));
    match outcome.ended {
        Ended::Lost => true,
        Ended::Failed => !for_good,
        _ => false,
    }
}
