//! Products of matrices, stacks of matrices and vectors.

use super::movement::{reshape_to, transpose_last};
use super::reduce::sum_to;
use super::{Case, binary};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::gemm::{self, Epilogue, Operand};
use crate::kernels::then::Then;
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Layout, Operation, Tensor, apply, cast, parameters, readers,
};

/// `(.., m, k) @ (.., k, n)`, where the leading axes broadcast.
#[derive(Clone, Debug)]
struct Matmul;

fn mismatch(a: &Array, b: &Array) -> Error {
    let (a, b) = (shape::show(a.shape()), shape::show(b.shape()));
    Error::Shape(format!(
        "matmul: shapes {a} and {b} do not fit: the last axis of the first must equal the last but one of the second"
    ))
}

/// How a kernel reads the last two axes of an array.
pub(crate) fn operand<T: crate::dtype::Element>(a: &Array, offset: isize) -> Operand<T> {
    let n = a.ndim();
    Operand { ptr: a.ptr::<T>().wrapping_offset(offset), rows: a.strides()[n - 2], cols: a.strides()[n - 1] }
}

impl Operation for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        [0, 1].into_iter().try_for_each(|i| x.least_axes(i, 2))?;
        let (a, b) = (x.shape(0), x.shape(1));
        let (lead, n) = (shape::broadcast("matmul", &a[..a.len() - 2], &b[..b.len() - 2])?, b[b.len() - 1]);
        x.holds(a[a.len() - 1] == b[b.len() - 2], || "the matrices have no product".into())?;
        x.there_is(&[&lead[..], &[a[a.len() - 2], n]].concat())
    }
    fn flops(&self, inputs: &[&[usize]], output: &[usize]) -> u64 {
        2 * (shape::size(output) * inputs[0].last().copied().unwrap_or(0)) as u64
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let mut out = Array::empty("matmul", &Self::shape(x[0], x[1])?, x[0].dtype())?;
        Self::write(x[0], x[1], &mut out, None)?;
        Ok(out)
    }
    fn tells(&self, _: &[&Layout]) -> bool {
        true
    }
    fn forward_then(&self, x: &[&Array], out: &mut Array, then: &dyn Then) -> Result<()> {
        out.is_empty_of("matmul", &Self::shape(x[0], x[1])?, x[0].dtype())?;
        Self::write(x[0], x[1], out, Some(then))
    }
}

impl Matmul {
    /// The shape of the product.
    fn shape(a: &Array, b: &Array) -> Result<Dims> {
        let (na, nb) = (a.ndim(), b.ndim());
        if b.shape()[nb - 2] != a.shape()[na - 1] {
            return Err(mismatch(a, b));
        }
        let stack = shape::broadcast("matmul", &a.shape()[..na - 2], &b.shape()[..nb - 2]);
        let mut dims = stack.map_err(|_| {
            let (a, b) = (shape::show(a.shape()), shape::show(b.shape()));
            Error::Shape(format!("matmul: the leading axes of shapes {a} and {b} do not broadcast together"))
        })?;
        dims.extend([a.shape()[na - 2], b.shape()[nb - 1]]);
        Ok(dims)
    }

    /// Writes it to a fresh array of that shape.
    fn write(a: &Array, b: &Array, out: &mut Array, then: Option<&dyn Then>) -> Result<()> {
        let stack = Dims::from_slice(&out.shape()[..out.ndim() - 2]);
        let (m, k, n) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1], b.shape()[b.ndim() - 1]);
        let stack_strides = |x: &Array| {
            let lead = x.ndim() - 2;
            shape::broadcast_strides(&x.shape()[..lead], &x.strides()[..lead], &stack)
        };
        each!(a.dtype(), float: T => {
            let (c, epilogue) = (out.fresh_ptr::<T>(), &Epilogue { then, ..Epilogue::NONE });
            if stack.is_empty() {
                // SAFETY: shapes and strides are those of the arrays; the output is fresh.
                unsafe { gemm::gemm(m, n, k, operand::<T>(a, 0), operand(b, 0), c, n, epilogue) };
            } else {
                let (sa, sb) = (stack_strides(a), stack_strides(b));
                let at = |i: usize, strides: &[isize]| shape::offset(i, &stack, strides);
                let (a, b, c) = (Shared(a), Shared(b), Shared(c as *const T));
                // SAFETY: shapes and strides are those of the arrays, for each product of the stack; the products write parts of
                // the fresh output that are apart.
                unsafe {
                    gemm::gemm_batched(shape::size(&stack), m, n, k,
                        |i| operand::<T>(a.get(), at(i, &sa)), |i| operand::<T>(b.get(), at(i, &sb)),
                        |i| c.get().cast_mut().add(i * m * n), n, epilogue);
                }
            }
        }, else return Err(Error::DType(format!("matmul: not defined for {}", a.dtype()))));
        Ok(())
    }
}

impl Differentiable for Matmul {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (a, b) = (cx.input(0), cx.input(1));
        cx.each(|i| {
            let full = if i == 0 {
                matrix_product(g, &transpose_last(b)?)
            } else {
                matrix_product(&transpose_last(a)?, g)
            }?;
            sum_to(&full, cx.shape(i))
        })
    }
}

/// The product of two matrices, or stacks of them, of one floating type and fitting shapes.
pub(super) fn matrix_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    apply(Matmul, &[a, b])
}

/// Something that the tasks of a team only read.
struct Shared<T>(T);
// SAFETY: what the pointer leads to is read alone, or written by each task in a place of its own.
unsafe impl<T> Sync for Shared<T> {}
impl<T: Copy> Shared<T> {
    fn get(&self) -> T {
        self.0
    }
}

/// The sum of products of two vectors.
#[derive(Clone, Debug)]
struct Dot;

impl Operation for Dot {
    fn name(&self) -> &'static str {
        "matmul"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        x.axes(0, 1)?;
        x.shaped(1, x.shape(0))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, b) = (x[0], x[1]);
        let mut out = Array::empty("matmul", &[], a.dtype())?;
        each!(a.dtype(), float: T => {
            let row = Operand { ptr: a.ptr::<T>(), rows: 0, cols: a.strides()[0] };
            let column = Operand { ptr: b.ptr::<T>(), rows: b.strides()[0], cols: 0 };
            // SAFETY: both are vectors of that length; the output is one fresh element.
            unsafe { gemm::gemm(1, 1, a.size(), row, column, out.fresh_ptr(), 1, &Epilogue::NONE) };
        }, else return Err(Error::DType(format!("matmul: not defined for {}", a.dtype()))));
        Ok(out)
    }
}

impl Differentiable for Dot {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| super::multiply(g, cx.input(1 - i)))
    }
}

readers! { "matmul" => Matmul, "dot" => Dot }

operations! {
    /// The matrix product, on the last two axes; the leading axes broadcast. A vector counts as a row on the left and as a column on the right.
    matmul(a, b) {
        product(a, b)
    } cases [
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[2, 3], &[3, 4]], domain: (-1.0, 1.0) },
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[5, 1, 2, 3], &[4, 3, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[3], &[2, 3, 4]], domain: (-1.0, 1.0) },
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[2, 3], &[3]], domain: (-1.0, 1.0) },
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[3], &[3]], domain: (-1.0, 1.0) },
        Case { f: |t| matmul(&t[0], &t[1]), shapes: &[&[2, 0], &[0, 3]], domain: (-1.0, 1.0) },
    ];
}

fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.ndim() == 0 || b.ndim() == 0 {
        let (a, b) = (shape::show(a.shape()), shape::show(b.shape()));
        return Err(Error::Shape(format!(
            "matmul: shapes {a} and {b}: a number has no matrix product, use multiply"
        )));
    }
    let dtype = a.dtype().promote(b.dtype());
    if !dtype.is_float() {
        return integers(a, b, dtype);
    }
    let (a, b) = (binary::as_dtype(a, dtype)?, binary::as_dtype(b, dtype)?);
    let (va, vb) = (a.ndim() == 1, b.ndim() == 1);
    if !va && !vb {
        return matrix_product(&a, &b);
    }
    if a.shape()[a.ndim() - 1] != b.shape()[b.ndim().saturating_sub(2)] {
        return Err(mismatch(a.array(), b.array()));
    }
    if va && vb {
        return apply(Dot, &[&a, &b]);
    }
    let row = if va { Some(reshape_to(&a, &[1, a.size()])?) } else { None };
    let column = if vb { Some(reshape_to(&b, &[b.size(), 1])?) } else { None };
    let y = matrix_product(row.as_ref().unwrap_or(&a), column.as_ref().unwrap_or(&b))?;
    let mut dims = Dims::from_slice(y.shape());
    if vb {
        dims.pop();
    }
    if va {
        dims.remove(dims.len() - 1 - usize::from(!vb));
    }
    reshape_to(&y, &dims)
}

/// Integers: by the definition, in the type of the result.
fn integers(a: &Tensor, b: &Tensor, dtype: DType) -> Result<Tensor> {
    let wide = if dtype == DType::Bool { DType::I64 } else { dtype };
    let (x, y) = (cast(a, wide)?, cast(b, wide)?);
    let x = if x.ndim() == 1 { reshape_to(&x, &[1, x.size()])? } else { x };
    let y = if y.ndim() == 1 { reshape_to(&y, &[y.size(), 1])? } else { y };
    let (nx, ny) = (x.ndim(), y.ndim());
    if x.shape()[nx - 1] != y.shape()[ny - 2] {
        return Err(mismatch(a.array(), b.array()));
    }
    // (.., m, k, 1) * (.., 1, k, n), summed over k.
    let mut left = Dims::from_slice(x.shape());
    left.push(1);
    let mut right = Dims::from_slice(y.shape());
    right.insert(ny - 2, 1);
    let terms = super::multiply(&reshape_to(&x, &left)?, &reshape_to(&y, &right)?)?;
    let total = cast(&super::sum(&terms, (-2).into(), false)?, dtype)?;
    let mut dims = Dims::from_slice(total.shape());
    if b.ndim() == 1 {
        dims.pop();
    }
    if a.ndim() == 1 {
        dims.remove(dims.len() - 1 - usize::from(b.ndim() != 1));
    }
    reshape_to(&total, &dims)
}
