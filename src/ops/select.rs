//! Choosing between two values by a third.

use super::Case;
use super::binary::as_dtype;
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::Result;
use crate::fuse::Fusible;
use crate::kernels::map::Zip3;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, cast, parameters, readers,
};
use std::marker::PhantomData;

#[derive(Clone, Debug)]
struct Select;

struct Kernel<T>(PhantomData<T>);

impl<T: Element> Zip3 for Kernel<T> {
    type A = bool;
    type B = T;
    type C = T;
    type Out = T;
    const NANOS: f64 = 0.5;
    #[inline(always)]
    fn f<const FMA: bool>(&self, test: bool, a: T, b: T) -> T {
        if test { a } else { b }
    }
}

impl Operation for Select {
    fn name(&self) -> &'static str {
        "where"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.typed(0, DType::Bool)?;
        x.typed(2, x.dtype(1))?;
        x.broadcast()
    }
    fn moves(&self) -> bool {
        true
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        let dtype = x[1];
        Some(each!(dtype, moved: T => Fusible::zip3_as(dtype, Kernel::<T>(PhantomData))))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let dtype = x[1].dtype();
        each!(dtype, moved: T => Array::zip3_as("where", dtype, &Kernel::<T>(PhantomData), [x[0], x[1], x[2]]))
    }
}

impl Differentiable for Select {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let zero: Tensor = Array::filled("where", &[], 0.0, g.dtype())?.into();
        let test = cx.constant(0);
        cx.each(|i| if i == 1 { select(test, g, &zero) } else { select(test, &zero, g) })
    }
}

/// `a` where `test` is true (not zero), else `b`. All three broadcast.
pub fn select(test: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let dtype = a.dtype().promote(b.dtype());
    let test = cast(test, DType::Bool)?;
    apply(Select, &[&test, &*as_dtype(a, dtype)?, &*as_dtype(b, dtype)?])
}

readers! { "where" => Select }

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "where",
    cases: &[Case {
        f: |t| select(&super::greater(&t[0], &t[1])?, &t[0], &t[1]),
        shapes: &[&[2, 3], &[3]],
        domain: (-1.0, 1.0),
    }],
}];
