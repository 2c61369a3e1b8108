//! Which rules an alert's equality fields match, the most specific first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_knowledge::{KnowledgeSet, Rule};
use prunella_schemas::BorrowedAlert;

/// The rules of a set, indexed by alert name.
///
/// A rule is the more specific, the more equality fields it has, each label counting as one. Among rules with
/// equally many, those fields decide in this order: alert name, service, labels, severity, source system,
/// domain; then a rule with a condition or a count goes before one without, and then the order of the set: rule
/// files by path and line, then the playbooks' trigger conditions.
#[derive(Debug)]
pub struct RuleIndex {
    set: Arc<KnowledgeSet>,
    rules: Vec<Indexed>,
    by_name: BTreeMap<Box<str>, Vec<u32>>,
    of_any_name: Vec<u32>,
    windowed: bool,
}

/// A rule with its names in lower case.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) rule: Arc<Rule>,
    service: Option<Box<str>>,
    source: Option<Box<str>>,
    domain: Option<Box<str>>,
}

impl RuleIndex {
    /// The index over a set's rules.
    #[must_use]
    pub fn new(set: &Arc<KnowledgeSet>) -> Self {
        let mut rules: Vec<&Arc<Rule>> = set.rules.iter().collect();
        // A stable sort: what is equally specific keeps the set's order.
        rules.sort_by_key(|rule| Reverse(specificity(rule)));
        let mut index = Self {
            set: Arc::clone(set),
            rules: Vec::with_capacity(rules.len()),
            by_name: BTreeMap::new(),
            of_any_name: Vec::new(),
            windowed: rules.iter().any(|rule| rule.count.is_some()),
        };
        for (number, rule) in (0_u32..).zip(rules) {
            match &rule.alert_name {
                Some(name) => index.by_name.entry(lower(name)).or_default().push(number),
                None => index.of_any_name.push(number),
            }
            index.rules.push(Indexed::new(rule));
        }
        index
    }

    /// The set.
    #[must_use]
    pub fn set(&self) -> &KnowledgeSet {
        &self.set
    }

    /// True if a rule counts.
    pub(crate) fn windowed(&self) -> bool {
        self.windowed
    }

    /// The rules whose equality fields match, the most specific first.
    pub(crate) fn matching<'a>(
        &'a self,
        alert: &'a BorrowedAlert<'_>,
    ) -> impl Iterator<Item = &'a Indexed> + 'a {
        let named = with_lower(&alert.alert_name, |name| self.by_name.get(name));
        Merge {
            left: named.map_or(&[][..], Vec::as_slice),
            right: &self.of_any_name,
        }
        .filter_map(|number| self.rules.get(usize::try_from(number).ok()?))
        .filter(|indexed| indexed.matches(alert))
    }
}

impl Indexed {
    fn new(rule: &Arc<Rule>) -> Self {
        let lowered = |name: &Option<String>| name.as_deref().map(lower);
        Self {
            service: lowered(&rule.service_name),
            source: lowered(&rule.source_system),
            domain: lowered(&rule.domain),
            rule: Arc::clone(rule),
        }
    }

    /// Whether every equality field but the alert's name matches.
    fn matches(&self, alert: &BorrowedAlert<'_>) -> bool {
        let rule = &self.rule;
        rule.severity
            .is_none_or(|severity| severity == alert.severity)
            && is(self.service.as_deref(), alert.service_name.as_deref())
            && is(self.source.as_deref(), Some(&alert.source_system))
            && is(self.domain.as_deref(), Some(&alert.domain))
            && rule.labels.iter().all(|(name, value)| {
                alert
                    .labels
                    .get(name.as_str())
                    .is_some_and(|found| **found == **value)
            })
    }
}

/// How specific a rule is: greater is more.
fn specificity(rule: &Rule) -> (usize, u8, bool) {
    let fields = [
        rule.alert_name.is_some(),
        rule.service_name.is_some(),
        !rule.labels.is_empty(),
        rule.severity.is_some(),
        rule.source_system.is_some(),
        rule.domain.is_some(),
    ];
    let bits = fields
        .iter()
        .fold(0, |bits, there| (bits << 1) | u8::from(*there));
    let labels = rule.labels.len();
    let count = fields.iter().filter(|there| **there).count() - usize::from(labels > 0) + labels;
    let narrowed = rule.condition.is_some() || rule.count.is_some();
    (count, bits, narrowed)
}

/// Whether a name is the wanted one, which is in lower case; nothing wanted is anything.
fn is(wanted: Option<&str>, name: Option<&str>) -> bool {
    match (wanted, name) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(name)) if name.is_ascii() => wanted.eq_ignore_ascii_case(name),
        (Some(wanted), Some(name)) => wanted == name.to_lowercase(),
    }
}

fn lower(name: &str) -> Box<str> {
    name.to_lowercase().into_boxed_str()
}

/// Calls with the name in lower case, made on the stack if it is ASCII and of ordinary length.
fn with_lower<R>(name: &str, call: impl FnOnce(&str) -> R) -> R {
    let mut buffer = [0_u8; 128];
    if let Some(short) = buffer.get_mut(..name.len())
        && name.is_ascii()
    {
        short.copy_from_slice(name.as_bytes());
        short.make_ascii_lowercase();
        if let Ok(lower) = std::str::from_utf8(short) {
            return call(lower);
        }
    }
    call(&name.to_lowercase())
}

/// Two ascending lists as one.
struct Merge<'a> {
    left: &'a [u32],
    right: &'a [u32],
}

impl Iterator for Merge<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let from = match (self.left.first(), self.right.first()) {
            (Some(left), Some(right)) if right < left => &mut self.right,
            (None, _) => &mut self.right,
            _ => &mut self.left,
        };
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use prunella_schemas::{CowStr, NormalizedAlert, Severity};

    use super::*;

    fn rule(id: &str, alert_name: Option<&str>, service: Option<&str>) -> Rule {
        Rule {
            id: id.to_owned(),
            alert_name: alert_name.map(str::to_owned),
            service_name: service.map(str::to_owned),
            ..Rule::default()
        }
    }

    fn check(rules: Vec<Rule>, alert: &NormalizedAlert, expected: &[&str]) {
        let set = KnowledgeSet {
            rules: rules.into_iter().map(Arc::new).collect(),
            ..KnowledgeSet::default()
        };
        let index = RuleIndex::new(&Arc::new(set));
        let alert = alert.clone().map(CowStr::from);
        let found: Vec<&str> = index
            .matching(&alert)
            .map(|indexed| indexed.rule.id.as_str())
            .collect();
        assert_eq!(found, expected);
    }

    fn alert() -> NormalizedAlert {
        NormalizedAlert {
            alert_name: "Disk_Full".to_owned(),
            service_name: Some("Größe-DB".to_owned()),
            severity: Severity::Warning,
            source_system: "zabbix".to_owned(),
            domain: "prod".to_owned(),
            labels: [("team".to_owned(), "db".to_owned())].into(),
            ..NormalizedAlert::default()
        }
    }

    #[test]
    fn names_compare_without_case_and_labels_with_it() {
        let mut by_label = rule("label", None, None);
        by_label.labels.insert("team".to_owned(), "db".to_owned());
        let mut by_other_label = by_label.clone();
        by_other_label
            .labels
            .insert("team".to_owned(), "DB".to_owned());
        check(
            vec![
                rule("name", Some("DISK_full"), None),
                rule("service", None, Some("gröSSe-db")),
                rule("umlaut", None, Some("GRÖßE-db")),
                rule("other", Some("Disk_Full_Soon"), None),
                by_label,
                by_other_label,
            ],
            &alert(),
            &["name", "umlaut", "label"],
        );
    }

    #[test]
    fn the_most_specific_rule_comes_first_and_the_order_of_the_set_settles_the_rest() {
        let mut severe = rule("severity", None, None);
        severe.severity = Some(Severity::Warning);
        let mut conditional = rule("conditional", Some("disk_full"), None);
        conditional.count = Some(prunella_knowledge::Count::default());
        let mut three = rule("three", None, None);
        three.severity = Some(Severity::Warning);
        three.source_system = Some("Zabbix".to_owned());
        three.domain = Some("PROD".to_owned());
        check(
            vec![
                rule("any", None, None),
                rule("any too", None, None),
                severe,
                rule("name", Some("disk_full"), None),
                conditional,
                rule("both", Some("disk_full"), Some("größe-db")),
                three,
            ],
            &alert(),
            &[
                "three",
                "both",
                "conditional",
                "name",
                "severity",
                "any",
                "any too",
            ],
        );
    }

    #[test]
    fn one_field_that_differs_is_enough() {
        let mut severity = rule("severity", Some("disk_full"), None);
        severity.severity = Some(Severity::Critical);
        let mut source = rule("source", Some("disk_full"), None);
        source.source_system = Some("alertmanager".to_owned());
        let mut domain = rule("domain", Some("disk_full"), None);
        domain.domain = Some("test".to_owned());
        let rules = vec![severity, source, domain, rule("service", None, Some("api"))];
        check(rules.clone(), &alert(), &[]);
        let nameless = NormalizedAlert {
            service_name: None,
            ..alert()
        };
        check(rules, &nameless, &[]);
    }

    #[test]
    fn a_long_or_foreign_name_is_found_too() {
        for name in ["x".repeat(300), "Überlast".to_owned(), String::new()] {
            let alert = NormalizedAlert {
                alert_name: name.to_uppercase(),
                ..NormalizedAlert::default()
            };
            check(vec![rule("it", Some(&name), None)], &alert, &["it"]);
        }
    }
}
