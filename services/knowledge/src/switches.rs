//! What the switches topic says: a pure fold over its records.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_schemas::{NormalizedAlert, Switch, SwitchKind};

/// The switches by name. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct SwitchView {
    switches: BTreeMap<String, Arc<Switch>>,
}

impl SwitchView {
    /// Takes a switch in, replacing the one of its name.
    pub fn learn(&mut self, switch: &Switch) {
        self.switches
            .insert(switch.name.clone(), Arc::new(switch.clone()));
    }

    /// Takes the removal of a switch in.
    pub fn forget(&mut self, name: &str) {
        self.switches.remove(name);
    }

    /// The switch of this name, thrown or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Switch> {
        self.switches.get(name).map(AsRef::as_ref)
    }

    /// The kill switch that holds for a domain at this time, if one does; a global one before its own.
    #[must_use]
    pub fn kill_switch(&self, domain: &str, now: i64) -> Option<&Switch> {
        self.holding(SwitchKind::KillSwitch, domain, now)
    }

    /// The pause that holds for a domain at this time, if one does.
    #[must_use]
    pub fn paused(&self, domain: &str, now: i64) -> Option<&Switch> {
        self.holding(SwitchKind::Pause, domain, now)
    }

    /// The silence or maintenance that covers an alert at this time, if one does. A silence that names neither
    /// a domain nor a matcher covers nothing: it would silence everything.
    #[must_use]
    pub fn silence<S: Borrow<str> + Ord>(
        &self,
        alert: &NormalizedAlert<S>,
        now: i64,
    ) -> Option<&Switch> {
        // Nearly always there is none: this runs for every alert.
        if self.switches.is_empty() {
            return None;
        }
        let silences = [SwitchKind::Silence, SwitchKind::Maintenance];
        self.thrown(now).find(|switch| {
            silences.contains(&switch.kind)
                && (switch.domain.is_some() || !switch.matchers.is_empty())
                && covers(switch, alert.domain.borrow())
                && switch
                    .matchers
                    .iter()
                    .all(|(name, value)| matches(alert, name, value))
        })
    }

    fn holding(&self, kind: SwitchKind, domain: &str, now: i64) -> Option<&Switch> {
        let found = || {
            self.thrown(now)
                .filter(move |switch| switch.kind == kind && covers(switch, domain))
        };
        found()
            .find(|switch| switch.domain.is_none())
            .or_else(|| found().next())
    }

    fn thrown(&self, now: i64) -> impl Iterator<Item = &Switch> {
        self.switches
            .values()
            .map(AsRef::as_ref)
            .filter(move |switch| switch.on && switch.until.is_none_or(|until| now < until))
    }
}

fn covers(switch: &Switch, domain: &str) -> bool {
    switch
        .domain
        .as_deref()
        .is_none_or(|covered| same(covered, domain))
}

fn matches<S: Borrow<str> + Ord>(alert: &NormalizedAlert<S>, name: &str, value: &str) -> bool {
    let is = |field: Option<&str>| field.is_some_and(|field| same(field, value));
    match name {
        "alert_name" => is(Some(alert.alert_name.borrow())),
        "service_name" => is(alert.service_name.as_ref().map(S::borrow)),
        "source_system" => is(Some(alert.source_system.borrow())),
        "severity" => is(Some(alert.severity.as_str())),
        "domain" => is(Some(alert.domain.borrow())),
        "host_ip" => is(alert.host_ip.as_ref().map(S::borrow)),
        label => alert
            .labels
            .get(label)
            .is_some_and(|found| found.borrow() == value),
    }
}

/// Names compare without case.
fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || left.to_lowercase() == right.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(switches: &[Switch]) -> SwitchView {
        let mut view = SwitchView::default();
        for switch in switches {
            view.learn(switch);
        }
        view
    }

    fn switch(name: &str, kind: SwitchKind, domain: Option<&str>) -> Switch {
        Switch {
            name: name.to_owned(),
            kind,
            on: true,
            domain: domain.map(str::to_owned),
            ..Switch::default()
        }
    }

    fn kill(view: &SwitchView, domain: &str, now: i64) -> Option<String> {
        view.kill_switch(domain, now)
            .map(|switch| switch.name.clone())
    }

    #[test]
    fn a_kill_switch_holds_for_its_domain_or_for_all() {
        let own = switch("kill-switch/prod", SwitchKind::KillSwitch, Some("prod"));
        let mut switches = view(&[own]);
        assert_eq!(
            kill(&switches, "PROD", 0).as_deref(),
            Some("kill-switch/prod")
        );
        assert_eq!(kill(&switches, "test", 0), None);
        switches.learn(&switch("kill-switch", SwitchKind::KillSwitch, None));
        assert_eq!(kill(&switches, "prod", 0).as_deref(), Some("kill-switch"));
        assert_eq!(kill(&switches, "test", 0).as_deref(), Some("kill-switch"));
        switches.forget("kill-switch");
        assert_eq!(kill(&switches, "test", 0), None);
    }

    #[test]
    fn a_switch_that_is_off_or_over_does_not_hold() {
        let mut thrown = switch("kill-switch", SwitchKind::KillSwitch, None);
        thrown.until = Some(100);
        let mut switches = view(&[thrown.clone()]);
        assert!(kill(&switches, "x", 99).is_some());
        assert!(kill(&switches, "x", 100).is_none());
        thrown.until = None;
        thrown.on = false;
        switches.learn(&thrown);
        assert!(kill(&switches, "x", 0).is_none());
    }

    #[test]
    fn a_pause_is_no_kill_switch() {
        let switches = view(&[switch("pause", SwitchKind::Pause, Some("prod"))]);
        assert!(switches.paused("prod", 0).is_some());
        assert!(switches.paused("test", 0).is_none());
        assert!(switches.kill_switch("prod", 0).is_none());
    }

    #[test]
    fn a_silence_covers_what_all_its_matchers_match() {
        let alert = NormalizedAlert {
            alert_name: "Disk_Full".to_owned(),
            service_name: Some("db".to_owned()),
            domain: "prod".to_owned(),
            labels: [("team".to_owned(), "storage".to_owned())].into(),
            ..NormalizedAlert::default()
        };
        let covers = |domain: Option<&str>, matchers: &[(&str, &str)]| {
            let mut silence = switch("quiet", SwitchKind::Silence, domain);
            silence.matchers = matchers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            view(&[silence]).silence(&alert, 0).is_some()
        };
        assert!(covers(
            None,
            &[("alert_name", "disk_full"), ("team", "storage")]
        ));
        assert!(!covers(
            None,
            &[("alert_name", "disk_full"), ("team", "Storage")]
        ));
        assert!(!covers(None, &[("absent", "x")]));
        assert!(covers(Some("prod"), &[]));
        assert!(!covers(Some("test"), &[("service_name", "db")]));
        assert!(!covers(None, &[]), "it would silence everything");
        assert!(view(&[]).silence(&alert, 0).is_none());
    }
}
