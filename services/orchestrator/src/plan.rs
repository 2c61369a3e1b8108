//! A playbook compiled: its graph, its templates, and which of its tasks may change anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_knowledge::{KnowledgeSet, Playbook};

use crate::graph::{Graph, GraphError};
use crate::render::{RenderError, Templates};
use crate::request::{self, Request};

/// A playbook as runs follow it.
#[derive(Debug)]
pub struct Plan {
    /// The playbook.
    pub playbook: Arc<Playbook>,
    /// Its dependencies; an error if no run of it could end.
    pub graph: Result<Graph, GraphError>,
    /// Its tasks, in their order.
    pub tasks: Vec<PlannedTask>,
    /// Their templates.
    pub templates: Templates,
}

/// One task compiled.
#[derive(Debug)]
pub struct PlannedTask {
    /// Whether it may change its target.
    pub mutating: bool,
    /// What it asks for; an error fails the task when it is its turn.
    pub request: Result<Request, RenderError>,
}

impl Plan {
    /// Compiles a playbook.
    #[must_use]
    pub fn of(playbook: &Arc<Playbook>) -> Self {
        let mut templates = Templates::default();
        let tasks = playbook.tasks.iter().map(|task| PlannedTask {
            mutating: request::mutating(task),
            request: Request::compile(task, &mut templates),
        });
        Self {
            tasks: tasks.collect(),
            graph: Graph::of(playbook),
            playbook: playbook.clone(),
            templates,
        }
    }

    /// The place of a task in the playbook.
    #[must_use]
    pub fn place(&self, task_id: &str) -> Option<usize> {
        self.playbook
            .tasks
            .iter()
            .position(|task| task.id == task_id)
    }
}

/// How many knowledge sets stay compiled.
const SETS: usize = 16;

/// Plans and rules' deadlines by knowledge digest. What it holds follows from the knowledge alone, so that it
/// need not be part of the state.
#[derive(Debug, Default)]
pub(crate) struct Plans(RefCell<BTreeMap<String, Compiled>>);

#[derive(Debug)]
struct Compiled {
    plans: BTreeMap<String, Arc<Plan>>,
    /// Only of rules that override the setting.
    act_within_ms: BTreeMap<String, i64>,
}

impl Plans {
    /// The plan of a playbook, if the set has it.
    pub(crate) fn plan(&self, set: &KnowledgeSet, playbook_id: &str) -> Option<Arc<Plan>> {
        self.with(set, |compiled| {
            if let Some(plan) = compiled.plans.get(playbook_id) {
                return Some(plan.clone());
            }
            let plan = Arc::new(Plan::of(set.playbooks.get(playbook_id)?));
            compiled.plans.insert(playbook_id.to_owned(), plan.clone());
            Some(plan)
        })
    }

    /// How long after its receipt an alert of this rule may be acted upon.
    pub(crate) fn act_within_ms(&self, set: &KnowledgeSet, rule_id: &str) -> i64 {
        self.with(set, |compiled| compiled.act_within_ms.get(rule_id).copied())
            .unwrap_or(set.settings.act_within_ms)
    }

    fn with<T>(&self, set: &KnowledgeSet, ask: impl FnOnce(&mut Compiled) -> T) -> T {
        let mut sets = self.0.borrow_mut();
        if let Some(compiled) = sets.get_mut(&set.digest) {
            return ask(compiled);
        }
        if sets.len() >= SETS {
            sets.clear();
        }
        let overrides = set
            .rules
            .iter()
            .filter_map(|rule| Some((rule.id.clone(), rule.act_within_ms?)));
        let compiled = Compiled {
            plans: BTreeMap::new(),
            act_within_ms: overrides.collect(),
        };
        ask(sets.entry(set.digest.clone()).or_insert(compiled))
    }
}
