//! Who writes and reads topics.

use std::fmt;

/// A part of the pipeline that writes or reads topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// HTTP in: alerts, logs, people's commands.
    Gateway,
    /// Vendor payloads to alerts in the common shape.
    Normalizer,
    /// One decision for every alert.
    Decider,
    /// Playbook runs inside the safety envelope.
    Orchestrator,
    /// Claims and results of effects.
    Executor,
    /// The effects themselves, begun by the executor's process.
    Effects,
}

impl Service {
    /// Every service, in the order of the flow.
    pub const ALL: &'static [Self] = &[
        Self::Gateway,
        Self::Normalizer,
        Self::Decider,
        Self::Orchestrator,
        Self::Executor,
        Self::Effects,
    ];

    /// Its name: for a stage the application id, without the installation's prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Normalizer => "normalizer",
            Self::Decider => "decider",
            Self::Orchestrator => "orchestrator",
            Self::Executor => "executor",
            Self::Effects => "effects",
        }
    }

    /// The service of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|service| service.name() == name)
    }

    /// True for a pure stage: it has tasks, a consumer group, transactions and a changelog. The others are
    /// edges.
    #[must_use]
    pub const fn is_stage(self) -> bool {
        !matches!(self, Self::Gateway | Self::Effects)
    }

    /// The service whose process it runs in: itself, save for the effects, which the executor begins.
    #[must_use]
    pub const fn runs_in(self) -> Self {
        match self {
            Self::Effects => Self::Executor,
            service => service,
        }
    }

    /// The services that are started on their own, in the order of the flow.
    pub fn started() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|service| service.runs_in() == *service)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found_by_its_name_and_nothing_else_is() {
        for service in Service::ALL {
            assert_eq!(Service::by_name(service.name()), Some(*service));
        }
        assert_eq!(Service::by_name("Decider"), None);
    }

    #[test]
    fn only_the_effects_run_in_another_services_process() {
        let started: Vec<_> = Service::started().collect();
        assert_eq!(started, Service::ALL[..5]);
        assert_eq!(Service::Effects.runs_in(), Service::Executor);
    }
}
