//! A fully connected layer as one operation: product, bias and activation in one pass over the result.

use super::formula::Activation;
use super::movement::{broadcast_to, permute, reshape_to};
use super::{add, matmul, sum};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::gemm::{self, Epilogue, Operand};
use crate::shape::{self, Dims};
use crate::tape::{Context, Grads, Keeps, Operation, Tensor, apply, is_recording};

/// `activation(x @ weight + bias)` for `x` of shape `(.., in)` and `weight` of shape `(in, out)`.
#[derive(Debug)]
struct Dense {
    activation: Option<&'static Activation>,
}

/// A matrix read as it lies, or transposed.
fn read<T: Element>(a: &Array, transposed: bool) -> Operand<T> {
    let (rows, cols) = (a.strides()[0], a.strides()[1]);
    if transposed {
        Operand { ptr: a.ptr(), rows: cols, cols: rows }
    } else {
        Operand { ptr: a.ptr(), rows, cols }
    }
}

/// The leading axes as one.
fn flat(a: &Array) -> Result<Array> {
    match a.shape() {
        [_, _] => Ok(a.clone()),
        shape => {
            let last = shape[shape.len() - 1];
            a.reshape(&[shape::size(&shape[..shape.len() - 1]), last])
        }
    }
}

pub(super) trait Fused: gemm::Element + Element {
    fn in_place(activation: &Activation) -> unsafe fn(*mut Self, usize);
}
impl Fused for f32 {
    fn in_place(activation: &Activation) -> unsafe fn(*mut f32, usize) {
        activation.f32
    }
}
impl Fused for f64 {
    fn in_place(activation: &Activation) -> unsafe fn(*mut f64, usize) {
        activation.f64
    }
}

/// The activation as the last step of a product.
pub(super) fn fused<T: Fused>(activation: Option<&'static Activation>) -> gemm::Activation<T> {
    match activation {
        None => gemm::Activation::None,
        Some(a) if a.name == "relu" => gemm::Activation::Relu,
        Some(a) => gemm::Activation::Map(T::in_place(a)),
    }
}

/// `a @ b` of two matrices, either read transposed.
fn product(a: &Array, ta: bool, b: &Array, tb: bool) -> Result<Array> {
    let (m, k) = if ta { (a.shape()[1], a.shape()[0]) } else { (a.shape()[0], a.shape()[1]) };
    let n = b.shape()[usize::from(!tb)];
    let mut out = Array::empty("dense", &[m, n], a.dtype())?;
    each!(a.dtype(), float: T => {
        // SAFETY: shapes and strides are those of the arrays; the output is fresh.
        unsafe { gemm::gemm::<T>(m, n, k, read::<T>(a, ta), read::<T>(b, tb), out.fresh_ptr(), n, &super::matmul::plain()) }
    }, else return Err(Error::DType(format!("dense: not defined for {}", a.dtype()))));
    Ok(out)
}

impl Operation for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (x, weight) = (flat(inputs[0])?, inputs[1]);
        let (m, k, n) = (x.shape()[0], x.shape()[1], weight.shape()[1]);
        let bias = inputs.get(2).map(|b| b.contiguous()).transpose()?;
        let mut dims = Dims::from_slice(inputs[0].shape());
        if let Some(last) = dims.last_mut() {
            *last = n;
        }
        let mut out = Array::empty("dense", &dims, x.dtype())?;
        each!(x.dtype(), float: T => {
            let bias = bias.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
            let epilogue = Epilogue { accumulate: false, bias, activation: fused(self.activation) };
            // SAFETY: shapes and strides are those of the arrays; `dense` has checked that they fit; the output is fresh.
            unsafe { gemm::gemm(m, n, k, read::<T>(&x, false), read(weight, false), out.fresh_ptr(), n, &epilogue) };
        }, else return Err(Error::DType(format!("dense: not defined for {}", x.dtype()))));
        Ok(out)
    }
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (x, weight, y) = (cx.input(0), cx.input(1), cx.output());
        // One derivative of the activation serves all three gradients.
        let dz = match self.activation {
            Some(a) => (a.gradient)(g, y)?,
            None => broadcast_to(g, y.shape())?,
        };
        let rows = shape::size(&y.shape()[..y.ndim() - 1]);
        if is_recording() {
            let dz = reshape_to(&dz, &[rows, weight.shape()[1]])?;
            let x = reshape_to(x, &[rows, weight.shape()[0]])?;
            return cx.each(|i| match i {
                0 => reshape_to(&matmul(&dz, &permute(weight, &[1, 0])?)?, cx.shape(0)),
                1 => matmul(&permute(&x, &[1, 0])?, &dz),
                _ => sum(&dz, 0.into(), false),
            });
        }
        let dz = flat(&dz.array().contiguous()?)?;
        cx.each(|i| {
            Ok(match i {
                0 => product(&dz, false, weight.array(), true)?.reshape(cx.shape(0))?.into(),
                1 => product(&flat(x.array())?, true, &dz, false)?.into(),
                _ => sum(&dz.clone().into(), 0.into(), false)?,
            })
        })
    }
}

/// `activation(x @ weight + bias)` for `x` of shape `(.., in)`, `weight` of shape `(in, out)` and `bias` of shape `(out,)`.
pub fn dense(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<&'static Activation>,
) -> Result<Tensor> {
    let &[features, out] = weight.shape() else {
        let shape = shape::show(weight.shape());
        return Err(Error::Shape(format!("dense: expected a weight of shape (in, out), got shape {shape}")));
    };
    if x.ndim() == 0 || x.shape()[x.ndim() - 1] != features {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!(
            "dense: expected {features} {} on the last axis, got shape {shape}",
            shape::plural(features, "feature")
        )));
    }
    if let Some(b) = bias
        && b.shape() != [out]
    {
        let shape = shape::show(b.shape());
        return Err(Error::Shape(format!("dense: expected a bias of shape ({out},), got shape {shape}")));
    }
    if x.ndim() == 1 {
        let y = dense(&reshape_to(x, &[1, features])?, weight, bias, activation)?;
        return reshape_to(&y, &[out]);
    }
    // An activation whose gradient looks at its argument needs that argument kept: an entry of its own on the tape.
    let apart = activation.filter(|a| is_recording() && !a.of_output);
    let op = Dense {
        activation: if apart.is_some() { None } else { activation.filter(|a| a.name != "identity") },
    };
    let x = super::binary::as_dtype(x, weight.dtype())?;
    let y = match bias {
        Some(b) => apply(op, &[&x, weight, &*super::binary::as_dtype(b, weight.dtype())?])?,
        None => apply(op, &[&x, weight])?,
    };
    match apart {
        Some(a) => (a.apply)(&y),
        None => Ok(y),
    }
}

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "dense",
    cases: &[
        super::Case {
            f: |t| dense(&t[0], &t[1], Some(&t[2]), None),
            shapes: &[&[4, 3], &[3, 2], &[2]],
            domain: (-1.0, 1.0),
        },
        super::Case {
            f: |t| dense(&t[0], &t[1], Some(&t[2]), Some(super::activation("tanh")?)),
            shapes: &[&[2, 4, 3], &[3, 2], &[2]],
            domain: (-1.0, 1.0),
        },
        super::Case {
            f: |t| dense(&t[0], &t[1], None, Some(super::activation("gelu")?)),
            shapes: &[&[3], &[3, 2]],
            domain: (-1.0, 1.0),
        },
        super::Case {
            f: |t| add(&dense(&t[0], &t[1], None, Some(super::activation("softplus")?))?, &t[2]),
            shapes: &[&[0, 3], &[3, 2], &[2]],
            domain: (-1.0, 1.0),
        },
    ],
}];
