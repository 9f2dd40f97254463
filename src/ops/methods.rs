//! A tensor's methods: the operations by their usual names, each recorded like the function that it calls.
//!
//! An [`Array`](crate::Array) has methods of some of these names that know of no tape. A tensor does not lend them: inside
//! a gradient `x.reshape(..)` must be the operation, or what follows from it would have no gradient and no error.

use super::index::Index;
use super::movement::{broadcast_to, reshape_to};
use crate::array::Range;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape::Axes;
use crate::tape::Tensor;

impl Tensor {
    /// The elements in row-major order with another shape of the same size.
    ///
    /// ```
    /// use oxiflux::Tensor;
    /// let x = Tensor::from([1, 2, 3, 4, 5, 6]).reshape(&[2, 3])?;
    /// assert_eq!(x.to_string(), "[[1, 2, 3],\n [4, 5, 6]]");
    /// # Ok::<(), oxiflux::Error>(())
    /// ```
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        reshape_to(self, shape)
    }
    /// The axes in the order given, which names each once; negative ones count from the back.
    pub fn permute_dims(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        super::permute_dims(self, axes.into())
    }
    /// Repeated, without copying, to a shape that it broadcasts to.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Tensor> {
        broadcast_to(self, shape)
    }
    /// Along each axis a range of its elements.
    pub fn slice(&self, ranges: &[Range]) -> Result<Tensor> {
        super::view::slice(self, ranges)
    }
    /// The part that an index names, by NumPy's rules.
    pub fn index(&self, key: &[Index]) -> Result<Tensor> {
        super::index(self, key)
    }
    /// The same values as another element type.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        super::astype(self, dtype)
    }
    /// `self` to the power of `exponent`, element by element.
    pub fn pow(&self, exponent: &Tensor) -> Result<Tensor> {
        super::pow(self, exponent)
    }
}

/// Methods that call the function of the same name.
macro_rules! methods {
    ($($(#[$doc:meta])+ $name:ident($($x:ident),*);)+) => {
        impl Tensor {
            $($(#[$doc])+
            pub fn $name(&self, $($x: &Tensor),*) -> Result<Tensor> {
                super::$name(self, $($x),*)
            })+
        }
    };
    ($($(#[$doc:meta])+ $name:ident over axes;)+) => {
        impl Tensor {
            $($(#[$doc])+
            pub fn $name(&self, axes: impl Into<Axes>, keepdims: bool) -> Result<Tensor> {
                super::$name(self, axes.into(), keepdims)
            })+
        }
    };
}

methods! {
    /// `self + other`, broadcast.
    add(other);
    /// `self - other`, broadcast.
    subtract(other);
    /// `self * other`, broadcast.
    multiply(other);
    /// `self / other`, broadcast.
    divide(other);
    /// The matrix product.
    matmul(other);
    /// The larger of each pair of elements.
    maximum(other);
    /// The smaller of each pair of elements.
    minimum(other);
    /// Where the elements of a pair are equal.
    equal(other);
    /// The elements with the opposite sign.
    negative();
    /// Absolute values.
    abs();
    /// Squares.
    square();
    /// Square roots.
    sqrt();
    /// Powers of e.
    exp();
    /// Natural logarithms.
    log();
    /// Sines.
    sin();
    /// Cosines.
    cos();
    /// Hyperbolic tangents.
    tanh();
    /// `1 / (1 + exp(-x))`.
    sigmoid();
    /// The elements above 0, and 0 for the others.
    relu();
    /// The last two axes exchanged.
    matrix_transpose();
}

methods! {
    /// The sum over axes, which stay with length 1 if `keepdims`.
    sum over axes;
    /// The mean over axes, which stay with length 1 if `keepdims`.
    mean over axes;
    /// The largest element over axes, which stay with length 1 if `keepdims`.
    max over axes;
    /// The smallest element over axes, which stay with length 1 if `keepdims`.
    min over axes;
    /// Where the largest element over axes is, which stay with length 1 if `keepdims`.
    argmax over axes;
}
