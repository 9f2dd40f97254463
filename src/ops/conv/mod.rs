//! Convolutions and transposed convolutions: their arguments checked, and the operation chosen that does them.

mod operation;

use super::formula::{Activation, planned};
use super::movement::reshape_to;
use super::{Case, add, dense, repeat, sum};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::conv::{Geometry, Window};
use crate::shape::{self, Dims};
use crate::tape::{Tensor, apply};
pub(super) use operation::READERS;
use operation::{Conv, InputGradient, Sizes};
use std::borrow::Cow;

/// How a window slides over images: a value for each spatial dimension, of which there are one to three.
#[derive(Clone, Copy, Debug)]
pub struct Sliding<'a> {
    /// From one window to the next.
    pub stride: &'a [usize],
    /// Zeros before and after each dimension, one pair after the other.
    pub pad: &'a [usize],
    /// From one element of a window to the next.
    pub dilation: &'a [usize],
    /// Groups of channels that do not meet.
    pub groups: usize,
}

/// What a convolution and its transpose check alike: the rank of the images and the parameters.
fn check(images: &Tensor, weight: &Tensor, s: &Sliding<'_>) -> Result<usize> {
    let wrong = |what: String| Err(Error::Shape(format!("conv: {what}")));
    let dims = weight.ndim().saturating_sub(2);
    if !(1..=3).contains(&dims) {
        return wrong(format!(
            "expected a weight of shape (*window, in, out) with 1 to 3 spatial dimensions, got shape {}",
            shape::show(weight.shape())
        ));
    }
    if images.ndim() != dims + 2 {
        return wrong(format!(
            "expected {} axes, the batch, {dims} spatial and the channels, got shape {}",
            dims + 2,
            shape::show(images.shape())
        ));
    }
    if s.stride.len() != dims || s.dilation.len() != dims || s.pad.len() != 2 * dims {
        return wrong(format!("stride, dilation and padding must be given for {dims} spatial dimensions"));
    }
    if s.groups == 0
        || s.stride.contains(&0)
        || s.dilation.contains(&0)
        || weight.shape()[..dims].contains(&0)
    {
        return Err(Error::Value("conv: window, stride, dilation and groups must be positive".into()));
    }
    Ok(dims)
}

/// Elements that an image may have with its padding, whatever it has without: the kernels copy what a window reaches over.
const ROOM: usize = 1 << 28;

/// Images that the padding makes more than eight times as large are refused where that is no small number.
fn check_room(windows: &[Window], weight: &Tensor, s: &Sliding<'_>) -> Result<()> {
    let channels = weight.shape()[windows.len()].saturating_mul(s.groups);
    let size = |lengths: &[usize]| shape::checked_size(lengths).and_then(|n| n.checked_mul(channels.max(1)));
    let sides = s.pad.chunks(2).map(|side| side[0].saturating_add(side[1]));
    let padded: Dims = windows.iter().zip(sides).map(|(w, sides)| w.input.saturating_add(sides)).collect();
    let image: Dims = windows.iter().map(|w| w.input).collect();
    check_size(size(&image), size(&padded), (&padded, weight.dtype()))
}

/// That a padded image of so many elements is not too large beside the image.
fn check_size(image: Option<usize>, padded: Option<usize>, (shape, dtype): (&[usize], DType)) -> Result<()> {
    let most = image.unwrap_or(usize::MAX).saturating_mul(8).max(ROOM);
    match padded.is_some_and(|n| n <= most) {
        true => Ok(()),
        false => Err(Error::Memory { op: "conv", shape: shape.to_vec(), dtype }),
    }
}

/// The window in each dimension, where `lengths` works out the lengths of input and output of dimension `i` from what the
/// window reaches.
fn windows(
    dims: usize,
    weight: &Tensor,
    s: &Sliding<'_>,
    lengths: impl Fn(usize, usize) -> Result<(usize, usize)>,
) -> Result<[Window; 3]> {
    let mut windows = [Window { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, before: 0 }; 3];
    for (i, window) in windows[3 - dims..].iter_mut().enumerate() {
        let (kernel, stride, dilation, before) =
            (weight.shape()[i], s.stride[i], s.dilation[i], s.pad[2 * i]);
        let (input, output) = lengths(i, (kernel - 1).saturating_mul(dilation).saturating_add(1))?;
        *window = Window { input, kernel, output, stride, dilation, before };
    }
    check_room(&windows[3 - dims..], weight, s)?;
    Ok(windows)
}

/// The zeros after the images in each dimension.
fn after(s: &Sliding<'_>) -> [usize; 3] {
    let mut after = [0; 3];
    let skip = 3 - s.stride.len();
    s.pad.chunks(2).enumerate().for_each(|(i, side)| after[skip + i] = side[1]);
    after
}

fn channels(images: &Tensor, expected: usize) -> Result<()> {
    let shape = images.shape();
    if shape[shape.len() - 1] == expected {
        return Ok(());
    }
    let (shape, noun) = (shape::show(shape), shape::plural(expected, "channel"));
    Err(Error::Shape(format!("conv: expected {expected} {noun} on the last axis, got shape {shape}")))
}

fn groups(number: usize, channels: usize) -> Result<()> {
    if channels.is_multiple_of(number) {
        return Ok(());
    }
    Err(Error::Shape(format!("conv: {number} groups do not divide {channels} output channels")))
}

fn check_bias(bias: Option<&Tensor>, out: usize) -> Result<()> {
    match bias {
        Some(b) if b.shape() != [out] => {
            let shape = shape::show(b.shape());
            Err(Error::Shape(format!("conv: expected a bias of shape ({out},), got shape {shape}")))
        }
        _ => Ok(()),
    }
}

/// `activation(x * weight + bias)`, a cross-correlation of `x` of shape `(batch, *spatial, in)` with a weight of shape
/// `(*window, in / groups, out)`.
pub fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<&'static Activation>,
    sliding: &Sliding<'_>,
) -> Result<Tensor> {
    let dims = check(x, weight, sliding)?;
    let (each, out) = (weight.shape()[dims], weight.shape()[dims + 1]);
    channels(x, each.saturating_mul(sliding.groups))?;
    groups(sliding.groups, out)?;
    check_bias(bias, out)?;
    let windows = windows(dims, weight, sliding, |i, reach| {
        let (n, before, after) = (x.shape()[i + 1], sliding.pad[2 * i], sliding.pad[2 * i + 1]);
        let padded =
            n.checked_add(before).and_then(|n| n.checked_add(after)).filter(|&n| n < isize::MAX as usize);
        match padded.and_then(|padded| padded.checked_sub(reach)) {
            Some(room) => Ok((n, room / sliding.stride[i] + 1)),
            None => Err(Error::Shape(format!(
                "conv: a window that reaches over {reach} does not fit {n} with padding {before} and {after}, in spatial dimension {i} of shape {}",
                shape::show(x.shape())
            ))),
        }
    })?;
    let x = super::binary::as_dtype(x, weight.dtype())?;
    let bias = bias.map(|b| super::binary::as_dtype(b, weight.dtype())).transpose()?;
    let bias = bias.as_deref();
    let is_product = |w: &Window| w.kernel == 1 && w.stride == 1 && w.input == w.output;
    if sliding.groups == 1 && windows.iter().all(is_product) {
        return dense::dense(&x, &reshape_to(weight, &[each, out])?, bias, activation);
    }
    let mut geometry = Geometry {
        batch: x.shape()[0],
        inputs: each * sliding.groups,
        outputs: out,
        groups: sliding.groups,
        windows,
    };
    let mut x = x;
    if each == 1 && sliding.groups > 1 && out > sliding.groups {
        // Several filters for a channel are a filter for each of so many copies of it.
        x = Cow::Owned(repeat(&x, out / sliding.groups, -1)?);
        (geometry.inputs, geometry.groups) = (out, out);
    }
    let [activation, apart] = planned(activation);
    let op = Conv { sizes: Sizes { geometry, dims, after: after(sliding) }, activation };
    let y = match bias {
        Some(b) => apply(op, &[&x, weight, b])?,
        None => apply(op, &[&x, weight])?,
    };
    match apart {
        Some(a) => (a.apply)(&y),
        None => Ok(y),
    }
}

/// `activation(xᵀ + bias)` with the transposed convolution `xᵀ` of `x` of shape `(batch, *spatial, in)`, whose weight has
/// the shape `(*window, out / groups, in)`; `outpad` is added to each length of the result.
pub fn conv_transpose(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<&'static Activation>,
    sliding: &Sliding<'_>,
    outpad: &[usize],
) -> Result<Tensor> {
    let dims = check(x, weight, sliding)?;
    if outpad.len() != dims {
        return Err(Error::Shape(format!("conv: outpad must be given for {dims} spatial dimensions")));
    }
    let (each, inputs) = (weight.shape()[dims], weight.shape()[dims + 1]);
    channels(x, inputs)?;
    if !inputs.is_multiple_of(sliding.groups) {
        return Err(Error::Shape(format!(
            "conv: {} groups do not divide {inputs} input channels",
            sliding.groups
        )));
    }
    let out = each.saturating_mul(sliding.groups);
    check_bias(bias, out)?;
    let windows = windows(dims, weight, sliding, |i, reach| {
        let (n, before, after) = (x.shape()[i + 1], sliding.pad[2 * i], sliding.pad[2 * i + 1]);
        let stride = sliding.stride[i];
        if outpad[i] >= stride {
            return Err(Error::Value(format!(
                "conv: outpad {} must be smaller than the stride {stride}",
                outpad[i]
            )));
        }
        let length = n.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(reach));
        let length =
            length.and_then(|l| l.checked_add(outpad[i])).filter(|&l| n > 0 && l < isize::MAX as usize);
        match length.and_then(|l| l.checked_sub(before)?.checked_sub(after)) {
            Some(length) => Ok((length, n)),
            None => Err(Error::Shape(format!(
                "conv: padding {before} and {after} leaves nothing of spatial dimension {i} of shape {}",
                shape::show(x.shape())
            ))),
        }
    })?;
    let mut geometry =
        Geometry { batch: x.shape()[0], inputs: out, outputs: inputs, groups: sliding.groups, windows };
    let has_copies = each == 1 && out > 1 && inputs > out;
    if has_copies {
        (geometry.inputs, geometry.groups) = (inputs, inputs);
    }
    let x = super::binary::as_dtype(x, weight.dtype())?;
    let mut y = apply(InputGradient(Sizes { geometry, dims, after: after(sliding) }), &[&*x, weight])?;
    if has_copies {
        // The transpose of making copies of a channel is adding them up.
        let mut shape = Dims::from_slice(y.shape());
        shape[dims + 1] = out;
        shape.push(inputs / out);
        y = sum(&reshape_to(&y, &shape)?, (-1).into(), false)?;
    }
    if let Some(b) = bias {
        y = add(&y, &*super::binary::as_dtype(b, weight.dtype())?)?;
    }
    match activation {
        Some(a) => (a.apply)(&y),
        None => Ok(y),
    }
}

/// The plain case of the gradient checks.
const PLAIN: Sliding<'_> = Sliding { stride: &[1, 1], pad: &[0; 4], dilation: &[1, 1], groups: 1 };

pub(super) const OPS: &[super::Op] = &[
    super::Op {
        name: "conv",
        cases: &[
            Case {
                f: |t| {
                    conv(
                        &t[0],
                        &t[1],
                        Some(&t[2]),
                        Some(super::activation("tanh")?),
                        &Sliding { pad: &[1, 0, 0, 1], ..PLAIN },
                    )
                },
                shapes: &[&[2, 4, 3, 2], &[3, 2, 2, 3], &[3]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| {
                    let sliding = Sliding { stride: &[2], pad: &[1, 2], dilation: &[2], groups: 1 };
                    conv(&t[0], &t[1], Some(&t[2]), Some(super::activation("gelu")?), &sliding)
                },
                shapes: &[&[2, 6, 3], &[2, 3, 2], &[2]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| {
                    conv(
                        &t[0],
                        &t[1],
                        None,
                        None,
                        &Sliding { stride: &[1, 2], pad: &[1; 4], groups: 2, ..PLAIN },
                    )
                },
                shapes: &[&[1, 3, 4, 4], &[3, 1, 2, 2]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| conv(&t[0], &t[1], None, None, &Sliding { pad: &[1; 4], groups: 3, ..PLAIN }),
                shapes: &[&[2, 3, 3, 3], &[2, 2, 1, 3]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| {
                    let sliding = Sliding { stride: &[2], pad: &[1, 0], dilation: &[1], groups: 2 };
                    conv(&t[0], &t[1], Some(&t[2]), None, &sliding)
                },
                shapes: &[&[2, 5, 2], &[3, 1, 4], &[4]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| {
                    let sliding = Sliding {
                        stride: &[1, 2, 3],
                        pad: &[0, 1, 1, 0, 0, 0],
                        dilation: &[1; 3],
                        groups: 1,
                    };
                    conv(&t[0], &t[1], None, Some(super::activation("relu")?), &sliding)
                },
                shapes: &[&[1, 2, 3, 4, 1], &[2, 2, 1, 1, 2]],
                domain: (0.5, 1.0),
            },
            Case {
                f: |t| conv(&t[0], &t[1], Some(&t[2]), Some(super::activation("sigmoid")?), &PLAIN),
                shapes: &[&[2, 2, 3, 3], &[1, 1, 3, 2], &[2]],
                domain: (-1.0, 1.0),
            },
        ],
    },
    super::Op {
        name: "conv_transpose",
        cases: &[
            Case {
                f: |t| {
                    let sliding =
                        Sliding { stride: &[2, 3], pad: &[1, 0, 0, 1], dilation: &[1, 2], groups: 1 };
                    conv_transpose(
                        &t[0],
                        &t[1],
                        Some(&t[2]),
                        Some(super::activation("tanh")?),
                        &sliding,
                        &[1, 0],
                    )
                },
                shapes: &[&[2, 3, 2, 2], &[2, 3, 3, 2], &[3]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| {
                    let sliding = Sliding { stride: &[3], pad: &[0, 0], dilation: &[1], groups: 2 };
                    conv_transpose(&t[0], &t[1], None, None, &sliding, &[2])
                },
                shapes: &[&[2, 3, 4], &[2, 1, 4]],
                domain: (-1.0, 1.0),
            },
        ],
    },
];
