//! Losses that compare two tensors element by element, as one operation each: the mean needs no tensor in between.

use super::binary::{as_dtype, number};
use super::{Case, multiply, sign, subtract};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::fuse::{Fusible, Part};
use crate::kernels::map::{Map, Zip, Zip3};
use crate::kernels::reduce::{Axis, Sum, reduce};
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Layout, Operation, Parameters, Tensor, Value, apply,
    compute, readers,
};
use smallvec::{SmallVec, smallvec};
use std::marker::PhantomData;
use std::sync::Arc;

/// The distance of a prediction from its target.
trait Distance: Copy + Send + Sync + std::fmt::Debug + 'static {
    const NAME: &'static str;
    /// The distance.
    fn f(difference: f64) -> f64;
    /// Its derivative.
    fn d(difference: f64) -> f64;
    /// Its derivative, recorded.
    fn traced(difference: &Tensor) -> Result<Tensor>;
}

#[derive(Clone, Copy, Debug)]
struct Squared;
impl Distance for Squared {
    const NAME: &'static str = "mse";
    #[inline(always)]
    fn f(difference: f64) -> f64 {
        difference * difference
    }
    #[inline(always)]
    fn d(difference: f64) -> f64 {
        2.0 * difference
    }
    fn traced(difference: &Tensor) -> Result<Tensor> {
        multiply(difference, &number(2.0, difference)?)
    }
}

#[derive(Clone, Copy, Debug)]
struct Absolute;
impl Distance for Absolute {
    const NAME: &'static str = "mae";
    #[inline(always)]
    fn f(difference: f64) -> f64 {
        difference.abs()
    }
    #[inline(always)]
    fn d(difference: f64) -> f64 {
        if difference > 0.0 {
            1.0
        } else if difference < 0.0 {
            -1.0
        } else {
            difference
        }
    }
    fn traced(difference: &Tensor) -> Result<Tensor> {
        sign(difference)
    }
}

/// The distance of each element, in the elements' own type.
struct Forward<D, T>(PhantomData<(D, T)>);
/// `scale` times the derivative of each element's distance.
struct Backward<D, T>(f64, PhantomData<(D, T)>);

/// `scale` as a number of its own: the gradient for the mean of so many distances.
struct Scale<T>(usize, PhantomData<T>);
/// [`Backward`] with a scale that is an element too.
struct Scaled<D, T>(PhantomData<(D, T)>);

macro_rules! kernels {
    ($($t:ty),+) => {$(
        impl Map for Scale<$t> {
            type In = $t;
            type Out = $t;
            const NANOS: f64 = 0.4;
            #[inline(always)]
            fn f<const FMA: bool>(&self, g: $t) -> $t {
                (f64::from(g) / self.0 as f64) as $t
            }
        }
        impl<D: Distance> Zip3 for Scaled<D, $t> {
            type A = $t;
            type B = $t;
            type C = $t;
            type Out = $t;
            const NANOS: f64 = 0.5;
            #[inline(always)]
            fn f<const FMA: bool>(&self, a: $t, b: $t, scale: $t) -> $t {
                D::d(f64::from(a - b)) as $t * scale
            }
        }
        impl<D: Distance> Zip for Forward<D, $t> {
            type A = $t;
            type B = $t;
            type Out = $t;
            const NANOS: f64 = 0.4;
            #[inline(always)]
            fn f<const FMA: bool>(&self, a: $t, b: $t) -> $t {
                D::f(f64::from(a - b)) as $t
            }
        }
        impl<D: Distance> Zip for Backward<D, $t> {
            type A = $t;
            type B = $t;
            type Out = $t;
            const NANOS: f64 = 0.4;
            #[inline(always)]
            fn f<const FMA: bool>(&self, a: $t, b: $t) -> $t {
                D::d(f64::from(a - b)) as $t * self.0 as $t
            }
        }
    )+};
}
kernels!(f32, f64);

/// The mean distance of a prediction from its target.
#[derive(Clone, Debug)]
struct Mean<D>(PhantomData<D>);

impl<D: Distance> Operation for Mean<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }
    fn kept(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(Mean::<D>(PhantomData)))
    }
    fn parameters(&self) -> Parameters {
        Parameters::new()
    }
    fn parts(&self, x: &[&Layout]) -> Vec<Part> {
        let (shape, dtype) = (x[0].0.clone(), x[0].2);
        let axes: SmallVec<[usize; 4]> = (0..shape.len()).collect();
        each!(dtype, float: T => vec![
            Part { what: Fusible::zip(Forward::<D, T>(PhantomData)), inputs: smallvec![0, 1], shape, dtype },
            Part {
                what: Fusible::fold::<Sum<T>>(&axes).then(divided::<T>),
                inputs: smallvec![2],
                shape: Dims::new(),
                dtype,
            },
        ], else Vec::new())
    }
    fn read(_: &Parameters) -> Option<Self> {
        Some(Mean(PhantomData))
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        x.shaped(1, x.shape(0))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let axis = Axis { outer: 1, n: x[0].size(), inner: 1 };
        each!(x[0].dtype(), float: T => {
            let distances = Array::zip(D::NAME, &Forward::<D, T>(PhantomData), [x[0], x[1]])?;
            let distances = distances.values::<T>(D::NAME)?;
            Array::written(D::NAME, &[], |out| {
                let sum = reduce::<Sum<T>>(axis, distances, out);
                sum[0] /= axis.n as T;
                sum
            })
        }, else not_float::<D>(x[0]))
    }
}

/// Divides a sum by how many numbers it is of.
fn divided<T: Element + std::ops::DivAssign>(sum: &mut [T], count: usize) {
    sum.iter_mut().for_each(|sum| *sum /= T::from_f64(count as f64));
}

impl<D: Distance> Differentiable for Mean<D> {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (a, b) = (cx.input(0), cx.input(1));
        let slope = multiply(g, &number(1.0 / a.size() as f64, g)?)?;
        cx.each(|i| {
            let difference = if i == 0 { subtract(a, b)? } else { subtract(b, a)? };
            multiply(&slope, &D::traced(&difference)?)
        })
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let gradient = |i| compute(MeanGradient::<D>(PhantomData), &[cx.input(i), cx.input(1 - i), g]);
        Some(cx.each(gradient))
    }
}

/// The gradient of [`Mean`] for the first of two tensors in one pass, of both and the gradient for the mean.
#[derive(Clone, Debug)]
struct MeanGradient<D>(PhantomData<D>);

impl<D: Distance> Operation for MeanGradient<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }
    fn kept(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(MeanGradient::<D>(PhantomData)))
    }
    fn parameters(&self) -> Parameters {
        vec![("gradient".into(), Value::Bool(true))]
    }
    fn read(_: &Parameters) -> Option<Self> {
        Some(MeanGradient(PhantomData))
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.floats([0, 1, 2])?;
        x.shaped(1, x.shape(0))?;
        x.sized(2, 1)
    }
    fn parts(&self, x: &[&Layout]) -> Vec<Part> {
        let (shape, dtype, n) = (x[0].0.clone(), x[0].2, shape::size(&x[0].0));
        let alike = |a: &Layout| a.2 == dtype && a.0 == shape;
        if !alike(x[1]) || x[2].2 != dtype || shape::size(&x[2].0) != 1 {
            return Vec::new();
        }
        each!(dtype, float: T => vec![
            Part {
                what: Fusible::map(Scale::<T>(n, PhantomData)),
                inputs: smallvec![2],
                shape: x[2].0.clone(),
                dtype,
            },
            Part {
                what: Fusible::zip3_as(dtype, Scaled::<D, T>(PhantomData)),
                inputs: smallvec![0, 1, 3],
                shape,
                dtype,
            },
        ], else Vec::new())
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, b, scale) = (x[0], x[1], x[2].item()? / x[0].size() as f64);
        each!(a.dtype(), float: T => {
            Array::zip(D::NAME, &Backward::<D, T>(scale, PhantomData), [a, b])
        }, else not_float::<D>(a))
    }
}

fn not_float<D: Distance>(x: &Array) -> Result<Array> {
    Err(Error::DType(format!("{}: not defined for {}", D::NAME, x.dtype())))
}

readers! {
    "mse" => Mean<Squared>,
    "mse_gradient" => MeanGradient<Squared>,
    "mae" => Mean<Absolute>,
    "mae_gradient" => MeanGradient<Absolute>,
}

operations! {
    /// The mean squared error, `sum((yhat - y)^2) / n`. The shapes must be equal.
    mse(yhat, y) {
        mean_of::<Squared>(yhat, y)
    } cases [
        Case { f: |t| mse(&t[0], &t[1]), shapes: &[&[3, 2], &[3, 2]], domain: (-1.0, 1.0) },
    ];
    /// The mean absolute error, `sum(|yhat - y|) / n`. The shapes must be equal.
    mae(yhat, y) {
        mean_of::<Absolute>(yhat, y)
    } cases [
        Case { f: |t| mae(&t[0], &super::exp(&t[1])?), shapes: &[&[5], &[5]], domain: (-1.0, 0.1) },
    ];
}

fn mean_of<D: Distance>(yhat: &Tensor, y: &Tensor) -> Result<Tensor> {
    let dtype = if yhat.dtype().is_float() { yhat.dtype() } else { y.dtype().to_float() };
    if yhat.shape() != y.shape() {
        let (a, b) = (shape::show(yhat.shape()), shape::show(y.shape()));
        return Err(Error::Shape(format!(
            "{}: prediction {a} and target {b} have different shapes",
            D::NAME
        )));
    }
    if yhat.size() == 0 {
        let shape = shape::show(yhat.shape());
        return Err(Error::Value(format!(
            "{}: the batch is empty: prediction and target have shape {shape}",
            D::NAME
        )));
    }
    apply(Mean::<D>(PhantomData), &[&*as_dtype(yhat, dtype)?, &*as_dtype(y, dtype)?])
}
