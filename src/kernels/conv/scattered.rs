//! Images of few channels as what others give to them: the gradient for such an input, and a convolution that makes one.
//!
//! A sum over the taps for each pixel would fill registers with as many channels as it has. The product of a pixel of the
//! source with the filters of the whole window fills them: its columns are those channels for one tap after the other, in
//! the order in which a line of the window lies in the image, so that it is added line by line. A convolution without
//! strides is the same with its window turned round.

use super::band::Images;
use super::multiply::multiply;
use super::winograd::{self, Purpose, Tiled};
use super::{Geometry, Window};
use crate::isa::isa;
use crate::kernels::cost::packing;
use crate::kernels::dispatch::{Kernel, Shared, dispatch};
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Access, Kernels};
use crate::kernels::gemm::{Activation, Epilogue, Scalar};
use crate::kernels::number::Float;
use crate::kernels::then;
use crate::team;
use std::ops::Range;

/// Elements of products that wait to be added: they stay in the second cache.
const WAITING: usize = 32 << 10;

/// Units that keep any number of threads busy, and those that keep some busy.
const ENOUGH: usize = 16;
const FEW: usize = 4;

/// Positions of a unit, at least, where there are more images than units need.
const POSITIONS: usize = 256;

/// Elements that are added at a time.
const LANES: usize = 8;

/// Whether it is quicker than the sums over taps: the work of either, counted in multiplications of registers. The
/// weights are measured.
pub(super) fn gains<T: Tiled>(g: &Geometry) -> bool {
    let across = &g.windows[2];
    if g.groups > 1 || g.is_depthwise() || across.dilation > 1 {
        return false;
    }
    if g.batch * positions(g, |w| w.input) * positions(g, |w| w.output) == 0 {
        return false;
    }
    let lanes = T::kernels(isa()).lanes;
    // With more channels registers are full either way.
    if g.inputs >= 2 * lanes {
        return false;
    }
    let taps = positions(g, |w| w.kernel);
    let lines = taps / across.kernel;
    let phases = positions(g, |w| w.stride.min(w.input));
    let sums = positions(g, |w| w.input) * taps * g.outputs * g.inputs.div_ceil(lanes) / phases;
    let products = g.outputs * (taps * g.inputs).div_ceil(lanes);
    let additions = 3 * lines * ((across.kernel * g.inputs).div_ceil(LANES) + 3);
    let scattered = positions(g, |w| w.output) * (products + additions);
    let axes = g.windows.map(|w| w.phases().swap_remove(0));
    let is_tiled = winograd::chosen::<T>(Purpose::Images, &axes, g.batch, g.outputs, g.inputs).is_some();
    let needed = if is_tiled { 3 * scattered } else { scattered + scattered / 4 };
    // Few units keep few threads busy.
    sums * Units::of(g).len().min(FEW) > needed * FEW
}

fn positions(g: &Geometry, of: impl Fn(&Window) -> usize) -> usize {
    g.windows.iter().map(of).product()
}

/// How the input is cut: into images, or into lines of each image. It depends on the sizes alone.
struct Units {
    images: usize,
    /// Parts of the images, and of the lines of each.
    parts: [usize; 2],
    lines: usize,
}

impl Units {
    fn of(g: &Geometry) -> Self {
        let together = (POSITIONS / positions(g, |w| w.output).max(1)).max(1);
        let parts = g.batch.div_ceil(together).max(g.batch.min(ENOUGH));
        // What reaches into two parts is multiplied for both.
        let h = &g.windows[1];
        let reach = (h.kernel - 1) * h.dilation + 1;
        let of_lines = ENOUGH.div_ceil(parts).min(h.input / (2 * reach)).max(1);
        Units { images: g.batch, parts: [parts, of_lines], lines: h.input }
    }

    fn len(&self) -> usize {
        self.parts[0] * self.parts[1]
    }

    fn unit(&self, i: usize) -> (Range<usize>, Range<usize>) {
        let [images, lines] = self.parts;
        (part(self.images, images, i / lines), part(self.lines, lines, i % lines))
    }
}

/// The convolution whose gradient for the input is this one, the window turned round, if there is one.
pub(super) fn turned(g: &Geometry) -> Option<Geometry> {
    let mut windows = g.windows;
    for w in &mut windows {
        let before = ((w.kernel - 1) * w.dilation).checked_sub(w.before).filter(|_| w.stride == 1)?;
        *w = Window { input: w.output, output: w.input, before, ..*w };
    }
    Some(Geometry { inputs: g.outputs, outputs: g.inputs, windows, ..*g })
}

/// Writes the images that `g`, for which [`turned`] gives `of`, makes of `x`.
///
/// # Safety
/// As for [`super::forward`], with a geometry for which [`gains`] holds.
pub(super) unsafe fn forward<T: Tiled + Float>(
    of: &Geometry,
    x: Images<T>,
    weight: *const T,
    y: Images<T>,
    epilogue: &Epilogue<T>,
) {
    let (taps, channels, columns) = (positions(of, |w| w.kernel), of.outputs, of.inputs);
    scratch::with(Slot::Caller, taps * channels * columns, |filters: *mut T| {
        let mut to = filters;
        for tap in (0..taps).rev() {
            for column in 0..columns {
                for channel in 0..channels {
                    // SAFETY: the weight has a number for each tap and channel and column, and so has the scratch.
                    unsafe { *to = *weight.add((tap * channels + channel) * columns + column) };
                    to = to.wrapping_add(1);
                }
            }
        }
        // SAFETY: handed on from this function's caller; the filters are written.
        unsafe { input_gradient(of, x, filters, y, epilogue) };
    });
}

/// Writes `dx`; see [`super::input_gradient`].
///
/// # Safety
/// As for [`super::input_gradient`], with a geometry for which [`gains`] holds.
pub(super) unsafe fn input_gradient<T: Tiled + Float>(
    g: &Geometry,
    dy: Images<T>,
    weight: *const T,
    dx: Images<T>,
    epilogue: &Epilogue<T>,
) {
    let kernels = T::kernels(isa());
    let columns = positions(g, |w| w.kernel) * g.inputs;
    let units = Units::of(g);
    scratch::with(Slot::Many, g.outputs * columns.next_multiple_of(kernels.lanes), |panels: *mut T| {
        let shared = Shared(panels);
        let source = Shared(weight.cast_mut());
        team::run(columns.div_ceil(kernels.cols()), packing(g.outputs * columns), |tile| {
            let first = tile * kernels.cols();
            let count = kernels.cols().min(columns - first);
            let width = count.next_multiple_of(kernels.lanes);
            let (src, dst) = (source.at(first * g.outputs).cast_const(), shared.at(first * g.outputs));
            let (across, along) = (g.outputs as isize, 1);
            // SAFETY: these rows of the weight can be read, as this function asks; each tile has a panel of its own, with
            // room for all its terms.
            unsafe { (kernels.pack)(&Pack { count, depth: g.outputs, src, across, along, dst, width }) };
        });
        let job = Job { g, kernels, columns, dy, dx, panels, epilogue };
        let work = nanos(kernels.lanes, g.batch * positions(g, |w| w.output), columns, g.outputs);
        let work = work + then::nanos(epilogue.then, g.batch * positions(g, |w| w.input) * g.inputs);
        team::run(units.len(), work, |i| {
            let (images, lines) = units.unit(i);
            // SAFETY: the arrays are those of the geometry, as this function asks, the panels are packed, and units
            // have lines of their own.
            unsafe { job.unit(images, lines) };
        });
    });
}

struct Job<'a, T: 'static> {
    g: &'a Geometry,
    kernels: &'static Kernels<T>,
    /// Columns of the products: the channels of the input for each tap.
    columns: usize,
    dy: Images<T>,
    dx: Images<T>,
    panels: *const T,
    epilogue: &'a Epilogue<'a, T>,
}

// SAFETY: units read the gradient and the panels, and write lines of their own.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

impl<T: Tiled + Float> Job<'_, T> {
    /// Some lines of each plane of some images.
    ///
    /// # Safety
    /// The arrays must be those of the geometry, the panels packed, and nobody else use the lines meanwhile.
    unsafe fn unit(&self, images: Range<usize>, lines: Range<usize>) {
        let [d, h, w] = &self.g.windows;
        let of_line = w.input * self.g.inputs;
        let seeing = seeing(h, &lines);
        let block = (WAITING / self.columns).clamp(1, POSITIONS);
        scratch::with(Slot::One, block * self.columns, |products: *mut T| {
            for image in images {
                let of_plane = |plane| self.dx.at(image, [plane, lines.start, 0]);
                for plane in 0..d.input {
                    // SAFETY: the lines are ours, as this function asks.
                    unsafe { self.begin(of_plane(plane), lines.len() * w.input) };
                }
                for plane in 0..d.output {
                    let positions = seeing.start * w.output..seeing.end * w.output;
                    let blocks = positions.len().div_ceil(block);
                    for b in 0..blocks {
                        let some = part(positions.len(), blocks, b);
                        let some = positions.start + some.start..positions.start + some.end;
                        let dy = self.dy.at(image, [plane, 0, some.start]).cast_const();
                        let rows = |first: usize| {
                            let cols = self.kernels.cols().min(self.columns - first);
                            let width = cols.next_multiple_of(self.kernels.lanes);
                            (self.panels.wrapping_add(first * self.g.outputs), width)
                        };
                        let size = [some.len(), self.g.outputs, self.columns];
                        // SAFETY: positions follow each other in `dy`, which can be read, and the products have room for
                        // a block; the lines are ours.
                        unsafe {
                            let to = (products, self.columns);
                            multiply(self.kernels, Access::Rows, size, (dy, self.g.outputs), rows, to, false);
                            dispatch(Addition { job: self, image, plane, lines: &lines, some, products });
                        }
                    }
                }
                for plane in 0..d.input {
                    // SAFETY: nothing is added to these lines of the image any more.
                    unsafe { self.end(of_plane(plane), lines.len() * of_line) };
                }
                if let Some(then) = self.epilogue.then {
                    let runs = (0..d.input).map(|plane| (of_plane(plane).cast(), lines.len() * of_line));
                    // SAFETY: the lines are finished, and ours.
                    unsafe { then.done(&mut { runs }) };
                }
            }
        });
    }
}

impl<T: Tiled + Float> Job<'_, T> {
    /// Writes what is added to.
    ///
    /// # Safety
    /// So many pixels must be ours.
    unsafe fn begin(&self, first: *mut T, pixels: usize) {
        let (bias, channels) = (self.epilogue.bias, self.g.inputs);
        // SAFETY: the bias has a number for each channel; zero bytes are the number 0.
        unsafe {
            if bias.is_null() {
                return first.write_bytes(0, pixels * channels);
            }
            for i in 0..pixels {
                first.add(i * channels).copy_from_nonoverlapping(bias, channels);
            }
        }
    }

    /// Does what is done last.
    ///
    /// # Safety
    /// So many numbers must be written and ours.
    unsafe fn end(&self, first: *mut T, n: usize) {
        // SAFETY: so many numbers are written and ours, as this function asks.
        let all = unsafe { std::slice::from_raw_parts_mut(first, n) };
        let zero = <T as Scalar>::ZERO;
        match self.epilogue.activation {
            Activation::None => {}
            Activation::Relu => all.iter_mut().for_each(|x| *x = if *x < zero { zero } else { *x }),
            Activation::Map(map) => map(all),
        }
    }
}

/// The lines of the result whose windows see some of these lines.
fn seeing(h: &Window, lines: &Range<usize>) -> Range<usize> {
    let reach = (h.kernel - 1) * h.dilation;
    let first = (lines.start + h.before).saturating_sub(reach).div_ceil(h.stride);
    let end = ((lines.end - 1 + h.before) / h.stride + 1).min(h.output);
    first.min(end)..end
}

/// Products of some positions, lines by lines of their windows added to the image.
struct Addition<'a, T: 'static> {
    job: &'a Job<'a, T>,
    image: usize,
    plane: usize,
    lines: &'a Range<usize>,
    /// The positions, counted from the first of the plane.
    some: Range<usize>,
    products: *const T,
}

impl<T: Tiled + Float> Kernel for Addition<'_, T> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let g = self.job.g;
        let [d, h, w] = &g.windows;
        let mut position = self.some.start;
        while position < self.some.end {
            let (line, from) = (position / w.output, position % w.output);
            let count = (w.output - from).min(self.some.end - position);
            let products = self.products.wrapping_add((position - self.some.start) * self.job.columns);
            for (i, k) in (0..d.kernel).flat_map(|i| (0..h.kernel).map(move |k| (i, k))) {
                let at = [self.plane * d.stride + i * d.dilation, line * h.stride + k * h.dilation];
                let Some([plane, line]) = inside(at, [d, h]) else { continue };
                if !self.lines.contains(&line) {
                    continue;
                }
                let to = self.job.dx.at(self.image, [plane, line, 0]);
                let tap = (i * h.kernel + k) * w.kernel;
                for x in 0..count {
                    let start = ((from + x) * w.stride) as isize - w.before as isize;
                    let first = (-start).max(0) as usize;
                    let end = (w.input as isize - start).clamp(0, w.kernel as isize) as usize;
                    if first < end {
                        let src = products.wrapping_add(x * self.job.columns + (tap + first) * g.inputs);
                        let dst = to.wrapping_add((start + first as isize) as usize * g.inputs);
                        // SAFETY: these taps are inside of the line, which is ours, and of the products.
                        unsafe { add((end - first) * g.inputs, src, dst) };
                    }
                }
            }
            position += count;
        }
    }
}

/// Where the taps at these places, counted with what is before the image, lie in it.
#[inline(always)]
fn inside(at: [usize; 2], windows: [&Window; 2]) -> Option<[usize; 2]> {
    let place = |a: usize| at[a].checked_sub(windows[a].before).filter(|&i| i < windows[a].input);
    Some([place(0)?, place(1)?])
}

/// # Safety
/// So many elements must be readable at `src` and ours at `dst`.
#[inline(always)]
unsafe fn add<T: Float>(n: usize, src: *const T, dst: *mut T) {
    let whole = n - n % LANES;
    // SAFETY: all indices are below `n`.
    unsafe {
        for i in (0..whole).step_by(LANES) {
            let (x, to) = (src.add(i).cast::<[T; LANES]>().read_unaligned(), dst.add(i).cast::<[T; LANES]>());
            let before = to.read_unaligned();
            to.write_unaligned(std::array::from_fn(|j| before[j].plus(x[j])));
        }
        for i in whole..n {
            *dst.add(i) = (*dst.add(i)).plus(*src.add(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_taps;
    use super::super::correlate::{Target, plain};
    use super::*;

    #[test]
    fn every_geometry_gives_the_sums_over_taps() {
        let mut next = 1u64;
        let mut draw = |n: usize| {
            next = next.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (next >> 33) as usize % n
        };
        for case in 0..300 {
            let window = |draw: &mut dyn FnMut(usize) -> usize, largest: usize, dilations: usize| loop {
                let (input, kernel) = (1 + draw(largest), 1 + draw(5));
                let (stride, dilation, before, after) = (1 + draw(3), 1 + draw(dilations), draw(4), draw(4));
                let reach = (kernel - 1) * dilation + 1;
                if let Some(room) = (input + before + after).checked_sub(reach) {
                    return Window { input, kernel, output: room / stride + 1, stride, dilation, before };
                }
            };
            let deep = if case % 3 == 0 { 4 } else { 1 };
            let windows = [window(&mut draw, deep, 2), window(&mut draw, 40, 3), window(&mut draw, 40, 1)];
            let (inputs, outputs) = (1 + draw(7), 1 + draw(90));
            let g = Geometry { batch: draw(5), inputs, outputs, groups: 1, windows };
            let len = g.batch * positions(&g, |w| w.output) * g.outputs;
            let dy: Vec<f64> = (0..len).map(|_| draw(2001) as f64 - 1000.0).collect();
            let taps = positions(&g, |w| w.kernel);
            let weight: Vec<f64> =
                (0..taps * g.inputs * g.outputs).map(|_| draw(2001) as f64 - 1000.0).collect();
            let len = g.batch * positions(&g, |w| w.input) * g.inputs;
            let (mut found, mut wanted) = (vec![f64::NAN; len + 1], vec![f64::NAN; len + 1]);
            if g.batch > 0 {
                let x = g.x(found.as_mut_ptr(), 0);
                // SAFETY: the arrays are of the sizes of the geometry.
                unsafe {
                    input_gradient(&g, g.y(dy.as_ptr(), 0), weight.as_ptr(), x, &Epilogue::NONE);
                    by_taps(&g, dy.as_ptr(), weight.as_ptr(), wanted.as_mut_ptr(), None);
                    if let Some(of) = turned(&g) {
                        let bias: Vec<f64> = (0..g.outputs).map(|_| draw(2001) as f64 - 1000.0).collect();
                        let activation = if case % 2 == 0 { Activation::Relu } else { Activation::None };
                        let epilogue = &Epilogue { bias: bias.as_ptr(), activation, ..Epilogue::NONE };
                        let (mut y, mut sums) = (vec![f64::NAN; dy.len()], vec![f64::NAN; dy.len()]);
                        let x = g.x(wanted.as_ptr(), 0);
                        forward(&of, x, weight.as_ptr(), g.y(y.as_mut_ptr(), 0), epilogue);
                        let axes = &g.windows.map(|w| w.forward());
                        let images = g.y(sums.as_mut_ptr(), 0);
                        let target = Target { axes, images, columns: g.outputs, epilogue };
                        plain(g.batch, (x, g.inputs), g.filters(weight.as_ptr(), 0, false), &target);
                        assert_eq!(y, sums, "{g:?}");
                    }
                }
            }
            // Whole numbers, so that the order of sums does not matter.
            assert_eq!(found[..len], wanted[..len], "{g:?}");
            assert!(found[len].is_nan());
        }
    }

    #[test]
    fn it_is_for_few_channels() {
        let window = |n| Window { input: n, kernel: 5, output: n, stride: 1, dilation: 1, before: 2 };
        let one = Window { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, before: 0 };
        let g =
            Geometry { batch: 64, inputs: 1, outputs: 16, groups: 1, windows: [one, window(14), window(14)] };
        assert!(gains::<f32>(&g));
        assert!(!gains::<f32>(&Geometry { inputs: 64, ..g }));
        assert!(!gains::<f32>(&Geometry { groups: 2, ..g }));
    }
}
