//! What lies on the compacted topics that people ask about: switches and knowledge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prunella_knowledge::{KnowledgeSet, Options};
use prunella_normalizer::Sources;
use prunella_schemas::{KnowledgeRecord, Switch, decode};
use prunella_stream::Millis;
use prunella_topology::topics;
use serde::Serialize;

use crate::problem::{Kind, Problem};

/// Key of the manifest on the knowledge topic.
pub(crate) const ACTIVE: &str = "active";

/// What was published under one digest, without its files.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) digest: String,
    pub(crate) author: String,
    pub(crate) comment: String,
    pub(crate) at: Millis,
    /// Paths of its files.
    pub(crate) files: Vec<String>,
    /// How it describes sources.
    #[serde(skip)]
    sources: Arc<Sources>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) digest: String,
    pub(crate) author: String,
    pub(crate) comment: String,
    pub(crate) at: Millis,
    pub(crate) allow_missing: bool,
}

/// The two topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Switches,
    Knowledge,
}

impl Topic {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Switches => topics::SWITCHES,
            Self::Knowledge => topics::KNOWLEDGE,
        }
    }
}

/// The present state of both topics.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    switches_read: AtomicBool,
    knowledge_read: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    switches: BTreeMap<String, At<Switch>>,
    published: BTreeMap<String, Published>,
    manifest: Option<At<Manifest>>,
}

/// A value with the offset it was written at: what is older never replaces what is newer, whichever comes
/// first, the topic or the acknowledgement of a write of our own.
#[derive(Debug)]
struct At<T> {
    offset: i64,
    value: T,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once both topics were read to their end.
    pub(crate) fn is_complete(&self) -> bool {
        let read = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        read(&self.switches_read) && read(&self.knowledge_read)
    }

    /// Notes that a topic was read to its end.
    pub(crate) fn read_to_end(&self, topic: Topic) {
        let flag = match topic {
            Topic::Switches => &self.switches_read,
            Topic::Knowledge => &self.knowledge_read,
        };
        flag.store(true, Ordering::Release);
    }

    /// Refuses until both topics were read to their end.
    pub(crate) fn complete(&self) -> Result<&Self, Problem> {
        if self.is_complete() {
            return Ok(self);
        }
        Err(Problem::new(
            Kind::NotReady,
            "the topics switches and knowledge have not been read to their end yet; see /readyz",
        ))
    }

    /// Every switch that was ever thrown, by name.
    pub(crate) fn switches(&self) -> Vec<Switch> {
        self.state()
            .switches
            .values()
            .map(|at| at.value.clone())
            .collect()
    }

    pub(crate) fn throw(&self, offset: i64, switch: Switch) {
        let mut state = self.state();
        let newer = state
            .switches
            .get(&switch.name)
            .is_none_or(|at| at.offset <= offset);
        if newer {
            let value = switch;
            state
                .switches
                .insert(value.name.clone(), At { offset, value });
        }
    }

    /// What is in force, and everything that was published, the newest first.
    pub(crate) fn knowledge(&self) -> (Option<Manifest>, Vec<Published>) {
        let state = self.state();
        let mut published: Vec<Published> = state.published.values().cloned().collect();
        published
            .sort_by(|left, right| right.at.cmp(&left.at).then(left.digest.cmp(&right.digest)));
        (
            state.manifest.as_ref().map(|at| at.value.clone()),
            published,
        )
    }

    pub(crate) fn is_published(&self, digest: &str) -> bool {
        self.state().published.contains_key(digest)
    }

    /// How the knowledge in force describes sources.
    pub(crate) fn sources(&self) -> Arc<Sources> {
        let state = self.state();
        let active = state.manifest.as_ref().map(|at| at.value.digest.as_str());
        let published = active.and_then(|digest| state.published.get(digest));
        published
            .map(|published| Arc::clone(&published.sources))
            .unwrap_or_default()
    }

    /// Takes a record of the knowledge topic in.
    pub(crate) fn publish(&self, offset: i64, record: KnowledgeRecord) {
        if record.files.is_empty() {
            let value = Manifest {
                digest: record.digest,
                author: record.author,
                comment: record.comment,
                at: record.at,
                allow_missing: record.allow_missing,
            };
            let mut state = self.state();
            if state.manifest.as_ref().is_none_or(|at| at.offset <= offset) {
                state.manifest = Some(At { offset, value });
            }
            return;
        }
        // Parsed outside of the lock: requests wait for it.
        let published = Published {
            sources: described(&record),
            files: record.files.into_iter().map(|file| file.path).collect(),
            digest: record.digest,
            author: record.author,
            comment: record.comment,
            at: record.at,
        };
        self.state()
            .published
            .insert(published.digest.clone(), published);
    }

    /// Takes a record of either topic in.
    pub(crate) fn take(&self, topic: Topic, key: &str, value: Option<&[u8]>, offset: i64) {
        let outcome = match (topic, value) {
            (Topic::Switches, Some(value)) => {
                decode(value).map(|switch| self.throw(offset, switch))
            }
            (Topic::Knowledge, Some(value)) => {
                decode(value).map(|record| self.publish(offset, record))
            }
            (Topic::Switches, None) => {
                self.state().switches.remove(key);
                Ok(())
            }
            (Topic::Knowledge, None) => {
                self.state().published.remove(key);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(topic = topic.name(), offset, %error, "a record cannot be read and is left out");
        }
    }
}

fn described(record: &KnowledgeRecord) -> Arc<Sources> {
    let options = Options {
        allow_missing_playbooks: true,
    };
    let set = KnowledgeSet::parse_with(&record.files, options).ok();
    let sources = set.and_then(|set| Sources::parse(&set.sources).ok());
    Arc::new(sources.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use prunella_schemas::KnowledgeFile;
    use prunella_stream::Codec;

    use super::*;

    fn switch(on: bool) -> Switch {
        Switch {
            name: "kill-switch".to_owned(),
            on,
            ..Switch::default()
        }
    }

    #[test]
    fn a_newer_switch_wins_whichever_comes_first() {
        let board = Board::default();
        board.throw(7, switch(true));
        board.throw(6, switch(false));
        assert!(board.switches()[0].on);
        board.throw(8, switch(false));
        assert!(!board.switches()[0].on);
    }

    #[test]
    fn nothing_is_told_before_both_topics_were_read() {
        let board = Board::default();
        assert!(board.complete().is_err());
        board.read_to_end(Topic::Switches);
        assert!(board.complete().is_err());
        board.read_to_end(Topic::Knowledge);
        assert!(board.complete().is_ok());
    }

    #[test]
    fn sources_are_those_of_the_set_in_force() {
        let board = Board::default();
        let content = KnowledgeRecord {
            digest: "d".to_owned(),
            files: vec![KnowledgeFile {
                path: "sources.yaml".to_owned(),
                text: "sources: {prod: {format: alertmanager}}".to_owned(),
            }],
            ..KnowledgeRecord::default()
        };
        let manifest = KnowledgeRecord {
            files: Vec::new(),
            ..content.clone()
        };
        board.publish(0, content);
        assert_eq!(board.sources().format_name("prod"), "generic");
        board.publish(1, manifest);
        assert_eq!(board.sources().format_name("prod"), "alertmanager");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_left_out_and_a_tombstone_removes() {
        let board = Board::default();
        let mut bytes = Vec::new();
        Codec::encode(&switch(true), &mut bytes);
        board.take(Topic::Switches, "kill-switch", Some(&bytes), 0);
        board.take(Topic::Switches, "kill-switch", Some(b"?"), 1);
        assert_eq!(board.switches().len(), 1);
        board.take(Topic::Switches, "kill-switch", None, 2);
        assert!(board.switches().is_empty());
    }
}
