//! Settings that hold for all rules and playbooks.

use crate::diagnostic::Report;
use crate::fields::{Fields, Placed};
use crate::model::Settings;
use crate::yaml::Node;

/// Reads the settings; what is not named keeps its default.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Placed<Settings>> {
    let mut fields = Fields::of("the settings", node, report)?;
    let defaults = Settings::default();
    let mut span = |name, default| fields.span(name, report).unwrap_or(default);
    let value = Settings {
        act_within_ms: span("act_within", defaults.act_within_ms),
        rearm_after_ms: span("rearm_after", defaults.rearm_after_ms),
        cooldown_ms: span("cooldown", defaults.cooldown_ms),
        cooldown_max_ms: span("cooldown_max", defaults.cooldown_max_ms),
        budget_within_ms: span("budget_within", defaults.budget_within_ms),
        grace_ms: fields
            .duration("grace", report)
            .unwrap_or(defaults.grace_ms),
        budget_actions: fields
            .number("budget_actions", 0..=1_000_000, report)
            .unwrap_or(defaults.budget_actions),
    };
    if value.cooldown_max_ms < value.cooldown_ms {
        report.error(
            node.at,
            1,
            "`cooldown_max` is shorter than `cooldown`".to_owned(),
        );
    }
    fields.done(report);
    Some(Placed { value, at: node.at })
}
