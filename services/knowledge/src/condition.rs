//! Conditions: CEL expressions that are true, false, or an error that people hear of.
//!
//! The language is CEL as the `cel` crate has it, made stricter: comparing values of two kinds is an error
//! also for `==`, `!=` and `in` (against the literal `null` it is not), an unknown variable is an error, and
//! so is a result that is not a boolean. What could make evaluation dear or its outcome depend on chance is
//! refused when the condition is compiled: map literals, iterations inside iterations, patterns that are not
//! literals, texts that are too long.

mod compile;
mod scope;
mod strict;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::types::CelBool;
use cel::{Context, IdedExpr, Value};

pub use scope::{Lookup, Term, Variables};

use compile::Pattern;

/// The longest condition, in bytes.
pub const MAX_CONDITION_BYTES: usize = 2_048;
/// The most brackets, dots and operators of a condition: they bound how deep it nests.
pub const MAX_CONDITION_PARTS: usize = 200;

/// A compiled condition. Cloning it is cheap.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

pub(crate) struct Compiled {
    text: String,
    expression: IdedExpr,
    patterns: Vec<Pattern>,
    references: Vec<Reference>,
}

/// A variable that a condition reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its name: `payment_status` in `payment_status.is_healthy`.
    pub name: String,
    /// Where it stands in the condition's text, in characters from 0.
    pub at: usize,
}

/// Why a condition is no condition, or has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Nothing to evaluate.
    #[error("the condition is empty; leave it out if it is not needed")]
    Empty,
    /// Too long.
    #[error(
        "the condition has {length} bytes; {MAX_CONDITION_BYTES} are allowed: split it into several"
    )]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// Too many parts.
    #[error(
        "the condition has {parts} brackets, dots and operators; {MAX_CONDITION_PARTS} are allowed: split it into several"
    )]
    TooComplex {
        /// Its brackets, dots and operators.
        parts: usize,
    },
    /// Not CEL.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where, in characters from 0, if it is known.
        at: Option<usize>,
    },
    /// CEL, but not allowed here.
    #[error("{message}")]
    Unsupported {
        /// What and why.
        message: String,
        /// Where, in characters from 0, if it is known.
        at: Option<usize>,
    },
    /// A variable that is not there.
    #[error("there is no variable `{0}`")]
    UnknownVariable(String),
    /// A field that a variable does not have.
    #[error("there is no field or key `{0}`; guard it with `has(...)`")]
    NoSuchField(String),
    /// Two kinds of value that do not go together, null among them.
    #[error("{0}")]
    Mismatch(String),
    /// The result is no boolean.
    #[error("the condition gives a {0}, not true or false")]
    NotBoolean(String),
    /// Anything else: a division by zero, an index out of bounds.
    #[error("{0}")]
    Failed(String),
}

impl ConditionError {
    /// Where in the condition's text it lies, in characters from 0, if that is known.
    #[must_use]
    pub fn at(&self) -> Option<usize> {
        match self {
            Self::Syntax { at, .. } | Self::Unsupported { at, .. } => *at,
            _ => None,
        }
    }

    /// The rule that was broken, in a few fixed words: a metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
            Self::TooComplex { .. } => "too_complex",
            Self::Syntax { .. } => "syntax",
            Self::Unsupported { .. } => "unsupported",
            Self::UnknownVariable(_) => "unknown_variable",
            Self::NoSuchField(_) => "no_such_field",
            Self::Mismatch(_) => "mismatch",
            Self::NotBoolean(_) => "not_boolean",
            Self::Failed(_) => "failed",
        }
    }
}

impl Condition {
    /// Compiles a condition; `{{ ... }}` around it is accepted.
    ///
    /// # Errors
    /// [`ConditionError`] if it is empty, too long, not CEL, or CEL that is not allowed here.
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        compile::compile(text).map(|compiled| Self(Arc::new(compiled)))
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The variables it reads, in the order of their first appearance.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Evaluates it. `false && error` is false and `true || error` is true, as CEL has it.
    ///
    /// # Errors
    /// [`ConditionError`] if it reads what is not there, compares what cannot be compared, or gives anything
    /// but true or false.
    pub fn evaluate<L: Lookup>(&self, variables: &L) -> Result<bool, ConditionError> {
        let scope = scope::Scope {
            variables,
            patterns: &self.0.patterns,
        };
        let mut context = Context::with_env(strict::environment());
        context.set_variable_resolver(&scope);
        // The interpreter is not ours: should it ever panic, that is an error of this condition.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let value = Value::resolve_val(&self.0.expression, &context)?;
            Ok(match value.downcast_ref::<CelBool>() {
                Some(truth) => Ok(*truth.inner()),
                None => Err(ConditionError::NotBoolean(strict::kind(value.as_ref()))),
            })
        }));
        match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(strict::in_words(&error)),
            Err(_) => Err(ConditionError::Failed(
                "the condition could not be evaluated; simplify it".to_owned(),
            )),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Condition({:?})", self.0.text)
    }
}

/// Equal if their texts are.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Condition {}

#[cfg(test)]
mod tests;
