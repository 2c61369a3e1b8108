//! What a condition can see, and how it becomes values of the interpreter without being copied.

use std::collections::BTreeMap;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::{Map, Value};

use super::compile::{Pattern, pattern_index};

/// Finds variables by name. The decider looks into the alert itself, so that nothing is built for conditions
/// that do not ask for it.
pub trait Lookup: Send + Sync {
    /// The variable of this name.
    fn variable(&self, name: &str) -> Option<Term<'_>>;
}

/// A value of a variable, borrowed from where it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term<'a> {
    /// Known to be absent.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(&'a str),
    /// Texts by name: labels.
    Texts(&'a BTreeMap<String, String>),
    /// Anything that JSON can say.
    Json(&'a Value),
}

/// Variables as JSON values by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable, replacing the one of this name.
    pub fn set(&mut self, name: impl Into<String>, value: &Value) -> &mut Self {
        self.0.insert(name.into(), value.clone());
        self
    }

    /// The variable of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl Lookup for Variables {
    fn variable(&self, name: &str) -> Option<Term<'_>> {
        self.0.get(name).map(Term::Json)
    }
}

/// One evaluation's view: the variables, and the patterns that the condition compiled.
pub(super) struct Scope<'a, L> {
    pub(super) variables: &'a L,
    pub(super) patterns: &'a [Pattern],
}

impl<L: Lookup> VariableResolver for Scope<'_, L> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(index) = pattern_index(name) {
            return self
                .patterns
                .get(index)
                .map(|pattern| CowVal::Borrowed(pattern as &dyn Val));
        }
        self.variables.variable(name).map(of_term)
    }
}

fn of_term<'a>(term: Term<'a>) -> CowVal<'a, 'a> {
    match term {
        Term::Null => CowVal::owned(CelNull),
        Term::Bool(value) => CowVal::owned(CelBool::from(value)),
        Term::Int(value) => CowVal::owned(CelInt::from(value)),
        Term::Double(value) => CowVal::owned(CelDouble::from(value)),
        Term::Text(value) => CowVal::owned(CelString::from(value)),
        Term::Texts(texts) => CowVal::owned(Texts(texts)),
        Term::Json(value) => CowVal::Owned(of_json(value)),
    }
}

fn of_json<'a>(value: &'a Value) -> Box<dyn Val + 'a> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Box::new(CelInt::from(value)),
            (None, Some(value)) => Box::new(CelUInt::from(value)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => Box::new(CelString::from(value.as_str())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val + 'a>> = items.iter().map(of_json).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(fields) => Box::new(Object(fields)),
    }
}

/// A field of a value that has names in it.
trait Named: std::fmt::Debug + Send + Sync {
    fn field<'v>(&self, name: &str) -> Option<Box<dyn Val + 'v>>
    where
        Self: 'v;
    fn count(&self) -> usize;
}

/// Labels and annotations.
#[derive(Clone, Copy, Debug)]
struct Texts<'a>(&'a BTreeMap<String, String>);

impl Named for Texts<'_> {
    fn field<'v>(&self, name: &str) -> Option<Box<dyn Val + 'v>>
    where
        Self: 'v,
    {
        let text = self.0.get(name)?;
        Some(Box::new(CelString::from(text.as_str())))
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// A JSON object.
#[derive(Clone, Copy, Debug)]
struct Object<'a>(&'a Map<String, Value>);

impl Named for Object<'_> {
    fn field<'v>(&self, name: &str) -> Option<Box<dyn Val + 'v>>
    where
        Self: 'v,
    {
        self.0.get(name).map(of_json)
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// Both are maps to a condition: fields, `in`, `size` and `has`, but no iteration.
macro_rules! map_value {
    ($name:ident) => {
        impl Val for $name<'_> {
            fn get_type(&self) -> &Type {
                <Self as Val>::cel_type()
            }

            fn cel_type() -> &'static Type {
                static MAP: Type = MAP_TYPE;
                &MAP
            }

            fn as_container(&self) -> Option<&dyn Container> {
                Some(self)
            }

            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_sizer(&self) -> Option<&dyn Sizer> {
                Some(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(*self)
            }
        }

        impl Container for $name<'_> {
            fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
                Ok(self.field(text_key(value)?).is_some())
            }
        }

        impl Sizer for $name<'_> {
            fn size(&self) -> CelInt {
                CelInt::from(i64::try_from(self.count()).unwrap_or(i64::MAX))
            }
        }

        impl Indexer for $name<'_> {
            fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
            where
                Self: 'v,
            {
                let name = text_key(index)?;
                self.field(name)
                    .map(CowVal::Owned)
                    .ok_or_else(|| ExecutionError::no_such_key(name))
            }

            fn steal<'v>(
                self: Box<Self>,
                index: &dyn Val,
            ) -> Result<Box<dyn Val + 'v>, ExecutionError>
            where
                Self: 'v,
            {
                let name = text_key(index)?;
                self.field(name)
                    .ok_or_else(|| ExecutionError::no_such_key(name))
            }
        }
    };
}
map_value!(Texts);
map_value!(Object);

fn text_key(key: &dyn Val) -> Result<&str, ExecutionError> {
    match key.downcast_ref::<CelString>() {
        Some(text) => Ok(text.inner()),
        None => Err(ExecutionError::UnexpectedType {
            got: key.get_type().name().to_owned(),
            want: "string".to_owned(),
        }),
    }
}
