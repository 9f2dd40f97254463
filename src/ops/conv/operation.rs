//! The operations of convolutions. The sum of a convolution's result times its incoming gradient is trilinear: linear in
//! the images, in the weight and in that gradient. Its derivative for each of the three is an operation here, the
//! convolution itself among them, and so each of the three is the gradient rule of the two others.

use super::super::formula::Activation;
use super::super::movement::reshape_to;
use super::super::{dense, sum};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::conv::{self, Geometry, Window};
use crate::kernels::gemm::Epilogue;
use crate::kernels::then::Then;
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Layout, Operation, Tensor, apply, fields, parameters,
    readers,
};

/// The sizes of a convolution and how many spatial dimensions they stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub geometry: Geometry,
    pub dims: usize,
    /// Zeros after the images, which the geometry does not ask for.
    pub after: [usize; 3],
}

impl Sizes {
    fn images(&self, channels: usize, size: impl Fn(&Window) -> usize) -> Dims {
        let mut shape = Dims::from_slice(&[self.geometry.batch]);
        shape.extend(self.windows().iter().map(size));
        shape.push(channels);
        shape
    }
    fn windows(&self) -> &[Window] {
        &self.geometry.windows[3 - self.dims..]
    }
    /// That the windows lie on the images, and the groups divide the channels.
    fn check(&self) -> Result<()> {
        let Geometry { batch, inputs, outputs, groups, windows } = self.geometry;
        let is_size = |n: usize| n < 1 << 40;
        let is_window = |(i, w): (usize, &Window)| {
            if i < 3 - self.dims.min(3) {
                let one = Window { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, before: 0 };
                return *w == one && self.after[i] == 0;
            }
            let sizes = [w.input, w.kernel, w.output, w.stride, w.dilation, w.before, self.after[i]];
            if !sizes.into_iter().all(is_size) || w.kernel == 0 || w.stride == 0 || w.dilation == 0 {
                return false;
            }
            let reach = (w.kernel - 1).saturating_mul(w.dilation).saturating_add(1);
            let room = (w.input + w.before + self.after[i]).checked_sub(reach);
            room.is_some_and(|room| room / w.stride + 1 == w.output)
        };
        let fits = (1..=3).contains(&self.dims)
            && windows.iter().enumerate().all(is_window)
            && [batch, inputs, outputs].into_iter().all(is_size)
            && groups > 0
            && inputs.is_multiple_of(groups)
            && outputs.is_multiple_of(groups);
        if !fits {
            return Err(Error::Value(format!("{:?} is no convolution", self.geometry)));
        }
        let padded = |w: &Window, after: usize| w.input + w.before + after;
        let image: Vec<usize> = windows.iter().map(|w| w.input).chain([inputs, batch]).collect();
        let more: Vec<usize> =
            windows.iter().zip(self.after).map(|(w, after)| padded(w, after)).chain([inputs]).collect();
        let [size, padded] = [&image[..4], &more].map(shape::checked_size);
        super::check_size(size, padded, (&more, DType::F32))?;
        let all = [image, self.y().to_vec(), self.weight().to_vec()];
        match all.iter().all(|shape| shape::checked_size(shape).is_some_and(|n| n < isize::MAX as usize / 16))
        {
            true => Ok(()),
            false => Err(Error::Value(format!("{:?} is too large", self.geometry))),
        }
    }
    fn x(&self) -> Dims {
        self.images(self.geometry.inputs, |w| w.input)
    }
    fn y(&self) -> Dims {
        self.images(self.geometry.outputs, |w| w.output)
    }
    /// Whether images are computed pixel after pixel: with groups of several channels they are not.
    fn are_in_order(&self) -> bool {
        let Geometry { groups, inputs, outputs, .. } = self.geometry;
        groups == 1 || (groups == inputs && groups == outputs)
    }
    /// Products and sums of the convolution, and of either of its gradients.
    fn flops(&self) -> u64 {
        let Geometry { inputs, groups, .. } = self.geometry;
        let window: usize = self.windows().iter().map(|w| w.kernel).product();
        2 * (shape::size(&self.y()) * window * (inputs / groups.max(1))) as u64
    }
    fn weight(&self) -> Dims {
        let mut shape: Dims = self.windows().iter().map(|w| w.kernel).collect();
        shape.extend([self.geometry.inputs / self.geometry.groups, self.geometry.outputs]);
        shape
    }
}

fields!(Sizes: geometry, dims, after);
fields!(Geometry: batch, inputs, outputs, groups, windows);
fields!(Window: input, kernel, output, stride, dilation, before);

fn not_float(x: &Array) -> Error {
    Error::DType(format!("conv: not defined for {}", x.dtype()))
}

/// `activation(x * weight + bias)`.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub sizes: Sizes,
    pub activation: Option<&'static Activation>,
}

impl Operation for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }
    parameters! { sizes, activation }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.between(2, 3)?;
        x.floats(0..x.len())?;
        self.sizes.check()?;
        x.shaped(0, &self.sizes.x())?;
        x.shaped(1, &self.sizes.weight())?;
        if x.len() > 2 { x.shaped(2, &[self.sizes.geometry.outputs]) } else { Ok(()) }
    }
    fn flops(&self, _: &[&[usize]], _: &[usize]) -> u64 {
        self.sizes.flops()
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let mut y = Array::empty("conv", &self.sizes.y(), inputs[0].dtype())?;
        self.write(inputs, &mut y, None)?;
        Ok(y)
    }
    fn tells(&self, _: &[&Layout]) -> bool {
        self.sizes.are_in_order()
    }
    fn forward_then(&self, inputs: &[&Array], out: &mut Array, then: &dyn Then) -> Result<()> {
        out.is_empty_of("conv", &self.sizes.y(), inputs[0].dtype())?;
        self.write(inputs, out, Some(then))
    }
}

impl Conv {
    /// Writes it to a fresh array of its shape.
    fn write(&self, inputs: &[&Array], y: &mut Array, then: Option<&dyn Then>) -> Result<()> {
        let (x, weight) = (inputs[0].contiguous()?, inputs[1].contiguous()?);
        let bias = inputs.get(2).map(|b| b.contiguous()).transpose()?;
        each!(x.dtype(), float: T => {
            let bias = bias.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
            let epilogue = Epilogue { accumulate: false, bias, activation: dense::fused(self.activation), then };
            // SAFETY: the arrays are row-major and of the shapes of the geometry; the output is fresh.
            unsafe { conv::forward::<T>(&self.sizes.geometry, x.ptr(), weight.ptr(), y.fresh_ptr(), &epilogue) };
        }, else return Err(not_float(&x)));
        Ok(())
    }
}

impl Differentiable for Conv {
    fn keeps(&self) -> Keeps {
        if self.activation.is_some() { Keeps::Both } else { Keeps::Inputs }
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        match self.activation {
            Some(a) => self.gradients(cx, &(a.gradient)(g, cx.output())?),
            None => self.gradients(cx, g),
        }
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let dz = (self.activation?.gradient_fused)(g, cx.output());
        Some(dz.and_then(|dz| self.gradients(cx, &dz)))
    }
}

impl Conv {
    /// The gradients, of which one derivative of the activation serves all.
    fn gradients(&self, cx: &Context<'_>, dz: &Tensor) -> Result<Grads> {
        cx.each(|i| match i {
            0 => apply(InputGradient(self.sizes), &[dz, cx.input(1)]),
            1 => apply(WeightGradient(self.sizes), &[cx.input(0), dz]),
            _ => sum_pixels(dz),
        })
    }
}

/// The sum over all axes but the last.
fn sum_pixels(x: &Tensor) -> Result<Tensor> {
    let channels = x.shape()[x.ndim() - 1];
    let pixels = shape::size(&x.shape()[..x.ndim() - 1]);
    sum(&reshape_to(x, &[pixels, channels])?, 0.into(), false)
}

/// The gradient of a convolution for its images, of the gradient for its result and its weight.
#[derive(Clone, Debug)]
pub(super) struct InputGradient(pub Sizes);

impl Operation for InputGradient {
    fn name(&self) -> &'static str {
        "conv_transpose"
    }
    parameters! { 0: sizes }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        self.0.check()?;
        x.shaped(0, &self.0.y())?;
        x.shaped(1, &self.0.weight())
    }
    fn flops(&self, _: &[&[usize]], _: &[usize]) -> u64 {
        self.0.flops()
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let mut dx = Array::empty("conv_transpose", &self.0.x(), inputs[0].dtype())?;
        self.write(inputs, &mut dx, None)?;
        Ok(dx)
    }
    fn tells(&self, _: &[&Layout]) -> bool {
        self.0.geometry.windows.iter().all(|w| w.stride == 1) && self.0.are_in_order()
    }
    fn forward_then(&self, inputs: &[&Array], out: &mut Array, then: &dyn Then) -> Result<()> {
        out.is_empty_of("conv_transpose", &self.0.x(), inputs[0].dtype())?;
        self.write(inputs, out, Some(then))
    }
}

impl InputGradient {
    /// Writes it to a fresh array of its shape.
    fn write(&self, inputs: &[&Array], dx: &mut Array, then: Option<&dyn Then>) -> Result<()> {
        let (dy, weight) = (inputs[0].contiguous()?, inputs[1].contiguous()?);
        each!(dy.dtype(), float: T => {
            // SAFETY: the arrays are row-major and of the shapes of the geometry; the output is fresh.
            unsafe { conv::input_gradient::<T>(&self.0.geometry, dy.ptr(), weight.ptr(), dx.fresh_ptr(), then) };
        }, else return Err(not_float(&dy)));
        Ok(())
    }
}

impl Differentiable for InputGradient {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| match i {
            0 => apply(Conv { sizes: self.0, activation: None }, &[g, cx.input(1)]),
            _ => apply(WeightGradient(self.0), &[g, cx.input(0)]),
        })
    }
}

/// The gradient of a convolution for its weight, of its images and the gradient for its result.
#[derive(Clone, Debug)]
struct WeightGradient(Sizes);

impl Operation for WeightGradient {
    fn name(&self) -> &'static str {
        "conv_weight_gradient"
    }
    parameters! { 0: sizes }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        self.0.check()?;
        x.shaped(0, &self.0.x())?;
        x.shaped(1, &self.0.y())
    }
    fn flops(&self, _: &[&[usize]], _: &[usize]) -> u64 {
        self.0.flops()
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (x, dy) = (inputs[0].contiguous()?, inputs[1].contiguous()?);
        let mut dweight = Array::empty("conv_weight_gradient", &self.0.weight(), x.dtype())?;
        each!(x.dtype(), float: T => {
            // SAFETY: the arrays are row-major and of the shapes of the geometry; the output is fresh.
            unsafe { conv::filter_gradient::<T>(&self.0.geometry, x.ptr(), dy.ptr(), dweight.fresh_ptr()) };
        }, else return Err(not_float(&x)));
        Ok(dweight)
    }
}

impl Differentiable for WeightGradient {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| match i {
            0 => apply(InputGradient(self.0), &[cx.input(1), g]),
            _ => apply(Conv { sizes: self.0, activation: None }, &[cx.input(0), g]),
        })
    }
}

readers! { "conv" => Conv, "conv_transpose" => InputGradient, "conv_weight_gradient" => WeightGradient }
