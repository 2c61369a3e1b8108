//! Which schemas can be read as which.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::Value;

/// Whether what `writer` writes can be read as `reader`, by Avro's rules of schema resolution.
///
/// # Errors
/// What does not fit.
pub fn can_read(writer: &str, reader: &str) -> Result<(), String> {
    let mut reader = parse_json(reader)?;
    let mut writer = parse_json(writer)?;
    forget_logical_types(&mut reader);
    forget_logical_types(&mut writer);
    let tolerant = enums_with_default(&mut reader);
    forgive_symbols(&mut writer, &tolerant);
    let parse = |schema| Schema::parse(schema).map_err(|error| error.to_string());
    SchemaCompatibility::can_read(&parse(&writer)?, &parse(&reader)?)
        .map_err(|error| error.to_string())
}

/// Whether each of the two can read what the other writes: what a rolling upgrade needs.
///
/// # Errors
/// What does not fit, and in which direction.
pub fn compatible(older: &str, newer: &str) -> Result<(), String> {
    can_read(older, newer).map_err(|reason| {
        format!("the newer schema cannot read the older one's records: {reason}")
    })?;
    can_read(newer, older)
        .map_err(|reason| format!("the older schema cannot read the newer one's records: {reason}"))
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// Schema resolution looks at the types below the logical ones; apache-avro's check would not let a reader of
/// `timestamp-millis` read an `int`.
fn forget_logical_types(schema: &mut Value) {
    visit(schema, None, &mut |_, node| {
        node.remove("logicalType");
    });
}

/// Symbols of the enumerations that have a default, by full name.
fn enums_with_default(reader: &mut Value) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    visit(reader, None, &mut |name, node| {
        if let (Some(Value::Array(symbols)), true) =
            (node.get("symbols"), node.contains_key("default"))
        {
            found.insert(name.to_owned(), symbols.clone());
        }
    });
    found
}

/// Leaves in the writer's enumerations only what the reader knows, where the reader has a default for the
/// rest: by the specification such a reader reads any symbol, and apache-avro's check does not know that.
fn forgive_symbols(writer: &mut Value, tolerant: &BTreeMap<String, Vec<Value>>) {
    visit(writer, None, &mut |name, node| {
        let known = tolerant.get(name);
        if let (Some(known), Some(Value::Array(symbols))) = (known, node.get_mut("symbols")) {
            symbols.retain(|symbol| known.contains(symbol));
            if symbols.is_empty() {
                symbols.clone_from(known);
            }
            node.remove("default");
        }
    });
}

type Node = serde_json::Map<String, Value>;

/// Visits every type and every field of a schema, each with its full name, the outer ones first.
fn visit(schema: &mut Value, namespace: Option<&str>, visitor: &mut impl FnMut(&str, &mut Node)) {
    match schema {
        Value::Array(variants) => {
            for variant in variants {
                visit(variant, namespace, visitor);
            }
        }
        Value::Object(node) => {
            let (name, namespace) = full_name(node, namespace);
            visitor(&name, node);
            for key in ["type", "items", "values", "fields"] {
                if let Some(inner) = node.get_mut(key) {
                    visit(inner, namespace.as_deref(), visitor);
                }
            }
        }
        _ => {}
    }
}

/// The full name of a named type, and the namespace for what lies inside it.
fn full_name(node: &Node, enclosing: Option<&str>) -> (String, Option<String>) {
    let text = |key| node.get(key).and_then(Value::as_str);
    let name = text("name").unwrap_or_default();
    // A field has a name too, but no namespace: its name must not become one.
    let named = matches!(text("type"), Some("record" | "enum" | "fixed" | "error"));
    let namespace = match name.rsplit_once('.') {
        Some((namespace, _)) if named => Some(namespace),
        _ => text("namespace").or(enclosing),
    };
    let short = name.rsplit('.').next().unwrap_or_default();
    match namespace {
        Some(namespace) if !namespace.is_empty() => {
            (format!("{namespace}.{short}"), Some(namespace.to_owned()))
        }
        _ => (short.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(writer: &str, reader: &str, readable: bool) {
        let result = can_read(writer, reader);
        assert_eq!(result.is_ok(), readable, "{writer} as {reader}: {result:?}");
    }

    fn record(field: &str) -> String {
        format!(
            r#"{{"type": "record", "name": "R", "namespace": "n", "fields": [
                {{"name": "f", "type": {field}}}]}}"#
        )
    }

    #[test]
    fn a_timestamp_reads_any_whole_number_that_fits() {
        let time = record(r#"{"type": "long", "logicalType": "timestamp-millis"}"#);
        check(&record(r#""long""#), &time, true);
        check(&record(r#""int""#), &time, true);
        check(&time, &record(r#""long""#), true);
        check(&record(r#""double""#), &time, false);
        check(&record(r#""string""#), &time, false);
    }

    #[test]
    fn an_unknown_symbol_is_read_only_where_the_reader_has_a_default() {
        let enumeration = |name: &str, rest: &str| {
            record(&format!(r#"{{"type": "enum", "name": "{name}", {rest}}}"#))
        };
        let known = enumeration("E", r#""symbols": ["A", "B"]"#);
        let tolerant = enumeration("n.E", r#""symbols": ["A", "B"], "default": "A""#);
        let grown = enumeration("E", r#""symbols": ["A", "B", "C"], "default": "C""#);
        let strange = enumeration("E", r#""symbols": ["X"]"#);
        check(&grown, &tolerant, true);
        check(&strange, &tolerant, true);
        check(&grown, &known, false);
        check(&known, &grown, true);
        let other = enumeration("Other", r#""symbols": ["A"]"#);
        check(&other, &tolerant, false);
    }

    #[test]
    fn what_is_no_schema_is_an_error() {
        let good = record(r#""int""#);
        check("{", &good, false);
        check(&good, "[1, 2]", false);
        check(r#"{"type": "nonsense"}"#, &good, false);
    }
}
