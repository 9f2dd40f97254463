//! Matrix products in GFLOP/s, and in percent of the rate at which this machine can multiply and add, measured in the
//! same run. `cargo bench --bench matmul -- 512` picks the shapes by name.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use oxiflux::kernels::gemm::{Epilogue, Operand, gemm};
use oxiflux::team;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How the operands lie: as they are met in a dense layer.
#[derive(Clone, Copy)]
enum Orientation {
    /// `x W`, both row-major.
    Forward,
    /// `dy W^T`.
    Input,
    /// `x^T dy`.
    Weight,
}
use Orientation::{Forward, Input, Weight};

/// Name, orientation, and the (m, n, k) of the product.
const SHAPES: &[(&str, Orientation, usize, usize, usize)] = &[
    ("square 32", Forward, 32, 32, 32),
    ("square 64", Forward, 64, 64, 64),
    ("square 128", Forward, 128, 128, 128),
    ("square 256", Forward, 256, 256, 256),
    ("square 512", Forward, 512, 512, 512),
    ("square 1024", Forward, 1024, 1024, 1024),
    ("dense 64x784x512 forward", Forward, 64, 512, 784),
    ("dense 64x784x512 input", Input, 64, 784, 512),
    ("dense 64x784x512 weight", Weight, 784, 512, 64),
    ("head 64x256x10 forward", Forward, 64, 10, 256),
    ("head 64x256x10 input", Input, 64, 256, 10),
    ("head 64x256x10 weight", Weight, 256, 10, 64),
    ("vector 1x784x512", Forward, 1, 512, 784),
    ("scalar 6x1x1", Forward, 6, 1, 1),
];

/// Independent sums, enough to hide the latency of an addition and few enough for sixteen registers.
const SUMS: usize = 12;

/// The GFLOP/s of one thread that only multiplies and adds in registers: the limit of any product.
pub fn fma_rate() -> f64 {
    let rounds = 200_000;
    let (lanes, time) =
        (0..5).map(|_| fma_loop(rounds)).min_by_key(|run| run.1).unwrap_or((0, Duration::MAX));
    (2 * rounds * SUMS * lanes) as f64 / time.as_secs_f64() / 1e9
}

/// Intrinsics, because the compiler leaves an array of so many sums in memory.
macro_rules! fma_loop {
    ($name:ident, $features:literal, $lanes:literal, $splat:ident, |$sum:ident, $x:ident, $y:ident| $step:expr) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name(rounds: usize) -> (usize, Duration) {
            let ($x, $y) = ($splat(black_box(1.000_000_1)), $splat(black_box(1e-9)));
            let mut sums = [$splat(1.0); SUMS];
            let start = Instant::now();
            for _ in 0..rounds {
                for $sum in &mut sums {
                    *$sum = $step;
                }
            }
            let time = start.elapsed();
            black_box(sums);
            ($lanes, time)
        }
    };
}
fma_loop!(fma_512, "avx512f", 16, _mm512_set1_ps, |sum, x, y| _mm512_fmadd_ps(*sum, x, y));
fma_loop!(fma_256, "avx2,fma", 8, _mm256_set1_ps, |sum, x, y| _mm256_fmadd_ps(*sum, x, y));
fma_loop!(fma_128, "sse2", 4, _mm_set1_ps, |sum, x, y| _mm_add_ps(_mm_mul_ps(*sum, x), y));

#[cfg(target_arch = "x86_64")]
fn fma_loop(rounds: usize) -> (usize, Duration) {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just detected.
        unsafe { fma_512(rounds) }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just detected.
        unsafe { fma_256(rounds) }
    } else {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { fma_128(rounds) }
    }
}

/// Elsewhere the rate is not measured, and no percentage is printed.
#[cfg(not(target_arch = "x86_64"))]
fn fma_loop(_rounds: usize) -> (usize, Duration) {
    (0, Duration::from_secs(1))
}

/// Numbers at a multiple of 64 bytes.
fn numbers(n: usize) -> (Vec<f32>, usize) {
    let data: Vec<f32> = (0..n + 16).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
    let first = data.as_ptr().align_offset(64);
    (data, first)
}

fn products(c: &mut Criterion) {
    let all = team::threads();
    let mut counts = vec![1, all];
    counts.dedup();
    for threads in counts {
        team::set_threads(threads);
        let mut group = c.benchmark_group(format!("matmul, threads {threads}"));
        group
            .sample_size(20)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(400));
        for &(name, orientation, m, n, k) in SHAPES {
            let ((a, a_first), (b, b_first), (mut c, c_first)) =
                (numbers(m * k), numbers(k * n), numbers(m * n));
            let flops = 2 * m * n * k;
            let (mut best, rate) = (f64::INFINITY, fma_rate() * threads as f64);
            group.throughput(Throughput::Elements(flops as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                let (a, b, c) = (a[a_first..].as_ptr(), b[b_first..].as_ptr(), c[c_first..].as_mut_ptr());
                let row_major = |ptr, cols: usize| Operand { ptr, rows: cols as isize, cols: 1 };
                let transposed = |ptr, rows: usize| Operand { ptr, rows: 1, cols: rows as isize };
                let (a, b) = match orientation {
                    Forward => (row_major(a, k), row_major(b, n)),
                    Input => (row_major(a, k), transposed(b, k)),
                    Weight => (transposed(a, m), row_major(b, n)),
                };
                bencher.iter_custom(|times| {
                    let start = Instant::now();
                    for _ in 0..times {
                        // SAFETY: the matrices have the sizes of the shape, and C is apart from them.
                        unsafe { gemm(m, n, k, black_box(a), black_box(b), c, n, &Epilogue::NONE) };
                    }
                    let time = start.elapsed();
                    best = best.min(time.as_secs_f64() / times as f64);
                    time
                });
            });
            if best.is_finite() {
                let gflops = flops as f64 / best / 1e9;
                let percent = 100.0 * gflops / rate;
                if rate > 0.0 {
                    eprintln!("    best: {gflops:.1} GFLOP/s, {percent:.0} % of the FMA rate, {rate:.0}");
                }
            }
        }
        group.finish();
    }
    team::set_threads(all);
}

criterion_group!(benches, products);
criterion_main!(benches);
