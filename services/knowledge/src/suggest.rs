//! "Did you mean": the nearest of the words that are known.

/// The known word nearest to this one, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Far longer words are no slips, and the distance costs the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: &[&str] = &["alert_name", "service_name", "severity", "playbook"];

    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(nearest(word, KNOWN.iter().copied()), expected, "{word}");
    }

    #[test]
    fn a_slip_finds_its_word() {
        check("alertname", Some("alert_name"));
        check("Severty", Some("severity"));
        check("playbok", Some("playbook"));
        check("sevreity", Some("severity"));
    }

    #[test]
    fn a_word_of_its_own_finds_none() {
        check("threshold", None);
        check("x", None);
        check(&"a".repeat(100_000), None);
    }
}
