//! Linear interpolation between two tensors.

use super::binary::{as_dtype, number};
use super::{Case, multiply, subtract};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::map::Zip3;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};
use std::marker::PhantomData;

#[derive(Clone, Debug)]
struct Lerp;

struct Kernel<T>(PhantomData<T>);

macro_rules! kernels {
    ($($t:ident),+) => {$(
        impl Zip3 for Kernel<$t> {
            type A = $t;
            type B = $t;
            type C = $t;
            type Out = $t;
            const NANOS: f64 = 0.5;
            #[inline(always)]
            fn f<const FMA: bool>(&self, a: $t, b: $t, weight: $t) -> $t {
                // From the nearer end, so that a weight of 1 gives `b` itself.
                if weight.abs() < 0.5 { a + weight * (b - a) } else { b - (b - a) * (1.0 - weight) }
            }
        }
    )+};
}
kernels!(f32, f64);

impl Operation for Lerp {
    fn name(&self) -> &'static str {
        "lerp"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.floats([0, 1, 2])?;
        x.broadcast()
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => Some(Fusible::zip3_as(x[0], Kernel::<T>(PhantomData))), else None)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        each!(x[0].dtype(), float: T => {
            Array::zip3_as("lerp", x[0].dtype(), &Kernel::<T>(PhantomData), [x[0], x[1], x[2]])
        }, else Err(Error::DType(format!("lerp: not defined for {}", x[0].dtype()))))
    }
}

impl Differentiable for Lerp {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (a, b, weight) = (cx.input(0), cx.input(1), cx.input(2));
        cx.each(|i| match i {
            0 => multiply(g, &subtract(&number(1.0, weight)?, weight)?),
            1 => multiply(g, weight),
            _ => multiply(g, &subtract(b, a)?),
        })
    }
}

readers! { "lerp" => Lerp }

operations! {
    /// `a + weight * (b - a)`: `a` where `weight` is 0, `b` where it is 1. All three broadcast, in a floating type.
    lerp(a, b, weight) {
        between(a, b, weight)
    } cases [
        Case { f: |t| lerp(&t[0], &t[1], &t[2]), shapes: &[&[2, 3], &[3], &[2, 1]], domain: (-1.0, 1.0) },
    ];
}

fn between(a: &Tensor, b: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let dtype = a.dtype().promote(b.dtype()).promote(weight.dtype()).to_float();
    apply(Lerp, &[&*as_dtype(a, dtype)?, &*as_dtype(b, dtype)?, &*as_dtype(weight, dtype)?])
}
