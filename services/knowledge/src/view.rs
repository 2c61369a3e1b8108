//! What the knowledge topic says is in force: a pure fold over its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_schemas::KnowledgeRecord;

use crate::model::KnowledgeSet;
use crate::set::{Options, digest_of};

/// How many sets are kept beside the one in force: runs go on with the knowledge they began with.
const KEPT: usize = 64;

/// The sets that were published, and which of them is in force. Cloning it is cheap.
///
/// A set that cannot be read, or whose playbooks are not all there without leave, never replaces one that is
/// in force.
#[derive(Clone, Debug, Default)]
pub struct KnowledgeView {
    sets: BTreeMap<String, Kept>,
    active: Option<Arc<KnowledgeSet>>,
    /// A manifest whose set is not there (yet): compaction may put the manifest first.
    wanted: Option<Wanted>,
    arrivals: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    set: Arc<KnowledgeSet>,
    arrival: u64,
}

#[derive(Clone, Debug)]
struct Wanted {
    digest: String,
    allow_missing: bool,
}

impl KnowledgeView {
    /// Takes a record in: content, or a manifest, which holds no files.
    ///
    /// # Errors
    /// Why the record changes nothing, in words for the person who published it.
    pub fn learn(&mut self, record: &KnowledgeRecord) -> Result<(), String> {
        if record.files.is_empty() {
            return self.activate(&Wanted {
                digest: record.digest.clone(),
                allow_missing: record.allow_missing,
            });
        }
        let digest = digest_of(&record.files);
        if digest != record.digest {
            return Err(format!(
                "the files have the digest {digest}, not {}: publish them with `prunella knowledge apply`",
                record.digest
            ));
        }
        let options = Options {
            allow_missing_playbooks: true,
        };
        let set = KnowledgeSet::parse_with(&record.files, options).map_err(|found| {
            let errors: Vec<String> = found
                .iter()
                .filter(|mistake| mistake.is_error())
                .take(3)
                .map(|mistake| format!("{}:{}: {}", mistake.path, mistake.line, mistake.message))
                .collect();
            format!(
                "the set cannot be read; run `prunella knowledge check`: {}",
                errors.join("; ")
            )
        })?;
        self.keep(set);
        match self.wanted.clone() {
            Some(wanted) if wanted.digest == digest => self.activate(&wanted),
            _ => Ok(()),
        }
    }

    /// Takes the removal of a set in. The one in force stays.
    pub fn forget(&mut self, digest: &str) {
        if self.active.as_ref().is_none_or(|set| set.digest != digest) {
            self.sets.remove(digest);
        }
    }

    /// The set in force.
    #[must_use]
    pub fn active(&self) -> Option<&Arc<KnowledgeSet>> {
        self.active.as_ref()
    }

    /// The set of this digest, in force or not.
    #[must_use]
    pub fn by_digest(&self, digest: &str) -> Option<Arc<KnowledgeSet>> {
        self.sets.get(digest).map(|kept| Arc::clone(&kept.set))
    }

    /// The digest that a manifest asked for and that is not there.
    #[must_use]
    pub fn wanted(&self) -> Option<&str> {
        self.wanted.as_ref().map(|wanted| wanted.digest.as_str())
    }

    fn activate(&mut self, wanted: &Wanted) -> Result<(), String> {
        let Some(kept) = self.sets.get(&wanted.digest) else {
            self.wanted = Some(wanted.clone());
            return Ok(());
        };
        let missing = &kept.set.missing_playbooks;
        if !wanted.allow_missing && !missing.is_empty() {
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            return Err(format!(
                "rules name playbooks that are not there: {}; add them, or apply with `--allow-missing`",
                missing.join(", ")
            ));
        }
        self.active = Some(Arc::clone(&kept.set));
        self.wanted = None;
        Ok(())
    }

    fn keep(&mut self, set: KnowledgeSet) {
        let digest = set.digest.clone();
        let set = Arc::new(set);
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.sets.insert(digest, Kept { set, arrival });
        while self.sets.len() > KEPT {
            let active = self.active.as_ref().map(|set| set.digest.as_str());
            let oldest = self
                .sets
                .iter()
                .filter(|(digest, _)| Some(digest.as_str()) != active)
                .min_by_key(|(_, kept)| kept.arrival)
                .map(|(digest, _)| digest.clone());
            let Some(oldest) = oldest else {
                return;
            };
            self.sets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use prunella_schemas::KnowledgeFile;

    use super::*;

    fn content(text: &str) -> KnowledgeRecord {
        let files = vec![KnowledgeFile {
            path: "rules.yaml".to_owned(),
            text: text.to_owned(),
        }];
        KnowledgeRecord {
            digest: digest_of(&files),
            files,
            ..KnowledgeRecord::default()
        }
    }

    fn manifest(content: &KnowledgeRecord, allow_missing: bool) -> KnowledgeRecord {
        KnowledgeRecord {
            digest: content.digest.clone(),
            allow_missing,
            ..KnowledgeRecord::default()
        }
    }

    fn rules(id: &str) -> KnowledgeRecord {
        content(&format!("rules: [{{id: {id}, alert_name: x}}]"))
    }

    fn active(view: &KnowledgeView) -> Option<&str> {
        view.active().map(|set| set.rules[0].id.as_str())
    }

    #[test]
    fn content_is_in_force_only_once_a_manifest_says_so() {
        let mut view = KnowledgeView::default();
        let (first, second) = (rules("A"), rules("B"));
        view.learn(&first).expect("good");
        assert_eq!(active(&view), None);
        view.learn(&manifest(&first, false)).expect("there");
        assert_eq!(active(&view), Some("A"));
        view.learn(&second).expect("good");
        assert_eq!(active(&view), Some("A"));
        view.learn(&manifest(&second, false)).expect("there");
        assert_eq!(active(&view), Some("B"));
        view.learn(&manifest(&first, false)).expect("there");
        assert_eq!(active(&view), Some("A"), "rolled back");
        assert!(view.by_digest(&second.digest).is_some());
    }

    #[test]
    fn a_manifest_that_comes_first_waits_for_its_content() {
        let mut view = KnowledgeView::default();
        let (old, new) = (rules("A"), rules("B"));
        view.learn(&old).expect("good");
        view.learn(&manifest(&old, false)).expect("there");
        view.learn(&manifest(&new, false)).expect("it waits");
        assert_eq!(
            (active(&view), view.wanted()),
            (Some("A"), Some(new.digest.as_str()))
        );
        view.learn(&new).expect("good");
        assert_eq!((active(&view), view.wanted()), (Some("B"), None));
    }

    #[test]
    fn a_bad_set_never_replaces_a_good_one() {
        let mut view = KnowledgeView::default();
        let good = rules("A");
        view.learn(&good).expect("good");
        view.learn(&manifest(&good, false)).expect("there");

        let broken = content("rules: [{alert_name: 5, severty: x}]");
        let reason = view.learn(&broken).expect_err("broken");
        assert!(reason.contains("rules.yaml:1"), "{reason}");
        view.learn(&manifest(&broken, true)).expect("it waits");
        assert_eq!(active(&view), Some("A"));

        let mut forged = rules("B");
        forged.digest = "0".repeat(32);
        assert!(view.learn(&forged).expect_err("forged").contains("digest"));
    }

    #[test]
    fn a_missing_playbook_needs_leave() {
        let mut view = KnowledgeView::default();
        let set = content("rules: [{id: A, alert_name: x, playbook: PB}]");
        view.learn(&set).expect("readable");
        let reason = view.learn(&manifest(&set, false)).expect_err("missing");
        assert!(reason.contains("PB") && active(&view).is_none(), "{reason}");
        view.learn(&manifest(&set, true)).expect("allowed");
        assert_eq!(active(&view), Some("A"));
    }

    #[test]
    fn old_sets_are_forgotten_and_the_one_in_force_is_not() {
        let mut view = KnowledgeView::default();
        let first = rules("first");
        view.learn(&first).expect("good");
        view.learn(&manifest(&first, false)).expect("there");
        for number in 0..2 * KEPT {
            view.learn(&rules(&format!("R{number}"))).expect("good");
        }
        view.forget(&first.digest);
        assert!(view.by_digest(&first.digest).is_some());
        assert_eq!(view.sets.len(), KEPT);
        assert!(view.by_digest(&rules("R0").digest).is_none());
        assert!(view.by_digest(&rules("R127").digest).is_some());
    }
}
