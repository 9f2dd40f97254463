//! Matrix products: `C = activation(A B [+ C] + bias)` for any strides of A and B.
//!
//! A product is cut into chunks of C ([`product`]), whose tiles are computed in registers ([`tile`]) by the kernels of
//! one instruction set ([`table`]), from panels of A and B in place or packed ([`pack`]). A matrix by a vector has
//! kernels of its own ([`vector`]). How a product is cut depends on its sizes alone, so the result has the same bits for
//! any number of threads.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod by_columns;
mod by_rows;
mod by_vector;
pub(super) mod pack;
mod packed;
mod portable;
pub(super) mod product;
pub(super) mod scratch;
pub(super) mod simd;
pub(super) mod table;
pub(super) mod tile;
mod vector;

use super::then::{self, Then};
use crate::isa::{Isa, isa};
use crate::team;
pub use packed::Packed;
use product::Product;
use std::ops::{Add, Mul};
use table::Kernels;

/// An element of a matrix.
pub trait Scalar:
    Copy + PartialOrd + Add<Output = Self> + Mul<Output = Self> + Send + Sync + std::fmt::Debug + 'static
{
    /// Zero.
    const ZERO: Self;

    #[doc(hidden)]
    fn kernels(isa: Isa) -> &'static Kernels<Self>;
}

macro_rules! element {
    ($elem:ty, $kernels:ident) => {
        impl Scalar for $elem {
            const ZERO: Self = 0.0;

            #[inline]
            fn kernels(isa: Isa) -> &'static Kernels<Self> {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => &avx512::$kernels,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => &avx2::$kernels,
                    _ => &portable::$kernels,
                }
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);

/// A matrix to read: element `(i, j)` at `ptr + i * rows + j * cols`. Strides may be zero or negative.
#[derive(Debug)]
pub struct Operand<T> {
    /// Element `(0, 0)`.
    pub ptr: *const T,
    /// Elements from one row to the next.
    pub rows: isize,
    /// Elements from one column to the next.
    pub cols: isize,
}

impl<T> Clone for Operand<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Operand<T> {}

// SAFETY: what an operand points to is only read, like what a shared slice points to.
unsafe impl<T: Sync> Send for Operand<T> {}
// SAFETY: as for `Send`: what is read alone may be read by many.
unsafe impl<T: Sync> Sync for Operand<T> {}

impl<T> Operand<T> {
    fn at(&self, i: usize, j: usize) -> *const T {
        self.ptr.wrapping_offset(i as isize * self.rows + j as isize * self.cols)
    }

    fn transposed(self) -> Self {
        Self { ptr: self.ptr, rows: self.cols, cols: self.rows }
    }
}

/// What is done last to each element.
#[derive(Clone, Copy, Debug)]
pub enum Activation<T> {
    /// Nothing.
    None,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// A function of a contiguous piece of a row, called while the piece is in the cache.
    Map(fn(&mut [T])),
}

/// What is done to the product before it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// Whether to add what C holds.
    pub accumulate: bool,
    /// A value for each column of C, contiguous, or null.
    pub bias: *const T,
    /// What is done last.
    pub activation: Activation<T>,
    /// What somebody else does to the elements after that.
    pub then: Option<&'a dyn Then>,
}

// SAFETY: the bias is only read, like a shared slice.
unsafe impl<T: Sync> Send for Epilogue<'_, T> {}
// SAFETY: as for `Send`: the bias is read alone.
unsafe impl<T: Sync> Sync for Epilogue<'_, T> {}

impl<T> Epilogue<'_, T> {
    /// The plain product.
    pub const NONE: Self =
        Self { accumulate: false, bias: std::ptr::null(), activation: Activation::None, then: None };
}

impl<T: Scalar> Epilogue<'_, T> {
    /// Finishes one element, all but a `Map`.
    #[inline]
    fn finish(&self, sum: T, c: T, bias: T) -> T {
        let mut x = if self.accumulate { sum + c } else { sum };
        if !self.bias.is_null() {
            x = x + bias;
        }
        if matches!(self.activation, Activation::Relu) && x < T::ZERO { T::ZERO } else { x }
    }
}

/// Products of at most this many multiplications are not worth a kernel.
const SCALAR: usize = 32;

/// `C = activation(A B [+ C] + bias)`, with A (m, k), B (k, n) and C (m, n), row-major with `ldc` elements between rows.
///
/// # Safety
/// A and B must be readable, C writable with `ldc >= n` (or `m <= 1`), the bias readable for `n` elements if not null, and
/// C must not overlap the rest nor be used by other threads meanwhile. A `Map` must be safe to call on pieces of rows of C.
#[expect(clippy::too_many_arguments, reason = "the shape of every BLAS")]
pub unsafe fn gemm<T: Scalar>(
    m: usize,
    n: usize,
    k: usize,
    a: Operand<T>,
    b: Operand<T>,
    c: *mut T,
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) {
    if m == 0 || n == 0 {
        return;
    }
    let product = Product { kernels: T::kernels(isa()), m, n, k, a, b, c, ldc, epilogue };
    // SAFETY: the operands and C are valid for the product, as this function asks.
    unsafe {
        if k == 0 || m.saturating_mul(n).saturating_mul(k) <= SCALAR {
            product.scalar();
        } else if !((m == 1 || n == 1) && product.by_vector()) {
            product.by_tiles();
        }
    }
}

/// Products of this serial time are shared one by one rather than as a whole batch, if the batch is short.
const LONG_PRODUCT: usize = 200_000;

/// The batch from which products are never shared one by one.
const LONG_BATCH: usize = 16;

/// `batch` products of one shape, where `a`, `b` and `c` find the matrices of each: [`gemm`] for every `i < batch`.
///
/// # Safety
/// As for [`gemm`], for each of the products; the matrices C must not overlap each other.
#[expect(clippy::too_many_arguments, reason = "the shape of every BLAS")]
pub unsafe fn gemm_batched<T: Scalar>(
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    a: impl Fn(usize) -> Operand<T> + Sync,
    b: impl Fn(usize) -> Operand<T> + Sync,
    c: impl Fn(usize) -> *mut T + Sync,
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) {
    let one = |i: usize, epilogue: &Epilogue<'_, T>| {
        // SAFETY: the operands and C of each product are valid, as this function asks, and no two products share a C.
        unsafe { gemm(m, n, k, a(i), b(i), c(i), ldc, epilogue) }
    };
    let nanos = product::nanos(T::kernels(isa()).lanes, m, n, k) + then::nanos(epilogue.then, m * n);
    if batch < LONG_BATCH && nanos > LONG_PRODUCT {
        return (0..batch).for_each(|i| one(i, epilogue));
    }
    let group = (product::CHUNK_NANOS / (nanos + 1)).max(1);
    // What somebody else does is done to small products together.
    let then = epilogue.then.filter(|_| ldc == n && group > 1);
    let epilogue = &Epilogue { then: epilogue.then.filter(|_| then.is_none()), ..*epilogue };
    team::run(batch.div_ceil(group), nanos.saturating_mul(batch), |chunk| {
        let these = chunk * group..((chunk + 1) * group).min(batch);
        these.clone().for_each(|i| one(i, epilogue));
        if let Some(then) = then {
            // SAFETY: these matrices are written, and this task's.
            unsafe { then.done(&mut these.map(|i| (c(i).cast(), m * n))) };
        }
    });
}
