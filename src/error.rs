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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Shape(s) | Error::DType(s) | Error::Index(s) | Error::Value(s) | Error::Unsupported(s) => {
                f.write_str(s)
            }
            Error::File { path, reason, .. } => write!(f, "{}: {reason}", path.display()),
            Error::Exhausted { op } => write!(f, "{op}: there is not enough memory to work with"),
            Error::Memory { op, shape, dtype } => {
                write!(
                    f,
                    "{op}: cannot allocate a tensor of shape {} and dtype {dtype}",
                    crate::shape::show(shape)
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// The door of an operation: what its kernels have no memory for is an error.
#[inline]
pub(crate) fn attempt<T>(op: &'static str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    crate::memory::attempt(f).unwrap_or(Err(Error::Exhausted { op }))
}
