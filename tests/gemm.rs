//! Matrix products against a plain triple loop in f64, over awkward sizes, strides, epilogues, instruction sets and
//! numbers of threads.

use oxiflux::kernels::gemm::{Activation, Epilogue, Operand, Scalar, gemm, gemm_batched};
use oxiflux::kernels::then::{Runs, Then};
use oxiflux::team;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An element that converts to and from f64, with the bound on the error of a sum of `k` products of numbers below one.
trait Real: Scalar {
    const EPS: f64;
    fn of(x: f64) -> Self;
    fn f64(self) -> f64;
    fn bits(self) -> u64;
    /// The map of the tests.
    fn square(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = *x * *x);
    }
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            const EPS: f64 = <$t>::EPSILON as f64;
            fn of(x: f64) -> Self {
                x as $t
            }
            fn f64(self) -> f64 {
                self as f64
            }
            fn bits(self) -> u64 {
                self.to_bits() as u64
            }
        }
    };
}
real!(f32);
real!(f64);

/// Numbers in (-1, 1) that differ for each seed.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    fn number(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn numbers<T: Real>(&mut self, n: usize) -> Vec<T> {
        (0..n).map(|_| T::of(self.number())).collect()
    }
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    RowMajor,
    Transposed,
    Padded,
    TransposedPadded,
    EverySecond,
    Backwards,
    RowsRepeated,
    ColsRepeated,
}

const PATTERNS: [Pattern; 8] = [
    Pattern::RowMajor,
    Pattern::Transposed,
    Pattern::Padded,
    Pattern::TransposedPadded,
    Pattern::EverySecond,
    Pattern::Backwards,
    Pattern::RowsRepeated,
    Pattern::ColsRepeated,
];

/// A matrix in a buffer of exactly its extent, so that reading outside is seen by a sanitizer.
struct Matrix<T> {
    data: Vec<T>,
    first: usize,
    rows: isize,
    cols: isize,
}

impl<T: Real> Matrix<T> {
    fn new(random: &mut Random, m: usize, n: usize, pattern: Pattern) -> Self {
        let (w, h) = (n as isize, m as isize);
        let (rows, cols) = match pattern {
            Pattern::RowMajor => (w, 1),
            Pattern::Transposed => (1, h),
            Pattern::Padded => (w + 3, 1),
            Pattern::TransposedPadded => (1, h + 5),
            Pattern::EverySecond => (2 * w + 1, 2),
            Pattern::Backwards => (-w, -1),
            Pattern::RowsRepeated => (0, 1),
            Pattern::ColsRepeated => (1, 0),
        };
        let reach = |n: usize, stride: isize| n.saturating_sub(1) * stride.unsigned_abs();
        let (down, right) = (reach(m, rows), reach(n, cols));
        let len = if m * n == 0 { 0 } else { down + right + 1 };
        let first = if rows < 0 { len.saturating_sub(1) } else { 0 };
        Self { data: random.numbers(len), first, rows, cols }
    }

    fn operand(&self) -> Operand<T> {
        Operand { ptr: self.data.as_ptr().wrapping_add(self.first), rows: self.rows, cols: self.cols }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.data[(self.first as isize + i as isize * self.rows + j as isize * self.cols) as usize].f64()
    }
}

/// One product with everything that can vary.
#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    a: Pattern,
    b: Pattern,
    gap: usize,
    accumulate: bool,
    bias: bool,
    activation: u8,
    seed: u64,
}

impl Case {
    fn activation<T: Real>(&self) -> Activation<T> {
        [Activation::None, Activation::Relu, Activation::Map(T::square)][usize::from(self.activation)]
    }

    /// Computes the product and checks each element, and that nothing else of C was touched.
    fn check<T: Real>(&self) -> Vec<T> {
        let Case { m, n, k, .. } = *self;
        let mut random = Random(self.seed);
        let a = Matrix::<T>::new(&mut random, m, k, self.a);
        let b = Matrix::<T>::new(&mut random, k, n, self.b);
        let bias = random.numbers::<T>(n);
        let ldc = n + self.gap;
        let old = random.numbers::<T>(m * ldc);
        let mut c = old.clone();
        let epilogue = Epilogue {
            accumulate: self.accumulate,
            bias: if self.bias { bias.as_ptr() } else { std::ptr::null() },
            activation: self.activation::<T>(),
            then: None,
        };
        // SAFETY: the matrices have the sizes that are said, and C is apart from them.
        unsafe { gemm(m, n, k, a.operand(), b.operand(), c.as_mut_ptr(), ldc, &epilogue) };
        for i in 0..m {
            for j in 0..ldc {
                let (got, before) = (c[i * ldc + j], old[i * ldc + j]);
                if j >= n {
                    assert_eq!(got.bits(), before.bits(), "{self:?}: C[{i}, {j}] is outside and was written");
                    continue;
                }
                let terms = (0..k).map(|d| a.at(i, d) * b.at(d, j));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                let mut want = sum;
                if self.accumulate {
                    want += before.f64();
                }
                if self.bias {
                    want += bias[j].f64();
                }
                let mut bound = T::EPS * (k as f64 + 3.0) * (size + 2.0);
                match self.activation {
                    1 => want = want.max(0.0),
                    2 => {
                        bound = bound * (2.0 * want.abs() + bound) + T::EPS * want * want;
                        want *= want;
                    }
                    _ => {}
                }
                assert!(
                    (got.f64() - want).abs() <= bound,
                    "{self:?}: C[{i}, {j}] is {got:?}, wanted {want} within {bound}"
                );
            }
        }
        c
    }
}

const SIZES: [usize; 11] = [0, 1, 2, 13, 14, 15, 31, 33, 63, 100, 257];

fn plain(m: usize, n: usize, k: usize) -> Case {
    Case {
        m,
        n,
        k,
        a: Pattern::RowMajor,
        b: Pattern::RowMajor,
        gap: 0,
        accumulate: false,
        bias: false,
        activation: 0,
        seed: (m * 1_000_003 + n * 1009 + k) as u64,
    }
}

#[test]
fn every_awkward_size_is_right() {
    for m in SIZES {
        for n in SIZES {
            for k in SIZES {
                let case = plain(m, n, k);
                case.check::<f32>();
                if m.max(n).max(k) < 257 {
                    case.check::<f64>();
                }
            }
        }
    }
}

#[test]
fn every_stride_pattern_is_right() {
    // A small product, one by rows, one by columns, a narrow one, and vectors.
    for (m, n, k) in [
        (15, 33, 13),
        (150, 100, 70),
        (100, 129, 200),
        (90, 10, 300),
        (1, 77, 90),
        (77, 1, 90),
        (500, 40, 700),
    ] {
        for a in PATTERNS {
            for b in PATTERNS {
                let case = Case { a, b, ..plain(m, n, k) };
                case.check::<f32>();
                case.check::<f64>();
            }
        }
    }
}

#[test]
fn every_epilogue_is_right() {
    for (m, n, k) in [
        (3, 2, 2),
        (15, 33, 13),
        (150, 100, 70),
        (60, 129, 700),
        (90, 10, 300),
        (1, 77, 90),
        (77, 1, 90),
        (5, 7, 0),
    ] {
        for activation in 0..3 {
            for accumulate in [false, true] {
                for bias in [false, true] {
                    for gap in [0, 3] {
                        let case = Case { accumulate, bias, activation, gap, ..plain(m, n, k) };
                        case.check::<f32>();
                        case.check::<f64>();
                    }
                }
            }
        }
    }
}

#[test]
fn random_products_are_right() {
    let mut random = Random(7);
    for seed in 0..400 {
        let mut size = || match random.below(4) {
            0 => random.below(8),
            1 => random.below(40),
            2 => random.below(130),
            _ => random.below(400),
        };
        let (m, n, k) = (size(), size(), size());
        let case = Case {
            m,
            n,
            k,
            a: PATTERNS[random.below(8)],
            b: PATTERNS[random.below(8)],
            gap: random.below(2) * random.below(20),
            accumulate: random.below(2) == 1,
            bias: random.below(2) == 1,
            activation: random.below(3) as u8,
            seed,
        };
        case.check::<f32>();
        case.check::<f64>();
    }
}

#[test]
fn large_products_are_right_in_every_block() {
    // More than a slab of rows, more than one part of the sums, more than a piece of columns.
    for (m, n, k) in [(1100, 70, 700), (1300, 600, 40), (30, 1100, 330), (2100, 33, 129)] {
        for b in [Pattern::RowMajor, Pattern::Transposed] {
            Case { b, bias: true, activation: 1, ..plain(m, n, k) }.check::<f32>();
            Case { b, accumulate: true, activation: 2, ..plain(m, n, k) }.check::<f32>();
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let before = team::threads();
    for (m, n, k) in [
        (128, 128, 128),
        (300, 257, 513),
        (784, 512, 64),
        (32, 512, 784),
        (2000, 10, 256),
        (1, 5000, 300),
        (5000, 1, 300),
    ] {
        for (a, b) in [(Pattern::RowMajor, Pattern::RowMajor), (Pattern::Transposed, Pattern::Transposed)] {
            let case = Case { a, b, bias: true, activation: 2, ..plain(m, n, k) };
            let results: Vec<Vec<f32>> = [1, 2, 3, 8]
                .map(|threads| {
                    team::set_threads(threads);
                    case.check::<f32>()
                })
                .into();
            for other in &results[1..] {
                let same = results[0].iter().zip(other).all(|(x, y)| x.to_bits() == y.to_bits());
                assert!(same, "{case:?}");
            }
        }
    }
    team::set_threads(before);
}

#[test]
fn nan_and_infinity_reach_the_result() {
    for (m, n, k) in
        [(3, 2, 4), (40, 40, 40), (150, 70, 90), (30, 200, 400), (64, 10, 300), (1, 100, 100), (100, 1, 100)]
    {
        for (x, y) in [(f32::NAN, 0.0), (f32::INFINITY, 0.0), (f32::INFINITY, f32::NAN)] {
            for activation in [Activation::None, Activation::Relu] {
                let mut a = vec![1.0f32; m * k];
                let mut b = vec![1.0f32; k * n];
                let (i, d, j) = (m / 2, k - 1, n / 2);
                a[i * k + d] = x;
                b[d * n + j] = y;
                let mut c = vec![0.0f32; m * n];
                let (ra, rb) = (k as isize, n as isize);
                let (pa, pb) = (a.as_ptr(), b.as_ptr());
                let epilogue = Epilogue { activation, ..Epilogue::NONE };
                // SAFETY: the matrices have the sizes that are said, and C is apart from them.
                unsafe {
                    let a = Operand { ptr: pa, rows: ra, cols: 1 };
                    let b = Operand { ptr: pb, rows: rb, cols: 1 };
                    gemm(m, n, k, a, b, c.as_mut_ptr(), n, &epilogue);
                }
                assert!(c[i * n + j].is_nan(), "({m}, {n}, {k}): {x} * {y} gave {}", c[i * n + j]);
                for (at, c) in c.iter().enumerate() {
                    if at / n != i && at % n != j {
                        assert_eq!(*c, k as f32, "({m}, {n}, {k}): element {at} does not meet {x}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_batch_is_its_products_one_by_one() {
    for (batch, m, n, k) in
        [(48, 16, 8, 16), (5, 130, 130, 300), (0, 3, 3, 3), (100, 2, 2, 2), (3, 300, 300, 300)]
    {
        let mut random = Random(batch as u64);
        let (a, b) = (random.numbers::<f32>(batch * m * k), random.numbers::<f32>(batch * k * n));
        let mut c = vec![f32::NAN; batch * m * n];
        let mut one = vec![f32::NAN; m * n];
        let (a, b, c_at) = (&a, &b, c.as_mut_ptr() as usize);
        let left = |i: usize| Operand { ptr: a[i * m * k..].as_ptr(), rows: k as isize, cols: 1 };
        let right = |i: usize| Operand { ptr: b[i * k * n..].as_ptr(), rows: n as isize, cols: 1 };
        let out = |i: usize| (c_at as *mut f32).wrapping_add(i * m * n);
        // SAFETY: the matrices have the sizes that are said, and C is apart from them.
        unsafe { gemm_batched(batch, m, n, k, left, right, out, n, &Epilogue::NONE) };
        for i in 0..batch {
            // SAFETY: the matrices have the sizes that are said, and the result is apart from them.
            unsafe { gemm(m, n, k, left(i), right(i), one.as_mut_ptr(), n, &Epilogue::NONE) };
            assert_eq!(one, c[i * m * n..(i + 1) * m * n], "product {i} of {batch} of ({m}, {n}, {k})");
        }
    }
}

/// Runs all the other tests again with each lesser instruction set.
#[test]
fn every_instruction_set_passes() {
    const FORCED: &str = "OXIFLUX_ISA";
    if std::env::var_os(FORCED).is_some() {
        return;
    }
    let program = std::env::current_exe().expect("the path of this test");
    for isa in ["avx2", "portable"] {
        let run = std::process::Command::new(&program).env(FORCED, isa).output().expect("this test runs");
        assert!(run.status.success(), "{isa}:\n{}", String::from_utf8_lossy(&run.stdout));
    }
}

/// Doubles the elements of C that are finished, and counts how often each is.
struct Doubling {
    start: usize,
    nanos: usize,
    counts: Vec<AtomicUsize>,
}

impl Then for Doubling {
    unsafe fn done(&self, runs: &mut Runs<'_>) {
        for (start, n) in runs {
            let first = (start as usize - self.start) / size_of::<f32>();
            // SAFETY: the elements are finished, and nobody else uses them.
            let run = unsafe { std::slice::from_raw_parts_mut(start.cast::<f32>(), n) };
            run.iter_mut().for_each(|x| *x *= 2.0);
            self.counts[first..first + n].iter().for_each(|count| _ = count.fetch_add(1, Ordering::Relaxed));
        }
    }
    fn nanos(&self, elements: usize) -> usize {
        elements * self.nanos
    }
}

#[test]
fn what_is_done_to_finished_elements_is_done_to_each_once() {
    let before = team::threads();
    for (batch, m, n, k) in [
        (1, 2, 3, 4),
        (1, 1, 300, 70),
        (1, 3000, 1, 70),
        (1, 70, 90, 0),
        (1, 64, 64, 64),
        (1, 1000, 70, 3),
        (1, 300, 700, 90),
        (1, 100, 600, 500),
        (1, 450, 300, 900),
        (1, 260, 2100, 400),
        (40, 9, 7, 5),
        (3, 200, 300, 300),
    ] {
        for (threads, nanos) in [(1, 0), (2, 0), (2, 20)] {
            team::set_threads(threads);
            let mut random = Random(7);
            let (a, b) = (random.numbers::<f32>(batch * m * k), random.numbers::<f32>(batch * k * n));
            let product = |epilogue: &Epilogue<'_, f32>, c: &mut [f32]| {
                let (a, b, c) = (a.as_ptr() as usize, b.as_ptr() as usize, c.as_mut_ptr() as usize);
                let at = |start: usize, of: usize, cols: usize| Operand {
                    ptr: (start as *const f32).wrapping_add(of),
                    rows: cols as isize,
                    cols: 1,
                };
                // SAFETY: the matrices have the sizes that are said, and C is apart from them.
                unsafe {
                    gemm_batched(
                        batch,
                        m,
                        n,
                        k,
                        |i| at(a, i * m * k, k),
                        |i| at(b, i * k * n, n),
                        |i| (c as *mut f32).wrapping_add(i * m * n),
                        n,
                        epilogue,
                    );
                }
            };
            let (mut plain, mut doubled) = (vec![0.0; batch * m * n], vec![0.0; batch * m * n]);
            product(&Epilogue::NONE, &mut plain);
            let counts = plain.iter().map(|_| AtomicUsize::new(0)).collect();
            let then = Doubling { start: doubled.as_ptr() as usize, nanos, counts };
            product(&Epilogue { then: Some(&then), ..Epilogue::NONE }, &mut doubled);
            let what = format!("({batch}, {m}, {n}, {k}) on {threads} threads, {nanos} ns");
            assert!(then.counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{what}");
            assert!(plain.iter().zip(&doubled).all(|(x, y)| (2.0 * x).bits() == y.bits()), "{what}");
        }
    }
    team::set_threads(before);
}
