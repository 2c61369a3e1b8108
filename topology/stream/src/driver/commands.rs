//! What the transaction machine commands, done against the simulated broker, and the faults that strike there.

use super::Driver;
use super::broker::{Offsets, Refused, TopicId};
use super::failure::Failure;
use super::faults::{Fault, Plant};
use super::instance::Assigned;
use super::log::Message;
use super::topology::Stage;
use super::world::World;
use crate::io::SourceKind;
use crate::output::{Output, Sink};
use crate::transaction::{Command, Guarantee, Reply};

/// A record on its way out: topic, partition if it does not follow from the key, and the record.
type Outgoing = (TopicId, Option<i32>, Message);

impl<W: World> Driver<W> {
    /// Does what the machine of an instance commands, or fails to, and tells it.
    pub(super) fn execute(&mut self, instance: usize, command: Command) -> Result<(), Failure> {
        let reply = match self.struck(instance, command)? {
            Some(reply) => reply,
            None => self.perform(instance, command)?,
        };
        match (command, reply) {
            (Command::Fold, Reply::Done) => self.tally.commits += 1,
            (Command::RollBack, Reply::Done) => self.tally.aborts += 1,
            (Command::Rebuild, Reply::Done) => self.tally.rebuilds += 1,
            (_, Reply::Retriable) => self.tally.retries += 1,
            _ => {}
        }
        self.note(|| format!("{instance} {command:?}: {reply:?}"));
        self.instances[instance].machine.reply(reply);
        Ok(())
    }

    /// The fault that strikes this command, if one does. A command that failed may have been done, wholly or
    /// in part.
    fn struck(&mut self, instance: usize, command: Command) -> Result<Option<Reply>, Failure> {
        let at_broker = !matches!(
            command,
            Command::Fold | Command::RollBack | Command::Rewind | Command::Rebuild
        );
        let fatal = self.fault(Fault::Fatal) && self.random.one_in(30);
        if fatal && (at_broker || command == Command::Rebuild) {
            return self.half_done(instance, command, Reply::Fatal).map(Some);
        }
        if at_broker && self.fault(Fault::Abort) && self.random.one_in(12) {
            if self.random.one_in(2) {
                return self
                    .half_done(instance, command, Reply::Retriable)
                    .map(Some);
            }
            if command == Command::Produce {
                // Some of the records reached the broker: the abort must hide them.
                self.produce(instance);
            }
            return Ok(Some(Reply::Abortable));
        }
        Ok(None)
    }

    /// Fails with that reply; a commit is done or not, as the seed has it.
    fn half_done(
        &mut self,
        instance: usize,
        command: Command,
        reply: Reply,
    ) -> Result<Reply, Failure> {
        let commits = command == Command::Commit
            || (command == Command::SendOffsets
                && self.settings.guarantee == Guarantee::AtLeastOnce);
        if commits && self.random.one_in(2) && self.perform(instance, command)? == Reply::Done {
            self.tally.unknown_commits += 1;
        }
        Ok(reply)
    }

    fn perform(&mut self, instance: usize, command: Command) -> Result<Reply, Failure> {
        let epoch = self.instances[instance].epoch.unwrap_or_default();
        Ok(match command {
            Command::Begin => {
                let begun = self.broker.begin(instance, epoch);
                self.reply_of(begun)
            }
            Command::Produce => {
                if self.settings.plant == Some(Plant::OffsetsBeforeOutputs) {
                    self.plant_offsets(instance);
                }
                self.produce(instance)
            }
            Command::Flush => Reply::Done,
            Command::SendOffsets => self.send_offsets(instance, epoch),
            Command::Commit => {
                let committed = self.broker.commit(instance, epoch);
                self.reply_of(committed)
            }
            Command::Fold => {
                self.fold(instance);
                Reply::Done
            }
            Command::Abort => {
                let aborted = self.broker.abort(instance, epoch);
                self.reply_of(aborted)
            }
            Command::RollBack => self.roll_back(instance)?,
            Command::Rewind => self.rewind(instance),
            Command::Rebuild => {
                self.rebuild(instance);
                Reply::Done
            }
        })
    }

    /// Produces outputs, dead letters and the changelog of every task that has changed.
    fn produce(&mut self, instance: usize) -> Reply {
        let state = &mut self.instances[instance];
        let epoch = state.epoch.unwrap_or_default();
        let stage = &self.stages[state.stage];
        let mut outgoing = Vec::new();
        for (partition, assigned) in state.ready() {
            collect(stage, partition, assigned, &mut outgoing);
        }
        for (topic, partition, message) in outgoing {
            let produced = match self.settings.guarantee {
                Guarantee::ExactlyOnce => {
                    let now = self.now;
                    self.broker
                        .produce(instance, epoch, topic, partition, message, now)
                }
                Guarantee::AtLeastOnce => {
                    self.broker.put(topic, partition, message, self.now);
                    Ok(())
                }
            };
            if produced.is_err() {
                return self.reply_of(produced);
            }
        }
        Reply::Done
    }

    fn send_offsets(&mut self, instance: usize, epoch: u64) -> Reply {
        let stage = self.instances[instance].stage;
        let generation = self.instances[instance].generation;
        let group = &self.stages[stage].group;
        let unfenced = self.settings.plant == Some(Plant::Unfenced);
        if !group.accepts(instance, generation) && !unfenced {
            self.tally.fenced += 1;
            return Reply::Abortable;
        }
        for (partition, offsets) in self.offsets(instance) {
            match self.settings.guarantee {
                Guarantee::ExactlyOnce => {
                    let added = self
                        .broker
                        .add_offsets(instance, epoch, stage, partition, offsets);
                    if added.is_err() {
                        return self.reply_of(added);
                    }
                }
                Guarantee::AtLeastOnce => self.broker.commit_offsets(stage, partition, offsets),
            }
        }
        Reply::Done
    }

    fn plant_offsets(&mut self, instance: usize) {
        let stage = self.instances[instance].stage;
        for (partition, offsets) in self.offsets(instance) {
            self.broker.commit_offsets(stage, partition, offsets);
        }
    }

    /// The offsets of every task that has changed: what a timer or a completion caused sends them unchanged.
    fn offsets(&mut self, instance: usize) -> Vec<(i32, Offsets)> {
        let state = &mut self.instances[instance];
        let sources = &self.stages[state.stage].sources;
        let mut offsets = Vec::new();
        for (partition, assigned) in state.ready() {
            if assigned.task.changed() {
                let positions = sources.iter().enumerate().map(|(index, source)| {
                    (source.kind == SourceKind::Keyed).then(|| assigned.task.position(index))
                });
                offsets.push((partition, positions.collect()));
            }
        }
        offsets
    }

    fn fold(&mut self, instance: usize) {
        let mut begun = Vec::new();
        for (partition, assigned) in self.instances[instance].ready() {
            assigned
                .task
                .committed(&mut |request| begun.push((partition, request)));
        }
        for (partition, request) in begun {
            self.begin_effect(instance, partition, request);
        }
    }

    fn roll_back(&mut self, instance: usize) -> Result<Reply, Failure> {
        for (_, assigned) in self.instances[instance].ready() {
            assigned.task.abort();
        }
        if self.settings.plant == Some(Plant::LostCompletion) {
            self.plant_forgetting(instance)?;
        }
        Ok(Reply::Done)
    }

    /// Reads again from the committed offsets; of a broadcast source, the task knows.
    fn rewind(&mut self, instance: usize) -> Reply {
        let state = &mut self.instances[instance];
        let stage = state.stage;
        let sources = &self.stages[stage].sources;
        for (partition, assigned) in state.ready() {
            let Some(committed) = self.broker.stable_offsets(stage, partition) else {
                return Reply::Retriable;
            };
            for (index, source) in sources.iter().enumerate() {
                assigned.cursors[index] = match source.kind {
                    SourceKind::Keyed => committed[index].unwrap_or(0),
                    SourceKind::Broadcast => assigned.task.position(index),
                };
            }
        }
        Reply::Done
    }

    fn reply_of(&mut self, done: Result<(), Refused>) -> Reply {
        match done {
            Ok(()) => Reply::Done,
            Err(Refused::Fenced) => {
                self.tally.fenced += 1;
                Reply::Fatal
            }
            Err(Refused::NoTransaction) => Reply::Fatal,
        }
    }
}

/// Takes what a task has to produce. A task that has not changed has nothing.
fn collect(stage: &Stage, partition: i32, assigned: &mut Assigned, outgoing: &mut Vec<Outgoing>) {
    assigned.task.drain(&mut |output| {
        let topic = match output.sink {
            Sink::Topic(index) => stage.outputs[index],
            Sink::DeadLetter(index) => stage.sources[index].dead_letters,
        };
        outgoing.push((topic, None, message_of(&output)));
    });
    if assigned.task.changed() {
        assigned.task.prepare(&mut |key, value| {
            let message = Message {
                key: Some(key.to_vec()),
                value: value.map(<[u8]>::to_vec),
                ..Message::default()
            };
            outgoing.push((stage.changelog, Some(partition), message));
        });
    }
}

fn message_of(output: &Output<'_>) -> Message {
    let headers = output.headers.iter();
    Message {
        key: output.key.map(<[u8]>::to_vec),
        value: output.value.map(<[u8]>::to_vec),
        headers: headers
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect(),
        timestamp: Some(output.timestamp),
    }
}
