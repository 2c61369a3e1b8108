//! Reading the configuration: one TOML file, then variables, which win. Every mistake is said with its place and
//! without the text that stands there, since that may be a secret.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use prunella_topology::Prefix;
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::Config;

/// What environment variables of the configuration begin with.
const VARIABLES: &str = "PRUNELLA__";

/// Reads the file, if there is one, and the environment.
pub fn load(file: Option<&Path>) -> Result<Config> {
    let (name, text) = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the configuration {}", file.display()))?;
            (file.display().to_string(), text)
        }
        None => (String::new(), String::new()),
    };
    let mut variables = Vec::new();
    for (variable, value) in std::env::vars_os() {
        let Some(variable) = variable
            .to_str()
            .filter(|variable| variable.starts_with(VARIABLES))
        else {
            continue;
        };
        let Some(value) = value.to_str() else {
            bail!("{variable} is not UTF-8");
        };
        variables.push((variable.to_owned(), value.to_owned()));
    }
    variables.sort();
    parse(&name, &text, &variables)
}

/// Reads a text, which errors call `name`, and variables.
pub fn parse(name: &str, text: &str, variables: &[(String, String)]) -> Result<Config> {
    let in_file = |error: &toml::de::Error| anyhow!("{}{}", place(name, text, error), said(error));
    let mut table: Table = text.parse().map_err(|error| in_file(&error))?;
    toml::from_str::<Config>(text).map_err(|error| in_file(&error))?;
    for (variable, value) in variables {
        let path = path_of(variable)?;
        let value = typed(&path, value).map_err(|error| anyhow!("{variable}: {}", said(&error)))?;
        set(&mut table, &path, value).with_context(|| variable.clone())?;
    }
    let prefix = prefix_of(&table)?;
    let mut config =
        Config::deserialize(Value::Table(table)).map_err(|error| anyhow!("{}", said(&error)))?;
    config.topology.prefix = prefix;
    Ok(config)
}

/// The prefix is configured with the cluster and checked where the topology declares what may be one.
fn prefix_of(table: &Table) -> Result<Prefix> {
    let prefix = table
        .get("kafka")
        .and_then(|kafka| kafka.get("prefix"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    Prefix::new(prefix).context("kafka.prefix")
}

/// Sections and key that a variable names. No shell can set a variable with a dot, and librdkafka's settings are
/// full of them: below `kafka.properties` an underscore stands for a dot.
fn path_of(variable: &str) -> Result<Vec<String>> {
    let path: Vec<String> = variable[VARIABLES.len()..]
        .split("__")
        .map(str::to_lowercase)
        .collect();
    if path.iter().any(String::is_empty) {
        bail!("{variable} names no key: write {VARIABLES}SECTION__KEY");
    }
    Ok(match path.as_slice() {
        [kafka, properties, property] if kafka == "kafka" && properties == "properties" => {
            vec![
                kafka.clone(),
                properties.clone(),
                property.replace('_', "."),
            ]
        }
        _ => path,
    })
}

/// The value of a variable as its key wants it: as text where that is taken, so that a token of digits is one;
/// else as TOML writes numbers, booleans and lists.
fn typed(path: &[String], text: &str) -> Result<Value, toml::de::Error> {
    let alone = |value: &Value| {
        let mut table = Table::new();
        // An empty table has no value in the way.
        let _ = set(&mut table, path, value.clone());
        Config::deserialize(Value::Table(table)).map(drop)
    };
    let as_text = Value::String(text.to_owned());
    let Err(refused) = alone(&as_text) else {
        return Ok(as_text);
    };
    let parsed = format!("value = {text}").parse::<Table>().ok();
    let Some(value) = parsed.and_then(|mut table| table.remove("value")) else {
        return Err(refused);
    };
    alone(&value).map(|()| value)
}

fn set(table: &mut Table, path: &[String], value: Value) -> Result<()> {
    let Some((key, sections)) = path.split_last() else {
        return Ok(());
    };
    let mut section = table;
    for name in sections {
        let entry = section
            .entry(name.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            bail!("`{name}` is a value, not a section");
        };
        section = inner;
    }
    section.insert(key.clone(), value);
    Ok(())
}

/// `FILE:LINE:COLUMN: `, as far as it is known.
fn place(name: &str, text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return format!("{name}: ");
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|at| *at != '\n').count() + 1;
    format!("{name}:{line}:{column}: ")
}

/// What is wrong in words, with what was probably meant. The library's own text may quote a value: that part is
/// replaced by what kind of value it is.
fn said(error: &toml::de::Error) -> String {
    let message = error.message();
    let wrong = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|wrong| message.strip_prefix(wrong));
    if let Some((found, (_, expected))) = wrong.zip(message.rsplit_once(", expected ")) {
        let kind = kind_of(found);
        return format!("{} is expected here, not {kind}", wanted(expected));
    }
    let mut text = message.trim_end().to_owned();
    if let Some(known) = meant(message) {
        text.push_str(&format!("; did you mean `{known}`?"));
    }
    text
}

/// The kind of a value, of a description that begins with it and may go on with the value.
fn kind_of(found: &str) -> &'static str {
    let kinds = [
        ("string", "text"),
        ("integer", "a number"),
        ("floating point", "a fraction"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "a section"),
    ];
    kinds
        .into_iter()
        .find(|(kind, _)| found.starts_with(kind))
        .map_or("this", |(_, words)| words)
}

/// What the library expects, in words that say how to write it.
fn wanted(expected: &str) -> String {
    match expected {
        "a string" => "text in quotes".to_owned(),
        "a sequence" => "a list, [\"a\", \"b\"],".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a map" => "a section".to_owned(),
        "u16" | "u32" | "u64" | "usize" => "a number, 0 or more,".to_owned(),
        "i32" | "i64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a section".to_owned(),
        other => other.to_owned(),
    }
}

/// The known name that is nearest to an unknown one.
fn meant(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| {
        message.starts_with("unknown field") || message.starts_with("unknown variant")
    })?;
    let known = quoted.map(|known| (strsim::damerau_levenshtein(unknown, known), known));
    let (distance, known) = known.min()?;
    (distance <= 3).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        parse("p.toml", text, &variables)
    }

    fn check_file_refused(text: &str, expected: &str) {
        let error = read(text, &[]).expect_err(expected);
        assert_eq!(format!("{error:#}"), expected);
    }

    fn check_variable_refused(name: &str, value: &str, expected: &str) {
        let error = read("", &[(name, value)]).expect_err(expected);
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = read(
            "[kafka]\nbootstrap_servers = \"a:1\"\nprefix = \"p1.\"",
            &[
                ("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", "b:2"),
                ("PRUNELLA__RUNTIME__THREADS", "3"),
            ],
        )
        .expect("a good configuration");
        assert_eq!(config.kafka.bootstrap_servers, "b:2");
        assert_eq!(config.runtime.threads, 3);
        assert_eq!(config.topology.prefix.as_str(), "p1.");
    }

    #[test]
    fn a_variable_is_what_its_key_wants() {
        let config = read(
            "",
            &[
                ("PRUNELLA__EFFECTS__ALLOWED_HOSTS", "[\"a\", \"b:1\"]"),
                ("PRUNELLA__GATEWAY__PEOPLE__ADA__TOKEN", "12345678"),
                ("PRUNELLA__KAFKA__PROPERTIES__LINGER_MS", "5"),
                ("PRUNELLA__RUNTIME__ACCEPT_LOST_OFFSETS", "true"),
                ("PRUNELLA__RUNTIME__INSTANCE", "7"),
            ],
        )
        .expect("each of its kind");
        assert_eq!(config.effects.allowed_hosts, ["a", "b:1"]);
        assert!(config.gateway.people["ada"].token.is_some());
        assert_eq!(config.kafka.properties["linger.ms"], "5");
        assert!(config.runtime.accept_lost_offsets);
        assert_eq!(config.runtime.instance, "7");
    }

    #[test]
    fn a_schema_registry_is_configured_by_variables_and_its_secrets_are_not_shown() {
        let config = read(
            "[schema_registry]\nurl = \"http://a:1\"\nusername = \"ada\"",
            &[
                ("PRUNELLA__SCHEMA_REGISTRY__URL", "http://b:2"),
                ("PRUNELLA__SCHEMA_REGISTRY__PASSWORD", "12345678"),
                ("PRUNELLA__SCHEMA_REGISTRY__TIMEOUT_MS", "700"),
            ],
        )
        .expect("a good configuration");
        let registry = &config.schema_registry;
        assert_eq!(
            (registry.url.as_str(), registry.timeout_ms),
            ("http://b:2", 700)
        );
        assert!(registry.validate().is_ok() && registry.is_configured());
        assert!(!format!("{config:?}").contains("12345678"));
        assert!(
            !read("", &[])
                .expect("nothing")
                .schema_registry
                .is_configured()
        );
        check_file_refused(
            "[schema_registry]\nuser = \"ada\"",
            "p.toml:2:1: unknown field `user`, expected one of `url`, `username`, `password`, `token`, \
             `timeout_ms`; did you mean `url`?",
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_a_suggestion() {
        check_file_refused(
            "[kafka]\nbootstrap_server = \"a:1\"",
            "p.toml:2:1: unknown field `bootstrap_server`, expected one of `bootstrap_servers`, `prefix`, \
             `properties`; did you mean `bootstrap_servers`?",
        );
        check_file_refused(
            "[log]\nformat = \"jsn\"",
            "p.toml:2:10: unknown variant `jsn`, expected `human` or `json`; did you mean `json`?",
        );
        check_variable_refused(
            "PRUNELLA__LOG__LEVL",
            "info",
            "PRUNELLA__LOG__LEVL: unknown field `levl`, expected `format` or `level`; did you mean `level`?",
        );
        check_variable_refused(
            "PRUNELLA__LOG__COLOUR",
            "info",
            "PRUNELLA__LOG__COLOUR: unknown field `colour`, expected `format` or `level`",
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_described_and_never_quoted() {
        check_file_refused(
            "[gateway.people]\nada = \"s3cret\"",
            "p.toml:2:7: a section is expected here, not text",
        );
        check_file_refused(
            "[gateway.people.ada]\ntoken = 5353",
            "p.toml:2:9: text in quotes is expected here, not a number",
        );
        check_file_refused(
            "[gateway.people.ada]\ntoken = \"s3cret",
            "p.toml:2:16: invalid basic string, expected `\"`",
        );
        check_file_refused(
            "[kafka]\nproperties = \"sasl.password=s3cret\"",
            "p.toml:2:14: a section is expected here, not text",
        );
        check_variable_refused(
            "PRUNELLA__RUNTIME__THREADS",
            "s3cret",
            "PRUNELLA__RUNTIME__THREADS: a number, 0 or more, is expected here, not text",
        );
        check_variable_refused(
            "PRUNELLA__RUNTIME",
            "x",
            "PRUNELLA__RUNTIME: a section is expected here, not text",
        );
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused() {
        check_variable_refused(
            "PRUNELLA__LOG__",
            "x",
            "PRUNELLA__LOG__ names no key: write PRUNELLA__SECTION__KEY",
        );
    }
}
