//! Kernels for AVX-512: 14 rows by two registers, 28 rows by one.

use super::simd::Simd;
use super::table::kernels;
use std::arch::x86_64::*;

impl Simd for __m512 {
    type Elem = f32;
    type Mask = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_storeu_ps(p, self) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __mmask16 {
        ((1u32 << n.min(16)) - 1) as __mmask16
    }

    #[inline(always)]
    unsafe fn load_some(p: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }

    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, mask: __mmask16) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_mask_storeu_ps(p, mask, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_fmadd_ps(self, factor, term) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The instruction returns its second operand when either is NaN.
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_ps(self, low, other), _mm512_permutex2var_ps(self, high, other))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_reduce_add_ps(self) }
    }
}

impl Simd for __m512d {
    type Elem = f64;
    type Mask = __mmask8;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_set1_pd(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_loadu_pd(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_storeu_pd(p, self) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __mmask8 {
        ((1u32 << n.min(8)) - 1) as __mmask8
    }

    #[inline(always)]
    unsafe fn load_some(p: *const f64, mask: __mmask8) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_maskz_loadu_pd(mask, p) }
    }

    #[inline(always)]
    unsafe fn store_some(self, p: *mut f64, mask: __mmask8) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_mask_storeu_pd(p, mask, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_add_pd(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_fmadd_pd(self, factor, term) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_max_pd(_mm512_setzero_pd(), self) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe {
            let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
            (_mm512_permutex2var_pd(self, low, other), _mm512_permutex2var_pd(self, high, other))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: the instruction set is enabled and the memory valid, as `Simd` asks.
        unsafe { _mm512_reduce_add_pd(self) }
    }
}

kernels!(
    ["avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"],
    14: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28];
    F32: f32 = __m512, F64: f64 = __m512d
);
