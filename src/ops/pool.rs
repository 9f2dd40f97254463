//! Pooling over windows of channels-last images of one to three spatial axes.

use super::binary::as_float;
use super::{Case, Name, multiply};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::pool::{self as kernel, Windows};
use crate::memory::unwritten::Unwritten;
use crate::shape::{self, Axes, Dims};
use crate::tape::made;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, fields, in_single, parameters,
    readers,
};

/// The windows of a pooling, and the shapes of its two sides.
#[derive(Clone, Debug)]
struct Pooling {
    op: Name,
    windows: Windows,
    input: Dims,
    output: Dims,
    /// How much padding there is after the images.
    after: [usize; 3],
}

/// The largest element of each window. Beside it are the places of these, which its gradient goes to.
#[derive(Clone, Debug)]
struct MaxPool(Pooling);

/// Its gradient, of the gradient for the results and the places: each number goes to its place.
#[derive(Clone, Debug)]
struct Spread(Pooling);

/// The gradient of that, of images and the places: the element at the place.
#[derive(Clone, Debug)]
struct Pick(Pooling);

/// `scale` times the sum of each window, in which padding counts as zeros, or the transpose of that.
#[derive(Clone, Debug)]
struct SumPool {
    pooling: Pooling,
    scale: f64,
    transposed: bool,
}

fields!(Pooling: op, windows, input, output, after);
fields!(Windows: batch, channels, input, output, size, stride, dilation, before);

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
        self.0.op.0
    }
    parameters! { 0: pooling }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        self.0.check()?;
        x.shaped(0, &self.0.input)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, Pooling { op: Name(op), windows, output, .. }) = (x[0].contiguous()?, &self.0);
        each!(x.dtype(), float: T => {
            let values = x.values::<T>(op)?;
            Array::written(op, output, |out| kernel::maxpool(windows, values, out))
        }, else Err(self.0.not_float(&x)))
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (x, Pooling { op: Name(op), windows, output, .. }) = (x[0].contiguous()?, &self.0);
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
    parameters! { 0: pooling }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        self.0.check_places(x)?;
        x.shaped(0, &self.0.output)
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
    parameters! { 0: pooling }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        self.0.check_places(x)?;
        x.shaped(0, &self.0.input)
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

impl Operation for SumPool {
    fn name(&self) -> &'static str {
        if self.transposed { "sumpool_back" } else { self.pooling.op.0 }
    }
    parameters! { pooling, scale, transposed }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        self.pooling.check()?;
        x.shaped(0, if self.transposed { &self.pooling.output } else { &self.pooling.input })
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (pooling, windows) = (&self.pooling, &self.pooling.windows);
        let x = x[0].contiguous()?;
        each!(x.dtype(), float: T => {
            let (values, scale) = (x.values::<T>(pooling.op.0)?, self.scale as T);
            let (shape, pool) = if self.transposed {
                (&pooling.input, kernel::meanpool_back::<T> as kernel::Mean<T>)
            } else {
                (&pooling.output, kernel::meanpool::<T> as kernel::Mean<T>)
            };
            Array::written(pooling.op.0, shape, |out| pool(windows, values, scale, out))
        }, else Err(pooling.not_float(&x)))
    }
}

impl Differentiable for SumPool {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let SumPool { pooling, scale, transposed } = self;
        cx.each(|_| apply(SumPool { pooling: pooling.clone(), scale: *scale, transposed: !transposed }, &[g]))
    }
}

readers! { "maxpool" => MaxPool, "maxpool_back" => Spread, "maxpool_pick" => Pick, "sumpool" => SumPool }

operations! {
    /// The largest element of each window of images `(batch, *lengths, channels)` with one to three lengths; NaN if there
    /// is one. Of equals the first has the gradient.
    ///
    /// `stride` is that of the windows unless given, `pad` one number or two for each length: `(before, after, …)`;
    /// `dilation` is how far apart the elements of a window are. With `ceil_mode` there is one window more where some
    /// elements are left after the last.
    maxpool(x; window: Axes = Axes::All, stride: Axes = Axes::All, pad: Axes = Axes::from(0), dilation: Axes = Axes::from(1), ceil_mode: bool = false) {
        let x = as_float(x)?;
        let pooling = Pooling::new("maxpool", x.shape(), [&window, &stride, &pad, &dilation], ceil_mode)?;
        apply(MaxPool(pooling), &[&x])
    } cases [
        Case { f: |t| maxpool(&t[0], [2].into(), Axes::All, 0.into(), 1.into(), false), shapes: &[&[2, 5, 3]], domain: (-2.0, 2.0) },
        Case { f: |t| maxpool(&t[0], [3, 2].into(), [2, 1].into(), [1, 1, 0, 1].into(), [1, 2].into(), true), shapes: &[&[1, 4, 3, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| maxpool(&t[0], [1, 16, 17].into(), 1.into(), [0, 0, 15, 15, 16, 15].into(), 1.into(), false), shapes: &[&[1, 2, 1, 2, 2]], domain: (-2.0, 2.0) },
    ];
    /// The mean of each window of images `(batch, *lengths, channels)` with one to three lengths, in which padding counts
    /// as zeros, or not at all without `count_include_pad`. The other parameters are those of `maxpool`; what of a window
    /// lies past the padding never counts.
    meanpool(x; window: Axes = Axes::All, stride: Axes = Axes::All, pad: Axes = Axes::from(0), dilation: Axes = Axes::from(1), ceil_mode: bool = false, count_include_pad: bool = true) {
        let windows = [&window, &stride, &pad, &dilation];
        // What is divided after the sum may be too large for 16 bits before.
        if x.dtype().is_half() {
            return in_single(&[x], |x| mean_pooled(x[0], windows, ceil_mode, count_include_pad));
        }
        mean_pooled(x, windows, ceil_mode, count_include_pad)
    } cases [
        Case { f: |t| meanpool(&t[0], [2].into(), 3.into(), 0.into(), 1.into(), false, true), shapes: &[&[2, 5, 3]], domain: (-2.0, 2.0) },
        Case { f: |t| meanpool(&t[0], [3, 2].into(), [2, 1].into(), [1, 1, 0, 1].into(), [1, 2].into(), true, false), shapes: &[&[1, 4, 3, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| meanpool(&t[0], [1, 2, 2].into(), 1.into(), 0.into(), 1.into(), false, true), shapes: &[&[1, 2, 2, 3, 2]], domain: (-2.0, 2.0) },
    ];
    /// The sum of each window of images `(batch, *lengths, channels)`; the parameters are those of `maxpool`.
    sumpool(x; window: Axes = Axes::All, stride: Axes = Axes::All, pad: Axes = Axes::from(0), dilation: Axes = Axes::from(1), ceil_mode: bool = false) {
        let x = as_float(x)?;
        let pooling = Pooling::new("sumpool", x.shape(), [&window, &stride, &pad, &dilation], ceil_mode)?;
        apply(SumPool { pooling, scale: 1.0, transposed: false }, &[&x])
    } cases [
        Case { f: |t| sumpool(&t[0], [2].into(), 2.into(), 1.into(), 3.into(), true), shapes: &[&[2, 9, 3]], domain: (-2.0, 2.0) },
    ];
}

fn mean_pooled(x: &Tensor, given: [&Axes; 4], ceil_mode: bool, count_include_pad: bool) -> Result<Tensor> {
    let x = as_float(x)?;
    let pooling = Pooling::new("meanpool", x.shape(), given, ceil_mode)?;
    let is_padded = pooling.after != [0; 3] || pooling.windows.before != [0; 3];
    if !ceil_mode && (count_include_pad || !is_padded) {
        let scale = 1.0 / pooling.windows.area() as f64;
        return apply(SumPool { pooling, scale, transposed: false }, &[&x]);
    }
    let shares = pooling.shares(count_include_pad, x.dtype())?;
    multiply(&apply(SumPool { pooling, scale: 1.0, transposed: false }, &[&x])?, &shares)
}

impl Pooling {
    /// Windows of `[window, stride, pad, dilation]` over images of shape `x`.
    fn new(op: &'static str, x: &[usize], given: [&Axes; 4], ceil_mode: bool) -> Result<Pooling> {
        let [window, stride, pad, dilation] = given;
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
        let (pad, dilation) = (numbers(op, "pad", pad, 2 * n, 0)?, numbers(op, "dilation", dilation, n, 1)?);
        let mut windows = Windows {
            batch: x[0],
            channels: x[n + 1],
            input: [1; 3],
            output: [1; 3],
            size: [1; 3],
            stride: [1; 3],
            dilation: [1; 3],
            before: [0; 3],
        };
        let (mut output, mut past, skip) = (Dims::from_slice(x), [0; 3], 3 - n);
        for i in 0..n {
            let (length, before, after) = (x[i + 1], pad[2 * i], pad[2 * i + 1]);
            let (reach, stride) = (kernel::extent(size[i], dilation[i]), stride[i]);
            if before >= reach || after >= reach {
                return Err(Error::Value(format!(
                    "{op}: pad ({before}, {after}) leaves windows of length {reach} on axis {} empty",
                    i + 1
                )));
            }
            let Some(windows_on) = count(length, before, after, reach, stride, ceil_mode) else {
                return Err(Error::Shape(format!(
                    "{op}: a window of length {reach} is longer than axis {} of shape {} with pad ({before}, {after})",
                    i + 1,
                    shape::show(x)
                )));
            };
            output[i + 1] = windows_on;
            (windows.input[skip + i], windows.output[skip + i]) = (length, windows_on);
            (windows.size[skip + i], windows.stride[skip + i]) = (size[i], stride);
            (windows.before[skip + i], windows.dilation[skip + i]) = (before, dilation[i]);
            past[skip + i] = after;
            if dilation[i] > 1 && windows.counts(skip + i, length, true).contains(&0) {
                return Err(Error::Shape(format!(
                    "{op}: a window with dilation {} and pad ({before}, {after}) has nothing of axis {} of shape {}",
                    dilation[i],
                    i + 1,
                    shape::show(x)
                )));
            }
        }
        if shape::checked_size(&size).is_none_or(|n| n > u32::MAX as usize) {
            return Err(Error::Value(format!("{op}: the window {size:?} is too large")));
        }
        Ok(Pooling { op: Name(op), windows, input: Dims::from_slice(x), output, after: past })
    }

    /// One over the number of elements of each window that count, `(1, *windows, 1)`; what of it lies past the padding does
    /// not.
    fn shares(&self, count_include_pad: bool, dtype: DType) -> Result<Tensor> {
        let windows = &self.windows;
        let counts = [0, 1, 2].map(|i| {
            let end = windows.input[i] + if count_include_pad { self.after[i] } else { 0 };
            windows.counts(i, end, !count_include_pad)
        });
        let [_, rows, columns] = windows.output;
        let share = |i: usize| {
            let places = [i / columns / rows, i / columns % rows, i % columns];
            let count: usize = counts.iter().zip(places).map(|(counts, place)| counts[place]).product();
            1.0 / count.max(1) as f64
        };
        let mut dims = self.output.clone();
        (dims[0], dims[self.output.len() - 1]) = (1, 1);
        Ok(made(Array::from_fn(self.op.0, &dims, share)?.cast(dtype)?).into())
    }

    /// That it is of windows that lie on its images.
    fn check(&self) -> Result<()> {
        let (w, skip) = (&self.windows, 5usize.saturating_sub(self.input.len()));
        let images = |lengths: &[usize; 3]| [&[w.batch], &lengths[skip.min(3)..], &[w.channels]].concat();
        let fits = (0..3).all(|i| {
            if i < skip {
                return [w.input[i], w.output[i], w.size[i], w.stride[i], w.dilation[i]] == [1; 5]
                    && [w.before[i], self.after[i]] == [0; 2];
            }
            let (before, after) = (w.before[i], self.after[i]);
            let reach =
                (w.size[i].max(1) - 1).checked_mul(w.dilation[i]).and_then(|reach| reach.checked_add(1));
            let Some(reach) = reach.filter(|&reach| before < reach && after < reach) else { return false };
            let is_count =
                |ceil| count(w.input[i], before, after, reach, w.stride[i], ceil) == Some(w.output[i]);
            w.size[i] > 0
                && w.stride[i] > 0
                && w.dilation[i] > 0
                && [w.input[i], w.output[i], reach, w.stride[i]].iter().all(|&n| n < isize::MAX as usize / 4)
                && (is_count(false) || is_count(true))
                && (w.dilation[i] == 1 || !w.counts(i, w.input[i], true).contains(&0))
        });
        let is_small = shape::checked_size(&w.size).is_some_and(|n| n <= u32::MAX as usize);
        let is_whole = (3..=5).contains(&self.input.len())
            && self.input[..] == images(&w.input)
            && self.output[..] == images(&w.output)
            && shape::checked_size(&self.output).is_some_and(|n| n <= isize::MAX as usize / 16);
        match fits && is_small && is_whole {
            true => Ok(()),
            false => Err(Error::Value(format!("{w:?} are no windows"))),
        }
    }

    /// The same, and that the second input is of places in them.
    fn check_places(&self, x: &Known<'_>) -> Result<()> {
        self.check()?;
        x.floats([0])?;
        x.shaped(1, &self.output)?;
        x.row_major(1)?;
        x.holds(matches!(x.dtype(1), DType::U8 | DType::U32), || "places are uint8 or uint32".into())
    }

    fn not_float(&self, x: &Array) -> Error {
        Error::DType(format!("{}: not defined for {}", self.op.0, x.dtype()))
    }
}

/// How many windows there are along an axis, by the rules of PyTorch: with `ceil_mode` one more where elements are left, if
/// it starts within the image or the padding before it.
fn count(
    length: usize,
    before: usize,
    after: usize,
    reach: usize,
    stride: usize,
    ceil_mode: bool,
) -> Option<usize> {
    let most = length.checked_add(before)?.checked_add(after)?;
    if !ceil_mode {
        return Some(most.checked_sub(reach)? / stride + 1);
    }
    let steps = most.checked_add(stride - 1)?.checked_sub(reach)? / stride;
    // No window starts behind the image.
    let most = (length + before).checked_sub(1)? / stride;
    Some(steps.min(most) + 1)
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
