//! The topology as a picture. Dead-letter queues and changelogs, which every stage has, are left out.

use std::fmt::Write;

use crate::declaration::{Cleanup, Kind, Topic};
use crate::service::Service;

/// Who is beyond the pipeline, on either side.
const OUTSIDE_IN: &str = "webhooks, log shippers, people";
const OUTSIDE_OUT: &str = "targets";
const OUTSIDE_READERS: &str = "people, teams' own consumers";

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Records that are shared out by key.
    Keyed,
    /// Records that every task reads.
    Broadcast,
    /// Calls, not records.
    Call,
}

struct Edge {
    from: String,
    to: String,
    line: Line,
}

/// Mermaid, for a page that renders it: services are boxes, topics are cylinders, broadcasts are dotted,
/// calls are thick.
#[must_use]
pub fn mermaid(topics: &[Topic]) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut node = |id: &str, open: &str, text: &str, close: &str| {
        let _ = writeln!(out, "    {}{open}\"{text}\"{close}", id.replace('-', "_"));
    };
    node("outside-in", "([", OUTSIDE_IN, "])");
    for service in Service::ALL {
        node(service.name(), "[", service.name(), "]");
    }
    for topic in topics {
        node(topic.name, "[(", topic.name, ")]");
    }
    node("outside-readers", "([", OUTSIDE_READERS, "])");
    node("outside-out", "([", OUTSIDE_OUT, "])");
    for edge in edges(topics) {
        let arrow = match edge.line {
            Line::Keyed => "-->",
            Line::Broadcast => "-.->",
            Line::Call => "==>",
        };
        let (from, to) = (edge.from.replace('-', "_"), edge.to.replace('-', "_"));
        let _ = writeln!(out, "    {from} {arrow} {to}");
    }
    out
}

/// DOT, for Graphviz: topics carry their key, and compacted ones a double border.
#[must_use]
pub fn dot(topics: &[Topic]) -> String {
    let mut out = String::from("digraph prunella {\n    rankdir=LR;\n");
    let mut node = |id: &str, label: &str, shape: &str| {
        let _ = writeln!(out, "    \"{id}\" [label=\"{label}\", {shape}];");
    };
    node("outside-in", OUTSIDE_IN, "shape=plaintext");
    for service in Service::ALL {
        node(service.name(), service.name(), "shape=box, style=rounded");
    }
    for topic in topics {
        let label = format!("{}\\nkey: {}", topic.name, topic.key);
        let shape = match topic.cleanup {
            Cleanup::Delete { .. } => "shape=box",
            Cleanup::Compact => "shape=box, peripheries=2",
        };
        node(topic.name, &label, shape);
    }
    node("outside-readers", OUTSIDE_READERS, "shape=plaintext");
    node("outside-out", OUTSIDE_OUT, "shape=plaintext");
    for edge in edges(topics) {
        let style = match edge.line {
            Line::Keyed => "",
            Line::Broadcast => " [style=dashed]",
            Line::Call => " [style=bold]",
        };
        let _ = writeln!(out, "    \"{}\" -> \"{}\"{style};", edge.from, edge.to);
    }
    out.push_str("}\n");
    out
}

fn edges(topics: &[Topic]) -> Vec<Edge> {
    let edge = |from: &str, to: &str, line: Line| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        line,
    };
    let mut edges = vec![edge("outside-in", Service::Gateway.name(), Line::Call)];
    for topic in topics {
        let line = match topic.kind {
            Kind::Keyed | Kind::Journal => Line::Keyed,
            Kind::Broadcast => Line::Broadcast,
        };
        for writer in topic.writers {
            edges.push(edge(writer.name(), topic.name, line));
        }
        for reader in topic.readers {
            edges.push(edge(topic.name, reader.name(), line));
        }
        // Anyone may read anything; drawn where it is the point of the topic.
        if topic.readers.is_empty() && topic.outside_readers.is_some() {
            edges.push(edge(topic.name, "outside-readers", line));
        }
    }
    for service in Service::ALL {
        let process = service.runs_in();
        if process != *service {
            edges.push(edge(process.name(), service.name(), Line::Call));
        }
    }
    edges.push(edge(Service::Effects.name(), "outside-out", Line::Call));
    edges
}
