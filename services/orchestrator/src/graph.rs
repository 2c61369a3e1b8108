//! A playbook's tasks as a graph: which may start once which have finished.

use prunella_knowledge::Playbook;
use prunella_schemas::TaskState;
use prunella_schemas::state::TaskProgress;

/// For each task, by its place in the playbook, the places of the tasks it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
}

/// Dependencies under which a run could never end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A task waits for one that is not there.
    #[error(
        "task {task} depends on {missing}, which is not in the playbook; correct depends_on and apply the knowledge again"
    )]
    Missing {
        /// The task that waits.
        task: String,
        /// What it waits for.
        missing: String,
    },
    /// Tasks wait for each other.
    #[error(
        "task {task} waits for itself through its dependencies; correct depends_on and apply the knowledge again"
    )]
    Cycle {
        /// One of the tasks.
        task: String,
    },
}

impl Graph {
    /// The graph of a playbook.
    ///
    /// # Errors
    /// [`GraphError`] if a task could never start.
    pub fn of(playbook: &Playbook) -> Result<Self, GraphError> {
        let place = |id: &String| playbook.tasks.iter().position(|task| task.id == *id);
        let mut needs = Vec::with_capacity(playbook.tasks.len());
        for task in &playbook.tasks {
            let mut places = Vec::with_capacity(task.depends_on.len());
            for id in &task.depends_on {
                places.push(place(id).ok_or_else(|| GraphError::Missing {
                    task: task.id.clone(),
                    missing: id.clone(),
                })?);
            }
            needs.push(places);
        }
        let graph = Self { needs };
        match graph.stuck() {
            Some(place) => Err(GraphError::Cycle {
                task: playbook.tasks[place].id.clone(),
            }),
            None => Ok(graph),
        }
    }

    /// Tasks that have not started and wait for nothing any more, in the playbook's order. A task that
    /// succeeded, was skipped, or failed without ending the run has finished.
    #[must_use]
    pub fn ready(&self, tasks: &[TaskProgress]) -> Vec<usize> {
        (0..self.needs.len())
            .filter(|place| tasks[*place].state == TaskState::Pending)
            .filter(|place| {
                self.needs[*place]
                    .iter()
                    .all(|need| finished(tasks[*need].state))
            })
            .collect()
    }

    /// A task that never becomes ready, whatever the others do.
    fn stuck(&self) -> Option<usize> {
        let mut done = vec![false; self.needs.len()];
        loop {
            let next = (0..done.len())
                .find(|place| !done[*place] && self.needs[*place].iter().all(|need| done[*need]));
            match next {
                Some(place) => done[place] = true,
                None => return done.iter().position(|done| !done),
            }
        }
    }
}

/// True if nothing more happens to a task in that state.
#[must_use]
pub fn finished(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Succeeded | TaskState::Failed | TaskState::Skipped
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prunella_knowledge::Task;

    use super::*;

    fn playbook(tasks: &[(&str, &[&str])]) -> Playbook {
        let task = |(id, needs): &(&str, &[&str])| {
            Arc::new(Task {
                id: (*id).to_owned(),
                depends_on: needs.iter().map(|need| (*need).to_owned()).collect(),
                ..Task::default()
            })
        };
        Playbook {
            tasks: tasks.iter().map(task).collect(),
            ..Playbook::default()
        }
    }

    fn check(tasks: &[(&str, &[&str])], states: &[TaskState], ready: &[usize]) {
        let graph = Graph::of(&playbook(tasks)).unwrap();
        let progress: Vec<TaskProgress> = states
            .iter()
            .map(|state| TaskProgress {
                state: *state,
                ..TaskProgress::default()
            })
            .collect();
        assert_eq!(graph.ready(&progress), ready);
    }

    const DIAMOND: &[(&str, &[&str])] =
        &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];

    #[test]
    fn a_task_waits_for_all_it_depends_on() {
        use TaskState::{Failed, Pending, Running, Skipped, Succeeded};
        check(DIAMOND, &[Pending; 4], &[0]);
        check(DIAMOND, &[Running, Pending, Pending, Pending], &[]);
        check(DIAMOND, &[Succeeded, Pending, Pending, Pending], &[1, 2]);
        check(DIAMOND, &[Succeeded, Skipped, Running, Pending], &[]);
        check(DIAMOND, &[Succeeded, Skipped, Failed, Pending], &[3]);
    }

    #[test]
    fn an_unknown_dependency_and_a_cycle_are_refused() {
        assert_eq!(
            Graph::of(&playbook(&[("a", &["x"])])),
            Err(GraphError::Missing {
                task: "a".to_owned(),
                missing: "x".to_owned()
            })
        );
        assert_eq!(
            Graph::of(&playbook(&[("a", &[]), ("b", &["c"]), ("c", &["b"])])),
            Err(GraphError::Cycle {
                task: "b".to_owned()
            })
        );
    }
}
