//! Templates: compiled once with the playbook, rendered once for each task. What an alert or a task says goes in
//! as data and is never a template itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use minijinja::value::Value as Datum;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::{Map, Value};

/// Steps a template may take: enough for a loop over a hundred items, not for one that never ends.
const FUEL: u64 = 20_000;
/// The longest text a template may give, in bytes.
const LONGEST: usize = 256 * 1024;

/// A text that could not be rendered, or is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template error in {place}: {reason}")]
pub struct RenderError {
    /// Which text of the task.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

impl RenderError {
    /// An error in that text.
    pub(crate) fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            reason: reason.into(),
        }
    }

    fn of(place: &str, error: &Error) -> Self {
        let mut reason = error.kind().to_string();
        if let Some(detail) = error.detail() {
            let _ = write!(reason, ": {detail}");
        }
        Self::new(place, reason)
    }
}

/// A text of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Nothing to fill in.
    Plain(String),
    /// A template, by its name in the environment.
    Template(String),
}

/// A JSON value in which every text may be a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing to fill in.
    Plain(Value),
    /// A text with templates.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

/// The compiled templates of one playbook.
#[derive(Debug)]
pub struct Templates {
    texts: Environment<'static>,
    paths: Environment<'static>,
}

impl Default for Templates {
    fn default() -> Self {
        let mut texts = Environment::new();
        limit(&mut texts);
        texts.set_formatter(write_text);
        let mut paths = Environment::new();
        limit(&mut paths);
        paths.set_formatter(write_path);
        Self { texts, paths }
    }
}

impl Templates {
    /// Compiles a text and adds what it reads to `reads`.
    ///
    /// # Errors
    /// [`RenderError`] if it is no template.
    pub fn text(
        &mut self,
        place: &str,
        source: &str,
        reads: &mut BTreeSet<String>,
    ) -> Result<Text, RenderError> {
        compile(&mut self.texts, place, source, reads)
    }

    /// Compiles a URL or path. What is filled in is percent-encoded, so that no alert can change which
    /// endpoint is called; `| safe` lets a value through as it is.
    ///
    /// # Errors
    /// [`RenderError`] if it is no template.
    pub fn path(
        &mut self,
        place: &str,
        source: &str,
        reads: &mut BTreeSet<String>,
    ) -> Result<Text, RenderError> {
        compile(&mut self.paths, place, source, reads)
    }

    /// Compiles every text of a JSON value.
    ///
    /// # Errors
    /// [`RenderError`] at the first that is no template.
    pub fn tree(
        &mut self,
        place: &str,
        value: &Value,
        reads: &mut BTreeSet<String>,
    ) -> Result<Tree, RenderError> {
        Ok(match value {
            Value::String(source) if is_template(source) => {
                Tree::Text(self.text(place, source, reads)?)
            }
            Value::Array(items) => {
                let compiled = items.iter().enumerate().map(|(index, item)| {
                    let place = format!("{place}[{index}]");
                    self.tree(&place, item, reads)
                });
                Tree::List(compiled.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let compiled = fields.iter().map(|(name, field)| {
                    let place = format!("{place}.{name}");
                    Ok((name.clone(), self.tree(&place, field, reads)?))
                });
                Tree::Object(compiled.collect::<Result<_, RenderError>>()?)
            }
            plain => Tree::Plain(plain.clone()),
        })
    }

    /// Renders a text that [`Templates::text`] compiled.
    ///
    /// # Errors
    /// [`RenderError`] if it reads what is not there, or takes too long.
    pub fn render(&self, text: &Text, scope: &Datum) -> Result<String, RenderError> {
        render(&self.texts, text, scope)
    }

    /// Renders a text that [`Templates::path`] compiled.
    ///
    /// # Errors
    /// As [`Templates::render`]; also if what is filled in is empty, or makes a path climb.
    pub fn render_path(&self, text: &Text, scope: &Datum) -> Result<String, RenderError> {
        let path = render(&self.paths, text, scope)?;
        match text {
            Text::Template(place) if climbs(&path) => Err(RenderError::new(
                place.clone(),
                "what was filled in makes a `.` or `..` of the path",
            )),
            _ => Ok(path),
        }
    }

    /// Renders every text of a JSON value.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub fn render_tree(&self, tree: &Tree, scope: &Datum) -> Result<Value, RenderError> {
        Ok(match tree {
            Tree::Plain(value) => value.clone(),
            Tree::Text(text) => Value::String(self.render(text, scope)?),
            Tree::List(items) => {
                let rendered = items.iter().map(|item| self.render_tree(item, scope));
                Value::Array(rendered.collect::<Result<_, _>>()?)
            }
            Tree::Object(fields) => {
                let mut rendered = Map::new();
                for (name, field) in fields {
                    rendered.insert(name.clone(), self.render_tree(field, scope)?);
                }
                Value::Object(rendered)
            }
        })
    }
}

fn limit(environment: &mut Environment<'static>) {
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(false);
}

fn is_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

fn compile(
    environment: &mut Environment<'static>,
    place: &str,
    source: &str,
    reads: &mut BTreeSet<String>,
) -> Result<Text, RenderError> {
    if !is_template(source) {
        return Ok(Text::Plain(source.to_owned()));
    }
    let of = |error: Error| RenderError::of(place, &error);
    environment
        .add_template_owned(place.to_owned(), source.to_owned())
        .map_err(of)?;
    let template = environment.get_template(place).map_err(of)?;
    reads.extend(template.undeclared_variables(false));
    Ok(Text::Template(place.to_owned()))
}

fn render(
    environment: &Environment<'static>,
    text: &Text,
    scope: &Datum,
) -> Result<String, RenderError> {
    let name = match text {
        Text::Plain(text) => return Ok(text.clone()),
        Text::Template(name) => name,
    };
    let mut page = Page(Vec::new());
    // The engine is not ours: should it ever panic, that is an error of this text, and the run goes on.
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        let template = environment.get_template(name)?;
        template
            .render_captured_to(scope.clone(), &mut page)
            .map(drop)
    }));
    let rendered = rendered
        .map_err(|_| RenderError::new(name.clone(), "it could not be rendered; simplify it"))?;
    match rendered {
        Ok(()) => Ok(String::from_utf8_lossy(&page.0).into_owned()),
        Err(_) if page.0.len() >= LONGEST => Err(RenderError::new(
            name.clone(),
            format!("it gives more than {LONGEST} bytes"),
        )),
        Err(error) => Err(RenderError::of(name, &error)),
    }
}

/// A bounded page to write on.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(&bytes[..room]);
        if room < bytes.len() {
            return Err(io::Error::other("the page is full"));
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Null is printed by no template: a text in which `none` stands for what nobody knew acts on the wrong thing.
fn refuse_null(value: &Datum) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "the value is null; give it a default with `... if ... is not none else ...`",
        ));
    }
    Ok(())
}

fn write_text(out: &mut Output, _state: &mut State, value: &Datum) -> Result<(), Error> {
    refuse_null(value)?;
    Ok(write!(out, "{value}")?)
}

fn write_path(out: &mut Output, _state: &mut State, value: &Datum) -> Result<(), Error> {
    refuse_null(value)?;
    let text = value.to_string();
    if text.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "an empty value is filled into a URL",
        ));
    }
    if value.is_safe() {
        return Ok(out.write_str(&text)?);
    }
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(out, "{}", char::from(byte))?;
            }
            _ => write!(out, "%{byte:02X}")?,
        }
    }
    Ok(())
}

/// True if a segment of the path is `.` or `..`, percent-encoded or not.
fn climbs(path: &str) -> bool {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    path[..end].split(['/', '\\']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use minijinja::context;
    use serde_json::json;

    use super::*;

    fn scope() -> Datum {
        context! {
            name => "payment gateway", evil => "{{ 7 * 7 }}", up => "..", slash => "a/../../admin?x=1#y",
            nothing => Datum::from(()), empty => "", number => 7, url => "http://patient:80/x",
        }
    }

    fn text(source: &str) -> Result<String, String> {
        let mut templates = Templates::default();
        let text = templates
            .text("message", source, &mut BTreeSet::new())
            .map_err(|error| error.to_string())?;
        templates
            .render(&text, &scope())
            .map_err(|error| error.to_string())
    }

    fn path(source: &str) -> Result<String, String> {
        let mut templates = Templates::default();
        let text = templates
            .path("action", source, &mut BTreeSet::new())
            .map_err(|error| error.to_string())?;
        templates
            .render_path(&text, &scope())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_filled_in_is_never_rendered_again() {
        assert_eq!(text("x {{ evil }}").as_deref(), Ok("x {{ 7 * 7 }}"));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(text("{{ nobody }}").is_err());
        assert!(text("{{ name.first }}").is_err());
        assert!(text("{{ nothing }}").is_err());
        assert_eq!(text("{{ nobody | default('-') }}").as_deref(), Ok("-"));
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        assert!(
            text("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}")
                .is_err()
        );
    }

    #[test]
    fn a_text_that_grows_too_long_is_stopped() {
        let long = "{% set x = 'x' * 99 %}".to_owned();
        let _ = text(&long);
        let source = format!(
            "{{% for i in range(900) %}}{}{{% endfor %}}",
            "y".repeat(400)
        );
        let error = text(&source).unwrap_err();
        assert!(error.contains("bytes"), "{error}");
    }

    #[test]
    fn a_broken_template_names_its_place() {
        let error = text("{{ name ").unwrap_err();
        assert!(
            error.starts_with("template error in message: syntax error"),
            "{error}"
        );
    }

    #[test]
    fn what_is_filled_into_a_path_stays_in_its_segment() {
        assert_eq!(
            path("/api/{{ name }}/{{ number }}").as_deref(),
            Ok("/api/payment%20gateway/7")
        );
        assert_eq!(
            path("/api/{{ slash }}").as_deref(),
            Ok("/api/a%2F..%2F..%2Fadmin%3Fx%3D1%23y")
        );
        assert_eq!(
            path("{{ url | safe }}/y").as_deref(),
            Ok("http://patient:80/x/y")
        );
    }

    #[test]
    fn a_path_neither_climbs_nor_loses_a_segment() {
        assert!(path("/api/{{ up }}/x").is_err());
        assert!(path("/api/{{ empty }}/x").is_err());
        assert!(path("/api/{{ nothing }}").is_err());
        assert_eq!(path("/api/../x").as_deref(), Ok("/api/../x"));
    }

    #[test]
    fn only_texts_of_a_tree_are_rendered() {
        let mut templates = Templates::default();
        let mut reads = BTreeSet::new();
        let value = json!({"a": "{{ name }}", "b": [1, "{{ number }}", null], "c": "plain"});
        let tree = templates.tree("parameters", &value, &mut reads).unwrap();
        assert_eq!(reads.into_iter().collect::<Vec<_>>(), ["name", "number"]);
        assert_eq!(
            templates.render_tree(&tree, &scope()).unwrap(),
            json!({"a": "payment gateway", "b": [1, "7", null], "c": "plain"})
        );
    }
}
