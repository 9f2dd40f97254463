//! Kernels for AVX2 with FMA: 6 rows by two registers.

use super::simd::Simd;
use super::table::kernels;
use std::arch::x86_64::*;

impl Simd for __m256 {
    type Elem = f32;
    type Mask = __m256i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_storeu_ps(p, self) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(n.min(8) as i32), lanes)
        }
    }

    #[inline(always)]
    unsafe fn load_some(p: *const f32, mask: __m256i) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_maskload_ps(p, mask) }
    }

    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, mask: __m256i) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_maskstore_ps(p, mask, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_fmadd_ps(self, factor, term) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The instruction returns its second operand when either is NaN.
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), self) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(self, other), _mm256_unpackhi_ps(self, other));
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

impl Simd for __m256d {
    type Elem = f64;
    type Mask = __m256i;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_set1_pd(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_loadu_pd(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_storeu_pd(p, self) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(n.min(4) as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }

    #[inline(always)]
    unsafe fn load_some(p: *const f64, mask: __m256i) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_maskload_pd(p, mask) }
    }

    #[inline(always)]
    unsafe fn store_some(self, p: *mut f64, mask: __m256i) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_maskstore_pd(p, mask, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_add_pd(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_fmadd_pd(self, factor, term) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm256_max_pd(_mm256_setzero_pd(), self) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let (low, high) = (_mm256_unpacklo_pd(self, other), _mm256_unpackhi_pd(self, other));
            (_mm256_permute2f128_pd::<0x20>(low, high), _mm256_permute2f128_pd::<0x31>(low, high))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let two = _mm_add_pd(_mm256_castpd256_pd128(self), _mm256_extractf128_pd::<1>(self));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}

kernels!(["avx2,fma"], 6: [1 2 3 4 5 6], [1 2 3 4 5 6 7 8 9 10 11 12]; F32: f32 = __m256, F64: f64 = __m256d);
