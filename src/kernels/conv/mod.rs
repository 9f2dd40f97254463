//! Convolutions of images with channels last, in up to three dimensions, and their gradients.
//!
//! No matrix of patches is made: the micro-kernel of the matrix product reads the pixels where they are, or in a copy
//! of a band of lines with zeros around ([`band`]). Its sums go over the taps of the window, one run of contiguous
//! elements after the other. The gradient for the input is the same correlation with the taps the other way round, once
//! for each phase of the stride (`correlate`), or, of few channels, products that are added where they belong
//! ([`scattered`]); the gradient for the weight is a product whose sums go over the pixels ([`weight`]). Where each of
//! several channels is a group of its own there are no products of matrices ([`depthwise`]).

mod axis;
mod band;
mod correlate;
mod depthwise;
mod multiply;
mod scattered;
mod weight;
mod winograd;

use super::gemm::Epilogue;
use super::number::Float;
use super::then::Then;
use axis::Axis;
pub use axis::Window;
use band::Images;
use correlate::{Filters, Target, correlate};
use weight::weight_gradient;
pub use winograd::Tiled;

/// A convolution of images `(batch, *input, inputs)` with a weight `(*kernel, inputs / groups, outputs)`, which gives
/// images `(batch, *output, outputs)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Groups of channels that do not meet; divides both numbers of channels.
    pub groups: usize,
    /// The window in each dimension; windows of one element stand for dimensions that there are not.
    pub windows: [Window; 3],
}

impl Geometry {
    fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// The same with long lines: a dimension of one pixel, which is no matter to the order in memory, is the last no more.
    fn with_lines(&self) -> Self {
        let mut g = *self;
        g.windows.sort_by_key(|w| !w.is_one_pixel());
        g
    }

    /// How many channels of the output each of the input has, where it meets no other; but not of one channel that is seen
    /// by several, whose product of matrices is quicker than sums channel by channel.
    fn times(&self) -> Option<usize> {
        let is_alone =
            self.groups > 0 && self.groups == self.inputs && self.outputs.is_multiple_of(self.groups);
        let times = is_alone.then(|| self.outputs / self.groups)?;
        (times == 1 || self.groups > 1 && times > 1).then_some(times)
    }

    fn is_depthwise(&self) -> bool {
        self.times() == Some(1)
    }

    fn x<T>(&self, ptr: *const T, group: usize) -> Images<T> {
        let ptr = ptr.wrapping_add(group * self.group_inputs()).cast_mut();
        Images { ptr, size: self.windows.map(|w| w.input), pitch: self.inputs }
    }

    fn y<T>(&self, ptr: *const T, group: usize) -> Images<T> {
        let ptr = ptr.wrapping_add(group * self.group_outputs()).cast_mut();
        Images { ptr, size: self.windows.map(|w| w.output), pitch: self.outputs }
    }

    /// The filters of a group; with `transposed`, from outputs to inputs.
    fn filters<T>(&self, weight: *const T, group: usize, transposed: bool) -> Filters<T> {
        let (along, across) = (self.outputs as isize, 1);
        Filters {
            ptr: weight.wrapping_add(group * self.group_outputs()),
            kernel: self.windows.map(|w| w.kernel),
            tap: self.group_inputs() * self.outputs,
            along: if transposed { across } else { along },
            across: if transposed { along } else { across },
        }
    }
}

/// `y = activation(x * weight + bias)`, a cross-correlation.
///
/// # Safety
/// `x` and `weight` must be readable and `y` writable, row-major and of the shapes that `g` says; `y` must not overlap
/// the others nor be used by other threads meanwhile. The epilogue is that of a product with `outputs` columns.
pub unsafe fn forward<T: Tiled + Float>(
    g: &Geometry,
    x: *const T,
    weight: *const T,
    y: *mut T,
    epilogue: &Epilogue<'_, T>,
) {
    let g = &g.with_lines();
    let axes = &g.windows.map(|w| w.forward());
    if let Some(times) = g.times() {
        let target = Target { axes, images: g.y(y, 0), columns: g.outputs, epilogue };
        let filters = g.filters(weight, 0, false);
        // SAFETY: the arrays are of the shapes of `g`, as this function asks, and so are their channels alone.
        return unsafe { depthwise::correlate(g.batch, (g.x(x, 0), times), filters, &target) };
    }
    if let Some(of) = scattered::turned(g).filter(|of| !epilogue.accumulate && scattered::gains::<T>(of)) {
        // SAFETY: handed on from this function's caller.
        return unsafe { scattered::forward(&of, g.x(x, 0), weight, g.y(y, 0), epilogue) };
    }
    let columns = g.group_outputs();
    for group in 0..g.groups {
        let bias =
            if epilogue.bias.is_null() { epilogue.bias } else { epilogue.bias.wrapping_add(group * columns) };
        let target =
            Target { axes, images: g.y(y, group), columns, epilogue: &Epilogue { bias, ..*epilogue } };
        // SAFETY: the arrays are of the shapes of `g`, as this function asks, and so are the channels of a group of
        // each.
        unsafe {
            correlate(g.batch, (g.x(x, group), g.group_inputs()), g.filters(weight, group, false), &target)
        };
    }
}

/// `dx`, where [`forward`] makes `y` of `x`, of the gradient `dy` for `y`. Also known as a transposed convolution of `dy`.
///
/// # Safety
/// As for [`forward`], with `dx` written and `dy` and `weight` read.
pub unsafe fn input_gradient<T: Tiled + Float>(
    g: &Geometry,
    dy: *const T,
    weight: *const T,
    dx: *mut T,
    then: Option<&dyn Then>,
) {
    let g = &g.with_lines();
    if scattered::gains::<T>(g) {
        let epilogue = &Epilogue { then, ..Epilogue::NONE };
        // SAFETY: handed on from this function's caller.
        return unsafe { scattered::input_gradient(g, g.y(dy, 0), weight, g.x(dx, 0), epilogue) };
    }
    // SAFETY: handed on from this function's caller.
    unsafe { by_taps(g, dy, weight, dx, then) };
}

/// [`input_gradient`] as sums over the taps that see each pixel.
///
/// # Safety
/// As for [`input_gradient`].
unsafe fn by_taps<T: Tiled + Float>(
    g: &Geometry,
    dy: *const T,
    weight: *const T,
    dx: *mut T,
    then: Option<&dyn Then>,
) {
    let phases = g.windows.map(|w| w.phases());
    let size = g.batch * g.windows.iter().map(|w| w.input).product::<usize>() * g.inputs;
    let has_gaps = phases.iter().flatten().any(|axis| axis.taps.is_empty());
    if has_gaps {
        // SAFETY: `dx` has as many elements as the images of `g`, and is ours; zero bytes are the number 0.
        unsafe { dx.write_bytes(0, size) };
    }
    // Pixels that no phase computes are finished with all the others.
    let epilogue = &Epilogue { then: then.filter(|_| !has_gaps), ..Epilogue::NONE };
    let [d, h, w] = &phases;
    for (d, h, w) in d.iter().flat_map(|d| h.iter().flat_map(move |h| w.iter().map(move |w| (d, h, w)))) {
        let axes: &[Axis; 3] = &[d.clone(), h.clone(), w.clone()];
        if axes.iter().any(|axis| axis.taps.is_empty()) {
            continue;
        }
        let target = |group, columns| Target { axes, images: g.x(dx, group), columns, epilogue };
        // SAFETY: the arrays are of the shapes of `g`, as this function asks; the phases are of pixels that no other
        // has.
        unsafe {
            if g.is_depthwise() {
                let (source, filters) = ((g.y(dy, 0), 1), g.filters(weight, 0, false));
                depthwise::correlate(g.batch, source, filters, &target(0, g.inputs));
                continue;
            }
            for group in 0..g.groups {
                let (source, filters) = ((g.y(dy, group), g.group_outputs()), g.filters(weight, group, true));
                correlate(g.batch, source, filters, &target(group, g.group_inputs()));
            }
        }
    }
    if let Some(then) = then.filter(|_| has_gaps && size > 0) {
        // SAFETY: all of `dx` is written and ours.
        unsafe { then.done(&mut std::iter::once((dx.cast(), size))) };
    }
}

/// `dweight`, the gradient for the weight of [`forward`], of the gradient `dy` for its result.
///
/// # Safety
/// As for [`forward`], with `dweight` written and `x` and `dy` read.
pub unsafe fn filter_gradient<T: Tiled + Float>(g: &Geometry, x: *const T, dy: *const T, dweight: *mut T) {
    let g = &g.with_lines();
    let axes = &g.windows.map(|w| w.forward());
    if let Some(times) = g.times() {
        let (source, dy, to) = ((g.x(x, 0), times), (g.y(dy, 0), g.outputs), (dweight, g.outputs));
        // SAFETY: the arrays are of the shapes of `g`, as this function asks, and so are their channels alone.
        return unsafe { depthwise::weight_gradient(axes, g.batch, source, dy, to) };
    }
    for group in 0..g.groups {
        let (source, dy) = ((g.x(x, group), g.group_inputs()), (g.y(dy, group), g.group_outputs()));
        let to = (dweight.wrapping_add(group * g.group_outputs()), g.outputs);
        // SAFETY: the arrays are of the shapes of `g`, as this function asks, and so are the channels of a group of
        // each.
        unsafe { weight_gradient(axes, g.batch, source, dy, to) };
    }
}
