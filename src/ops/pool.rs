//! Pooling over windows of channels-last images of one to three spatial axes.

use super::Case;
use super::binary::as_float;
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::pool::{self as kernel, Windows};
use crate::memory::unwritten::Unwritten;
use crate::shape::{self, Axes, Dims};
use crate::tape::{Context, Differentiable, Grads, Keeps, Operation, Tensor, apply};

/// The windows of a pooling, and the shapes of its two sides.
#[derive(Clone, Debug)]
struct Pooling {
    op: &'static str,
    windows: Windows,
    input: Dims,
    output: Dims,
}

/// The largest element of each window. Beside it are the places of these, which its gradient goes to.
#[derive(Debug)]
struct MaxPool(Pooling);

/// Its gradient, of the gradient for the results and the places: each number goes to its place.
#[derive(Debug)]
struct Spread(Pooling);

/// The gradient of that, of images and the places: the element at the place.
#[derive(Debug)]
struct Pick(Pooling);

/// The mean of each window, in which padding counts as zeros, or the transpose of that.
#[derive(Debug)]
struct MeanPool {
    pooling: Pooling,
    transposed: bool,
}

/// Runs an expression with `$p` bound to the type of stored places.
macro_rules! places {
    ($stored:expr, $p:ident => $body:expr) => {
        if $stored == DType::U8 {
            type $p = u8;
            $body
        } else {
            type $p = u32;
            $body
        }
    };
}

impl Operation for MaxPool {
    fn name(&self) -> &'static str {
        self.0.op
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, Pooling { op, windows, output, .. }) = (x[0].contiguous()?, &self.0);
        each!(x.dtype(), float: T => {
            let values = x.values::<T>(op)?;
            Array::written(op, output, |out| kernel::maxpool(windows, values, out))
        }, else Err(self.0.not_float(&x)))
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (x, Pooling { op, windows, output, .. }) = (x[0].contiguous()?, &self.0);
        let stored = if windows.area() <= 1 << 8 { DType::U8 } else { DType::U32 };
        each!(x.dtype(), float: T => places!(stored, P => {
            let values = x.values::<T>(op)?;
            let (out, places) = Array::written_pair(op, output, |out, places: &mut Unwritten<P>| {
                kernel::maxpool_places(windows, values, out, places)
            })?;
            Ok((out, vec![places]))
        }), else Err(self.0.not_float(&x)))
    }
}

impl Differentiable for MaxPool {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| apply(Spread(self.0.clone()), &[g, &cx.beside()[0].clone().into()]))
    }
}

impl Operation for Spread {
    fn name(&self) -> &'static str {
        "maxpool_back"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (op, places, g, Pooling { windows, input, .. }) =
            (self.name(), x[1], x[0].contiguous()?, &self.0);
        each!(g.dtype(), float: T => places!(places.dtype(), P => {
            let (values, places) = (g.values::<T>(op)?, places.values::<P>(op)?);
            Array::written(op, input, |out| kernel::maxpool_back(windows, values, places, out))
        }), else Err(self.0.not_float(&g)))
    }
}

impl Differentiable for Spread {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(apply(Pick(self.0.clone()), &[g, cx.constant(0)])?), None]))
    }
}

impl Operation for Pick {
    fn name(&self) -> &'static str {
        "maxpool_pick"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (op, places, x, Pooling { windows, output, .. }) =
            (self.name(), x[1], x[0].contiguous()?, &self.0);
        each!(x.dtype(), float: T => places!(places.dtype(), P => {
            let (values, places) = (x.values::<T>(op)?, places.values::<P>(op)?);
            Array::written(op, output, |out| kernel::pick(windows, values, places, out))
        }), else Err(self.0.not_float(&x)))
    }
}

impl Differentiable for Pick {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(apply(Spread(self.0.clone()), &[g, cx.constant(0)])?), None]))
    }
}

impl Operation for MeanPool {
    fn name(&self) -> &'static str {
        if self.transposed { "meanpool_back" } else { self.pooling.op }
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (pooling, windows) = (&self.pooling, &self.pooling.windows);
        let x = x[0].contiguous()?;
        each!(x.dtype(), float: T => {
            let (values, scale) = (x.values::<T>(pooling.op)?, (1.0 / windows.area() as f64) as T);
            let (shape, pool) = if self.transposed {
                (&pooling.input, kernel::meanpool_back::<T> as kernel::Mean<T>)
            } else {
                (&pooling.output, kernel::meanpool::<T> as kernel::Mean<T>)
            };
            Array::written(pooling.op, shape, |out| pool(windows, values, scale, out))
        }, else Err(pooling.not_float(&x)))
    }
}

impl Differentiable for MeanPool {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| apply(MeanPool { pooling: self.pooling.clone(), transposed: !self.transposed }, &[g]))
    }
}

operations! {
    /// The largest element of each window of images `(batch, *lengths, channels)` with one to three lengths; NaN if there
    /// is one. Of equals the first has the gradient.
    ///
    /// `stride` is that of the windows unless given, `pad` one number or two for each length: `(before, after, …)`.
    maxpool(x; window: Axes = Axes::All, stride: Axes = Axes::All, pad: Axes = Axes::from(0)) {
        let x = as_float(x)?;
        let pooling = Pooling::new("maxpool", x.shape(), &window, &stride, &pad)?;
        apply(MaxPool(pooling), &[&x])
    } cases [
        Case { f: |t| maxpool(&t[0], [2].into(), Axes::All, 0.into()), shapes: &[&[2, 5, 3]], domain: (-2.0, 2.0) },
        Case { f: |t| maxpool(&t[0], [3, 2].into(), [2, 1].into(), [1, 1, 0, 1].into()), shapes: &[&[1, 4, 3, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| maxpool(&t[0], [1, 16, 17].into(), 1.into(), [0, 0, 15, 15, 16, 15].into()), shapes: &[&[1, 2, 1, 2, 2]], domain: (-2.0, 2.0) },
    ];
    /// The mean of each window of images `(batch, *lengths, channels)` with one to three lengths, in which padding counts
    /// as zeros. The parameters are those of `maxpool`.
    meanpool(x; window: Axes = Axes::All, stride: Axes = Axes::All, pad: Axes = Axes::from(0)) {
        let x = as_float(x)?;
        let pooling = Pooling::new("meanpool", x.shape(), &window, &stride, &pad)?;
        apply(MeanPool { pooling, transposed: false }, &[&x])
    } cases [
        Case { f: |t| meanpool(&t[0], [2].into(), 3.into(), 0.into()), shapes: &[&[2, 5, 3]], domain: (-2.0, 2.0) },
        Case { f: |t| meanpool(&t[0], [3, 2].into(), [2, 1].into(), [1, 1, 0, 1].into()), shapes: &[&[1, 4, 3, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| meanpool(&t[0], [1, 2, 2].into(), 1.into(), 0.into()), shapes: &[&[1, 2, 2, 3, 2]], domain: (-2.0, 2.0) },
    ];
}

impl Pooling {
    fn new(op: &'static str, x: &[usize], window: &Axes, stride: &Axes, pad: &Axes) -> Result<Pooling> {
        let Axes::These(given) = window else {
            return Err(Error::Value(format!("{op}: a window is needed")));
        };
        let n = given.len();
        if !(1..=3).contains(&n) || x.len() != n + 2 {
            let shape = shape::show(x);
            return Err(Error::Shape(format!(
                "{op}: a window of {n} {} needs (batch, *lengths, channels) with as many, one to three, got shape {shape}",
                shape::plural(n, "length")
            )));
        }
        let size = numbers(op, "window", window, n, 1)?;
        let stride = if *stride == Axes::All { size.clone() } else { numbers(op, "stride", stride, n, 1)? };
        let pad = numbers(op, "pad", pad, 2 * n, 0)?;
        let mut windows = Windows {
            batch: x[0],
            channels: x[n + 1],
            input: [1; 3],
            output: [1; 3],
            size: [1; 3],
            stride: [1; 3],
            before: [0; 3],
        };
        let (mut output, skip) = (Dims::from_slice(x), 3 - n);
        for i in 0..n {
            let (length, size, stride, before, after) =
                (x[i + 1], size[i], stride[i], pad[2 * i], pad[2 * i + 1]);
            if before >= size || after >= size {
                return Err(Error::Value(format!(
                    "{op}: pad ({before}, {after}) leaves windows of length {size} on axis {} empty",
                    i + 1
                )));
            }
            let Some(room) = (length + before).checked_add(after).and_then(|n| n.checked_sub(size)) else {
                return Err(Error::Shape(format!(
                    "{op}: a window of length {size} is longer than axis {} of shape {} with pad ({before}, {after})",
                    i + 1,
                    shape::show(x)
                )));
            };
            output[i + 1] = room / stride + 1;
            (windows.input[skip + i], windows.output[skip + i]) = (length, output[i + 1]);
            (windows.size[skip + i], windows.stride[skip + i], windows.before[skip + i]) =
                (size, stride, before);
        }
        if shape::checked_size(&size).is_none_or(|n| n > u32::MAX as usize) {
            return Err(Error::Value(format!("{op}: the window {size:?} is too large")));
        }
        Ok(Pooling { op, windows, input: Dims::from_slice(x), output })
    }

    fn not_float(&self, x: &Array) -> Error {
        Error::DType(format!("{}: not defined for {}", self.op, x.dtype()))
    }
}

/// One number for all, or as many as there should be.
fn numbers(op: &str, name: &str, given: &Axes, n: usize, least: isize) -> Result<Dims> {
    let values = match given {
        Axes::These(v) if v.len() == n => v.clone(),
        Axes::These(v) if v.len() == 1 => std::iter::repeat_n(v[0], n).collect(),
        _ => return Err(Error::Value(format!("{op}: {name} is a number or {n} of them, got {given:?}"))),
    };
    match values.iter().find(|&&v| v < least) {
        Some(v) => Err(Error::Value(format!("{op}: {name} is at least {least}, got {v}"))),
        None => Ok(values.iter().map(|&v| v as usize).collect()),
    }
}
