//! Kernels without intrinsics: arrays the size of a 128-bit register, which the compiler turns into one.

use super::simd::Simd;
use super::table::kernels;

macro_rules! array_simd {
    ($elem:ty, $lanes:literal) => {
        // SAFETY (of all the blocks): the pointers are valid as the trait asks.
        impl Simd for [$elem; $lanes] {
            type Elem = $elem;
            type Mask = usize;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(x: $elem) -> Self {
                [x; $lanes]
            }

            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: a register's worth of elements can be read there, as `Simd` asks.
                unsafe { p.cast::<Self>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: a register's worth of elements can be written there, as `Simd` asks.
                unsafe { p.cast::<Self>().write_unaligned(self) }
            }

            #[inline(always)]
            unsafe fn first(n: usize) -> usize {
                n.min($lanes)
            }

            #[inline(always)]
            unsafe fn load_some(p: *const $elem, mask: usize) -> Self {
                // SAFETY: the lanes below `mask` can be read there, as `Simd` asks.
                std::array::from_fn(|i| if i < mask { unsafe { *p.add(i) } } else { 0.0 })
            }

            #[inline(always)]
            unsafe fn store_some(self, p: *mut $elem, mask: usize) {
                for (i, x) in self.into_iter().enumerate().take(mask) {
                    // SAFETY: the lanes below `mask` can be written there, as `Simd` asks.
                    unsafe { *p.add(i) = x };
                }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                std::array::from_fn(|i| self[i] + other[i])
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                std::array::from_fn(|i| self[i] * factor[i] + term[i])
            }

            #[inline(always)]
            unsafe fn relu(self) -> Self {
                self.map(|x| if x < 0.0 { 0.0 } else { x })
            }

            #[inline(always)]
            unsafe fn zip(self, other: Self) -> (Self, Self) {
                let lane = |i: usize| if i % 2 == 0 { self[i / 2] } else { other[i / 2] };
                (std::array::from_fn(lane), std::array::from_fn(|i| lane(i + $lanes)))
            }

            #[inline(always)]
            unsafe fn sum(self) -> $elem {
                self.into_iter().sum()
            }
        }
    };
}

array_simd!(f32, 4);
array_simd!(f64, 2);

kernels!([], 4: [1 2 3 4], [1 2 3 4 5 6 7 8]; F32: f32 = [f32; 4], F64: f64 = [f64; 2]);
