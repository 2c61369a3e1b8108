use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// What a condition gives: true, false, or the label of its error.
fn outcome(condition: &str, variables: &Value) -> String {
    let mut scope = Variables::new();
    for (name, value) in variables.as_object().expect("an object") {
        scope.set(name, value);
    }
    match Condition::compile(condition).and_then(|condition| condition.evaluate(&scope)) {
        Ok(truth) => truth.to_string(),
        Err(error) => error.label().to_owned(),
    }
}

fn check(variables: &Value, cases: &[(&str, &str)]) {
    for (condition, expected) in cases {
        assert_eq!(
            outcome(condition, variables),
            *expected,
            "{condition} with {variables}"
        );
    }
}

#[test]
fn numbers_compare_whatever_their_kind() {
    check(
        &json!({"metric_value": 91.5, "limit": 90}),
        &[
            ("metric_value > 90", "true"),
            ("metric_value > 91.5", "false"),
            ("metric_value >= limit", "true"),
            ("limit == 90.0", "true"),
            ("limit != 90", "false"),
            ("limit in [1, 90.0]", "true"),
            ("metric_value * 2.0 > 100.0", "true"),
            ("metric_value * 2 > 100", "mismatch"),
        ],
    );
}

#[test]
fn braces_around_a_condition_are_accepted() {
    check(
        &json!({"payment_status": {"is_healthy": true}}),
        &[
            ("{{ payment_status.is_healthy }}", "true"),
            ("  {{payment_status.is_healthy}}  ", "true"),
            ("{{ payment_status.is_healthy", "syntax"),
            ("{{ a }} && {{ b }}", "syntax"),
            ("{{ }}", "empty"),
        ],
    );
}

#[test]
fn a_missing_or_foreign_value_is_an_error_and_never_false() {
    check(
        &json!({"metric_value": null, "name": "disk", "number": 5, "flag": true}),
        &[
            ("metric_value > 90", "mismatch"),
            ("metric_value < 90", "mismatch"),
            ("metric_value == 90", "mismatch"),
            ("metric_value != 90", "mismatch"),
            ("metric_value in [1, 2]", "mismatch"),
            ("name > 5", "mismatch"),
            ("name == 5", "mismatch"),
            ("number in ['5']", "mismatch"),
            ("flag == 1", "mismatch"),
            ("nothing > 5", "unknown_variable"),
            ("name.field == 5", "mismatch"),
            ("metric_value == null", "true"),
            ("number != null", "true"),
            ("metric_value == null || metric_value > 90", "true"),
            ("metric_value != null && metric_value > 90", "false"),
        ],
    );
}

#[test]
fn only_true_and_false_are_answers() {
    check(
        &json!({"number": 5, "text": "true", "nothing": null}),
        &[
            ("number", "not_boolean"),
            ("text", "not_boolean"),
            ("nothing", "not_boolean"),
            ("number + 1", "not_boolean"),
            ("number > 1 ? 'yes' : 'no'", "not_boolean"),
        ],
    );
}

#[test]
fn objects_and_lists_are_read_where_they_lie() {
    check(
        &json!({"out": {"items": [{"name": "a", "size": 3}, {"name": "b", "size": 9}], "none": null},
                "labels": {"team": "db"}}),
        &[
            ("out.items[1].size == 9", "true"),
            ("out['items'][0].name == 'a'", "true"),
            ("size(out.items) == 2 && size(out) == 2", "true"),
            ("out.items.exists(item, item.size > 5)", "true"),
            ("out.items.all(item, item.size > 5)", "false"),
            ("out.items.filter(item, item.size > 5).size() == 1", "true"),
            ("has(out.items) && !has(out.more)", "true"),
            ("out.more == 1", "no_such_field"),
            ("out.items[7].size > 1", "failed"),
            ("'team' in labels && labels.team == 'db'", "true"),
            ("out.none == null", "true"),
        ],
    );
}

#[test]
fn texts_are_searched() {
    check(
        &json!({"name": "order-service", "count": 4}),
        &[
            (
                "name.startsWith('order') && name.endsWith('service')",
                "true",
            ),
            ("name.contains('-')", "true"),
            ("name.matches('^order-[a-z]+$')", "true"),
            ("matches(name, 'z{3}')", "false"),
            ("count.matches('4')", "mismatch"),
            ("name.matches(name)", "unsupported"),
            ("name.matches('(')", "unsupported"),
            ("name.matches('(a{1000}){1000}')", "unsupported"),
        ],
    );
}

#[test]
fn what_costs_too_much_or_depends_on_chance_is_refused() {
    check(
        &json!({"list": [1, 2]}),
        &[
            ("list.all(a, list.all(b, a == b))", "unsupported"),
            ("list.all(a, a > 0) && list.exists(b, b > 1)", "true"),
            ("list.filter(a, a > 1).all(b, b == 2)", "true"),
            ("{'a': 1}.map(k, k) == ['a']", "unsupported"),
            ("now() > 5", "unsupported"),
        ],
    );
}

#[test]
fn nothing_overflows_the_stack() {
    let deep = |open: &str, close: &str, depth| {
        format!("{}true{}", open.repeat(depth), close.repeat(depth))
    };
    for depth in [10, 20, 24, 40, 66, 100, 1_000, 100_000] {
        for text in [
            deep("(", ")", depth),
            deep("[", "]", depth),
            deep("!", "", depth),
            deep("-", "", depth),
            deep("true && ", "", depth),
            deep("true ? true : ", "", depth),
            deep("a in ", "", depth),
            deep("size(", ")", depth),
            deep("", ".a", depth),
            deep("", "[0]", depth),
            deep("')' == (", ")", depth),
        ] {
            // Whether it is refused or evaluated: it returns.
            let _ = Condition::compile(&text)
                .and_then(|condition| condition.evaluate(&Variables::new()));
        }
    }
    assert_eq!(outcome(&deep("(", ")", 10), &json!({})), "true");
    assert_eq!(outcome(&deep("true && ", "", 40), &json!({})), "true");
    assert_eq!(outcome(&deep("", ".a", 40), &json!({})), "unsupported");
    assert_eq!(outcome(&deep("(", ")", 60), &json!({})), "syntax");
    assert_eq!(outcome(&deep("(", ")", 300), &json!({})), "too_complex");
    assert_eq!(outcome(&deep("(", ")", 100_000), &json!({})), "too_long");
}

#[test]
fn an_error_says_where_and_what() {
    let at = |text: &str| Condition::compile(text).expect_err(text).at();
    assert_eq!(at("{{ a >  }}"), Some(6));
    assert_eq!(at("1 > 0 && foo(1) == 2"), Some(9));
    assert_eq!(at("{{ name.foo(1) }}"), Some(8));
    assert_eq!(at("x.matches('(')"), Some(10));
    let error = Condition::compile("name.containz('a')").expect_err("no such function");
    assert!(
        error.to_string().contains("did you mean `contains`"),
        "{error}"
    );
}

#[test]
fn a_condition_names_the_variables_it_reads_and_where() {
    let references = |text: &str| -> Vec<(String, usize)> {
        let condition = Condition::compile(text).expect(text);
        let references = condition.references().iter();
        references
            .map(|reference| (reference.name.clone(), reference.at))
            .collect()
    };
    assert_eq!(
        references("{{ status.ok && count > 3 && status.x == 1 }}"),
        [("status".to_owned(), 3), ("count".to_owned(), 16)]
    );
    assert_eq!(
        references("items.all(item, item > low) && name.matches('x')"),
        [
            ("items".to_owned(), 0),
            ("low".to_owned(), 23),
            ("name".to_owned(), 31)
        ]
    );
}

#[test]
fn labels_and_numbers_are_read_without_json() {
    struct Alert(BTreeMap<String, String>);
    impl Lookup for Alert {
        fn variable(&self, name: &str) -> Option<Term<'_>> {
            match name {
                "labels" => Some(Term::Texts(&self.0)),
                "metric_value" => Some(Term::Double(7.5)),
                "count" => Some(Term::Int(3)),
                "known" => Some(Term::Bool(true)),
                "host" => Some(Term::Null),
                "name" => Some(Term::Text("disk")),
                _ => None,
            }
        }
    }
    let alert = Alert(BTreeMap::from([("team".to_owned(), "db".to_owned())]));
    for (text, expected) in [
        ("labels.team == 'db' && size(labels) == 1", Ok(true)),
        ("'team' in labels && !('x' in labels)", Ok(true)),
        ("labels['nope'] == 'db'", Err("no_such_field")),
        ("metric_value > count && known && name == 'disk'", Ok(true)),
        ("host == 'a'", Err("mismatch")),
        ("labels == labels", Err("mismatch")),
    ] {
        let condition = Condition::compile(text).expect(text);
        let outcome = condition.evaluate(&alert).map_err(|error| error.label());
        assert_eq!(outcome, expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_text_compiling_and_evaluating_it_returns(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "b.c", "labels", "1", "2.5", "'x'", "null", "true", "(", ")", "[", "]", "{", "}",
                "&&", "||", "==", "!=", "<", "in", "+", "-", "*", "/", "%", "!", "?", ":", ",", ".", "size",
                "has", "all", "map", "matches", "'['", "r'\\d'", "b'x'", "0x", "1e999", "9223372036854775807",
                "-9223372036854775808", "18446744073709551615u", "\\", "\"", "`", "é", "{{", "}}", "int", "string",
            ]),
            0..24,
        ),
        glue in proptest::sample::select(vec!["", " "]),
    ) {
        let variables = json!({"a": 1, "b": {"c": [1, 2]}, "labels": {"x": "y"}});
        let _ = outcome(&words.join(glue), &variables);
    }

    #[test]
    fn any_bytes_are_a_condition_or_an_error(text in "\\PC{0,60}") {
        let _ = outcome(&text, &json!({}));
    }
}
