//! The order of a transaction, without any I/O: the Kafka edge and the test driver both do what it commands
//! and tell it how that went.
//!
//! ```text
//! Idle -> Begin -> open -> Produce -> SendOffsets -> Commit -> Fold -> Idle
//!                    \___________\____________\_________\-> Abort -> RollBack -> Rewind -> Idle
//!                                                         \-> Rebuild -> Idle
//! ```

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Outputs, state and offsets become visible together or not at all.
    ExactlyOnce,
    /// Offsets follow outputs; after a crash the last batch comes again. For a broker without transactions.
    AtLeastOnce,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin a transaction at the broker.
    Begin,
    /// Produce every output and changelog record that is not yet produced, and wait for none of them.
    Produce,
    /// Wait until the broker has every record produced. Only without transactions: a commit flushes.
    Flush,
    /// Add the input offsets to the transaction; without transactions, commit them.
    SendOffsets,
    /// Commit.
    Commit,
    /// Make state permanent and begin the effects asked for.
    Fold,
    /// Abort at the broker.
    Abort,
    /// Undo everything in every task since the last commit.
    RollBack,
    /// Read again from the last committed offsets.
    Rewind,
    /// Throw producer and state away and take everything up anew: fence, restore, assign.
    Rebuild,
}

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// Not done; the identical call may be repeated.
    Retriable,
    /// Not done; the transaction must be aborted.
    Abortable,
    /// The producer is unusable, or the outcome is unknown.
    Fatal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Open,
    Doing(Command),
}

/// How many transactions may abort in a row before the producer itself is suspected.
const ABORTS: u32 = 5;

/// The state machine. Created idle.
#[derive(Debug)]
pub struct Transaction {
    guarantee: Guarantee,
    state: State,
    aborts: u32,
    /// The present command has failed in a way that may yet have done it.
    uncertain: bool,
}

impl Transaction {
    /// An idle machine.
    #[must_use]
    pub fn new(guarantee: Guarantee) -> Self {
        Self {
            guarantee,
            state: State::Idle,
            aborts: 0,
            uncertain: false,
        }
    }

    /// True if no transaction is open and nothing is to be done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// True if records may be processed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// What is to be done next, if anything.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        match self.state {
            State::Idle | State::Open => None,
            State::Doing(command) => Some(command),
        }
    }

    /// Opens a transaction. Does nothing unless idle.
    pub fn open(&mut self) {
        if self.state == State::Idle {
            self.state = match self.guarantee {
                Guarantee::ExactlyOnce => State::Doing(Command::Begin),
                Guarantee::AtLeastOnce => State::Open,
            };
        }
    }

    /// Closes the open transaction: it is to be committed. Does nothing unless open.
    pub fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::Doing(Command::Produce);
        }
    }

    /// Gives the transaction up: partitions were taken away, or a record could not be produced. What has
    /// committed is folded all the same; what may have committed is taken up anew, not undone.
    pub fn give_up(&mut self) {
        let undo = match self.guarantee {
            Guarantee::ExactlyOnce => State::Doing(Command::Abort),
            Guarantee::AtLeastOnce => State::Doing(Command::RollBack),
        };
        self.state = match self.state {
            State::Doing(Command::Begin) if !self.uncertain => State::Idle,
            State::Doing(command) if self.uncertain && self.is_final(command) => {
                State::Doing(Command::Rebuild)
            }
            State::Open
            | State::Doing(
                Command::Begin
                | Command::Produce
                | Command::Flush
                | Command::SendOffsets
                | Command::Commit,
            ) => undo,
            state => state,
        };
        self.uncertain = false;
    }

    /// Gives the transaction up because a record could not be produced. Unlike a rebalance this counts: a producer
    /// that can only fail is replaced, not tried for ever.
    pub fn fail(&mut self) {
        let counts = matches!(self.state, State::Open | State::Doing(_));
        self.give_up();
        if counts {
            self.aborts += 1;
        }
        if self.aborts >= ABORTS {
            self.aborts = 0;
            self.state = State::Doing(Command::Rebuild);
        }
    }

    /// Tells how the command went.
    pub fn reply(&mut self, reply: Reply) {
        let State::Doing(command) = self.state else {
            return;
        };
        let may_be_done = self.uncertain && self.is_final(command);
        self.uncertain = reply == Reply::Retriable;
        self.state = match reply {
            Reply::Done => self.after(command),
            Reply::Retriable => State::Doing(command),
            // An earlier try may have committed: then there is nothing left to abort, and much to lose.
            Reply::Abortable if may_be_done => State::Doing(Command::Rebuild),
            Reply::Abortable => self.after_failure(command),
            Reply::Fatal => State::Doing(Command::Rebuild),
        };
    }

    /// True of the command that makes the transaction permanent.
    fn is_final(&self, command: Command) -> bool {
        command
            == match self.guarantee {
                Guarantee::ExactlyOnce => Command::Commit,
                Guarantee::AtLeastOnce => Command::SendOffsets,
            }
    }

    fn after(&mut self, done: Command) -> State {
        let next = match (done, self.guarantee) {
            (Command::Begin, _) => return State::Open,
            (Command::Produce, Guarantee::ExactlyOnce) => Command::SendOffsets,
            (Command::Produce, Guarantee::AtLeastOnce) => Command::Flush,
            (Command::Flush, _) => Command::SendOffsets,
            (Command::SendOffsets, Guarantee::ExactlyOnce) => Command::Commit,
            (Command::SendOffsets, Guarantee::AtLeastOnce) | (Command::Commit, _) => Command::Fold,
            (Command::Abort, _) => Command::RollBack,
            (Command::RollBack, _) => Command::Rewind,
            (Command::Fold | Command::Rebuild, _) => {
                self.aborts = 0;
                return State::Idle;
            }
            (Command::Rewind, _) => return State::Idle,
        };
        State::Doing(next)
    }

    fn after_failure(&mut self, failed: Command) -> State {
        self.aborts += 1;
        // A producer that only ever aborts (its id expired at the broker) is replaced, not tried for ever.
        if self.aborts >= ABORTS {
            self.aborts = 0;
            return State::Doing(Command::Rebuild);
        }
        State::Doing(match (failed, self.guarantee) {
            (
                Command::Abort
                | Command::RollBack
                | Command::Rewind
                | Command::Rebuild
                | Command::Fold,
                _,
            ) => Command::Rebuild,
            (_, Guarantee::ExactlyOnce) => Command::Abort,
            (_, Guarantee::AtLeastOnce) => Command::RollBack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &mut Transaction, replies: &[Reply]) -> Vec<Command> {
        let mut commands = Vec::new();
        for reply in replies {
            let Some(command) = machine.command() else {
                break;
            };
            commands.push(command);
            machine.reply(*reply);
        }
        commands
    }

    #[test]
    fn offsets_follow_outputs_and_state_follows_the_commit() {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        machine.open();
        assert_eq!(run(&mut machine, &[Reply::Done]), [Command::Begin]);
        machine.close();
        let commands = run(&mut machine, &[Reply::Done; 9]);
        assert_eq!(
            commands,
            [
                Command::Produce,
                Command::SendOffsets,
                Command::Commit,
                Command::Fold
            ]
        );
        assert!(machine.is_idle());
    }

    #[test]
    fn without_transactions_outputs_are_flushed_before_offsets() {
        let mut machine = Transaction::new(Guarantee::AtLeastOnce);
        machine.open();
        machine.close();
        assert_eq!(
            run(&mut machine, &[Reply::Done; 9]),
            [
                Command::Produce,
                Command::Flush,
                Command::SendOffsets,
                Command::Fold
            ]
        );
    }

    #[test]
    fn an_abortable_failure_rolls_back_and_rewinds() {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        machine.open();
        run(&mut machine, &[Reply::Done]);
        machine.close();
        let commands = run(
            &mut machine,
            &[
                Reply::Done,
                Reply::Abortable,
                Reply::Done,
                Reply::Done,
                Reply::Done,
            ],
        );
        assert_eq!(
            commands,
            [
                Command::Produce,
                Command::SendOffsets,
                Command::Abort,
                Command::RollBack,
                Command::Rewind
            ]
        );
        assert!(machine.is_idle());
    }

    #[test]
    fn a_retriable_failure_repeats_the_identical_call() {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        machine.open();
        run(&mut machine, &[Reply::Done]);
        machine.close();
        let commands = run(
            &mut machine,
            &[Reply::Done, Reply::Done, Reply::Retriable, Reply::Done],
        );
        assert_eq!(commands[2..], [Command::Commit, Command::Commit]);
    }

    #[test]
    fn an_unknown_commit_rebuilds_and_never_folds() {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        machine.open();
        run(&mut machine, &[Reply::Done]);
        machine.close();
        let commands = run(
            &mut machine,
            &[Reply::Done, Reply::Done, Reply::Fatal, Reply::Done],
        );
        assert_eq!(commands[3..], [Command::Rebuild]);
        assert!(machine.is_idle());
    }

    #[test]
    fn a_commit_refused_at_its_second_try_is_not_undone() {
        for (replies, next) in [
            (
                &[Reply::Done, Reply::Done, Reply::Retriable, Reply::Abortable][..],
                Command::Rebuild,
            ),
            (
                &[Reply::Done, Reply::Done, Reply::Abortable],
                Command::Abort,
            ),
            (
                &[Reply::Done, Reply::Retriable, Reply::Abortable],
                Command::Abort,
            ),
        ] {
            let mut machine = Transaction::new(Guarantee::ExactlyOnce);
            machine.open();
            run(&mut machine, &[Reply::Done]);
            machine.close();
            run(&mut machine, replies);
            assert_eq!(machine.command(), Some(next), "{replies:?}");
        }
    }

    /// Drives an exactly-once machine through these replies, gives up, and returns what it commands then.
    fn given_up_after(replies: &[Reply]) -> Option<Command> {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        machine.open();
        let (first, rest) = replies.split_at(1.min(replies.len()));
        run(&mut machine, first);
        machine.close();
        run(&mut machine, rest);
        machine.give_up();
        machine.command()
    }

    #[test]
    fn giving_up_undoes_only_what_cannot_have_committed() {
        use Reply::{Abortable, Done, Retriable};
        assert_eq!(given_up_after(&[]), None, "not begun");
        assert_eq!(given_up_after(&[Done]), Some(Command::Abort), "producing");
        assert_eq!(
            given_up_after(&[Done, Done, Done]),
            Some(Command::Abort),
            "before the commit"
        );
        assert_eq!(
            given_up_after(&[Done, Done, Done, Retriable]),
            Some(Command::Rebuild),
            "a commit whose outcome is unknown"
        );
        assert_eq!(
            given_up_after(&[Done, Done, Done, Done]),
            Some(Command::Fold),
            "committed"
        );
        assert_eq!(
            given_up_after(&[Done, Done, Abortable, Done]),
            Some(Command::RollBack),
            "given up before"
        );
    }

    #[test]
    fn endless_failures_to_produce_end_in_a_new_producer_and_rebalances_do_not() {
        for (fails, rebuilt) in [(true, true), (false, false)] {
            let mut machine = Transaction::new(Guarantee::ExactlyOnce);
            let mut seen = false;
            for _ in 0..5 {
                machine.open();
                run(&mut machine, &[Reply::Done]);
                if fails {
                    machine.fail();
                } else {
                    machine.give_up();
                }
                seen |= run(&mut machine, &[Reply::Done; 4]).contains(&Command::Rebuild);
            }
            assert_eq!(seen, rebuilt);
        }
    }

    #[test]
    fn endless_aborts_end_in_a_new_producer() {
        let mut machine = Transaction::new(Guarantee::ExactlyOnce);
        let mut rebuilt = false;
        for _ in 0..5 {
            machine.open();
            rebuilt |= run(
                &mut machine,
                &[Reply::Abortable, Reply::Done, Reply::Done, Reply::Done],
            )
            .contains(&Command::Rebuild);
        }
        assert!(rebuilt);
    }
}
