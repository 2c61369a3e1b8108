//! Knowledge: checked, then published under its digest, then put in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use prunella_knowledge::{Diagnostic, KnowledgeSet, Level, Options, check_with, digest_of};
use prunella_normalizer::Sources;
use prunella_schemas::{KnowledgeFile, KnowledgeRecord};
use prunella_topology::topics;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::board::ACTIVE;
use crate::config::Role;
use crate::people::{command, write};
use crate::problem::{Kind, Problem};
use crate::trace;

/// Body of `POST /v1/knowledge`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    files: Vec<KnowledgeFile>,
    #[serde(default)]
    comment: String,
    /// Whether rules may name playbooks that are not there.
    #[serde(default)]
    allow_missing: bool,
}

/// `POST /v1/knowledge`: refuses a set with mistakes and tells all of them; publishes one without.
///
/// The content is acknowledged before the manifest that names it is written, to the same partition: whoever
/// reads the manifest has read the content. A failure in between leaves content that nothing names.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (head, body) = request.into_parts();
    let author = app.access.person(Role::Publish, &head.headers)?;
    let bundle: Bundle = command(&app, &head.headers, body, app.max_knowledge_bytes).await?;
    let (bundle, warnings) = tokio::task::spawn_blocking(move || check(bundle))
        .await
        .map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
    // One after the other: the manifest that is written last is the one whose answer comes last.
    let _turn = app.publishing.lock().await;
    let known = app
        .board
        .complete()?
        .is_published(&digest_of(&bundle.files));
    let manifest = KnowledgeRecord {
        digest: digest_of(&bundle.files),
        files: Vec::new(),
        author: author.to_string(),
        comment: bundle.comment,
        at: trace::now(),
        allow_missing: bundle.allow_missing,
    };
    if !known {
        let content = KnowledgeRecord {
            files: bundle.files,
            allow_missing: false,
            ..manifest.clone()
        };
        let position = write(
            &app,
            topics::KNOWLEDGE,
            &content.digest,
            &content,
            &head.headers,
        )
        .await?;
        app.board.publish(position.offset, content);
    }
    let position = write(&app, topics::KNOWLEDGE, ACTIVE, &manifest, &head.headers).await?;
    tracing::info!(
        author = manifest.author,
        digest = manifest.digest,
        "knowledge put in force"
    );
    let answer = json!({
        "digest": manifest.digest,
        "author": manifest.author,
        "at": manifest.at,
        "warnings": warnings,
    });
    app.board.publish(position.offset, manifest);
    Ok(Json(answer))
}

/// `GET /v1/knowledge`: what is in force, and what was published, the newest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    app.access.person(Role::Read, request.headers())?;
    let (active, published) = app.board.complete()?.knowledge();
    Ok(Json(json!({ "active": active, "published": published })))
}

/// The bundle in its files' order, with what is worth a warning.
fn check(mut bundle: Bundle) -> Result<(Bundle, Vec<Diagnostic>), Problem> {
    bundle.files.sort();
    if bundle.files.is_empty() {
        return Err(Problem::new(
            Kind::Invalid,
            "`files` is empty; there is nothing to put in force",
        ));
    }
    if let Some(file) = bundle.files.iter().find(|file| !is_path(&file.path)) {
        let detail = format!(
            "{:?} is no path below a directory, with forward slashes",
            file.path
        );
        return Err(Problem::new(Kind::Invalid, detail));
    }
    if let Some(pair) = bundle
        .files
        .windows(2)
        .find(|pair| pair[0].path == pair[1].path)
    {
        let detail = format!("{:?} is there twice", pair[0].path);
        return Err(Problem::new(Kind::Invalid, detail));
    }
    let options = Options {
        allow_missing_playbooks: bundle.allow_missing,
    };
    let found = check_with(&bundle.files, options);
    if found.iter().any(Diagnostic::is_error) {
        return Err(refused(&found));
    }
    let set = KnowledgeSet::parse_with(&bundle.files, options).map_err(|found| refused(&found))?;
    Sources::parse(&set.sources).map_err(|error| {
        let diagnostics: Vec<Value> = error
            .0
            .iter()
            .map(|(source, reason)| {
                json!({"level": "error", "path": format!("sources.{source}"), "message": reason.to_string()})
            })
            .collect();
        Problem::new(Kind::Knowledge, error.to_string()).with("diagnostics", diagnostics.into())
    })?;
    Ok((bundle, found))
}

fn refused(found: &[Diagnostic]) -> Problem {
    let errors = found
        .iter()
        .filter(|found| found.level == Level::Error)
        .count();
    let rendered: Vec<String> = found.iter().map(ToString::to_string).collect();
    Problem::new(
        Kind::Knowledge,
        format!("{errors} mistakes; nothing was published. Run `prunella knowledge check DIR` to see them where you work"),
    )
    .with("diagnostics", json!(found))
    .with("rendered", rendered.join("\n\n").into())
}

/// Files are written out below a directory some day; no path may lead out of it.
fn is_path(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= 512
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bundle(files: &[(&str, &str)], allow_missing: bool, expected: Result<usize, Kind>) {
        let files = files
            .iter()
            .map(|(path, text)| KnowledgeFile {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let bundle = Bundle {
            files,
            comment: String::new(),
            allow_missing,
        };
        let seen = check(bundle)
            .map(|(_, warnings)| warnings.len())
            .map_err(|problem| problem.kind());
        assert_eq!(seen, expected);
    }

    const RULES: &str = "rules:\n  - {id: R1, alert_name: Hot, playbook: PB-None}\n";

    #[test]
    fn a_bundle_is_published_if_it_has_no_mistake() {
        check_bundle(
            &[("rules.yaml", "rules: [{id: R1, alert_name: Hot}]")],
            false,
            Ok(0),
        );
        check_bundle(&[("rules.yaml", RULES)], false, Err(Kind::Knowledge));
        check_bundle(&[("rules.yaml", RULES)], true, Ok(1));
        check_bundle(&[("rules.yaml", "rules: [{")], false, Err(Kind::Knowledge));
        check_bundle(
            &[("s.yaml", "sources: {a: {feilds: {}}}")],
            false,
            Err(Kind::Knowledge),
        );
        check_bundle(&[], false, Err(Kind::Invalid));
    }

    #[test]
    fn a_path_stays_below_its_directory_and_is_there_once() {
        for path in [
            "/etc/x.yaml",
            "../x.yaml",
            "a//x.yaml",
            "a\\x.yaml",
            "",
            "a\n.yaml",
        ] {
            check_bundle(&[(path, "rules: []")], false, Err(Kind::Invalid));
        }
        let twice = [("a.yaml", "rules: []"), ("a.yaml", "rules: [ ]")];
        check_bundle(&twice, false, Err(Kind::Invalid));
    }
}
