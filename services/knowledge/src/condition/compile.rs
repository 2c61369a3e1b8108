//! From a condition's text to an expression that is bounded, deterministic and strict.

use std::any::Any;
use std::panic::catch_unwind;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use cel::parser::Parser;
use regex::Regex;

use super::{
    Compiled, ConditionError, MAX_CONDITION_BYTES, MAX_CONDITION_PARTS, Reference, strict,
};

/// How deep an expression may nest, to be parsed and to be evaluated: the interpreter takes up to 30 KB of
/// stack a level.
const MAX_DEPTH: u16 = 24;
/// Memory that one pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The functions that a condition may call.
const FUNCTIONS: &[&str] = &[
    "bool",
    "contains",
    "double",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
];
/// Macros that the parser expands; named for suggestions.
const MACROS: &[&str] = &["all", "exists", "exists_one", "filter", "has", "map"];

/// A regular expression, compiled with the condition, as a value of the interpreter.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        static PATTERN: Type = Type::new_unspecified_type("pattern");
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// The number of a pattern, from the name of the variable that stands for it.
pub(super) fn pattern_index(name: &str) -> Option<usize> {
    name.strip_prefix("@pattern")?.parse().ok()
}

pub(super) fn compile(text: &str) -> Result<Compiled, ConditionError> {
    if text.len() > MAX_CONDITION_BYTES {
        return Err(ConditionError::TooLong { length: text.len() });
    }
    let (start, inner) = without_braces(text);
    if inner.is_empty() {
        return Err(ConditionError::Empty);
    }
    let parts = parts_of(inner);
    if parts > MAX_CONDITION_PARTS {
        return Err(ConditionError::TooComplex { parts });
    }
    let (mut expression, source) = parse(inner, start)?;
    let mut compiler = Compiler {
        source: &source,
        start,
        depth: 0,
        bound: Vec::new(),
        patterns: Vec::new(),
        references: Vec::new(),
    };
    compiler.visit(&mut expression)?;
    Ok(Compiled {
        text: text.to_owned(),
        patterns: compiler.patterns,
        references: compiler.references,
        expression,
    })
}

/// The condition without `{{` and `}}`, and where it starts, in characters.
fn without_braces(text: &str) -> (usize, &str) {
    let trimmed = text.trim();
    let opened = trimmed
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let inner = opened.unwrap_or(trimmed).trim_end();
    let before = text.len() - text.trim_start().len();
    let braces = if opened.is_some() { 2 } else { 0 };
    let spaces = inner.len() - inner.trim_start().len();
    let start = text.get(..before + braces + spaces);
    (
        start.map_or(0, |start| start.chars().count()),
        inner.trim_start(),
    )
}

/// Brackets, dots and operators, those inside of texts included: an upper bound that needs no lexer.
fn parts_of(text: &str) -> usize {
    let marks = text
        .bytes()
        .filter(|byte| b"()[]{}.!-+*/%<>=&|?:".contains(byte));
    marks.count() + text.split_whitespace().filter(|word| *word == "in").count()
}

fn parse(text: &str, start: usize) -> Result<(IdedExpr, SourceInfo), ConditionError> {
    let parsed = catch_unwind(|| {
        Parser::default()
            .max_recursion_depth(MAX_DEPTH)
            .error_recovery_limit(1)
            .parse_with_source_info(text)
    });
    let errors = match parsed {
        Ok(Ok(parsed)) => return Ok(parsed),
        Ok(Err(errors)) => errors.errors,
        Err(_) => Vec::new(),
    };
    let error = errors.into_iter().next();
    let at = error.as_ref().and_then(|error| offset(text, error.pos));
    let message = error.map_or_else(String::new, |error| error.msg);
    let message = message.trim_start_matches("Syntax error: ");
    Err(ConditionError::Syntax {
        message: if message.is_empty() || message == "UNKNOWN" {
            "this is not a condition, or it nests too deep".to_owned()
        } else {
            format!("this is not a condition: {message}")
        },
        at: at.map(|at| at + start),
    })
}

/// The character offset of a line and a column, both from 1.
fn offset(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: usize = text
        .split_inclusive('\n')
        .take(line)
        .map(|line| line.chars().count())
        .sum();
    Some((before + column).min(text.chars().count()))
}

/// Walks the expression once: refuses, notes what it reads, and puts the strict functions in.
struct Compiler<'a> {
    source: &'a SourceInfo,
    start: usize,
    /// How deep the present expression lies.
    depth: u16,
    /// Names that iterations bind, innermost last.
    bound: Vec<String>,
    patterns: Vec<Pattern>,
    references: Vec<Reference>,
}

impl Compiler<'_> {
    fn visit(&mut self, expression: &mut IdedExpr) -> Result<(), ConditionError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.refuse(
                "the condition nests too deep; split it into several",
                expression.id,
            ));
        }
        self.depth += 1;
        let outcome = self.visit_parts(expression);
        self.depth -= 1;
        outcome
    }

    fn visit_parts(&mut self, expression: &mut IdedExpr) -> Result<(), ConditionError> {
        let id = expression.id;
        match &mut expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                self.refer(name.trim_start_matches('.'), id);
                Ok(())
            }
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::List(list) => list
                .elements
                .iter_mut()
                .try_for_each(|item| self.visit(item)),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(self.refuse("a condition has no use for `{...}` inside of it", id))
            }
            Expr::Comprehension(iteration) => self.visit_iteration(iteration, id),
            Expr::Call(call) => self.visit_call(call, id),
        }
    }

    fn refer(&mut self, name: &str, id: u64) {
        // What starts with `@` was made by a macro.
        let ours = name.starts_with('@') || self.bound.iter().any(|bound| bound == name);
        if !ours && !self.references.iter().any(|known| known.name == name) {
            self.references.push(Reference {
                name: name.to_owned(),
                at: self.place(id).unwrap_or(self.start),
            });
        }
    }

    fn visit_iteration(
        &mut self,
        iteration: &mut ComprehensionExpr,
        id: u64,
    ) -> Result<(), ConditionError> {
        self.visit(&mut iteration.iter_range)?;
        if !self.bound.is_empty() {
            return Err(self.refuse("an iteration inside an iteration costs too much", id));
        }
        self.bound.push(iteration.iter_var.clone());
        self.bound.extend(iteration.iter_var2.clone());
        let parts = [
            &mut iteration.accu_init,
            &mut iteration.loop_cond,
            &mut iteration.loop_step,
            &mut iteration.result,
        ];
        let outcome = parts.into_iter().try_for_each(|part| self.visit(part));
        self.bound.clear();
        outcome
    }

    fn visit_call(&mut self, call: &mut CallExpr, id: u64) -> Result<(), ConditionError> {
        if let Some(target) = &mut call.target {
            self.visit(target)?;
        }
        if call.func_name == "matches" {
            return self.visit_matches(call, id);
        }
        call.args.iter_mut().try_for_each(|arg| self.visit(arg))?;
        match call.func_name.as_str() {
            "_==_" if !against_null(call) => strict::EQUAL.clone_into(&mut call.func_name),
            "_!=_" if !against_null(call) => strict::NOT_EQUAL.clone_into(&mut call.func_name),
            "@in" => strict::MEMBER.clone_into(&mut call.func_name),
            name if name.starts_with(['_', '@', '!', '-']) => {}
            name if FUNCTIONS.contains(&name) => {}
            name => {
                let known = FUNCTIONS.iter().chain(MACROS).copied();
                let hint = crate::suggest::nearest(name, known)
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                // A call's own place is its bracket.
                let at = self.place(id);
                return Err(ConditionError::Unsupported {
                    message: format!("there is no function `{name}`{hint}"),
                    at: at.map(|at| at.saturating_sub(name.chars().count())),
                });
            }
        }
        Ok(())
    }

    /// `text.matches('...')` and `matches(text, '...')`: the pattern is compiled here, once.
    fn visit_matches(&mut self, call: &mut CallExpr, id: u64) -> Result<(), ConditionError> {
        let mut args = std::mem::take(&mut call.args);
        args.splice(0..0, call.target.take().map(|target| *target));
        let [text, pattern] = args.as_mut_slice() else {
            return Err(self.refuse("`matches` takes a text and a pattern", id));
        };
        self.visit(text)?;
        let Expr::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            return Err(self.refuse("a pattern must be a text in quotes", pattern.id));
        };
        let compiled = regex::RegexBuilder::new(literal.inner())
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(|error| {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim();
                self.refuse(&format!("the pattern is wrong: {reason}"), pattern.id)
            })?;
        pattern.expr = Expr::Ident(format!("@pattern{}", self.patterns.len()));
        self.patterns.push(Pattern(compiled));
        strict::MATCHES.clone_into(&mut call.func_name);
        call.args = args;
        Ok(())
    }

    fn refuse(&self, message: &str, id: u64) -> ConditionError {
        ConditionError::Unsupported {
            message: message.to_owned(),
            at: self.place(id),
        }
    }

    fn place(&self, id: u64) -> Option<usize> {
        let (start, _) = self.source.offset_for(id)?;
        Some(usize::try_from(start).ok()? + self.start)
    }
}

fn against_null(call: &CallExpr) -> bool {
    call.args
        .iter()
        .any(|arg| matches!(arg.expr, Expr::Literal(LiteralValue::Null)))
}
