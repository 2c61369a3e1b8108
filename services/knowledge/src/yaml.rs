//! YAML as a tree that knows where everything stands, read from the parser's events: so depth, size and the
//! expansion of aliases are bounded, and a key that stands twice is reported rather than lost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

/// The longest file, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most nodes, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

/// A place in a file: line and column from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it starts.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    /// Characters between `at` and the text itself, if the text stands as it is on one line.
    pub(crate) lead: Option<usize>,
    pub(crate) data: Data,
    nodes: usize,
    depth: usize,
}

/// What a value is. Numbers keep the text they were written as.
#[derive(Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Int(i64, String),
    Double(f64, String),
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) at: Mark,
    pub(crate) value: Rc<Node>,
}

/// What is wrong with a file as YAML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Mark,
    pub(crate) message: String,
}

impl Node {
    /// The kind of the value, in an operator's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Int(..) | Data::Double(..) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }
}

/// Reads every document of a file. Flaws that leave the rest readable (a key that stands twice) are reported
/// beside the documents, one that does not ends the reading.
pub(crate) fn read(text: &str) -> (Vec<Rc<Node>>, Vec<Flaw>) {
    let mut builder = Builder::default();
    if text.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes; {MAX_FILE_BYTES} are allowed: split it",
            text.len()
        );
        builder.flaw(Mark { line: 1, column: 1 }, message);
        return (Vec::new(), builder.flaws);
    }
    let mut parser = Parser::new_from_str(text);
    if let Err(flaw) = builder.build(&mut parser) {
        builder.flaws.push(flaw);
        return (Vec::new(), builder.flaws);
    }
    (builder.documents, builder.flaws)
}

/// A collection that is not yet closed.
struct Open {
    at: Mark,
    anchor: usize,
    nodes: usize,
    depth: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Mark)>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    documents: Vec<Rc<Node>>,
    flaws: Vec<Flaw>,
    nodes: usize,
}

impl Builder {
    fn flaw(&mut self, at: Mark, message: impl Into<String>) {
        let message = message.into();
        self.flaws.push(Flaw { at, message });
    }

    fn build(&mut self, parser: &mut Parser<'_, StrInput<'_>>) -> Result<(), Flaw> {
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| Flaw {
                at: mark(error.marker()),
                message: format!("this is not YAML: {}", error.info()),
            })?;
            self.take(event, span)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        let at = mark(&span.start);
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(text, style, tag.as_deref(), &span, at)?;
                self.place(node, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).map(Rc::clone) else {
                    return Err(flaw(at, "this alias names an anchor that encloses it"));
                };
                self.count(node.nodes, at)?;
                self.attach(node, at)
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Parts::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let parts = Parts::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.open(at, anchor, parts)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, at: Mark, anchor: usize, parts: Parts) -> Result<(), Flaw> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.count(1, at)?;
        self.open.push(Open {
            at,
            anchor,
            nodes: 1,
            depth: 1,
            parts,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Flaw> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let data = match open.parts {
            Parts::List(items) => Data::List(items),
            Parts::Map { entries, .. } => Data::Map(entries),
        };
        let node = Rc::new(Node {
            at: open.at,
            lead: None,
            data,
            nodes: open.nodes,
            depth: open.depth,
        });
        if open.anchor > 0 {
            self.anchors.insert(open.anchor, Rc::clone(&node));
        }
        self.attach(node, open.at)
    }

    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Flaw> {
        let at = node.at;
        self.count(1, at)?;
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node, at)
    }

    fn count(&mut self, nodes: usize, at: Mark) -> Result<(), Flaw> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!(
                "the file holds more than {MAX_NODES} values once its aliases are expanded: split it"
            );
            return Err(flaw(at, message));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs: at `at`, which for an alias is not where the value stands.
    fn attach(&mut self, node: Rc<Node>, at: Mark) -> Result<(), Flaw> {
        let above = self.open.len();
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        if above + node.depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        parent.nodes = parent.nodes.saturating_add(node.nodes);
        parent.depth = parent.depth.max(node.depth + 1);
        match &mut parent.parts {
            Parts::List(items) => items.push(node),
            Parts::Map { entries, key } => match key.take() {
                None => *key = Some((key_text(&node, at)?, at)),
                Some((name, at)) => {
                    if let Some(first) = entries.iter().find(|entry| entry.name == name) {
                        let message = format!(
                            "`{name}` stands here twice; first in line {}",
                            first.at.line
                        );
                        self.flaws.push(Flaw { at, message });
                    } else {
                        entries.push(Entry {
                            name,
                            at,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }
}

fn key_text(node: &Node, at: Mark) -> Result<String, Flaw> {
    match &node.data {
        Data::Text(text) | Data::Int(_, text) | Data::Double(_, text) => Ok(text.clone()),
        Data::Bool(truth) => Ok(truth.to_string()),
        Data::Null => Ok("null".to_owned()),
        Data::List(_) | Data::Map(_) => Err(flaw(at, "a field's name must be a text")),
    }
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
    at: Mark,
) -> Result<Node, Flaw> {
    let quoted = style != ScalarStyle::Plain;
    let as_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if let Some(tag) = tag.filter(|_| !as_text) {
        let message = format!(
            "the tag `{}{}` means nothing here; leave it out",
            tag.handle, tag.suffix
        );
        return Err(flaw(at, message));
    }
    // Unescaped and on one line, the text's characters stand where they stand in the file.
    let lead = usize::from(quoted);
    let plain =
        span.start.line() == span.end.line() && span.len() == text.chars().count() + 2 * lead;
    let data = if quoted || as_text {
        Data::Text(text.into_owned())
    } else {
        resolve(text)
    };
    Ok(Node {
        at,
        lead: plain.then_some(lead),
        data,
        nodes: 1,
        depth: 0,
    })
}

/// What a plain scalar means, by YAML 1.2's core schema.
fn resolve(text: Cow<'_, str>) -> Data {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    // `inf`, `nan` and the like are words here: no field wants them.
    let numeric = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if numeric && text.contains(|character: char| character.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Data::Int(number, text.into_owned());
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Data::Double(number, text.into_owned());
        }
    }
    Data::Text(text.into_owned())
}

fn mark(marker: &Marker) -> Mark {
    Mark {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn flaw(at: Mark, message: impl Into<String>) -> Flaw {
    Flaw {
        at,
        message: message.into(),
    }
}

fn too_deep(at: Mark) -> Flaw {
    flaw(at, format!("this nests deeper than {MAX_DEPTH} levels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<String> {
        let (_, flaws) = read(text);
        flaws
            .iter()
            .map(|flaw| format!("{}:{} {}", flaw.at.line, flaw.at.column, flaw.message))
            .collect()
    }

    fn entries(text: &str) -> Vec<(String, Mark, String)> {
        let (documents, flaws) = read(text);
        assert_eq!(flaws, []);
        let Data::Map(entries) = &documents[0].data else {
            panic!("not a mapping: {documents:?}");
        };
        entries
            .iter()
            .map(|entry| {
                let value = format!("{:?}", entry.value.data);
                (entry.name.clone(), entry.at, value)
            })
            .collect()
    }

    #[test]
    fn fields_keep_their_places_and_numbers_their_texts() {
        let mark = |line, column| Mark { line, column };
        assert_eq!(
            entries("a: 1\nb:\n  - x\nc: {d: 1.10}\ne: '5'\nf: yes\n"),
            [
                ("a".into(), mark(1, 1), "Int(1, \"1\")".into()),
                (
                    "b".into(),
                    mark(2, 1),
                    "List([Node { at: Mark { line: 3, column: 5 }, lead: Some(0), \
                     data: Text(\"x\"), nodes: 1, depth: 0 }])"
                        .into()
                ),
                (
                    "c".into(),
                    mark(4, 1),
                    "Map([Entry { name: \"d\", at: Mark { line: 4, column: 5 }, \
                     value: Node { at: Mark { line: 4, column: 8 }, lead: Some(0), \
                     data: Double(1.1, \"1.10\"), nodes: 1, depth: 0 } }])"
                        .into()
                ),
                ("e".into(), mark(5, 1), "Text(\"5\")".into()),
                ("f".into(), mark(6, 1), "Text(\"yes\")".into()),
            ]
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_a_flaw_and_the_first_counts() {
        assert_eq!(
            flaws("a: 1\nb: 2\na: 3\n"),
            ["3:1 `a` stands here twice; first in line 1"]
        );
    }

    #[test]
    fn broken_yaml_says_where() {
        let found = flaws("a: [1, 2\nb: 3\n");
        assert!(found[0].contains("this is not YAML"), "{found:?}");
        assert!(flaws("a: !!binary aGk=\n")[0].contains("means nothing here"));
        assert!(flaws("[a]: 1\n")[0].contains("must be a text"));
    }

    #[test]
    fn aliases_repeat_a_value_as_long_as_they_do_not_explode() {
        assert_eq!(flaws("a: &x {b: 1}\nc: *x\n"), Vec::<String>::new());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            let row = vec![alias; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert!(flaws(&bomb)[0].contains("once its aliases are expanded"));
    }

    #[test]
    fn depth_is_bounded_also_through_aliases() {
        let deep = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(flaws(&deep(60)), Vec::<String>::new());
        for depth in [65, 200, 100_000] {
            let found = flaws(&deep(depth));
            let deep = ["nests deeper", "recursion limit"];
            assert!(
                deep.iter().any(|words| found[0].contains(words)),
                "{depth}: {found:?}"
            );
        }
        let chained = format!("a: &a {}\nb: {}", deep(40), deep(40).replace('x', "*a"));
        assert!(flaws(&chained)[0].contains("nests deeper"));
        let block: String = (0..100_000).map(|_| "- ").collect();
        assert!(flaws(&block)[0].contains("nests deeper"));
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        assert!(flaws(&"a".repeat(MAX_FILE_BYTES + 1))[0].contains("bytes"));
    }
}
