//! What may go wrong: one variant each, with its numbers. A message reads "where: what is wrong, with the numbers".

use crate::dtype::DType;
use std::fmt;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation could not be done. The name of the operation or the layer comes first in each message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Shapes that do not fit each other or the operation.
    Shape(String),
    /// An element type that the operation does not take.
    DType(String),
    /// An axis or an index out of range.
    Index(String),
    /// A value that is out of the operation's domain.
    Value(String),
    /// More memory than there is.
    Memory {
        /// The operation that asked.
        op: &'static str,
        /// The shape that was asked for.
        shape: Vec<usize>,
        /// Its element type.
        dtype: DType,
    },
    /// More memory to work with than there is.
    Exhausted {
        /// The operation that asked.
        op: &'static str,
    },
    /// A file that the system did not let us read or write.
    File {
        /// Its path.
        path: std::path::PathBuf,
        /// The number that the system gives the reason.
        code: i32,
        /// The reason.
        reason: String,
    },
    /// Something that is not there, said with what is.
    Unsupported(String),
    /// What somebody else's gradient rule raised.
    Raised(Raised),
}

/// An error that is none of ours, carried as it is.
#[derive(Clone, Debug)]
pub struct Raised(std::sync::Arc<dyn std::error::Error + Send + Sync>);

impl Raised {
    /// Carries an error.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Raised {
        Raised(std::sync::Arc::new(error))
    }
    /// The error.
    pub fn error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for Raised {
    /// Whether it is the very same error.
    fn eq(&self, other: &Raised) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Shape(s) | Error::DType(s) | Error::Index(s) | Error::Value(s) | Error::Unsupported(s) => {
                f.write_str(s)
            }
            Error::File { path, reason, .. } => write!(f, "{}: {reason}", path.display()),
            Error::Raised(raised) => write!(f, "{}", raised.error()),
            Error::Exhausted { op } => write!(f, "{op}: there is not enough memory to work with"),
            Error::Memory { op, shape, dtype } => {
                write!(f, "{op}: cannot allocate a tensor of shape {} and dtype {dtype}", show(shape))
            }
        }
    }
}

impl std::error::Error for Error {}

/// A shape as Python writes it: `()`, `(3,)`, `(2, 3)`.
pub fn show(shape: &[usize]) -> String {
    match shape {
        [n] => format!("({n},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The door of an operation: what its kernels have no memory for is an error.
#[inline]
pub(crate) fn attempt<T>(op: &'static str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    crate::memory::attempt(f).unwrap_or(Err(Error::Exhausted { op }))
}
