//! Where the state of a task lies. Tasks share the partitions of their stage's changelog: a transaction opens,
//! writes to and closes every partition that it touches, and one that only holds state is worth it for several
//! tasks at once. Before the key of an entry stands the task that it belongs to.

/// A stage's changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changelog {
    pub(crate) topic: String,
    /// Its partitions. Were they ever more than when a task wrote its state, that state would be looked for in
    /// the wrong place: the marks of owners tell how many there were.
    pub(crate) partitions: i32,
}

/// Bytes before the key of an entry.
const PREFIX: usize = 4;

impl Changelog {
    /// The partition that a task's state is in.
    pub(crate) fn partition_of(&self, task: i32) -> i32 {
        task % self.partitions.max(1)
    }

    /// The key under which a task's entry lies.
    pub(crate) fn key(task: i32, key: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&task.to_be_bytes());
        out.extend_from_slice(key);
    }

    /// The task that an entry belongs to, and its own key.
    pub(crate) fn split(key: &[u8]) -> Option<(i32, &[u8])> {
        let (task, key) = key.split_first_chunk::<PREFIX>()?;
        Some((i32::from_be_bytes(*task), key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_its_task_and_its_key() {
        let mut out = b"left over".to_vec();
        Changelog::key(7, b"key", &mut out);
        assert_eq!(Changelog::split(&out), Some((7, &b"key"[..])));
        Changelog::key(0, b"", &mut out);
        assert_eq!(Changelog::split(&out), Some((0, &b""[..])));
        assert_eq!(Changelog::split(b"abc"), None);
    }

    #[test]
    fn tasks_share_partitions_evenly() {
        let changelog = Changelog {
            topic: "changelog".to_owned(),
            partitions: 2,
        };
        let partitions: Vec<i32> = (0..5).map(|task| changelog.partition_of(task)).collect();
        assert_eq!(partitions, [0, 1, 0, 1, 0]);
    }
}
