//! Playbooks: their own fields, and that their tasks hang together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::alert::{ALERT_VARIABLES, RUN_VARIABLES};
use crate::diagnostic::{Level, Report};
use crate::fields::{Fields, one_of};
use crate::kinds;
use crate::model::{Autonomy, Playbook};
use crate::suggest::nearest;
use crate::yaml::{Mark, Node};

use super::rules::{self, ReadRule};
use super::tasks::{self, ReadTask};

/// Longest run, if the playbook names none: 30 min.
const TIMEOUT_MS: i64 = 30 * 60 * 1_000;
/// The most tasks of a playbook.
const MAX_TASKS: usize = 200;

/// A playbook, its rules, and where it stands.
pub(crate) struct ReadPlaybook {
    pub(crate) playbook: Playbook,
    /// Where its id stands.
    pub(crate) at: Mark,
    pub(crate) triggers: Vec<ReadRule>,
}

/// Reads one playbook.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<ReadPlaybook> {
    let mut fields = Fields::of("a playbook", node, report)?;
    let at = fields
        .require("playbook_id", report)
        .map(|entry| entry.value.at);
    let id = fields.text("playbook_id", report).map(|id| id.value);
    let name = fields.text("name", report).map(|name| name.value);
    let description = fields.text("description", report);
    let words = [
        ("observe", Autonomy::Observe),
        ("automatic", Autonomy::Automatic),
    ];
    let autonomy = fields.word("autonomy", &words, report);
    let timeout_ms = fields.span("timeout", report).unwrap_or(TIMEOUT_MS);
    let trigger_id = id.clone().unwrap_or_default();
    let triggers = fields
        .list("trigger_conditions", report)
        .iter()
        .enumerate()
        .filter_map(|(index, node)| rules::read_trigger(node, &trigger_id, index + 1, report))
        .collect();
    let tasks_at = fields.require("tasks", report).map(|entry| entry.at);
    let tasks: Vec<ReadTask> = fields
        .list("tasks", report)
        .iter()
        .filter_map(|node| tasks::read(node, report))
        .collect();
    fields.done(report);
    check_size(&tasks, tasks_at, report);
    check_tasks(&tasks, report);
    warn_of_kinds(&tasks, autonomy, report);
    let id = id?;
    Some(ReadPlaybook {
        playbook: Playbook {
            name: name.unwrap_or_else(|| id.clone()),
            playbook_id: id,
            description: description.map(|text| text.value).unwrap_or_default(),
            autonomy: autonomy.unwrap_or_default(),
            timeout_ms,
            tasks: tasks.into_iter().map(|task| Arc::new(task.task)).collect(),
        },
        at: at?,
        triggers,
    })
}

fn check_size(tasks: &[ReadTask], at: Option<Mark>, report: &mut Report<'_>) {
    let Some(at) = at else {
        return;
    };
    if tasks.is_empty() {
        report.error(at, 5, "a playbook has at least one task");
    } else if tasks.len() > MAX_TASKS {
        let message = format!(
            "a playbook has at most {MAX_TASKS} tasks, not {}",
            tasks.len()
        );
        report.error(at, 5, message);
    }
}

/// Ids are unique, dependencies exist and form no cycle, variables come from tasks that come before.
fn check_tasks(tasks: &[ReadTask], report: &mut Report<'_>) {
    let mut numbers = BTreeMap::new();
    let mut outputs: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, task) in tasks.iter().enumerate() {
        if let Some(first) = numbers.insert(task.task.id.as_str(), number) {
            let first: &ReadTask = &tasks[first];
            let message = format!(
                "the task `{}` stands here twice; first in line {}",
                task.task.id, first.at.line
            );
            report.error(task.at, task.task.id.chars().count(), message);
        }
        let Some(output) = &task.task.output_variable else {
            continue;
        };
        if let Some(first) = outputs.insert(output, number) {
            let message = format!(
                "`{output}` is the output of the task `{}` already",
                tasks[first].task.id
            );
            report.error(task.output_at, output.chars().count(), message);
        }
    }
    let edges = edges(tasks, &numbers, report);
    if let Some(cycle) = cycle(&edges) {
        let names: Vec<&str> = cycle
            .iter()
            .map(|task| tasks[*task].task.id.as_str())
            .collect();
        report.error(
            tasks[cycle[0]].at,
            names[0].chars().count(),
            format!("these tasks wait for each other: {}", names.join(" -> ")),
        );
        return;
    }
    for (number, task) in tasks.iter().enumerate() {
        check_variables(tasks, task, &before(&edges, number), &outputs, report);
    }
}

/// For each task, the tasks that it depends on; reports those that are not there.
fn edges(
    tasks: &[ReadTask],
    numbers: &BTreeMap<&str, usize>,
    report: &mut Report<'_>,
) -> Vec<Vec<usize>> {
    let known: Vec<&str> = numbers.keys().copied().collect();
    let mut edges = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut found = Vec::new();
        for (name, at) in task.task.depends_on.iter().zip(&task.depends_on_at) {
            match numbers.get(name.as_str()) {
                Some(number) => found.push(*number),
                None => report.error_with(
                    *at,
                    name.chars().count(),
                    format!("there is no task `{name}` to depend on"),
                    one_of(name, &known),
                ),
            }
        }
        edges.push(found);
    }
    edges
}

/// A cycle, first and last the same, if there is one. Walks without recursion.
fn cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut done = vec![false; edges.len()];
    for start in 0..edges.len() {
        // The path from the start, and for each task on it the number of its edges that were followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((task, followed)) = path.last_mut() {
            if done[*task] {
                path.pop();
                continue;
            }
            let Some(next) = edges[*task].get(*followed).copied() else {
                done[*task] = true;
                path.pop();
                continue;
            };
            *followed += 1;
            if let Some(found) = path.iter().position(|(task, _)| *task == next) {
                let mut cycle: Vec<usize> = path[found..].iter().map(|(task, _)| *task).collect();
                cycle.push(next);
                return Some(cycle);
            }
            path.push((next, 0));
        }
    }
    None
}

/// Every task that must have finished before this one.
fn before(edges: &[Vec<usize>], task: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![task];
    while let Some(task) = open.pop() {
        for next in &edges[task] {
            if found.insert(*next) {
                open.push(*next);
            }
        }
    }
    found
}

fn check_variables(
    tasks: &[ReadTask],
    task: &ReadTask,
    before: &BTreeSet<usize>,
    outputs: &BTreeMap<&str, usize>,
    report: &mut Report<'_>,
) {
    let mut known: Vec<&str> = [ALERT_VARIABLES, RUN_VARIABLES].concat();
    known.extend(
        outputs
            .iter()
            .filter(|(_, maker)| before.contains(maker))
            .map(|(name, _)| *name),
    );
    let explain = |name: &str| {
        let Some(maker) = outputs.get(name) else {
            let near = nearest(name, outputs.keys().copied())?;
            return Some(format!("did you mean `{near}`?"));
        };
        let maker = &tasks[*maker].task.id;
        Some(format!(
            "the task `{maker}` makes it, which need not come before: add it to `depends_on`"
        ))
    };
    for condition in &task.conditions {
        condition.check(&known, explain, report);
    }
}

fn warn_of_kinds(tasks: &[ReadTask], autonomy: Option<Autonomy>, report: &mut Report<'_>) {
    for task in tasks {
        if !task.task.kind.is_empty() && !kinds::can_run(&task.task.kind) {
            let message = format!(
                "this version cannot run `{}`; the task will fail with that cause",
                task.task.kind
            );
            let width = task.task.kind.chars().count();
            report.push(Level::Warning, task.kind_at, width, message, None);
        }
    }
    let mutating = tasks.iter().find(|task| kinds::is_mutating(&task.task));
    if let (None, Some(task)) = (autonomy, mutating) {
        report.push(
            Level::Warning,
            task.at,
            task.task.id.chars().count(),
            "the playbook says nothing of its autonomy: it observes, and this task is refused"
                .to_owned(),
            Some("write `autonomy: automatic` to let it act, or `autonomy: observe`".to_owned()),
        );
    }
}
