//! The parameters of an operation as data, for those who know no operation: programs, exports and profiles.

use crate::array::Range;
use crate::dtype::DType;
use smallvec::SmallVec;
use std::borrow::Cow;
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
pub type Parameters = Vec<(Cow<'static, str>, Value)>;

/// What can be a parameter.
pub trait Parameter: Sized {
    /// The same as data.
    fn value(&self) -> Value;

    /// What the data says, if it is one of these.
    fn read(value: &Value) -> Option<Self>;
}

/// The parameter of a name, if it is there and is one of these.
pub fn parameter<T: Parameter>(parameters: &Parameters, name: &str) -> Option<T> {
    let (_, value) = parameters.iter().find(|(other, _)| other == name)?;
    T::read(value)
}

macro_rules! integers {
    ($($t:ty),+) => {$(
        impl Parameter for $t {
            fn value(&self) -> Value {
                // No length and no axis is beyond it.
                Value::Integer(*self as i64)
            }
            fn read(value: &Value) -> Option<Self> {
                let Value::Integer(x) = *value else { return None };
                Self::try_from(x).ok()
            }
        }
    )+};
}
integers!(u8, usize, isize, i64);

impl Parameter for bool {
    fn value(&self) -> Value {
        Value::Bool(*self)
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::Bool(x) = *value else { return None };
        Some(x)
    }
}

impl Parameter for f64 {
    fn value(&self) -> Value {
        Value::Float(*self)
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::Float(x) = *value else { return None };
        Some(x)
    }
}

impl Parameter for DType {
    fn value(&self) -> Value {
        Value::Name(self.to_string())
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::Name(name) = value else { return None };
        DType::parse(name)
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, T::value)
    }
    fn read(value: &Value) -> Option<Self> {
        if *value == Value::Nothing { Some(None) } else { T::read(value).map(Some) }
    }
}

impl<T: Parameter, const N: usize> Parameter for [T; N] {
    fn value(&self) -> Value {
        Value::List(self.iter().map(T::value).collect())
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::List(items) = value else { return None };
        items.iter().map(T::read).collect::<Option<Vec<T>>>()?.try_into().ok()
    }
}

impl<T: Parameter, const N: usize> Parameter for SmallVec<[T; N]> {
    fn value(&self) -> Value {
        Value::List(self.iter().map(T::value).collect())
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::List(items) = value else { return None };
        items.iter().map(T::read).collect()
    }
}

/// The methods of an operation that give it once more, its parameters, and it of these: all of its fields, for a pattern that leaves
/// one out does not compile. Those of a tuple are given names: `parameters! { 0: axis }`.
macro_rules! parameters {
    () => {
        parameters! { @with }
    };
    ($($field:ident),+) => {
        parameters! { @with $($field: $field),+ }
    };
    ($($field:tt: $name:ident),+) => {
        parameters! { @with $($field: $name),+ }
    };
    (@with $($field:tt: $name:ident),*) => {
        fn kept(&self) -> Option<std::sync::Arc<dyn $crate::tape::Operation>> {
            Some(std::sync::Arc::new(self.clone()))
        }
        fn parameters(&self) -> $crate::tape::Parameters {
            let Self { $($field: $name),* } = self;
            vec![$((stringify!($name).into(), $crate::tape::Parameter::value($name))),*]
        }
        fn read(parameters: &$crate::tape::Parameters) -> Option<Self> {
            let count = <[&str]>::len(&[$(stringify!($name)),*]);
            if parameters.len() != count {
                return None;
            }
            Some(Self { $($field: $crate::tape::parameter(parameters, stringify!($name))?),* })
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
                $crate::tape::Value::Fields(vec![
                    $((stringify!($field).into(), $crate::tape::Parameter::value($field))),+
                ])
            }
            fn read(value: &$crate::tape::Value) -> Option<Self> {
                let $crate::tape::Value::Fields(fields) = value else { return None };
                Some(Self { $($field: $crate::tape::parameter(fields, stringify!($field))?),+ })
            }
        }
    };
}
pub(crate) use fields;

/// An enum without fields that is a parameter: the name of the variant.
macro_rules! choice {
    ($t:ident: $($variant:ident),+) => {
        impl $crate::tape::Parameter for $t {
            fn value(&self) -> $crate::tape::Value {
                let name = match self {
                    $($t::$variant => stringify!($variant)),+
                };
                $crate::tape::Value::Name(name.into())
            }
            fn read(value: &$crate::tape::Value) -> Option<Self> {
                let $crate::tape::Value::Name(name) = value else { return None };
                match name.as_str() {
                    $(stringify!($variant) => Some($t::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use choice;

fields!(Range: start, step, length);
