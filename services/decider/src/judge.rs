//! What becomes of an alert, and why.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_knowledge::{
    AlertScope, Condition, ConditionError, Lookup, Rule, Term, format_duration,
};
use prunella_schemas::{
    AlertStatus, BorrowedAlert, CowStr, NormalizedAlert, Outcome, Switch, SwitchKind,
};
use prunella_stream::Millis;

use crate::index::RuleIndex;
use crate::seen::{self, Arming, Follows};
use crate::state::DeciderState;
use crate::window::{self, Counting};

/// What becomes of an alert.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) rule: Option<Arc<Rule>>,
    pub(crate) reason: String,
    pub(crate) evidence: BTreeMap<String, String>,
}

impl Verdict {
    fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            ..Self::default()
        }
    }

    fn of(outcome: Outcome, rule: &Arc<Rule>, reason: impl Into<String>) -> Self {
        Self {
            rule: Some(Arc::clone(rule)),
            ..Self::new(outcome, reason)
        }
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.evidence.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Judges an alert by the rules in force.
pub(crate) fn judge(
    state: &mut DeciderState,
    rules: Option<&RuleIndex>,
    alert: &BorrowedAlert<'_>,
    now: Millis,
) -> Verdict {
    let Some(rules) = rules else {
        return match alert.status {
            AlertStatus::Resolved => Verdict::new(Outcome::Resolved, "the alert resolved"),
            AlertStatus::Firing => Verdict::new(Outcome::NoRule, "no knowledge is in force"),
        };
    };
    if rules.windowed() {
        window::advance(&mut state.watermarks, alert, now);
    }
    if alert.status == AlertStatus::Resolved {
        for indexed in rules.matching(alert) {
            seen::resolve(&mut state.seen, alert, &indexed.rule, now);
        }
        return Verdict::new(Outcome::Resolved, "the alert resolved");
    }
    if let Some(switch) = state.switches.get().silence(alert, now) {
        return silenced(switch);
    }
    let mut passed_over = None;
    let owned = OnceCell::new();
    for indexed in rules.matching(alert) {
        let case = Case {
            rules,
            rule: &indexed.rule,
            alert,
            owned: &owned,
            now,
        };
        match case.judge(state) {
            Ok(verdict) => return verdict,
            // A rule that would hold but for the time says more than one whose condition is false.
            Err(verdict) if verdict.outcome == Outcome::Late => passed_over = Some(verdict),
            Err(verdict) => passed_over = passed_over.or(Some(verdict)),
        }
    }
    passed_over.unwrap_or_else(|| Verdict::new(Outcome::NoRule, "no rule names this alert"))
}

fn silenced(switch: &Switch) -> Verdict {
    let (outcome, what) = match switch.kind {
        SwitchKind::Maintenance => (Outcome::Maintenance, "a maintenance"),
        _ => (Outcome::Silenced, "a silence"),
    };
    let reason = format!("{what} of {} covers it: `{}`", switch.author, switch.name);
    Verdict::new(outcome, reason).with("switch", &switch.name)
}

/// One alert and one rule whose equality fields match it.
struct Case<'a> {
    rules: &'a RuleIndex,
    rule: &'a Arc<Rule>,
    alert: &'a BorrowedAlert<'a>,
    /// The alert as conditions read it, made for the first one.
    owned: &'a OnceCell<NormalizedAlert>,
    now: Millis,
}

impl Case<'_> {
    /// What the rule says; an error if it leaves the alert to others.
    fn judge(&self, state: &mut DeciderState) -> Result<Verdict, Verdict> {
        if let Some(condition) = &self.rule.condition {
            match condition.evaluate(&self.scope()) {
                Ok(true) => {}
                Ok(false) => return Err(self.condition_false(condition)),
                Err(error) => return Ok(self.condition_error(state, condition, &error)),
            }
        }
        let Some(count) = self.rule.count else {
            return Ok(self.occurrence(state));
        };
        let grace = count.grace_ms.unwrap_or(self.rules.set().settings.grace_ms);
        let counting = window::count(state, self.alert, self.rule, count, grace, self.now);
        let within = format_duration(count.within_ms);
        let counted = |verdict: Verdict, number: usize| {
            verdict
                .with("count", number)
                .with("at_least", count.at_least)
                .with("within", &within)
        };
        let rule = &self.rule.id;
        match counting {
            Counting::Again => Ok(self.verdict(
                Outcome::Deduplicated,
                format!("rule {rule} has counted this occurrence already"),
            )),
            Counting::Late(late) => Err(self
                .verdict(
                    Outcome::Late,
                    format!(
                        "rule {rule} counts no more what came {} too late",
                        format_duration(late)
                    ),
                )
                .with("late_ms", late)),
            Counting::Counted(number) => Ok(counted(
                self.verdict(
                    Outcome::Counting,
                    format!(
                        "rule {rule} has counted {number} of {} in {within}",
                        count.at_least
                    ),
                ),
                number,
            )),
            Counting::Reached(number) => Ok(counted(self.act(state), number)),
        }
    }

    /// A rule without a window acts once an occurrence until that re-arms.
    fn occurrence(&self, state: &mut DeciderState) -> Verdict {
        let key = seen::key(self.alert, self.rule, Follows::Act);
        let rearm_after = self.rearm_after();
        let arming = seen::arming(state.seen.get(&key), self.alert, self.now, rearm_after);
        if let Some(verdict) = self.deduplicated(arming) {
            return verdict;
        }
        let verdict = self.act(state);
        if verdict.outcome != Outcome::Stale && verdict.outcome != Outcome::Deduplicated {
            seen::note(&mut state.seen, key, self.now, rearm_after);
        }
        match arming {
            Arming::Rearmed(ago) => verdict.with("rearmed_after", format_duration(ago)),
            _ => verdict,
        }
    }

    /// The rule holds: what follows, unless the alert waited too long.
    fn act(&self, state: &mut DeciderState) -> Verdict {
        let settings = &self.rules.set().settings;
        let act_within = self.rule.act_within_ms.unwrap_or(settings.act_within_ms);
        let waited = self.now.saturating_sub(self.alert.received_at);
        if waited > act_within {
            return self.tell(state, Follows::TellStale, || {
                let reason = format!(
                    "rule {} holds, but the alert waited {}, longer than {}: nothing is done",
                    self.rule.id,
                    format_duration(waited),
                    format_duration(act_within)
                );
                self.verdict(Outcome::Stale, reason)
                    .with("waited", format_duration(waited))
                    .with("act_within", format_duration(act_within))
            });
        }
        let why = match &self.rule.condition {
            Some(condition) => format!("rule {} holds: {}", self.rule.id, condition.text()),
            None => format!("rule {} holds", self.rule.id),
        };
        let verdict = match &self.rule.playbook {
            None => self.verdict(Outcome::Notified, format!("{why}; it names no playbook")),
            Some(playbook) if self.rules.set().playbooks.contains_key(playbook) => {
                self.verdict(Outcome::Triggered, format!("{why}; {playbook} starts"))
            }
            Some(playbook) => self
                .verdict(
                    Outcome::Notified,
                    format!("{why}, but there is no playbook {playbook}"),
                )
                .with("missing_playbook", playbook),
        };
        match &self.rule.condition {
            Some(condition) => self.seen_by(condition, verdict),
            None => verdict,
        }
    }

    fn condition_false(&self, condition: &Condition) -> Verdict {
        let reason = format!("rule {} does not hold: {}", self.rule.id, condition.text());
        self.seen_by(condition, self.verdict(Outcome::ConditionFalse, reason))
    }

    fn condition_error(
        &self,
        state: &mut DeciderState,
        condition: &Condition,
        error: &ConditionError,
    ) -> Verdict {
        self.tell(state, Follows::TellError, || {
            let reason = format!(
                "whether rule {} holds cannot be told: {}: {error}",
                self.rule.id,
                condition.text()
            );
            self.seen_by(condition, self.verdict(Outcome::ConditionError, reason))
        })
    }

    /// People hear of it once an occurrence until that re-arms.
    fn tell(
        &self,
        state: &mut DeciderState,
        follows: Follows,
        verdict: impl FnOnce() -> Verdict,
    ) -> Verdict {
        let key = seen::key(self.alert, self.rule, follows);
        let rearm_after = self.rearm_after();
        let arming = seen::arming(state.seen.get(&key), self.alert, self.now, rearm_after);
        self.deduplicated(arming).unwrap_or_else(|| {
            seen::note(&mut state.seen, key, self.now, rearm_after);
            verdict()
        })
    }

    fn deduplicated(&self, arming: Arming) -> Option<Verdict> {
        let rule = &self.rule.id;
        match arming {
            Arming::Fresh | Arming::Rearmed(_) => None,
            Arming::Over => Some(self.verdict(
                Outcome::Deduplicated,
                format!("rule {rule} decided this occurrence, and it has resolved since"),
            )),
            Arming::Repeated(ago) => {
                let rearm_after = format_duration(self.rearm_after());
                let reason = format!(
                    "rule {rule} decided this occurrence {} ago; it re-arms after {rearm_after}",
                    format_duration(ago)
                );
                let verdict = self.verdict(Outcome::Deduplicated, reason);
                Some(
                    verdict
                        .with("decided_ago", format_duration(ago))
                        .with("rearm_after", rearm_after),
                )
            }
        }
    }

    /// The condition and what it read, as evidence.
    fn seen_by(&self, condition: &Condition, verdict: Verdict) -> Verdict {
        let scope = self.scope();
        let verdict = verdict.with("condition", condition.text());
        condition
            .references()
            .iter()
            .filter_map(|read| Some((&read.name, in_words(scope.variable(&read.name)?))))
            .fold(verdict, |verdict, (name, value)| verdict.with(name, value))
    }

    fn scope(&self) -> AlertScope<'_> {
        let own = || self.alert.clone().map(CowStr::into_string);
        AlertScope(self.owned.get_or_init(own))
    }

    fn rearm_after(&self) -> Millis {
        let settings = &self.rules.set().settings;
        self.rule.rearm_after_ms.unwrap_or(settings.rearm_after_ms)
    }

    fn verdict(&self, outcome: Outcome, reason: impl Into<String>) -> Verdict {
        Verdict::of(outcome, self.rule, reason)
    }
}

/// The longest text that evidence repeats, in characters.
const SHOWN: usize = 200;

fn in_words(term: Term<'_>) -> String {
    match term {
        Term::Null => "null".to_owned(),
        Term::Bool(value) => value.to_string(),
        Term::Int(value) => value.to_string(),
        Term::Double(value) => value.to_string(),
        Term::Text(text) => text.chars().take(SHOWN).collect(),
        Term::Texts(texts) => format!("{} names", texts.len()),
        Term::Json(value) => value.to_string().chars().take(SHOWN).collect(),
    }
}
