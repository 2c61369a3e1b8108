//! Outputs bounded in size.

use serde_json::json;

/// A JSON text as it is, if it has at most `limit` bytes; else a JSON object that says so:
/// `{"output_truncated": true, "bytes": N, "excerpt": "..."}`, itself at most `limit` bytes long (but never
/// shorter than such an object without an excerpt).
#[must_use]
pub fn bounded(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let marked = |excerpt: &str| {
        json!({"output_truncated": true, "bytes": text.len(), "excerpt": excerpt}).to_string()
    };
    // Escaping makes an excerpt longer: six-fold at worst (control characters), two-fold in JSON.
    let mut length = limit.saturating_sub(marked("").len());
    loop {
        let cut = marked(prefix(&text, length));
        if cut.len() <= limit || length == 0 {
            return cut;
        }
        length /= 2;
    }
}

/// The longest prefix of at most `length` bytes that ends between characters.
fn prefix(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_fits_stays_and_what_does_not_is_cut_and_says_so() {
        let fits = r#"{"a":1}"#.to_owned();
        assert_eq!(bounded(fits.clone(), 7), fits);
        for text in [
            format!("\"{}\"", "x".repeat(5_000)),
            format!("\"{}\"", "\\\"".repeat(5_000)),
            format!("\"{}\"", "é".repeat(5_000)),
        ] {
            let cut = bounded(text.clone(), 300);
            assert!(cut.len() <= 300, "{cut}");
            let cut: Value = serde_json::from_str(&cut).unwrap();
            assert_eq!(cut["output_truncated"], true);
            assert_eq!(cut["bytes"], text.len());
            assert!(cut["excerpt"].as_str().unwrap().len() > 50);
        }
    }
}
