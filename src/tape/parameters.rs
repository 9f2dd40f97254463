//! The parameters of an operation as data, for those who know no operation: programs, exports and profiles.

use crate::array::Range;
use crate::dtype::DType;
use smallvec::SmallVec;
use std::fmt;

/// A parameter, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// What is not given.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// A length, an axis or another whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// The name of a choice, an element type or a function.
    Name(String),
    /// Several, such as the lengths of a shape.
    List(Vec<Value>),
    /// Parts with names.
    Fields(Parameters),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Value::Nothing => f.write_str("None"),
            Value::Bool(x) => write!(f, "{x}"),
            Value::Integer(x) => write!(f, "{x}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Name(x) => f.write_str(x),
            Value::List(x) => write!(f, "({})", joined(x.iter().map(Value::to_string).collect())),
            Value::Fields(x) => {
                write!(f, "({})", joined(x.iter().map(|(name, value)| format!("{name}={value}")).collect()))
            }
        }
    }
}

/// The parameters of an operation by their names, in the order of its struct.
pub type Parameters = Vec<(&'static str, Value)>;

/// What can be a parameter.
pub trait Parameter {
    /// The same as data.
    fn value(&self) -> Value;
}

macro_rules! integers {
    ($($t:ty),+) => {$(
        impl Parameter for $t {
            fn value(&self) -> Value {
                // No length and no axis is beyond it.
                Value::Integer(*self as i64)
            }
        }
    )+};
}
integers!(u8, usize, isize, i64);

impl Parameter for bool {
    fn value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Parameter for f64 {
    fn value(&self) -> Value {
        Value::Float(*self)
    }
}

impl Parameter for &'static str {
    fn value(&self) -> Value {
        Value::Name((*self).into())
    }
}

impl Parameter for DType {
    fn value(&self) -> Value {
        Value::Name(self.to_string())
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, T::value)
    }
}

impl<T: Parameter, const N: usize> Parameter for [T; N] {
    fn value(&self) -> Value {
        Value::List(self.iter().map(T::value).collect())
    }
}

impl<T: Parameter, const N: usize> Parameter for SmallVec<[T; N]> {
    fn value(&self) -> Value {
        Value::List(self.iter().map(T::value).collect())
    }
}

/// The methods of an operation that give it once more, and its parameters: all of its fields, for a pattern that leaves one out does not
/// compile. Those of a tuple are given names: `parameters! { 0: axis }`.
macro_rules! parameters {
    () => {
        fn kept(&self) -> Option<std::sync::Arc<dyn $crate::tape::Operation>> {
            Some(std::sync::Arc::new(self.clone()))
        }
        fn parameters(&self) -> $crate::tape::Parameters {
            Vec::new()
        }
    };
    ($($field:ident),+) => {
        parameters! { $($field: $field),+ }
    };
    ($($field:tt: $name:ident),+) => {
        fn kept(&self) -> Option<std::sync::Arc<dyn $crate::tape::Operation>> {
            Some(std::sync::Arc::new(self.clone()))
        }
        fn parameters(&self) -> $crate::tape::Parameters {
            let Self { $($field: $name),+ } = self;
            vec![$((stringify!($name), $crate::tape::Parameter::value($name))),+]
        }
    };
}
pub(crate) use parameters;

/// A struct that is a parameter, with all of its fields.
macro_rules! fields {
    ($t:ty: $($field:ident),+) => {
        impl $crate::tape::Parameter for $t {
            fn value(&self) -> $crate::tape::Value {
                let Self { $($field),+ } = self;
                $crate::tape::Value::Fields(vec![$((stringify!($field), $crate::tape::Parameter::value($field))),+])
            }
        }
    };
}
pub(crate) use fields;

/// An enum without fields that is a parameter: the name of the variant.
macro_rules! choice {
    ($t:ty) => {
        impl $crate::tape::Parameter for $t {
            fn value(&self) -> $crate::tape::Value {
                $crate::tape::Value::Name(format!("{self:?}"))
            }
        }
    };
}
pub(crate) use choice;

fields!(Range: start, step, length);
