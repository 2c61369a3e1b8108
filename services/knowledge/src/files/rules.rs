//! Rules, and the trigger conditions of playbooks, which are rules too.

use prunella_schemas::Severity;

use crate::alert::ALERT_VARIABLES;
use crate::diagnostic::{Level, Report};
use crate::fields::{Fields, one_of};
use crate::model::{Count, Rule};
use crate::yaml::{Mark, Node};

use super::{conditions, texts};

/// The most occurrences that a window may ask for: it keeps the time of each.
const MAX_COUNT: u32 = 1_000;
/// The longest window with its grace, in milliseconds: a day.
const MAX_WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;

/// A rule and where it stands.
pub(crate) struct ReadRule {
    pub(crate) rule: Rule,
    /// Where its id stands.
    pub(crate) at: Mark,
    /// Where its playbook is named.
    pub(crate) playbook_at: Mark,
}

/// Reads one rule.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<ReadRule> {
    let mut fields = Fields::of("a rule", node, report)?;
    let id = fields.require("id", report).map(|entry| entry.value.at);
    let id_text = fields.text("id", report);
    let before = report.len();
    let mut rule = read_match(&mut fields, report);
    let broken = report.len() > before;
    let playbook = fields.text("playbook", report);
    let playbook_at = playbook.as_ref().map_or(node.at, |playbook| playbook.at);
    rule.playbook = playbook.map(|playbook| playbook.value);
    if let Some(description) = fields.text("description", report) {
        rule.description = description.value;
    }
    if !broken {
        warn_of_all(&rule, fields.at(), report);
    }
    fields.done(report);
    rule.id = id_text?.value;
    Some(ReadRule {
        rule,
        at: id?,
        playbook_at,
    })
}

/// Reads one trigger condition of a playbook; its id follows from the playbook's.
pub(crate) fn read_trigger(
    node: &Node,
    playbook: &str,
    number: usize,
    report: &mut Report<'_>,
) -> Option<ReadRule> {
    let mut fields = Fields::of("a trigger condition", node, report)?;
    let before = report.len();
    let mut rule = read_match(&mut fields, report);
    let broken = report.len() > before;
    rule.id = format!("{playbook}#{number}");
    rule.playbook = Some(playbook.to_owned());
    if let Some(description) = fields.text("description", report) {
        rule.description = description.value;
    }
    if !broken {
        warn_of_all(&rule, fields.at(), report);
    }
    fields.done(report);
    Some(ReadRule {
        rule,
        at: node.at,
        playbook_at: node.at,
    })
}

/// What a rule and a trigger condition have in common: which alerts they are for, and when they hold.
fn read_match(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Rule {
    let condition = fields
        .get("condition")
        .and_then(|entry| conditions::read(&entry.value, report));
    if let Some(condition) = &condition {
        condition.check(ALERT_VARIABLES, |_| None, report);
    }
    Rule {
        alert_name: name(fields, "alert_name", report),
        service_name: name(fields, "service_name", report),
        severity: severity(fields, report),
        source_system: name(fields, "source_system", report),
        domain: name(fields, "domain", report),
        labels: texts(fields, "labels", report),
        condition: condition.map(|condition| condition.condition),
        count: count(fields, report),
        act_within_ms: fields.span("act_within", report),
        rearm_after_ms: fields.span("rearm_after", report),
        ..Rule::default()
    }
}

/// Reports a rule that is for every alert: rarely what was meant.
fn warn_of_all(rule: &Rule, at: Mark, report: &mut Report<'_>) {
    let named = rule.alert_name.is_some()
        || rule.service_name.is_some()
        || rule.severity.is_some()
        || rule.source_system.is_some()
        || rule.domain.is_some()
        || !rule.labels.is_empty()
        || rule.condition.is_some();
    if !named {
        report.push(
            Level::Warning,
            at,
            1,
            "this matches every alert".to_owned(),
            Some("name at least an `alert_name` or a `service_name`".to_owned()),
        );
    }
}

/// A name to be equal to; `any` and `*` ask for nothing.
fn name(fields: &mut Fields<'_>, name: &'static str, report: &mut Report<'_>) -> Option<String> {
    let found = fields.text(name, report)?.value;
    let any = found.eq_ignore_ascii_case("any") || found == "*";
    (!any).then_some(found)
}

fn severity(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Severity> {
    let found = fields.text("severity", report)?;
    let word = found.value.trim();
    if word.eq_ignore_ascii_case("any") || word == "*" {
        return None;
    }
    let severity = Severity::parse(word);
    if severity == Severity::Unknown && !word.eq_ignore_ascii_case(Severity::Unknown.as_str()) {
        let known: Vec<&str> = Severity::ALL.iter().map(|known| known.as_str()).collect();
        report.error_with(
            found.at,
            found.value.chars().count(),
            format!("`{word}` is no severity"),
            one_of(word, &known),
        );
        return None;
    }
    Some(severity)
}

fn count(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Count> {
    let entry = fields.get("count")?;
    let mut parts = Fields::of("a count", &entry.value, report)?;
    let at_least = parts.require("at_least", report).is_some();
    let within = parts.require("within", report).is_some();
    let at_least = at_least.then(|| parts.number("at_least", 1..=MAX_COUNT, report));
    let within = within.then(|| parts.span("within", report));
    let grace_ms = parts.duration("grace", report);
    parts.done(report);
    let count = Count {
        at_least: at_least??,
        within_ms: within??,
        grace_ms,
    };
    if count.within_ms.saturating_add(grace_ms.unwrap_or(0)) > MAX_WINDOW_MS {
        report.error(
            entry.at,
            1,
            "a window and its grace are a day long at most".to_owned(),
        );
        return None;
    }
    Some(count)
}
