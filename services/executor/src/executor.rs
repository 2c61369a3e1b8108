//! From an action to a claim.

use std::sync::Arc;

use prunella_schemas::spec::{API_CALL, NOTIFICATION};
use prunella_schemas::state::{Claim, ClaimPhase};
use prunella_schemas::{Action, ResultStatus};
use prunella_stream::{Clock, Context, Digest, EffectRequest, OpenEffect, Processor, Rejection};

use crate::effect::{EffectOutcome, EffectSpec, Ended, Step};
use crate::io::{ExecutorInput, ExecutorIo};
use crate::results::Verdict;
use crate::settings::ExecutorSettings;
use crate::state::{ExecutorState, Line, Open, READS, Timer, identity, line_of};

/// Longest timeout of an action that is believed, in milliseconds.
const MAX_TIMEOUT_MS: i64 = 3_600_000;
/// Longest a probe may take, in milliseconds.
const MAX_PROBE_MS: i64 = 10_000;
/// How many answered tasks are forgotten for each one that comes.
const FORGET: usize = 4;

/// Whether an action has its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Not yet.
    Open,
    /// It has; whoever stands behind it in its line is next.
    Closed,
}

/// The executor: claims actions, asks for their effects, and reports what came of them.
#[derive(Clone, Debug, Default)]
pub struct Executor {
    pub(crate) settings: ExecutorSettings,
}

impl Executor {
    /// An executor with these settings.
    #[must_use]
    pub fn new(settings: ExecutorSettings) -> Self {
        Self { settings }
    }

    fn arrive(&self, state: &mut ExecutorState, cx: &mut Context<'_, Self>, action: Action) {
        let id = identity(&action.action_id);
        let task = identity(&action.idempotency_key);
        state.answered.expire(cx.now(), FORGET);
        let earlier = state.answered.get(&task);
        // A replayed action has its result already, or will get it.
        if state.open.contains(&id) || earlier.is_some_and(|told| told.attempt >= action.attempt) {
            return;
        }
        if let Some(verdict) = refusal(state, cx, &action) {
            self.answer(state, cx, &action, &Claim::default(), verdict);
            return;
        }
        self.open(state, cx, id, action);
    }

    fn open(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut action: Action,
    ) {
        // The guards' verdicts are on the topic; nothing here looks at them again.
        action.guards.clear();
        let line = line_of(&action);
        let trace = cx
            .trace()
            .map(|trace| String::from_utf8_lossy(trace).into_owned());
        let claim = Claim {
            sequence: state.place(line),
            phase: ClaimPhase::Queued,
            trace,
            ..Claim::default()
        };
        let not_after = action.not_after;
        state.lines.0.put((line, claim.sequence), id);
        let action = Arc::new(action);
        state.open.put(id, Open { claim, action });
        self.advance(state, cx, line);
        let waits = |open: &Open| open.claim.phase == ClaimPhase::Queued;
        if state.open.get(&id).is_some_and(waits) {
            let due = not_after.saturating_add(1);
            cx.set_timer(Clock::Processing, Timer::Action(id), due);
        }
    }

    /// Lets those in a line begin whose turn it is.
    pub(crate) fn advance(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        line: Line,
    ) {
        while let Some(id) = state.first(line) {
            let Some(mut open) = state.open.get(&id).cloned() else {
                return;
            };
            let full = line == READS && *state.reads.get() >= self.settings.reads_in_flight;
            if full || open.claim.phase != ClaimPhase::Queued {
                return;
            }
            if line == READS {
                state.lines.0.remove(&(line, open.claim.sequence));
                state.reads.change(|reads| *reads += 1);
            }
            open.claim.phase = ClaimPhase::Acting;
            self.begin(state, cx, id, open);
        }
    }

    /// Begins with an action whose turn has come. What became of an earlier attempt, which may have stood before
    /// it in the line, is looked at now: what has succeeded is not done again, and what is unknown is asked for.
    fn begin(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
    ) -> Flow {
        let task = identity(&open.action.idempotency_key);
        let earlier = state.answered.get(&task).copied();
        match earlier.map(|earlier| (earlier.status, earlier.attempt)) {
            Some((ResultStatus::Succeeded, attempt)) => {
                let verdict = Verdict::succeeded_before(attempt);
                self.conclude(state, cx, id, &open, verdict)
            }
            Some((ResultStatus::Unknown, attempt)) if open.action.mutating => {
                open.claim.redo = true;
                open.claim.cause = format!("the outcome of attempt {attempt} is unknown");
                self.probe(state, cx, id, open)
            }
            _ => self.act(state, cx, id, open),
        }
    }

    /// Claims an action in order to act, if it may still be done.
    pub(crate) fn act(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
    ) -> Flow {
        let spent = (open.claim.acts >= self.settings.acts).then(|| given_up(&open));
        if let Some(verdict) = spent.or_else(|| refusal(state, cx, &open.action)) {
            return self.conclude(state, cx, id, &open, verdict);
        }
        open.claim.acts += 1;
        open.claim.phase = ClaimPhase::Acting;
        if open.claim.started_at == 0 {
            open.claim.started_at = cx.now();
        }
        let timeout = open.action.timeout_ms.clamp(1, MAX_TIMEOUT_MS);
        self.claim(state, cx, id, open, Step::Act, timeout);
        Flow::Open
    }

    /// Claims an action in order to ask its target whether it was done.
    pub(crate) fn probe(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
    ) -> Flow {
        if !crate::probe::declared(&open.action) {
            let cause = format!(
                "{}; no probe is declared: a person must look",
                open.claim.cause
            );
            return self.conclude(state, cx, id, &open, Verdict::unknown(cause));
        }
        open.claim.phase = ClaimPhase::Probing;
        let timeout = open.action.timeout_ms.clamp(1, MAX_PROBE_MS);
        self.claim(state, cx, id, open, Step::Probe, timeout);
        Flow::Open
    }

    fn claim(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        mut open: Open,
        step: Step,
        timeout_ms: i64,
    ) {
        open.claim.attempt += 1;
        open.claim.deadline = cx
            .now()
            .saturating_add(timeout_ms + self.settings.margin_ms);
        let attempt = u32::try_from(open.claim.attempt).unwrap_or(u32::MAX);
        let trace = open.claim.trace.as_deref();
        cx.ask(EffectRequest {
            id,
            attempt,
            deadline: open.claim.deadline,
            payload: EffectSpec::payload(&open.action, step, attempt, timeout_ms, trace),
        });
        if *state.sweep.get() == 0 {
            self.set_sweep(state, cx);
        }
        state.open.put(id, open);
    }

    fn set_sweep(&self, state: &mut ExecutorState, cx: &mut Context<'_, Self>) {
        let due = cx.now().saturating_add(self.settings.margin_ms);
        state.sweep.set(due);
        cx.set_timer(Clock::Processing, Timer::Sweep, due);
    }

    /// Counts every effect as lost that should have settled long ago: its report was lost on the way.
    fn sweep(&self, state: &mut ExecutorState, cx: &mut Context<'_, Self>) {
        state.sweep.set(0);
        let late = cx.now().saturating_sub(self.settings.margin_ms);
        let lost: Vec<Digest> = state
            .open
            .iter()
            .filter(|(_, open)| under_way(open.claim.phase) && open.claim.deadline < late)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            cx.close_effect(&id);
            let outcome = EffectOutcome::new(Ended::Lost, "no report of the effect came in time");
            self.settle(state, cx, id, outcome);
        }
        if !state.open.is_empty() {
            self.set_sweep(state, cx);
        }
    }

    fn due(&self, state: &mut ExecutorState, cx: &mut Context<'_, Self>, id: Digest) {
        let Some(open) = state.open.get(&id).cloned() else {
            return;
        };
        let line = line_of(&open.action);
        let flow = match open.claim.phase {
            ClaimPhase::Queued => self.expire_in_line(state, cx, id, &open),
            ClaimPhase::Doubtful => self.resolve(state, cx, id, open),
            ClaimPhase::ActLater => self.act(state, cx, id, open),
            ClaimPhase::ProbeLater => self.probe(state, cx, id, open),
            ClaimPhase::Acting | ClaimPhase::Probing => Flow::Open,
        };
        if flow == Flow::Closed {
            self.advance(state, cx, line);
        }
    }

    fn expire_in_line(
        &self,
        state: &mut ExecutorState,
        cx: &mut Context<'_, Self>,
        id: Digest,
        open: &Open,
    ) -> Flow {
        match expired(cx, &open.action) {
            Some(verdict) => self.conclude(state, cx, id, open, verdict),
            None => Flow::Open,
        }
    }
}

impl Processor for Executor {
    type Io = ExecutorIo;
    type State = ExecutorState;
    type Timer = Timer;
    const APP: &'static str = "executor";

    fn learn(&self, state: &mut ExecutorState, input: &ExecutorInput<'_>) -> Result<(), Rejection> {
        let ExecutorInput::Switch(switch) = input else {
            return Ok(());
        };
        state.switches.change(|view| match &switch.value {
            Some(switch) => view.learn(switch),
            None => view.forget(&String::from_utf8_lossy(&switch.key)),
        });
        Ok(())
    }

    fn on_record(
        &self,
        state: &mut ExecutorState,
        context: &mut Context<'_, Self>,
        input: ExecutorInput<'_>,
    ) -> Result<(), Rejection> {
        if let ExecutorInput::Action(action) = input {
            self.arrive(state, context, action);
        }
        Ok(())
    }

    fn on_timer(&self, state: &mut ExecutorState, context: &mut Context<'_, Self>, timer: Timer) {
        match timer {
            Timer::Action(id) => self.due(state, context, id),
            Timer::Sweep => self.sweep(state, context),
        }
    }

    fn on_settled(
        &self,
        state: &mut ExecutorState,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
        outcome: &[u8],
    ) {
        let outcome = EffectOutcome::decode(outcome);
        self.settle(state, context, effect.id, outcome);
    }

    fn on_doubt(
        &self,
        state: &mut ExecutorState,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
    ) {
        if state.open.contains(&effect.id) {
            self.doubt(state, context, effect.id);
        } else {
            context.close_effect(&effect.id);
        }
    }

    fn rebuild(&self, state: &mut ExecutorState) {
        let open: Vec<(Digest, Open)> = state
            .open
            .iter()
            .map(|(id, open)| (*id, open.clone()))
            .collect();
        for (id, open) in open {
            state.line_up(id, &open);
        }
    }
}

pub(crate) fn under_way(phase: ClaimPhase) -> bool {
    matches!(phase, ClaimPhase::Acting | ClaimPhase::Probing)
}

/// Why an action may not be begun now, if it may not.
fn refusal(state: &ExecutorState, cx: &Context<'_, Executor>, action: &Action) -> Option<Verdict> {
    if action.kind != API_CALL && action.kind != NOTIFICATION {
        return Some(Verdict::failed(format!(
            "this version cannot run `{}`: it runs {API_CALL} and {NOTIFICATION}",
            action.kind
        )));
    }
    if let Some(verdict) = expired(cx, action) {
        return Some(verdict);
    }
    if !action.mutating {
        return None;
    }
    let switch = state.switches.get().kill_switch(&action.domain, cx.now())?;
    Some(Verdict::refused(format!(
        "the kill switch `{}` is on, thrown by {}",
        switch.name, switch.author
    )))
}

fn expired(cx: &Context<'_, Executor>, action: &Action) -> Option<Verdict> {
    (action.not_after < cx.now()).then(|| {
        let late = cx.now().saturating_sub(action.not_after);
        Verdict::expired(format!("its time to be begun ended {late} ms ago"))
    })
}

fn given_up(open: &Open) -> Verdict {
    let times = open.claim.acts;
    let cause = format!("given up after {times} attempts: {}", open.claim.cause);
    // A notification that was sent and not answered for may have arrived; whatever else comes here was probed.
    if open.action.kind == NOTIFICATION {
        Verdict::unknown(cause)
    } else {
        Verdict::failed(cause)
    }
}
