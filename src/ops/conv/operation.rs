//! The operations of convolutions. The sum of a convolution's result times its incoming gradient is trilinear: linear in
//! the images, in the weight and in that gradient. Its derivative for each of the three is an operation here, the
//! convolution itself among them, and so each of the three is the gradient rule of the two others.

use super::super::formula::Activation;
use super::super::movement::reshape_to;
use super::super::{dense, sum};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::conv::{self, Geometry, Window};
use crate::kernels::gemm::Epilogue;
use crate::shape::{self, Dims};
use crate::tape::{Context, Differentiable, Grads, Keeps, Operation, Tensor, apply, fields, parameters};

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
    fn x(&self) -> Dims {
        self.images(self.geometry.inputs, |w| w.input)
    }
    fn y(&self) -> Dims {
        self.images(self.geometry.outputs, |w| w.output)
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
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (x, weight) = (inputs[0].contiguous()?, inputs[1].contiguous()?);
        let bias = inputs.get(2).map(|b| b.contiguous()).transpose()?;
        let mut y = Array::empty("conv", &self.sizes.y(), x.dtype())?;
        each!(x.dtype(), float: T => {
            let bias = bias.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
            let epilogue = Epilogue { accumulate: false, bias, activation: dense::fused(self.activation) };
            // SAFETY: the arrays are row-major and of the shapes of the geometry; the output is fresh.
            unsafe { conv::forward::<T>(&self.sizes.geometry, x.ptr(), weight.ptr(), y.fresh_ptr(), &epilogue) };
        }, else return Err(not_float(&x)));
        Ok(y)
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
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (dy, weight) = (inputs[0].contiguous()?, inputs[1].contiguous()?);
        let mut dx = Array::empty("conv_transpose", &self.0.x(), dy.dtype())?;
        each!(dy.dtype(), float: T => {
            // SAFETY: the arrays are row-major and of the shapes of the geometry; the output is fresh.
            unsafe { conv::input_gradient::<T>(&self.0.geometry, dy.ptr(), weight.ptr(), dx.fresh_ptr()) };
        }, else return Err(not_float(&dy)));
        Ok(dx)
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
