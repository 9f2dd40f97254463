//! Parts of a tensor along its axes, and axes of length 1 put in or taken out.

use super::Case;
use super::movement::reshape_to;
use crate::array::{Array, Range};
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::put as kernel;
use crate::shape::{self, Axes, Dims};
use crate::tape::{Context, Differentiable, Grads, Known, Operation, Tensor, apply, parameters, readers};
use smallvec::SmallVec;

type Ranges = SmallVec<[Range; 4]>;

/// A range of each axis.
#[derive(Clone, Debug)]
struct Slice(Ranges);

/// The opposite: a constant, with the tensor in the ranges.
#[derive(Clone, Debug)]
struct Embed {
    ranges: Ranges,
    shape: Dims,
    around: f64,
}

impl Operation for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    parameters! { 0: ranges }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        ranges_of(x, x.shape(0), &self.0)
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].slice(&self.0)
    }
}

impl Differentiable for Slice {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            apply(Embed { ranges: self.0.clone(), shape: Dims::from_slice(cx.shape(i)), around: 0.0 }, &[g])
        })
    }
}

impl Operation for Embed {
    fn name(&self) -> &'static str {
        "pad_constant"
    }
    parameters! { ranges, shape, around }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.there_is(&self.shape)?;
        x.axes(0, self.shape.len())?;
        ranges_of(x, &self.shape, &self.ranges)?;
        x.shaped(0, &self.ranges.iter().map(|r| r.length).collect::<Dims>())
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let mut out = Array::filled("pad_constant", &self.shape, self.around, x[0].dtype())?;
        put(&mut out, &self.ranges, x[0])?;
        Ok(out)
    }
}

impl Differentiable for Embed {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| slice(g, &self.ranges))
    }
}

/// That ranges lie on the axes of a shape, and name each place once.
pub(super) fn ranges_of(x: &Known<'_>, shape: &[usize], ranges: &[Range]) -> Result<()> {
    let is_there = |(r, &n): (&Range, &usize)| r.fits(n) && (r.length < 2 || r.step != 0);
    let fits = ranges.len() == shape.len() && ranges.iter().zip(shape).all(is_there);
    x.holds(fits, || format!("{ranges:?} do not lie on shape {}", shape::show(shape)))
}

/// Writes `x` into ranges of the axes of `out`, which is made unique first; the type must be the same.
pub(crate) fn put(out: &mut Array, ranges: &[Range], x: &Array) -> Result<()> {
    let x = x.contiguous()?;
    out.make_own()?;
    let (start, strides) = out.within(ranges)?;
    if x.size() > 0 {
        each!(out.dtype(), moved: T => {
            kernel::put(x.shape(), x.values::<T>("put")?, out.values_mut("put")?, start, &strides);
        });
    }
    Ok(())
}

/// A range of each axis; the ranges must lie within the axes.
pub(crate) fn slice(x: &Tensor, ranges: &[Range]) -> Result<Tensor> {
    apply(Slice(Ranges::from_slice(ranges)), &[x])
}

/// `length` elements of one axis from `start`, the other axes whole.
pub(crate) fn narrow(x: &Tensor, axis: usize, start: usize, length: usize) -> Result<Tensor> {
    let mut ranges: Ranges = x.shape().iter().map(|&n| Range::all(n)).collect();
    ranges[axis] = Range { start, step: 1, length };
    slice(x, &ranges)
}

readers! { "slice" => Slice, "pad_constant" => Embed }

operations! {
    /// The elements in reverse order along axes.
    flip(x; axis: Axes = Axes::All) {
        let axes = axis.resolve("flip", x.ndim())?;
        let range = |(i, &n): (usize, &usize)| match n {
            0 => Range::all(0),
            n if axes.contains(&i) => Range { start: n - 1, step: -1, length: n },
            n => Range::all(n),
        };
        slice(x, &x.shape().iter().enumerate().map(range).collect::<Ranges>())
    } cases [Case { f: |t| flip(&t[0], 0.into()), shapes: &[&[3, 2]], domain: (-1.0, 1.0) }];
    /// A new axis of length 1 at a place of the result, or several at theirs.
    expand_dims(x; axis: Axes) {
        let Axes::These(given) = &axis else {
            return Err(Error::Value("expand_dims: axis is an integer or a tuple of integers, not None".into()));
        };
        let places = axis.resolve("expand_dims", x.ndim() + given.len())?;
        let mut dims = Dims::from_slice(x.shape());
        // They come in ascending order.
        places.iter().for_each(|&at| dims.insert(at, 1));
        reshape_to(x, &dims)
    } cases [Case { f: |t| expand_dims(&t[0], [0, -1].into()), shapes: &[&[3, 2]], domain: (-1.0, 1.0) }];
    /// Without axes of length 1: those named, or all.
    squeeze(x; axis: Axes = Axes::All) {
        narrowed(x, axis)
    } cases [Case { f: |t| squeeze(&t[0], 1.into()), shapes: &[&[3, 1, 2]], domain: (-1.0, 1.0) }];
    /// The elements each so many times along an axis, neighbours together.
    repeat(x; repeats: usize, axis: isize = 0) {
        let at = shape::axis("repeat", axis, x.ndim())?;
        let mut dims = Dims::from_slice(x.shape());
        dims.insert(at + 1, 1);
        let column = reshape_to(x, &dims)?;
        dims[at + 1] = repeats;
        let spread = super::broadcast_to(&column, &dims)?;
        dims.remove(at + 1);
        dims[at] *= repeats;
        reshape_to(&spread, &dims)
    } cases [Case { f: |t| repeat(&t[0], 3, 1), shapes: &[&[2, 2]], domain: (-1.0, 1.0) }];
    /// The tensor with `value` around it: `pad` is one number for all sides, or two for each axis, `(before, after, …)`.
    pad_constant(x; pad: Axes = Axes::from(0), value: f64 = 0.0) {
        padded(x, pad, value)
    } cases [Case { f: |t| pad_constant(&t[0], [1, 0, 0, 2].into(), 3.0), shapes: &[&[3, 2]], domain: (-1.0, 1.0) }];
}

fn narrowed(x: &Tensor, axis: Axes) -> Result<Tensor> {
    let dims: Dims = match &axis {
        Axes::All => x.shape().iter().copied().filter(|&n| n != 1).collect(),
        Axes::These(_) => {
            let axes = axis.resolve("squeeze", x.ndim())?;
            if let Some(&i) = axes.iter().find(|&&i| x.shape()[i] != 1) {
                let shape = shape::show(x.shape());
                return Err(Error::Value(format!(
                    "squeeze: axis {i} of shape {shape} has length {}, not 1",
                    x.shape()[i]
                )));
            }
            (0..x.ndim()).filter(|i| !axes.contains(i)).map(|i| x.shape()[i]).collect()
        }
    };
    reshape_to(x, &dims)
}

fn padded(x: &Tensor, pad: Axes, value: f64) -> Result<Tensor> {
    let n = x.ndim();
    let sides: SmallVec<[isize; 8]> = match &pad {
        Axes::These(given) if given.len() == 2 * n => given.iter().copied().collect(),
        Axes::These(given) if given.len() == 1 => SmallVec::from_elem(given[0], 2 * n),
        _ => {
            return Err(Error::Value(format!(
                "pad_constant: pad is a number or two for each of {n} axes, got {pad:?}"
            )));
        }
    };
    if sides.iter().any(|&side| side < 0) {
        return Err(Error::Value(format!("pad_constant: pad is not negative, got {:?}", sides.as_slice())));
    }
    if !x.dtype().is_float() && value.fract() != 0.0 {
        return Err(Error::DType(format!("pad_constant: {value} is no value of {}", x.dtype())));
    }
    super::creation::within("pad_constant", &[value], x.dtype())?;
    let (mut ranges, mut shape) = (Ranges::new(), Dims::new());
    for (&length, side) in x.shape().iter().zip(sides.chunks(2)) {
        let (before, after) = (side[0] as usize, side[1] as usize);
        ranges.push(Range { start: before, step: 1, length });
        shape.push(length.saturating_add(before).saturating_add(after));
    }
    apply(Embed { ranges, shape, around: value }, &[x])
}
