//! A fully connected layer as one operation: product, bias and activation in one pass over the result.

use super::formula::{Activation, Fusion, planned};
use super::matmul::{matrix_product, operand};
use super::movement::{permute, reshape_to};
use super::{add, sum};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::gemm::{self, Epilogue};
use crate::kernels::then::Then;
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Layout, Operation, Tensor, apply, parameters, readers,
};

/// `activation(x @ weight + bias)` for `x` of shape `(.., in)` and `weight` of shape `(in, out)`.
#[derive(Clone, Debug)]
struct Dense {
    activation: Option<&'static Activation>,
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

pub(super) trait Fused: gemm::Scalar + Element {
    fn in_place(activation: &Activation) -> fn(&mut [Self]);
}
impl Fused for f32 {
    fn in_place(activation: &Activation) -> fn(&mut [f32]) {
        activation.f32
    }
}
impl Fused for f64 {
    fn in_place(activation: &Activation) -> fn(&mut [f64]) {
        activation.f64
    }
}

/// The activation as the last step of a product.
pub(super) fn fused<T: Fused>(activation: Option<&'static Activation>) -> gemm::Activation<T> {
    match activation {
        None => gemm::Activation::None,
        Some(a) => match a.fusion {
            Fusion::Nothing => gemm::Activation::None,
            Fusion::Relu => gemm::Activation::Relu,
            Fusion::Map => gemm::Activation::Map(T::in_place(a)),
        },
    }
}

impl Operation for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }
    parameters! { activation }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.between(2, 3)?;
        x.floats(0..x.len())?;
        x.least_axes(0, 2)?;
        x.axes(1, 2)?;
        let (given, weight) = (x.shape(0), x.shape(1));
        x.holds(given[given.len() - 1] == weight[0], || "the product is of other features".into())?;
        x.there_is(&[&given[..given.len() - 1], &[weight[1]]].concat())?;
        if x.len() > 2 { x.shaped(2, &[weight[1]]) } else { Ok(()) }
    }
    fn flops(&self, inputs: &[&[usize]], output: &[usize]) -> u64 {
        2 * (shape::size(output) * inputs[1][0]) as u64
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let mut out = Array::empty("dense", &Self::shape(inputs), inputs[0].dtype())?;
        self.write(inputs, &mut out, None)?;
        Ok(out)
    }
    fn tells(&self, _: &[&Layout]) -> bool {
        true
    }
    fn forward_then(&self, inputs: &[&Array], out: &mut Array, then: &dyn Then) -> Result<()> {
        out.is_empty_of("dense", &Self::shape(inputs), inputs[0].dtype())?;
        self.write(inputs, out, Some(then))
    }
}

impl Dense {
    /// The shape of the result.
    fn shape(inputs: &[&Array]) -> Dims {
        let (x, weight) = (inputs[0].shape(), inputs[1].shape());
        x[..x.len() - 1].iter().copied().chain([weight[1]]).collect()
    }

    /// Writes it to a fresh array of that shape.
    fn write(&self, inputs: &[&Array], out: &mut Array, then: Option<&dyn Then>) -> Result<()> {
        let (x, weight) = (flat(inputs[0])?, inputs[1]);
        let (m, k, n) = (x.shape()[0], x.shape()[1], weight.shape()[1]);
        let bias = inputs.get(2).map(|b| b.contiguous()).transpose()?;
        each!(x.dtype(), float: T => {
            let bias = bias.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
            let epilogue = Epilogue { accumulate: false, bias, activation: fused(self.activation), then };
            // SAFETY: shapes and strides are those of the arrays; `dense` has checked that they fit; the output is fresh.
            unsafe { gemm::gemm(m, n, k, operand::<T>(&x, 0), operand(weight, 0), out.fresh_ptr(), n, &epilogue) };
        }, else return Err(Error::DType(format!("dense: not defined for {}", x.dtype()))));
        Ok(())
    }
}

impl Differentiable for Dense {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        match self.activation {
            Some(a) => products(cx, &(a.gradient)(g, cx.output())?),
            None => products(cx, g),
        }
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let dz = (self.activation?.gradient_fused)(g, cx.output());
        Some(dz.and_then(|dz| products(cx, &dz)))
    }
}

/// The gradients of a product and a bias: one derivative of the activation serves all three.
fn products(cx: &Context<'_>, dz: &Tensor) -> Result<Grads> {
    let (x, weight) = (cx.input(0), cx.input(1));
    let [features, out] = [weight.shape()[0], weight.shape()[1]];
    let rows = shape::size(&dz.shape()[..dz.ndim() - 1]);
    let dz = reshape_to(dz, &[rows, out])?;
    cx.each(|i| match i {
        0 => reshape_to(&matrix_product(&dz, &permute(weight, &[1, 0])?)?, cx.shape(0)),
        1 => matrix_product(&permute(&reshape_to(x, &[rows, features])?, &[1, 0])?, &dz),
        _ => sum(&dz, 0.into(), false),
    })
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
    let [activation, apart] = planned(activation);
    let op = Dense { activation };
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

readers! { "dense" => Dense }

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
