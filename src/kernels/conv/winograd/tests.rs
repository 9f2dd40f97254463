//! Tiles against the sums in double precision that they stand for.

use super::tiles::{Patch, Tiles};
use super::transform::SIDE;
use super::*;
use crate::kernels::conv::axis::Window;
use crate::kernels::conv::band::Images;
use crate::kernels::conv::correlate::{Filters, Target, plain};
use crate::kernels::gemm::{Activation, Epilogue};

/// What an error may be: see [`error`] and [`weight_bounds`].
const BOUND: f64 = 16.0;

/// Numbers between -1 and 1, by a shift register.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..n).map(|_| f64::from(next()) as f32 / 2f32.powi(31) - 1.0).collect()
}

/// A convolution of images with so many zeros around them.
#[derive(Clone, Copy, Debug)]
struct Case {
    images: usize,
    planes: usize,
    size: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
    channels: usize,
    columns: usize,
}

impl Case {
    const fn new(images: usize, size: [usize; 2], channels: usize, columns: usize) -> Self {
        Self { images, planes: 1, size, before: [1; 2], after: [1; 2], channels, columns }
    }

    fn windows(&self) -> [Window; 3] {
        let plane =
            Window { input: self.planes, kernel: 1, output: self.planes, stride: 1, dilation: 1, before: 0 };
        let side = |a: usize| Window {
            input: self.size[a],
            kernel: 3,
            output: self.size[a] + self.before[a] + self.after[a] - 2,
            before: self.before[a],
            ..plane
        };
        [plane, side(0), side(1)]
    }

    /// From the input to the output or back.
    fn axes(&self, back: bool) -> [Axis; 3] {
        self.windows().map(|w| if back { w.phases()[0].clone() } else { w.forward() })
    }

    /// Planes, and pixels of each.
    fn pixels(&self, axes: &[Axis; 3]) -> usize {
        self.images * axes.iter().map(|a| a.count).product::<usize>()
    }

    fn source_pixels(&self, axes: &[Axis; 3]) -> usize {
        self.images * axes.iter().map(|a| a.source).product::<usize>()
    }
}

fn images(ptr: *const f32, size: impl Fn(&Axis) -> usize, axes: &[Axis; 3], pitch: usize) -> Images<f32> {
    Images { ptr: ptr.cast_mut(), size: [size(&axes[0]), size(&axes[1]), size(&axes[2])], pitch }
}

/// Which pixel of the source a pixel of the result sees through each element of the window.
fn pairs(axes: &[Axis; 3], images: usize) -> Vec<(usize, usize, usize)> {
    let mut pairs = Vec::new();
    let [planes, lines, across] = axes;
    for plane in 0..images * planes.count {
        for (i, j) in (0..lines.count).flat_map(|i| (0..across.count).map(move |j| (i, j))) {
            for (a, b) in lines.taps.iter().flat_map(|a| across.taps.iter().map(move |b| (a, b))) {
                let (h, w) = (i as isize + a.offset, j as isize + b.offset);
                if (0..lines.source as isize).contains(&h) && (0..across.source as isize).contains(&w) {
                    let source = (plane * lines.source + h as usize) * across.source + w as usize;
                    pairs.push((
                        (plane * lines.count + i) * across.count + j,
                        source,
                        a.element * 3 + b.element,
                    ));
                }
            }
        }
    }
    pairs
}

/// A correlation by tiles; the weight is `(3, 3, channels, columns)`, or with `back` from columns to channels.
fn by_tiles(case: &Case, back: bool, x: &[f32], weight: &[f32], epilogue: &Epilogue<'_, f32>) -> Vec<f32> {
    let (axes, filters) = (case.axes(back), filters(case, back, weight));
    let mut y = vec![f32::NAN; case.pixels(&axes) * case.columns];
    let target = Target {
        axes: &axes,
        images: images(y.as_mut_ptr(), |a| a.count, &axes, case.columns),
        columns: case.columns,
        epilogue,
    };
    let source = (images(x.as_ptr(), |a| a.source, &axes, case.channels), case.channels);
    // SAFETY: the arrays are of the sizes of the case.
    unsafe {
        match f32::transforms(isa()) {
            Some(transforms) => correlate(transforms, case.images, source, filters, &target),
            None => plain(case.images, source, filters, &target),
        }
    }
    y
}

fn filters(case: &Case, back: bool, weight: &[f32]) -> Filters<f32> {
    let (rows, pitch) = if back { (case.columns, case.channels) } else { (case.channels, case.columns) };
    let (along, across) = if back { (1, pitch as isize) } else { (pitch as isize, 1) };
    Filters { ptr: weight.as_ptr(), kernel: [1, 3, 3], tap: rows * pitch, along, across }
}

/// Sums in double precision.
fn sums(case: &Case, back: bool, x: &[f32], weight: &[f32]) -> Vec<f64> {
    let axes = case.axes(back);
    let mut sums = vec![0.0; case.pixels(&axes) * case.columns];
    for (y, seen, element) in pairs(&axes, case.images) {
        for c in 0..case.channels {
            for k in 0..case.columns {
                let g = weight[place(case, back, element, c, k)];
                sums[y * case.columns + k] += f64::from(x[seen * case.channels + c]) * f64::from(g);
            }
        }
    }
    sums
}

fn place(case: &Case, back: bool, element: usize, c: usize, k: usize) -> usize {
    element * case.channels * case.columns + if back { k * case.channels + c } else { c * case.columns + k }
}

/// By channel, the magnitudes of a patch in one.
fn folded(
    (first, [line, pixel]): Patch<f32>,
    side: usize,
    channels: usize,
    f: fn(f64, f64) -> f64,
) -> Vec<f64> {
    let side = side as isize;
    let of_channel = |c: usize| {
        let all = (0..side).flat_map(|i| (0..side).map(move |j| i * line + j * pixel));
        // SAFETY: the patch has so many lines, pixels and channels.
        all.map(|at| f64::from(unsafe { *first.offset(at + c as isize) }.abs())).fold(0.0, f)
    };
    (0..channels).map(of_channel).collect()
}

/// The largest error of a result by its bound: the sum over the channels of the largest magnitude that its tile sees,
/// times the magnitudes of the window, in units in the last place.
fn error(case: &Case, back: bool, x: &[f32], weight: &[f32], y: &[f32]) -> f64 {
    let axes = case.axes(back);
    let (tiles, sums) = (Tiles::new(&axes, case.images), sums(case, back, x, weight));
    let magnitude = |c: usize, k: usize| {
        (0..9).map(|element| f64::from(weight[place(case, back, element, c, k)].abs())).sum::<f64>()
    };
    let magnitudes: Vec<f64> = (0..case.columns)
        .flat_map(|k| (0..case.channels).map(move |c| (c, k)))
        .map(|(c, k)| magnitude(c, k))
        .collect();
    let source = images(x.as_ptr(), |a| a.source, &axes, case.channels).flat();
    let result = images(y.as_ptr(), |a| a.count, &axes, case.columns).flat();
    let mut own = vec![0.0; SIDE * SIDE * case.channels];
    let mut worst: f64 = 0.0;
    for place in (0..tiles.len()).map(|i| tiles.place(i)) {
        // SAFETY: source and result are of the sizes of the case, and `own` has room for a patch.
        let seen = unsafe { tiles.seen(&place, &source, case.channels, own.as_mut_ptr()) };
        let largest = folded(seen, SIDE, case.channels, f64::max);
        for k in 0..case.columns {
            let magnitudes = &magnitudes[k * case.channels..][..case.channels];
            let bound: f64 = largest.iter().zip(magnitudes).map(|(x, g)| x * g).sum();
            let [lines, across] = tiles.inside(&place);
            for (i, j) in (0..lines).flat_map(|i| (0..across).map(move |j| (i, j))) {
                let at = result.at(place.image, [0, place.at[0] + i, place.at[1] + j]);
                let at = (at as usize - y.as_ptr() as usize) / size_of::<f32>() + k;
                let off = (f64::from(y[at]) - sums[at]).abs() / f64::from(f32::EPSILON);
                worst =
                    if off.is_nan() { f64::INFINITY } else { worst.max(off / bound.max(f64::MIN_POSITIVE)) };
            }
        }
    }
    worst
}

const CASES: &[Case] = &[
    Case::new(2, [8, 8], 16, 32),
    Case::new(1, [9, 14], 17, 33),
    Case { before: [0; 2], after: [0; 2], ..Case::new(2, [7, 6], 5, 3) },
    Case { before: [2, 0], after: [1, 3], ..Case::new(1, [5, 3], 40, 20) },
    Case { planes: 3, ..Case::new(2, [4, 5], 9, 18) },
    // More tiles than a block has, and more terms than registers sum up at a time.
    Case::new(1, [23, 21], 32, 16),
    Case::new(1, [6, 6], 330, 24),
    // By columns, in two parts of the channels.
    Case::new(1, [5, 7], 140, 257),
    Case::new(1, [1, 1], 3, 2),
];

#[test]
fn tiles_come_out_within_the_bound() {
    let mut worst: f64 = 0.0;
    for (seed, case) in CASES.iter().enumerate() {
        for back in [false, true] {
            let x = numbers(case.source_pixels(&case.axes(back)) * case.channels, seed as u32 + 1);
            let weight = numbers(9 * case.channels * case.columns, 77);
            let y = by_tiles(case, back, &x, &weight, &Epilogue::NONE);
            let off = error(case, back, &x, &weight, &y);
            assert!(off < BOUND, "{case:?} {back}: {off}");
            worst = worst.max(off);
        }
    }
    assert!(worst > 0.0 || f32::transforms(isa()).is_none());
}

#[test]
fn the_bound_holds_for_any_magnitudes() {
    let case = &Case::new(2, [9, 10], 48, 32);
    let (pixels, size) = (case.source_pixels(&case.axes(false)), 9 * case.channels * case.columns);
    let (x, weight) = (numbers(pixels * case.channels, 5), numbers(size, 6));
    let ranges: [(&str, fn(f32) -> f32, fn(f32) -> f32); 6] = [
        ("large", |x| x * 1e30, |g| g * 1e6),
        ("small", |x| x * 1e-20, |g| g * 1e-10),
        ("of all magnitudes", |x| x * 10f32.powf(12.0 * x), |g| g),
        ("with outliers", |x| if x > 0.99 { 1e6 } else { x }, |g| g),
        ("positive", f32::abs, f32::abs),
        ("mostly zero", |x| x.max(0.9) - 0.9, |g| g),
    ];
    for (name, of_x, of_weight) in ranges {
        let x: Vec<f32> = x.iter().map(|&x| of_x(x)).collect();
        let weight: Vec<f32> = weight.iter().map(|&g| of_weight(g)).collect();
        let off = error(case, false, &x, &weight, &by_tiles(case, false, &x, &weight, &Epilogue::NONE));
        assert!(off < BOUND, "{name}: {off}");
    }
}

/// The same by the plain sums.
fn by_sums(case: &Case, x: &[f32], weight: &[f32], epilogue: &Epilogue<'_, f32>) -> Vec<f32> {
    let axes = case.axes(false);
    let mut y = vec![f32::NAN; case.pixels(&axes) * case.columns];
    let target = Target {
        axes: &axes,
        images: images(y.as_mut_ptr(), |a| a.count, &axes, case.columns),
        columns: case.columns,
        epilogue,
    };
    let source = (images(x.as_ptr(), |a| a.source, &axes, case.channels), case.channels);
    // SAFETY: the arrays are of the sizes of the case.
    unsafe { plain(case.images, source, filters(case, false, weight), &target) };
    y
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| if x.is_nan() { f32::NAN } else { *x }.to_bits()).collect()
}

#[test]
fn what_is_not_finite_stays_where_it_is_read() {
    for (size, columns) in [([11, 13], 40), ([6, 6], 300)] {
        let case = &Case { planes: 2, ..Case::new(3, size, 20, columns) };
        let pixels = case.source_pixels(&case.axes(false));
        let (x, weight) = (numbers(pixels * case.channels, 8), numbers(9 * case.channels * case.columns, 9));
        let one = pixels * case.channels / case.images;
        let results = pixels * case.columns / case.images;
        let finite = by_tiles(case, false, &x, &weight, &Epilogue::NONE);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for place in [one, one + one / 2 + 7, 2 * one - 1] {
                let mut x = x.clone();
                x[place] = bad;
                for relu in [false, true] {
                    let activation = if relu { Activation::Relu } else { Activation::None };
                    let epilogue = &Epilogue { activation, ..Epilogue::NONE };
                    let y = by_tiles(case, false, &x, &weight, epilogue);
                    let expected = by_sums(case, &x, &weight, epilogue);
                    // The image with the number in it is computed by the plain sums, and no other.
                    let here = results..2 * results;
                    assert_eq!(bits(&y[here.clone()]), bits(&expected[here.clone()]), "{bad} {place}");
                    let relu = |x: f32| if relu && x < 0.0 { 0.0 } else { x };
                    let others = finite.iter().zip(&y).enumerate().filter(|(i, _)| !here.contains(i));
                    assert!(others.map(|(_, (x, y))| (relu(*x), *y)).all(|(x, y)| x == y), "{bad} {place}");
                }
            }
        }
    }
}

#[test]
fn nothing_overflows_that_does_not_in_the_plain_sums() {
    let case = &Case::new(1, [12, 12], 16, 32);
    let x: Vec<f32> = numbers(case.source_pixels(&case.axes(false)) * case.channels, 3);
    let x: Vec<f32> = x.iter().map(|x| x * 2e38).collect();
    let weight: Vec<f32> = numbers(9 * case.channels * case.columns, 4).iter().map(|g| g * 0.01).collect();
    let y = by_tiles(case, false, &x, &weight, &Epilogue::NONE);
    assert!(y.iter().all(|y| y.is_finite()));
    assert!(error(case, false, &x, &weight, &y) < BOUND);
}

#[test]
fn bias_and_activations_come_after_the_sums() {
    for (size, columns) in [([7, 9], 37), ([5, 6], 290)] {
        let case = &Case::new(2, size, 24, columns);
        let x = numbers(case.source_pixels(&case.axes(false)) * case.channels, 1);
        let weight = numbers(9 * case.channels * case.columns, 2);
        let bias = numbers(case.columns, 3);
        let shifted = |x: &mut [f32]| x.iter_mut().for_each(|x| *x = x.abs() + 1.0);
        for activation in [Activation::None, Activation::Relu, Activation::Map(shifted)] {
            let epilogue = &Epilogue { bias: bias.as_ptr(), activation, ..Epilogue::NONE };
            let (y, expected) =
                (by_tiles(case, false, &x, &weight, epilogue), by_sums(case, &x, &weight, epilogue));
            assert!(y.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{activation:?}");
        }
    }
}

/// The gradient for the weight in double precision.
fn weight_sums(case: &Case, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0; 9 * case.channels * case.columns];
    for (y, seen, element) in pairs(&case.axes(false), case.images) {
        for c in 0..case.channels {
            for k in 0..case.columns {
                let product = f64::from(x[seen * case.channels + c]) * f64::from(dy[y * case.columns + k]);
                sums[place(case, false, element, c, k)] += product;
            }
        }
    }
    sums
}

/// What its errors are measured by, for each channel and column: the sum over the tiles of the largest magnitude that
/// each sees, times the magnitudes of the gradient there.
fn weight_bounds(case: &Case, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let axes = case.axes(false);
    let tiles = Tiles::new(&axes, case.images);
    let source = images(x.as_ptr(), |a| a.source, &axes, case.channels).flat();
    let result = images(dy.as_ptr(), |a| a.count, &axes, case.columns).flat();
    let mut own = vec![0.0; SIDE * SIDE * case.channels.max(case.columns)];
    let mut bounds = vec![0.0; case.channels * case.columns];
    for place in (0..tiles.len()).map(|i| tiles.place(i)) {
        // SAFETY: the images are of the sizes of the case, and `own` has room for a patch.
        let (largest, total) = unsafe {
            let seen = tiles.seen(&place, &source, case.channels, own.as_mut_ptr());
            let largest = folded(seen, SIDE, case.channels, f64::max);
            let result = tiles.own(&place, &result, case.columns, own.as_mut_ptr());
            (largest, folded(result, TILE, case.columns, |a, b| a + b))
        };
        for (c, k) in (0..case.channels).flat_map(|c| (0..case.columns).map(move |k| (c, k))) {
            bounds[c * case.columns + k] += largest[c] * total[k];
        }
    }
    bounds
}

/// The gradient for the weight by tiles, and whether it says that it is finite.
fn gradient_by_tiles(case: &Case, x: &[f32], dy: &[f32]) -> Option<(Vec<f32>, bool)> {
    let axes = case.axes(false);
    let mut dweight = vec![f32::NAN; 9 * case.channels * case.columns];
    let source = (images(x.as_ptr(), |a| a.source, &axes, case.channels), case.channels);
    let dy = (images(dy.as_ptr(), |a| a.count, &axes, case.columns), case.columns);
    let to = (dweight.as_mut_ptr(), case.columns);
    // SAFETY: the arrays are of the sizes of the case.
    let is_finite = unsafe { weight_gradient(f32::transforms(isa())?, &axes, case.images, source, dy, to) };
    Some((dweight, is_finite))
}

#[test]
fn the_gradient_for_the_weight_comes_out_within_the_bound() {
    let more = [Case::new(2, [8, 8], 150, 70), Case::new(9, [12, 12], 16, 16)];
    for (seed, case) in CASES.iter().chain(&more).enumerate() {
        let axes = case.axes(false);
        let x = numbers(case.source_pixels(&axes) * case.channels, seed as u32 + 1);
        let dy = numbers(case.pixels(&axes) * case.columns, 77);
        let Some((dweight, is_finite)) = gradient_by_tiles(case, &x, &dy) else { return };
        assert!(is_finite);
        let (sums, bounds) = (weight_sums(case, &x, &dy), weight_bounds(case, &x, &dy));
        for (i, (got, sum)) in dweight.iter().zip(&sums).enumerate() {
            let bound = bounds[i % bounds.len()] * f64::from(f32::EPSILON);
            assert!((f64::from(*got) - sum).abs() <= BOUND * bound, "{case:?}: {got} {sum} {bound}");
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_says_so() {
    let case = &Case::new(2, [8, 9], 20, 24);
    let axes = case.axes(false);
    let (x, dy) = (
        numbers(case.source_pixels(&axes) * case.channels, 1),
        numbers(case.pixels(&axes) * case.columns, 2),
    );
    for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
        let mut x = x.clone();
        x[case.channels * 30 + 3] = bad;
        let said = gradient_by_tiles(case, &x, &dy).map(|(_, is_finite)| is_finite);
        assert_ne!(said, Some(true), "{bad}");
    }
}

#[test]
fn tiles_are_for_square_windows_side_by_side_and_many_channels() {
    let case = Case::new(8, [28, 28], 64, 64);
    let is_chosen = |axes: &[Axis; 3], channels: usize| {
        [Purpose::Images, Purpose::Weight].map(|p| chosen::<f32>(p, axes, 8, channels, 64).is_some())
    };
    let has_any = f32::transforms(isa()).is_some();
    assert_eq!(is_chosen(&case.axes(false), 64), [has_any; 2]);
    assert_eq!(is_chosen(&case.axes(true), 64), [has_any; 2]);
    assert_eq!(is_chosen(&case.axes(false), 1), [false; 2]);
    assert_eq!(crate::strict::strictly(true, || is_chosen(&case.axes(false), 64)), [false; 2]);
    assert!(chosen::<f64>(Purpose::Images, &case.axes(false), 8, 64, 64).is_none());
    let with = |change: fn(&mut Window)| {
        let mut windows = case.windows();
        change(&mut windows[2]);
        windows.map(|w| w.forward())
    };
    assert_eq!(is_chosen(&with(|w| (w.stride, w.output) = (2, 14)), 64), [false; 2]);
    assert_eq!(is_chosen(&with(|w| (w.dilation, w.output) = (2, 26)), 64), [false; 2]);
    assert_eq!(is_chosen(&with(|w| w.kernel = 2), 64), [false; 2]);
}
