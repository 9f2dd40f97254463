//! Reductions over axes: sums and means, extremes and their places, counts. It is one file, since all of them bring axes side by
//! side in one way.

use super::binary::{as_float, number};
use super::compare::truth;
use super::movement::{broadcast_to, reshape_to};
use super::{Case, Name, astype, divide, equal, isnan, logical_not, multiply, select, subtract};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::argextreme;
use crate::kernels::reduce::{self as kernel, Axis, Fold};
use crate::kernels::variance::{Variance, centred};
use crate::shape::{self, Axes, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute, fields, in_single,
    parameters, readers,
};
use smallvec::SmallVec;

type AxisList = SmallVec<[usize; 4]>;

/// The shape that is left after reducing `axes`, which stay as length 1 with `keepdims`.
pub(crate) fn reduced_shape(shape: &[usize], axes: &[usize], keepdims: bool) -> Dims {
    let kept = shape.iter().enumerate();
    let kept = kept.filter_map(|(i, &n)| {
        if !axes.contains(&i) {
            Some(n)
        } else if keepdims {
            Some(1)
        } else {
            None
        }
    });
    kept.collect()
}

/// The array with the reduced axes side by side, and how the kernel sees it.
pub(crate) fn side_by_side(x: &Array, axes: &[usize]) -> Result<(Array, Axis)> {
    let adjacent = axes.windows(2).all(|w| w[1] == w[0] + 1);
    let (first, last) = (axes.first().copied().unwrap_or(0), axes.last().map_or(0, |&a| a + 1));
    if x.is_row_major() && adjacent {
        let [outer, n, inner] =
            [&x.shape()[..first], &x.shape()[first..last], &x.shape()[last..]].map(shape::size);
        return Ok((x.clone(), Axis { outer, n, inner }));
    }
    let order: AxisList = (0..x.ndim()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
    let n = axes.iter().map(|&i| x.shape()[i]).product();
    let outer = order[..x.ndim() - axes.len()].iter().map(|&i| x.shape()[i]).product();
    Ok((x.permute(&order)?.contiguous()?, Axis { outer, n, inner: 1 }))
}

/// Folds `x` with the rows of elements that `axes` name.
fn fold<K: Fold<In: Element, Out: Element>>(
    op: &'static str,
    x: &Array,
    axes: &[usize],
    keepdims: bool,
) -> Result<Array> {
    let (a, axis) = side_by_side(x, axes)?;
    let (values, shape) = (a.values(op)?, reduced_shape(x.shape(), axes, keepdims));
    Array::written(op, &shape, |out| kernel::reduce::<K>(axis, values, out))
}

/// The sum over axes, or the mean.
#[derive(Clone, Debug)]
struct Sum {
    axes: AxisList,
    keepdims: bool,
    mean: bool,
}

impl Sum {
    fn count(&self, shape: &[usize]) -> usize {
        self.axes.iter().map(|&i| shape[i]).product()
    }
}

/// Divides sums by how many numbers they are of.
fn divided<T: Element>(sums: &mut [T], count: usize) {
    let n = count as f64;
    sums.iter_mut().for_each(|v| *v = T::from_f64(v.to_f64() / n));
}

impl Operation for Sum {
    fn name(&self) -> &'static str {
        if self.mean { "mean" } else { "sum" }
    }
    parameters! { axes, keepdims, mean }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.holds(!self.mean || x.dtype(0).is_float(), || "a mean is of floats".into())?;
        x.ascending(0, &self.axes)
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => {
            let sum = Fusible::fold::<kernel::Sum<T>>(&self.axes);
            Some(if self.mean { sum.then(divided::<T>) } else { sum })
        }, else None)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = &x[0].cast(x[0].dtype().widest())?;
        let mut y = each!(x.dtype(), wide: T => fold::<kernel::Sum<T>>("sum", x, &self.axes, self.keepdims))?;
        if self.mean {
            let count = self.count(x.shape());
            each!(y.dtype(), float: T => divided(y.make_mut::<T>()?, count), else ());
        }
        Ok(y)
    }
}

impl Differentiable for Sum {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let g = spread(g, cx.shape(i), &self.axes)?;
            if !self.mean {
                return broadcast_to(&g, cx.shape(i));
            }
            broadcast_to(&multiply(&g, &number(1.0 / self.count(cx.shape(i)) as f64, &g)?)?, cx.shape(i))
        })
    }
}

/// The sum over axes of what is not NaN.
#[derive(Clone, Debug)]
struct NanSum {
    axes: AxisList,
    keepdims: bool,
}

impl Operation for NanSum {
    fn name(&self) -> &'static str {
        "nansum"
    }
    parameters! { axes, keepdims }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &self.axes)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = &x[0].cast(x[0].dtype().widest())?;
        each!(x.dtype(), wide: T => fold::<kernel::KnownSum<T>>("nansum", x, &self.axes, self.keepdims))
    }
}

impl Differentiable for NanSum {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let zero = number(0.0, g)?;
        cx.each(|i| select(&isnan(cx.input(i))?, &zero, &spread(g, cx.shape(i), &self.axes)?))
    }
}

/// A reduced tensor with its axes back as length 1, so that it broadcasts against the input of the reduction.
pub(crate) fn spread(g: &Tensor, shape: &[usize], axes: &[usize]) -> Result<Tensor> {
    let kept = reduced_shape(shape, axes, true);
    reshape_to(g, &kept)
}

/// The largest or smallest element over axes.
#[derive(Clone, Debug)]
struct Extreme {
    axes: AxisList,
    keepdims: bool,
    largest: bool,
}

impl Operation for Extreme {
    fn name(&self) -> &'static str {
        if self.largest { "max" } else { "min" }
    }
    parameters! { axes, keepdims, largest }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        has_elements(x, &self.axes)
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => Some(match self.largest {
            true => Fusible::fold::<kernel::Max<T>>(&self.axes),
            false => Fusible::fold::<kernel::Min<T>>(&self.axes),
        }), else None)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (dtype, axes, keep) = (x[0].dtype(), &self.axes, self.keepdims);
        let x = &x[0].cast(dtype.widest())?;
        let y = if self.largest {
            each!(x.dtype(), wide: T => fold::<kernel::Max<T>>("max", x, axes, keep))
        } else {
            each!(x.dtype(), wide: T => fold::<kernel::Min<T>>("min", x, axes, keep))
        };
        y?.cast(dtype)
    }
}

impl Differentiable for Extreme {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // Elements that tie share the gradient equally.
        cx.each(|i| {
            let (x, shape) = (cx.input(i), cx.shape(i));
            let won = astype(&equal(x, &spread(cx.output(), shape, &self.axes)?)?, g.dtype())?;
            let count = apply(Sum { axes: self.axes.clone(), keepdims: true, mean: false }, &[&won])?;
            multiply(&divide(&spread(g, shape, &self.axes)?, &count)?, &won)
        })
    }
}

/// The tensor summed back to a shape that broadcasts to its own.
pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let skip = x.ndim().saturating_sub(shape.len());
    let axes: AxisList =
        (0..x.ndim()).filter(|&i| i < skip || (shape[i - skip] == 1 && x.shape()[i] != 1)).collect();
    if shape.len() > x.ndim() || axes.is_empty() {
        return reshape_to(&broadcast_to(x, shape)?, shape);
    }
    reshape_to(&apply(Sum { axes, keepdims: false, mean: false }, &[x])?, shape)
}

/// That extremes of an input over axes are there.
fn has_elements(x: &Known<'_>, axes: &[usize]) -> Result<()> {
    x.count(1)?;
    x.ascending(0, axes)?;
    let shape = x.shape(0);
    let is_empty = axes.iter().any(|&i| shape[i] == 0) && shape::size(&reduced_shape(shape, axes, true)) > 0;
    x.holds(!is_empty, || format!("shape {} has no extremes over axes {axes:?}", shape::show(shape)))
}

fn nonempty(op: &str, x: &Array, axes: &[usize]) -> Result<()> {
    match axes.iter().find(|&&i| x.shape()[i] == 0) {
        Some(i) if shape::size(&reduced_shape(x.shape(), axes, true)) > 0 => {
            let shape = shape::show(x.shape());
            Err(Error::Value(format!("{op}: axis {i} of shape {shape} is empty and has no {op}")))
        }
        _ => Ok(()),
    }
}

readers! { "sum" => Sum, "nansum" => NanSum, "extreme" => Extreme, "spread" => Spread, "spread_gradient" => Centred, "truths" => Truths, "argextreme" => ArgExtreme }

operations! {
    /// The sum over axes. Integers are summed in 64 bits.
    sum(x; axis: Axes = Axes::All, keepdims: bool = false) {
        apply(Sum { axes: axis.resolve("sum", x.ndim())?, keepdims, mean: false }, &[x])
    } cases [
        Case { f: |t| sum(&t[0], Axes::All, false), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| sum(&t[0], [0, 2].into(), true), shapes: &[&[2, 3, 4]], domain: (-1.0, 1.0) },
        Case { f: |t| sum(&t[0], 1.into(), false), shapes: &[&[2, 0, 4]], domain: (-1.0, 1.0) },
    ];
    /// The sum over axes of the elements that are not NaN, 0 where there are none. NaN has the gradient 0.
    nansum(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("nansum", x.ndim())?;
        if x.dtype().is_float() { apply(NanSum { axes, keepdims }, &[x]) } else { sum(x, axis, keepdims) }
    } cases [
        Case { f: |t| nansum(&t[0], Axes::All, false), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| nansum(&t[0], [0, 2].into(), true), shapes: &[&[2, 3, 4]], domain: (-1.0, 1.0) },
    ];
    /// The arithmetic mean over axes, in a floating type.
    mean(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let x = as_float(x)?;
        apply(Sum { axes: axis.resolve("mean", x.ndim())?, keepdims, mean: true }, &[&x])
    } cases [
        Case { f: |t| mean(&t[0], (-1).into(), false), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| mean(&t[0], Axes::All, true), shapes: &[&[2, 3, 4]], domain: (-1.0, 1.0) },
    ];
    /// The mean squared distance from the mean over axes, `sum((x - mean)^2) / (n - correction)`.
    var(x; axis: Axes = Axes::All, keepdims: bool = false, correction: f64 = 0.0) {
        spread_of(x, axis, keepdims, Variance { correction, root: false })
    } cases [
        Case { f: |t| var(&t[0], 0.into(), false, 1.0), shapes: &[&[4, 3]], domain: (-1.0, 1.0) },
    ];
    /// The standard deviation over axes: the square root of `var`.
    std(x; axis: Axes = Axes::All, keepdims: bool = false, correction: f64 = 0.0) {
        spread_of(x, axis, keepdims, Variance { correction, root: true })
    } cases [
        Case { f: |t| std(&t[0], 1.into(), true, 0.0), shapes: &[&[2, 4]], domain: (-1.0, 1.0) },
    ];
    /// The largest element over axes; NaN if there is one. Elements that tie share the gradient.
    max(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("max", x.ndim())?;
        nonempty("max", x.array(), &axes)?;
        apply(Extreme { axes, keepdims, largest: true }, &[x])
    } cases [
        Case { f: |t| max(&t[0], 1.into(), false), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
    ];
    /// The smallest element over axes; NaN if there is one. Elements that tie share the gradient.
    min(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("min", x.ndim())?;
        nonempty("min", x.array(), &axes)?;
        apply(Extreme { axes, keepdims, largest: false }, &[x])
    } cases [
        Case { f: |t| min(&t[0], [0, 1].into(), true), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
    ];
    /// Whether any element over axes is not zero.
    any(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("any", x.ndim())?;
        compute(Truths { axes, keepdims, counted: false }, &[&truth(x)?])
    } cases [];
    /// Whether every element over axes is not zero.
    all(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("all", x.ndim())?;
        logical_not(&compute(Truths { axes, keepdims, counted: false }, &[&logical_not(x)?])?)
    } cases [];
    /// How many elements over axes are not zero.
    count_nonzero(x; axis: Axes = Axes::All, keepdims: bool = false) {
        count(x, axis, keepdims)
    } cases [];
    /// Where the first largest element, or the first NaN, is: along an axis, or in row-major order.
    argmax(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("argmax", x.ndim())?;
        nonempty("argmax", x.array(), &axes)?;
        compute(ArgExtreme { axes, keepdims, largest: true }, &[x])
    } cases [];
    /// Where the first smallest element, or the first NaN, is: along an axis, or in row-major order.
    argmin(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let axes = axis.resolve("argmin", x.ndim())?;
        nonempty("argmin", x.array(), &axes)?;
        compute(ArgExtreme { axes, keepdims, largest: false }, &[x])
    } cases [];
}

fields!(Variance: correction, root);

fn spread_of(x: &Tensor, axis: Axes, keepdims: bool, what: Variance) -> Result<Tensor> {
    if x.dtype().is_half() {
        return in_single(&[x], |x| spread_of(x[0], axis, keepdims, what));
    }
    let x = as_float(x)?;
    let spread = Spread { axes: AxisList::new(), keepdims, what };
    let axes = axis.resolve(spread.name(), x.ndim())?;
    apply(Spread { axes, ..spread }, &[&x])
}

/// The variance over axes, or the standard deviation.
#[derive(Clone, Debug)]
struct Spread {
    axes: AxisList,
    keepdims: bool,
    what: Variance,
}

impl Operation for Spread {
    fn name(&self) -> &'static str {
        if self.what.root { "std" } else { "var" }
    }
    parameters! { axes, keepdims, what }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &self.axes)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, axis) = side_by_side(x[0], &self.axes)?;
        let shape = reduced_shape(x[0].shape(), &self.axes, self.keepdims);
        each!(a.dtype(), float: T => {
            let values = a.values::<T>(self.name())?;
            Array::written(self.name(), &shape, |out| self.what.along(axis, values, out))
        }, else Err(Error::DType(format!("{}: not defined for {}", self.name(), a.dtype()))))
    }
}

impl Differentiable for Spread {
    fn keeps(&self) -> Keeps {
        if self.what.root { Keeps::Both } else { Keeps::Inputs }
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let (x, [unit, scale]) = (cx.input(i), self.unit_and_scale(cx, g)?);
            let mean = apply(Sum { axes: self.axes.clone(), keepdims: true, mean: true }, &[x])?;
            multiply(&divide(&subtract(x, &mean)?, &unit)?, &scale)
        })
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        Some(cx.each(|i| {
            let [unit, scale] = self.unit_and_scale(cx, g)?;
            compute(
                Centred { axes: self.axes.clone(), what: Name(self.name()) },
                &[cx.input(i), &unit, &scale],
            )
        }))
    }
}

impl Spread {
    /// What the distance from the mean is divided by, and then multiplied by:
    /// var: 2 g (x - mean) / (n - correction); std: g (x - mean) / std / (n - correction), 0 for equal numbers.
    fn unit_and_scale(&self, cx: &Context<'_>, g: &Tensor) -> Result<[Tensor; 2]> {
        let shape = cx.shape(0);
        let n: usize = self.axes.iter().map(|&i| shape[i]).product();
        let left = n as f64 - self.what.correction;
        let left = if left > 0.0 { left } else { f64::NAN };
        let g = spread(g, shape, &self.axes)?;
        let (one, zero) = (number(1.0, &g)?, number(0.0, &g)?);
        if !self.what.root {
            return Ok([one, multiply(&g, &number(2.0 / left, &g)?)?]);
        }
        let y = spread(cx.output(), shape, &self.axes)?;
        let constant = equal(&y, &zero)?;
        let scale = multiply(&g, &number(1.0 / left, &g)?)?;
        Ok([select(&constant, &one, &y)?, select(&constant, &zero, &scale)?])
    }
}

/// `(x - mean) / unit * scale` in one pass, of `x`, the units and the scales.
#[derive(Clone, Debug)]
struct Centred {
    axes: AxisList,
    what: Name,
}

impl Operation for Centred {
    fn name(&self) -> &'static str {
        self.what.0
    }
    parameters! { axes, what }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.floats([0, 1, 2])?;
        x.ascending(0, &self.axes)?;
        let kept = reduced_shape(x.shape(0), &self.axes, true);
        [1, 2].into_iter().try_for_each(|i| x.broadcasts_to(i, &kept))
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (x, unit, scale) = (inputs[0], inputs[1], inputs[2]);
        let kept = reduced_shape(x.shape(), &self.axes, true);
        // Rows first: then only axes that are apart are moved.
        let (a, axis) = side_by_side(&x.contiguous()?, &self.axes)?;
        let [unit, scale] = [unit, scale].map(|v| v.broadcast_to(&kept).and_then(|v| v.contiguous()));
        let (unit, scale) = (unit?, scale?);
        let op = self.what.0;
        let out = each!(a.dtype(), float: T => {
            let (x, unit, scale) = (a.values::<T>(op)?, unit.values(op)?, scale.values(op)?);
            Array::written(op, a.shape(), |out| centred(axis, x, unit, scale, out))?
        }, else return Err(Error::DType(format!("{op}: not defined for {}", a.dtype()))));
        if self.axes.windows(2).all(|w| w[1] == w[0] + 1) {
            return Ok(out);
        }
        let order: AxisList =
            (0..x.ndim()).filter(|i| !self.axes.contains(i)).chain(self.axes.iter().copied()).collect();
        let mut back: AxisList = order.clone();
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        out.permute(&back)
    }
}

/// Whether any truth value is true over axes, or how many are.
#[derive(Clone, Debug)]
struct Truths {
    axes: AxisList,
    keepdims: bool,
    counted: bool,
}

impl Operation for Truths {
    fn name(&self) -> &'static str {
        if self.counted { "count_nonzero" } else { "any" }
    }
    parameters! { axes, keepdims, counted }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.typed(0, DType::Bool)?;
        x.ascending(0, &self.axes)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        match self.counted {
            true => fold::<kernel::Sum<bool>>(self.name(), x[0], &self.axes, self.keepdims),
            false => fold::<kernel::Any>(self.name(), x[0], &self.axes, self.keepdims),
        }
    }
}

fn count(x: &Tensor, axis: Axes, keepdims: bool) -> Result<Tensor> {
    let axes = axis.resolve("count_nonzero", x.ndim())?;
    compute(Truths { axes, keepdims, counted: true }, &[&truth(x)?])
}

/// The place of the largest or smallest element over axes.
#[derive(Clone, Debug)]
struct ArgExtreme {
    axes: AxisList,
    keepdims: bool,
    largest: bool,
}

impl Operation for ArgExtreme {
    fn name(&self) -> &'static str {
        if self.largest { "argmax" } else { "argmin" }
    }
    parameters! { axes, keepdims, largest }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        has_elements(x, &self.axes)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, view) = side_by_side(&x[0].cast(x[0].dtype().widest())?, &self.axes)?;
        let shape = reduced_shape(x[0].shape(), &self.axes, self.keepdims);
        each!(a.dtype(), wide: T => {
            let find = if self.largest { argextreme::argmax::<T> } else { argextreme::argmin::<T> };
            let values = a.values(self.name())?;
            Array::written(self.name(), &shape, |out| find(view, values, out))
        })
    }
}
