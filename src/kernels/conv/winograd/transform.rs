//! The transforms between pixels and points, for the channels of one tile, in the registers of one instruction set.
//!
//! In each dimension the points are 0, ±[`A`], ±[`B`] and infinity. These magnitudes are of few binary digits, so that
//! the constants below are exact, and among those that lose least: the usual 1 and 2 lose more than twice as much.

use crate::kernels::gemm::simd::Simd;

/// Results of a tile in each dimension.
pub(super) const TILE: usize = 4;

/// Points in each dimension, and pixels that a tile sees.
pub(super) const SIDE: usize = 6;

/// Elements of the window in each dimension.
pub(super) const WINDOW: usize = 3;

/// Points of a tile.
pub(super) const POINTS: usize = SIDE * SIDE;

/// The magnitude of the smaller points.
pub(super) const A: f32 = 0.625;

/// The magnitude of the larger points.
pub(super) const B: f32 = 1.5;

const AA: f32 = A * A;
const BB: f32 = B * B;

/// What the product at the point 0 counts in the result; the next two are for ±[`A`] and ±[`B`].
const SHARE_0: f32 = 1.0 / (AA * BB);
const SHARE_A: f32 = 0.5 / (AA * (AA - BB));
const SHARE_B: f32 = 0.5 / (BB * (BB - AA));

/// Pixels of some channels, and the values at the points of these.
#[derive(Debug)]
pub struct Spread<T> {
    /// The first channel of the first pixel.
    pub pixels: *const T,
    /// Elements between lines.
    pub line: isize,
    /// Elements between pixels of a line.
    pub pixel: isize,
    /// Channels to transform.
    pub channels: usize,
    /// Where the first point goes: full registers of channels.
    pub points: *mut T,
    /// Elements between points.
    pub pitch: usize,
}

/// The values at the points of some channels of the result, and where its pixels go.
#[derive(Debug)]
pub struct Collect<T> {
    /// The first channel at the first point.
    pub points: *const T,
    /// Elements between points.
    pub pitch: usize,
    /// Channels to transform.
    pub channels: usize,
    /// The first channel of the first pixel.
    pub pixels: *mut T,
    /// Elements between lines.
    pub line: usize,
    /// Elements between pixels of a line.
    pub pixel: usize,
    /// Lines and pixels of a line that there are.
    pub size: [usize; 2],
    /// A value for each channel, or null.
    pub bias: *const T,
    /// Whether to end with a relu.
    pub relu: bool,
}

/// The transforms of one instruction set.
#[derive(Debug)]
pub struct Transforms<T> {
    /// From 6 x 6 pixels of the source to points.
    pub source: unsafe fn(&Spread<T>),
    /// From 4 x 4 pixels of a gradient for the result to points.
    pub result: unsafe fn(&Spread<T>),
    /// From 3 x 3 elements of the window to points.
    pub window: unsafe fn(&Spread<T>),
    /// From points to 4 x 4 pixels of the result; says whether all are finite before the bias.
    pub collect: unsafe fn(&Collect<T>) -> bool,
    /// From points to 3 x 3 elements of a gradient for the window.
    pub gradient: unsafe fn(&Collect<T>) -> bool,
}

macro_rules! transforms {
    ($name:ident, $features:literal, $simd:ty) => {
        #[cfg(target_arch = "x86_64")]
        pub(super) mod $name {
            use super::{Collect, Spread, Transforms};

            pub(in super::super) static TRANSFORMS: Transforms<f32> =
                Transforms { source, result, window, collect, gradient };

            #[target_feature(enable = $features)]
            unsafe fn source(s: &Spread<f32>) {
                // SAFETY: the instruction set is enabled here, and `s` valid, as this function asks, too.
                unsafe { super::source::<$simd>(s) }
            }

            #[target_feature(enable = $features)]
            unsafe fn result(s: &Spread<f32>) {
                // SAFETY: the instruction set is enabled here, and `s` valid, as this function asks, too.
                unsafe { super::result::<$simd>(s) }
            }

            #[target_feature(enable = $features)]
            unsafe fn window(s: &Spread<f32>) {
                // SAFETY: the instruction set is enabled here, and `s` valid, as this function asks, too.
                unsafe { super::window::<$simd>(s) }
            }

            #[target_feature(enable = $features)]
            unsafe fn collect(c: &Collect<f32>) -> bool {
                // SAFETY: the instruction set is enabled here, and `c` valid, as this function asks, too.
                unsafe { super::collect::<$simd>(c) }
            }

            #[target_feature(enable = $features)]
            unsafe fn gradient(c: &Collect<f32>) -> bool {
                // SAFETY: the instruction set is enabled here, and `c` valid, as this function asks, too.
                unsafe { super::gradient::<$simd>(c) }
            }
        }
    };
}

transforms!(avx512, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma", std::arch::x86_64::__m512);
transforms!(avx2, "avx2,fma", std::arch::x86_64::__m256);

/// `a * factor`.
#[inline(always)]
unsafe fn times<S: Simd<Elem = f32>>(a: S, factor: f32) -> S {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe { a.mul_add(S::splat(factor), S::zero()) }
}

/// `a + b * factor`.
#[inline(always)]
unsafe fn plus<S: Simd<Elem = f32>>(a: S, b: S, factor: f32) -> S {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe { b.mul_add(S::splat(factor), a) }
}

/// The values at the points whose differences cancel all but the product: from six pixels.
#[inline(always)]
unsafe fn from_source<S: Simd<Elem = f32>>(d: [S; SIDE]) -> [S; SIDE] {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe {
        let (even_a, odd_a) = (plus(d[4], d[2], -BB), plus(d[3], d[1], -BB));
        let (even_b, odd_b) = (plus(d[4], d[2], -AA), plus(d[3], d[1], -AA));
        [
            plus(plus(d[4], d[2], -(AA + BB)), d[0], AA * BB),
            plus(even_a, odd_a, A),
            plus(even_a, odd_a, -A),
            plus(even_b, odd_b, B),
            plus(even_b, odd_b, -B),
            plus(plus(d[5], d[3], -(AA + BB)), d[1], AA * BB),
        ]
    }
}

/// The values of a polynomial of four coefficients at the points.
#[inline(always)]
unsafe fn from_result<S: Simd<Elem = f32>>(d: [S; TILE]) -> [S; SIDE] {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe {
        let (even_a, odd_a) = (plus(d[0], d[2], AA), plus(d[1], d[3], AA));
        let (even_b, odd_b) = (plus(d[0], d[2], BB), plus(d[1], d[3], BB));
        [
            d[0],
            plus(even_a, odd_a, A),
            plus(even_a, odd_a, -A),
            plus(even_b, odd_b, B),
            plus(even_b, odd_b, -B),
            d[3],
        ]
    }
}

/// The values of a polynomial of three coefficients at the points, times what the products there count.
#[inline(always)]
unsafe fn from_window<S: Simd<Elem = f32>>(g: [S; WINDOW]) -> [S; SIDE] {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe {
        let (even_a, even_b) = (plus(g[0], g[2], AA), plus(g[0], g[2], BB));
        [
            times(g[0], SHARE_0),
            times(plus(even_a, g[1], A), SHARE_A),
            times(plus(even_a, g[1], -A), SHARE_A),
            times(plus(even_b, g[1], B), SHARE_B),
            times(plus(even_b, g[1], -B), SHARE_B),
            g[2],
        ]
    }
}

/// The transposed of [`from_result`].
#[inline(always)]
unsafe fn to_result<S: Simd<Elem = f32>>(m: [S; SIDE]) -> [S; TILE] {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe {
        let (sum_a, difference_a) = (m[1].add(m[2]), plus(m[1], m[2], -1.0));
        let (sum_b, difference_b) = (m[3].add(m[4]), plus(m[3], m[4], -1.0));
        let (odd_a, odd_b) = (times(difference_a, A), times(difference_b, B));
        [
            m[0].add(sum_a.add(sum_b)),
            odd_a.add(odd_b),
            plus(times(sum_b, BB), sum_a, AA),
            plus(plus(m[5], odd_b, BB), odd_a, AA),
        ]
    }
}

/// The transposed of [`from_window`].
#[inline(always)]
unsafe fn to_window<S: Simd<Elem = f32>>(m: [S; SIDE]) -> [S; WINDOW] {
    // SAFETY: the instruction set of `S` is enabled, as this function asks.
    unsafe {
        let (sum_a, difference_a) = (times(m[1].add(m[2]), SHARE_A), times(plus(m[1], m[2], -1.0), SHARE_A));
        let (sum_b, difference_b) = (times(m[3].add(m[4]), SHARE_B), times(plus(m[3], m[4], -1.0), SHARE_B));
        [
            plus(sum_a.add(sum_b), m[0], SHARE_0),
            plus(times(difference_a, A), difference_b, B),
            plus(plus(m[5], sum_a, AA), sum_b, BB),
        ]
    }
}

// A macro, because a function that is handed the transform of a line would be compiled without the instruction set.
macro_rules! spread {
    ($name:ident, $transform:ident, $n:ident) => {
        /// From pixels to points: first the columns, then the lines.
        ///
        /// # Safety
        /// The instruction set of `S` must be enabled, the pixels readable and the points writable.
        #[inline(always)]
        unsafe fn $name<S: Simd<Elem = f32>>(s: &Spread<f32>) {
            // SAFETY: as this function asks; the last register of channels is masked when it passes them.
            unsafe {
                for c in (0..s.channels).step_by(S::LANES) {
                    let is_full = s.channels - c >= S::LANES;
                    let mask = S::first(s.channels - c);
                    let mut half = [[S::zero(); SIDE]; $n];
                    for j in 0..$n {
                        let mut column = [S::zero(); $n];
                        for i in 0..$n {
                            let p = s
                                .pixels
                                .wrapping_offset(i as isize * s.line + j as isize * s.pixel)
                                .wrapping_add(c);
                            column[i] = if is_full { S::load(p) } else { S::load_some(p, mask) };
                        }
                        half[j] = $transform(column);
                    }
                    for i in 0..SIDE {
                        let mut line = [S::zero(); $n];
                        for j in 0..$n {
                            line[j] = half[j][i];
                        }
                        let line = $transform(line);
                        for j in 0..SIDE {
                            line[j].store(s.points.add((i * SIDE + j) * s.pitch + c));
                        }
                    }
                }
            }
        }
    };
}

spread!(source, from_source, SIDE);
spread!(result, from_result, TILE);
spread!(window, from_window, WINDOW);

macro_rules! collect {
    ($name:ident, $transform:ident, $n:ident) => {
        /// From points to pixels, at most so many each way; says whether all are finite before the bias.
        ///
        /// # Safety
        /// The instruction set of `S` must be enabled, the points and the bias readable and the pixels writable.
        #[inline(always)]
        unsafe fn $name<S: Simd<Elem = f32>>(t: &Collect<f32>) -> bool {
            // SAFETY: as this function asks; the last register of channels is masked when it passes them.
            unsafe {
                let mut check = S::zero();
                let is_whole = t.size == [$n; 2];
                for c in (0..t.channels).step_by(S::LANES) {
                    let is_full = t.channels - c >= S::LANES;
                    let mask = S::first(t.channels - c);
                    macro_rules! load {
                        ($p:expr) => {
                            if is_full { S::load($p) } else { S::load_some($p, mask) }
                        };
                    }
                    let mut half = [[S::zero(); $n]; SIDE];
                    for j in 0..SIDE {
                        let mut column = [S::zero(); SIDE];
                        for i in 0..SIDE {
                            column[i] = load!(t.points.add((i * SIDE + j) * t.pitch + c));
                        }
                        half[j] = $transform(column);
                    }
                    let bias = if t.bias.is_null() { S::zero() } else { load!(t.bias.add(c)) };
                    for i in 0..$n {
                        let mut line = [S::zero(); SIDE];
                        for j in 0..SIDE {
                            line[j] = half[j][i];
                        }
                        let line = $transform(line);
                        for j in 0..$n {
                            // Zero times what is not finite is NaN, which stays.
                            check = line[j].mul_add(S::zero(), check);
                            if is_whole || i < t.size[0] && j < t.size[1] {
                                let biased = line[j].add(bias);
                                let y = if t.relu { biased.relu() } else { biased };
                                let p = t.pixels.add(i * t.line + j * t.pixel + c);
                                if is_full { y.store(p) } else { y.store_some(p, mask) }
                            }
                        }
                    }
                }
                check.sum() == 0.0
            }
        }
    };
}

collect!(collect, to_result, TILE);
collect!(gradient, to_window, WINDOW);
