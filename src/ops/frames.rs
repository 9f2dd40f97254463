//! Spectra of windowed frames of sound, and sound of spectra.

use super::Case;
use super::binary::{as_dtype, as_float};
use super::movement::reshape_to;
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::fourier::Frames;
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, choice, fields, in_single,
    parameters, readers,
};
use std::borrow::Cow;

/// One of three that there is a product of, linear in each, and that is its derivative by this one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Factor {
    /// Of shape `(rows, time)`.
    Sound,
    /// Of shape `(n,)`.
    Window,
    /// Of shape `(rows, frames, n / 2 + 1, 2)`.
    Spectra,
}
use Factor::{Sound, Spectra, Window};

/// What is `wanted` of the two other factors, which are the inputs in the order of the three. As each is the derivative of one
/// product, the gradient of an input is its like: of the other input, and of what comes in.
#[derive(Clone, Copy, Debug)]
struct Framed {
    frames: Frames,
    wanted: Factor,
}

impl Framed {
    fn inputs(&self) -> [Factor; 2] {
        match self.wanted {
            Sound => [Window, Spectra],
            Window => [Sound, Spectra],
            Spectra => [Sound, Window],
        }
    }

    fn shape(&self, rows: usize) -> Dims {
        let Frames { n, frames, time, .. } = self.frames;
        match self.wanted {
            Sound => Dims::from_slice(&[rows, time]),
            Window => Dims::from_slice(&[n]),
            Spectra => Dims::from_slice(&[rows, frames, n / 2 + 1, 2]),
        }
    }
}

fields!(Frames: n, hop, lead, frames, time, reflects, stands_for_mirror, scale);
choice!(Factor: Sound, Window, Spectra);

impl Operation for Framed {
    fn name(&self) -> &'static str {
        match self.wanted {
            Sound => "istft_sum",
            Window | Spectra => "stft",
        }
    }
    parameters! { frames, wanted }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        let Frames { n, hop, lead, frames, time, reflects, .. } = self.frames;
        let most =
            frames.checked_mul(hop).and_then(|end| end.checked_add(n)).and_then(|end| end.checked_add(lead));
        let is_frame = n > 0
            && hop > 0
            && (!reflects || lead < time)
            && most.is_some_and(|most| most < isize::MAX as usize);
        x.holds(is_frame, || format!("{:?} are no frames", self.frames))?;
        let of_rows = if self.wanted == Sound { 1 } else { 0 };
        x.least_axes(of_rows, 1)?;
        let rows = x.shape(of_rows)[0];
        for (i, factor) in self.inputs().into_iter().enumerate() {
            x.shaped(i, &Framed { wanted: factor, ..*self }.shape(rows))?;
        }
        x.there_is(&self.shape(rows))
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (name, frames) = (self.name(), self.frames);
        let [a, b] = [inputs[0].contiguous()?, inputs[1].contiguous()?];
        let rows = if self.wanted == Sound { b.shape()[0] } else { a.shape()[0] };
        each!(a.dtype(), float: T => {
            let (a, b) = (a.values::<T>(name)?, b.values::<T>(name)?);
            Array::written(name, &self.shape(rows), |out| match self.wanted {
                Sound => frames.sound(rows, a, b, out),
                Window => frames.window(rows, a, b, out),
                Spectra => frames.spectra(rows, a, b, out),
            })
        }, else Err(Error::DType(format!("{name}: not defined for {}", a.dtype()))))
    }
}

impl Differentiable for Framed {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let inputs = self.inputs();
        cx.each(|i| {
            let rule = Framed { wanted: inputs[i], ..*self };
            let other = cx.input(1 - i);
            if self.wanted < inputs[1 - i] { apply(rule, &[g, other]) } else { apply(rule, &[other, g]) }
        })
    }
}

readers! { "stft" => Framed }

operations! {
    /// The Fourier transforms of frames of sound `(…, time)`, times a window `(n,)`, as pairs `(…, frames, n / 2 + 1, 2)` of real and
    /// imaginary parts. With `center`, sound goes on by reflection for `n / 2` before it begins and after it ends; `normalized`
    /// divides by `sqrt(n)`.
    stft(x, window; hop_length: usize, center: bool = true, normalized: bool = false) {
        spectra(x, window, hop_length, center, normalized)
    } cases [
        Case { f: |t| stft(&t[0], &t[1], 2, true, false), shapes: &[&[2, 9], &[6]], domain: (-1.0, 1.0) },
        Case { f: |t| stft(&t[0], &t[1], 3, false, true), shapes: &[&[11], &[5]], domain: (-1.0, 1.0) },
    ];
    /// The sum of the inverse Fourier transforms of spectra `(…, frames, n / 2 + 1, 2)`, times a window `(n,)`, where the frames lie: what
    /// there is from `start` on, `(…, length)`. `istft` is this, divided by the sum of the squares of the windows.
    istft_sum(y, window; hop_length: usize, start: usize, length: usize, normalized: bool = false) {
        sound(y, window, hop_length, start, length, normalized)
    } cases [
        Case { f: |t| istft_sum(&t[0], &t[1], 2, 3, 7, false), shapes: &[&[2, 3, 4, 2], &[6]], domain: (-1.0, 1.0) },
        Case { f: |t| istft_sum(&t[0], &t[1], 4, 0, 20, true), shapes: &[&[3, 3, 2], &[5]], domain: (-1.0, 1.0) },
    ];
}

/// The window in the type of what it is for, and its length.
fn windowed<'a>(op: &str, window: &'a Tensor, x: &Tensor, hop: usize) -> Result<(Cow<'a, Tensor>, usize)> {
    if window.ndim() != 1 || window.size() == 0 {
        let shape = shape::show(window.shape());
        return Err(Error::Shape(format!("{op}: expected a window of at least 1 number, got shape {shape}")));
    }
    if hop == 0 {
        return Err(Error::Value(format!("{op}: hop_length is at least 1, not 0")));
    }
    Ok((as_dtype(window, x.dtype())?, window.size()))
}

fn spectra(x: &Tensor, window: &Tensor, hop: usize, center: bool, normalized: bool) -> Result<Tensor> {
    if x.dtype().is_half() {
        return in_single(&[x], |x| spectra(x[0], window, hop, center, normalized));
    }
    let x = as_float(x)?;
    let (window, n) = windowed("stft", window, &x, hop)?;
    let lead = if center { n / 2 } else { 0 };
    let time = x.shape().last().copied().unwrap_or(0);
    if x.ndim() == 0 || time <= lead || time + 2 * lead < n {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!("stft: a frame of {n} is too long for the input of shape {shape}")));
    }
    let batch = &x.shape()[..x.ndim() - 1];
    let frames = Frames {
        n,
        hop,
        lead,
        frames: (time + 2 * lead - n) / hop + 1,
        time,
        reflects: center,
        stands_for_mirror: false,
        scale: if normalized { 1.0 / (n as f64).sqrt() } else { 1.0 },
    };
    let dims: Dims = batch.iter().copied().chain([frames.frames, n / 2 + 1, 2]).collect();
    let rows = reshape_to(&x, &[shape::size(batch), time])?;
    reshape_to(&apply(Framed { frames, wanted: Spectra }, &[&rows, &window])?, &dims)
}

fn sound(
    y: &Tensor,
    window: &Tensor,
    hop: usize,
    start: usize,
    length: usize,
    normalized: bool,
) -> Result<Tensor> {
    if y.dtype().is_half() {
        return in_single(&[y], |y| sound(y[0], window, hop, start, length, normalized));
    }
    let y = as_float(y)?;
    let (window, n) = windowed("istft_sum", window, &y, hop)?;
    let (batch, frames) = match y.shape() {
        [batch @ .., frames, bins, 2] if *bins == n / 2 + 1 => (batch, *frames),
        other => {
            let (shape, bins) = (shape::show(other), n / 2 + 1);
            return Err(Error::Shape(format!(
                "istft_sum: expected (…, frames, {bins}, 2), got shape {shape}"
            )));
        }
    };
    let root = if normalized { (n as f64).sqrt() } else { 1.0 };
    let frames = Frames {
        n,
        hop,
        lead: start,
        frames,
        time: length,
        reflects: false,
        stands_for_mirror: true,
        scale: root / n as f64,
    };
    let dims: Dims = batch.iter().copied().chain([length]).collect();
    let rows = reshape_to(&y, &[shape::size(batch), frames.frames, n / 2 + 1, 2])?;
    reshape_to(&apply(Framed { frames, wanted: Sound }, &[&window, &rows])?, &dims)
}
