//! Random playbooks under random results, losses, duplicates, restarts and aborts: what must hold whatever
//! happens.

mod drive;

use std::collections::{BTreeMap, BTreeSet};

use drive::{Drive, RESULTS, result_of};
use proptest::prelude::*;
use prunella_orchestrator::verify_chain;
use prunella_schemas::{Action, ControlKind, ResultStatus, RunState, SwitchKind, TaskState};

#[derive(Clone, Debug)]
struct RandomTask {
    needs: Vec<usize>,
    mutating: bool,
    attempts: u32,
    on_failure: &'static str,
    condition: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Trigger(u8),
    Answer(u8, ResultStatus),
    Again(u8),
    Pass(i64),
    Restart,
    Kill(bool),
    Cancel(u8),
}

const POLICIES: &[&str] = &[
    "abort",
    "abort_with_notification",
    "continue",
    "continue_with_notification",
    "escalate",
];

fn tasks() -> impl Strategy<Value = Vec<RandomTask>> {
    let task = (
        prop::collection::vec(0_usize..8, 0..3),
        any::<bool>(),
        1_u32..4,
        prop::sample::select(POLICIES),
        prop::option::weighted(0.3, any::<bool>()),
    );
    prop::collection::vec(task, 1..7).prop_map(|tasks| {
        let of = |(place, (needs, mutating, attempts, on_failure, condition)): (usize, _)| {
            let needs: Vec<usize> = needs;
            let earlier: BTreeSet<usize> = needs.into_iter().filter(|need| *need < place).collect();
            RandomTask {
                needs: earlier.into_iter().collect(),
                mutating,
                attempts,
                on_failure,
                condition,
            }
        };
        tasks.into_iter().enumerate().map(of).collect()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (0_u8..3).prop_map(Event::Trigger),
        8 => (any::<u8>(), prop::sample::select(ResultStatus::ALL)).prop_map(|(which, status)| Event::Answer(which, status)),
        6 => any::<u8>().prop_map(|which| Event::Answer(which, ResultStatus::Succeeded)),
        2 => any::<u8>().prop_map(Event::Again),
        3 => prop::sample::select(&[10_i64, 1_000, 30_000, 200_000][..]).prop_map(Event::Pass),
        1 => Just(Event::Restart),
        1 => any::<bool>().prop_map(Event::Kill),
        1 => any::<u8>().prop_map(Event::Cancel),
    ];
    prop::collection::vec(event, 1..60)
}

fn yaml(tasks: &[RandomTask]) -> String {
    let mut text = "playbook_id: PB\nautonomy: automatic\ntimeout: 10m\ntasks:\n".to_owned();
    for (place, task) in tasks.iter().enumerate() {
        let needs: Vec<String> = task.needs.iter().map(|need| format!("t{need}")).collect();
        let method = if task.mutating { "POST" } else { "GET" };
        text.push_str(&format!(
            "  - id: t{place}\n    type: API_Call\n    action: {method} /t{place}\n    depends_on: [{}]\n    \
             retry: {{max_attempts: {}, backoff: 1s}}\n    on_failure: {}\n",
            needs.join(", "),
            task.attempts,
            task.on_failure
        ));
        if let Some(holds) = task.condition {
            text.push_str(&format!("    conditions: ['{holds}']\n"));
        }
    }
    text
}

/// The place of a playbook's own task.
fn place(action: &Action) -> Option<usize> {
    action.task_id.strip_prefix('t')?.parse().ok()
}

fn play(drive: &mut Drive, events: &[Event]) {
    let mut answered: BTreeSet<String> = BTreeSet::new();
    for event in events {
        match *event {
            Event::Trigger(service) => {
                drive.trigger(&format!("s{service}"));
            }
            Event::Answer(which, status) => {
                let open: Vec<Action> = drive
                    .actions
                    .iter()
                    .filter(|action| {
                        place(action).is_some() && !answered.contains(&action.action_id)
                    })
                    .cloned()
                    .collect();
                if let Some(action) = open.get(usize::from(which) % open.len().max(1)) {
                    answered.insert(action.action_id.clone());
                    drive.answer_to(action, status, "{}");
                }
            }
            Event::Again(which) => {
                let count = drive.actions.len().max(1);
                if let Some(action) = drive.actions.get(usize::from(which) % count).cloned() {
                    answered.insert(action.action_id.clone());
                    let result = result_of(&action, ResultStatus::Succeeded, "{}");
                    drive.feed(RESULTS, &result);
                    drive.feed(RESULTS, &result);
                }
            }
            Event::Pass(ms) => drive.pass(ms),
            Event::Restart => drive.restart(),
            Event::Kill(on) => drive.switch("kill-switch", SwitchKind::KillSwitch, on),
            Event::Cancel(which) => {
                let count = drive.runs.len().max(1);
                let run = drive.runs.get(usize::from(which) % count);
                if let Some(run) = run.map(|run| run.run_id.clone()) {
                    drive.control(ControlKind::Cancel, &run);
                }
            }
        }
    }
    // Nothing comes any more: whatever is out counts as lost, and every run must end.
    drive.pass(4 * 3_600_000);
}

fn check_attempts(drive: &Drive) -> Result<(), TestCaseError> {
    let mut attempts: BTreeMap<(&str, &str), i32> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for action in &drive.actions {
        prop_assert!(
            ids.insert(&action.action_id),
            "{} went out twice",
            action.task_id
        );
        let before = attempts
            .entry((&action.run_id, &action.task_id))
            .or_default();
        *before += 1;
        prop_assert_eq!(action.attempt, *before, "attempts follow each other");
    }
    Ok(())
}

fn check_order(drive: &Drive, tasks: &[RandomTask]) -> Result<(), TestCaseError> {
    for run in &drive.runs {
        for (place, task) in run.tasks.iter().enumerate() {
            let begun = matches!(
                task.state,
                TaskState::Running | TaskState::Waiting | TaskState::Succeeded
            );
            for need in tasks[place].needs.iter().filter(|_| begun) {
                let state = run.tasks[*need].state;
                let done = matches!(
                    state,
                    TaskState::Succeeded | TaskState::Failed | TaskState::Skipped
                );
                prop_assert!(done, "t{place} began before t{need} had finished");
            }
        }
    }
    Ok(())
}

/// What has finished stays as it finished, whatever comes afterwards.
fn check_finished(drive: &Drive) -> Result<(), TestCaseError> {
    let mut finished = BTreeMap::new();
    for run in &drive.runs {
        for task in run.tasks.iter().filter(|task| task.finished_at > 0) {
            let key = (run.run_id.clone(), task.task_id.clone());
            let first = finished.entry(key).or_insert_with(|| task.clone());
            prop_assert_eq!(&*first, task);
        }
    }
    Ok(())
}

fn check_ends(drive: &mut Drive) -> Result<(), TestCaseError> {
    let mut last = BTreeMap::new();
    for run in &drive.runs {
        let before = last.insert(run.run_id.clone(), run.clone());
        if let Some(before) = before {
            let live = matches!(before.state, RunState::Queued | RunState::Running);
            prop_assert!(live, "a run that ended changed again");
        }
    }
    for (id, run) in &last {
        prop_assert!(
            !matches!(run.state, RunState::Queued | RunState::Running),
            "{:?}",
            run
        );
        prop_assert_eq!(drive.summaries(id), 1);
        prop_assert!(run.finished_at > 0 && !run.summary.is_empty());
        let left = run.tasks.iter().any(|task| {
            matches!(
                task.state,
                TaskState::Pending | TaskState::Running | TaskState::Waiting
            )
        });
        prop_assert!(!left, "{:?}", run.tasks);
    }
    let state = drive.task().state();
    prop_assert_eq!(
        (state.runs.len(), state.lanes.0.len(), state.queue.0.len()),
        (0, 0, 0)
    );
    prop_assert_eq!(verify_chain(&drive.audit), Ok(()));
    Ok(())
}

/// While a service has a run at work, none of its other runs is.
fn check_turns(drive: &Drive) -> Result<(), TestCaseError> {
    let mut active: BTreeMap<String, String> = BTreeMap::new();
    for run in &drive.runs {
        let service = run.service_name.clone().unwrap_or_default();
        if run.state == RunState::Running {
            let holder = active.entry(service).or_insert_with(|| run.run_id.clone());
            prop_assert_eq!(&*holder, &run.run_id, "two runs of one service at once");
        } else if active.get(&service) == Some(&run.run_id) {
            active.remove(&service);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_every_run_ends_once_in_order_and_is_told(tasks in tasks(), events in events()) {
        let mut drive = Drive::new(&yaml(&tasks));
        play(&mut drive, &events);
        prop_assert_eq!(drive.dead, 0);
        check_attempts(&drive)?;
        check_order(&drive, &tasks)?;
        check_turns(&drive)?;
        check_finished(&drive)?;
        check_ends(&mut drive)?;
    }

    #[test]
    fn an_abort_of_every_transaction_changes_nothing(tasks in tasks(), events in events()) {
        let text = yaml(&tasks);
        let (mut one, mut other) = (Drive::new(&text), Drive::new(&text));
        other.shaky = true;
        play(&mut one, &events);
        play(&mut other, &events);
        prop_assert_eq!(one.actions, other.actions);
        prop_assert_eq!(one.runs, other.runs);
        prop_assert_eq!(one.audit, other.audit);
    }

    #[test]
    fn a_restart_at_any_moment_changes_nothing(tasks in tasks(), events in events()) {
        let text = yaml(&tasks);
        let calm: Vec<Event> = events.iter().copied().filter(|event| !matches!(event, Event::Restart)).collect();
        let restless: Vec<Event> = calm.iter().flat_map(|event| [*event, Event::Restart]).collect();
        let (mut one, mut other) = (Drive::new(&text), Drive::new(&text));
        play(&mut one, &calm);
        play(&mut other, &restless);
        prop_assert_eq!(one.actions, other.actions);
        prop_assert_eq!(one.runs, other.runs);
        prop_assert_eq!(one.audit, other.audit);
    }
}
