//! Where conditions are stricter than CEL: equality and membership of values of two kinds.

use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, DYN_TYPE, STRING_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use super::ConditionError;
use super::compile::Pattern;

/// Names under which the compiler calls the functions of this file; no text can spell them.
pub(super) const EQUAL: &str = "@equal";
pub(super) const NOT_EQUAL: &str = "@not_equal";
pub(super) const MEMBER: &str = "@member";
pub(super) const MATCHES: &str = "@matches";

/// The standard library and the strict functions.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::default().with_optional_support(false).with_stdlib();
        let pair = || vec![DYN_TYPE, DYN_TYPE];
        // Declared once each under names of their own: these cannot fail, and a name that were missing would
        // be an error of every condition that needs it.
        let _ = env.add_overload(EQUAL, EQUAL, pair(), equal);
        let _ = env.add_overload(NOT_EQUAL, NOT_EQUAL, pair(), not_equal);
        let _ = env.add_overload(MEMBER, MEMBER, pair(), member);
        let _ = env.add_overload(MATCHES, MATCHES, vec![STRING_TYPE, DYN_TYPE], matches);
        Arc::new(env)
    });
    Arc::clone(&ENVIRONMENT)
}

/// The kind of a value, in the words of an operator's day.
pub(super) fn kind(value: &dyn Val) -> String {
    match value.get_type().name() {
        "null_type" => "null".to_owned(),
        "int" | "uint" | "double" => "number".to_owned(),
        "string" => "text".to_owned(),
        "bool" => "boolean".to_owned(),
        other => other.to_owned(),
    }
}

/// An error of the interpreter, in words that name no type of its own.
pub(super) fn in_words(error: &ExecutionError) -> ConditionError {
    match error {
        ExecutionError::UndeclaredReference(name) => {
            ConditionError::UnknownVariable(name.as_ref().clone())
        }
        ExecutionError::NoSuchKey(name) => ConditionError::NoSuchField(name.as_ref().clone()),
        ExecutionError::NoSuchOverload(overload) => mismatch(
            overload.function(),
            &overload
                .argument_types()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        ),
        ExecutionError::ValuesNotComparable(left, right) => mismatch(
            "compare",
            &[&left.type_of().to_string(), &right.type_of().to_string()],
        ),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => mismatch(
            operator,
            &[&left.type_of().to_string(), &right.type_of().to_string()],
        ),
        ExecutionError::UnexpectedType { got, want } => {
            ConditionError::Mismatch(format!("{} where {} is needed", plain(got), plain(want)))
        }
        other => ConditionError::Failed(other.to_string()),
    }
}

fn mismatch(function: &str, kinds: &[&str]) -> ConditionError {
    let operator = match function {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        MATCHES => "matches",
        "compare" => "comparison",
        other => other.trim_matches('_'),
    };
    let kinds: Vec<&str> = kinds.iter().map(|kind| plain(kind)).collect();
    let mut message = format!("`{operator}` is not for {}", kinds.join(" and "));
    if kinds.contains(&"null") {
        message.push_str(": a value is missing");
    } else if kinds.contains(&"int") && kinds.contains(&"double") {
        message.push_str(": write whole numbers with a decimal point, `2.0`");
    }
    ConditionError::Mismatch(message)
}

fn plain(kind: &str) -> &str {
    match kind {
        "null_type" | "null" => "null",
        "string" => "text",
        "bool" => "boolean",
        "float" => "double",
        other => other,
    }
}

fn equal<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    same(&args).map(truth)
}

fn not_equal<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    same(&args).map(|same| truth(!same))
}

fn member<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [value, container] = args.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let refused = || overload("in", value.as_ref(), container.as_ref());
    if is_null(value.as_ref()) {
        return Err(refused());
    }
    if let Some(list) = container.downcast_ref::<CelList>() {
        let mut found = false;
        for item in list.inner() {
            found |= equal_values(value.as_ref(), item.as_ref()).ok_or_else(refused)?;
        }
        return Ok(truth(found));
    }
    let container = container.as_container().ok_or_else(refused)?;
    container
        .contains(value.as_ref())
        .map(truth)
        .map_err(|_| refused())
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = args.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    match (
        text.downcast_ref::<CelString>(),
        pattern.downcast_ref::<Pattern>(),
    ) {
        (Some(text), Some(pattern)) => Ok(truth(pattern.is_match(text.inner()))),
        _ => Err(overload("matches", text.as_ref(), pattern.as_ref())),
    }
}

fn same(args: &[CowVal<'_, '_>]) -> Result<bool, ExecutionError> {
    let [left, right] = args else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    equal_values(left.as_ref(), right.as_ref())
        .ok_or_else(|| overload("==", left.as_ref(), right.as_ref()))
}

/// Whether two values are equal; nothing if they are of two kinds, or of a kind that is not compared.
fn equal_values(left: &dyn Val, right: &dyn Val) -> Option<bool> {
    let comparable = (is_number(left) && is_number(right))
        || both::<CelBool>(left, right)
        || (left.downcast_ref::<CelString>().is_some()
            && right.downcast_ref::<CelString>().is_some())
        || (left.downcast_ref::<CelList>().is_some() && right.downcast_ref::<CelList>().is_some());
    comparable.then(|| left.equals(right))
}

fn both<T: cel::common::value::StaticVal>(left: &dyn Val, right: &dyn Val) -> bool {
    left.downcast_ref::<T>().is_some() && right.downcast_ref::<T>().is_some()
}

fn is_number(value: &dyn Val) -> bool {
    value.downcast_ref::<CelInt>().is_some()
        || value.downcast_ref::<CelDouble>().is_some()
        || value.downcast_ref::<CelUInt>().is_some()
}

fn is_null(value: &dyn Val) -> bool {
    value.downcast_ref::<CelNull>().is_some()
}

fn truth<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(value))
}

fn overload(operator: &str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    ExecutionError::no_such_overload(
        operator,
        vec![
            left.get_type().name().to_owned(),
            right.get_type().name().to_owned(),
        ],
    )
}
