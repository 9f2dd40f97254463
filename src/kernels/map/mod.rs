//! Element-wise kernels over strided operands, broadcast ones included.
//!
//! Each kernel has one inner loop, over contiguous slices. An operand that is not contiguous is packed, a block at a
//! time, into a buffer that stays in the first-level cache; so is the output where it overlaps an input, which lets
//! the compiler take the slices for distinct and turn the loop into vectors.

mod copy;
mod drive;
mod layout;
#[cfg(test)]
mod tests;
mod tiles;

pub use copy::copy;

use crate::isa::{Isa, isa};
use crate::shape::is_row_major;
use drive::{BUFFER, Block, Input, drive};
use layout::disjoint;
use std::mem::MaybeUninit;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Calls of at most this many elements take the short way when their operands are contiguous.
const SMALL: usize = 4096;

/// Defines the trait of the kernels with so many inputs, its function, and its loops for each instruction set.
macro_rules! kernels {
    ($(#[$doc:meta])* $Kernel:ident, $(#[$fdoc:meta])* $map:ident, $with:ident, $Erased:ident,
        $($x:ident: $In:ident, $strides:ident, $i:literal);+) => {
        $(#[$doc])*
        pub trait $Kernel: Sync {
            $(
                /// An element of an input.
                type $In: Copy;
            )+
            /// An element of the output.
            type Out: Copy;
            /// What one element costs, from cache, with the widest vectors.
            const NANOS: f64;
            /// The result for one element. Must be `#[inline(always)]`, else it isn't compiled for the instruction set
            /// of the loop it is in. `FMA` says whether that has a fused multiply-add.
            fn f<const FMA: bool>(&self, $($x: Self::$In),+) -> Self::Out;
        }

        struct $Erased<'a, K>(&'a K);

        impl<K: $Kernel> $Erased<'_, K> {
            #[inline(always)]
            fn each<const FMA: bool>(k: &K, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                let n = out.len();
                $(let $x = &$x[..n];)+
                for i in 0..n {
                    out[i].write(k.f::<FMA>($($x[i]),+));
                }
            }

            // These are not inlined, since it is their signature that says that the slices are distinct.
            #[inline(never)]
            fn portable(k: &K, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                Self::each::<false>(k, $($x,)+ out);
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(never)]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(k: &K, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                Self::each::<true>(k, $($x,)+ out);
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(never)]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512(k: &K, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                Self::each::<true>(k, $($x,)+ out);
            }

            #[inline(always)]
            fn dispatch(k: &K, isa: Isa, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                match isa {
                    // SAFETY: an instruction set is only named where the processor has it.
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => unsafe { Self::avx512(k, $($x,)+ out) },
                    // SAFETY: an instruction set is only named where the processor has it.
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => unsafe { Self::avx2(k, $($x,)+ out) },
                    _ => Self::portable(k, $($x,)+ out),
                }
            }
        }

        impl<K: $Kernel> Block for $Erased<'_, K> {
            unsafe fn run(&self, isa: Isa, inputs: &[*const u8], out: *mut u8, n: usize) {
                // SAFETY: the caller passes `n` elements of each input's type, none of which `out` overlaps.
                unsafe {
                    $(let $x = from_raw_parts(inputs[$i].cast::<K::$In>(), n);)+
                    Self::dispatch(self.0, isa, $($x,)+ from_raw_parts_mut(out.cast(), n));
                }
            }
        }

        $(#[$fdoc])*
        ///
        /// # Safety
        /// Each input must be readable at every element that `shape` and its strides (in elements) reach, and `out`
        /// writable as a contiguous row-major array of `shape`. `out` may be an input of the same layout; otherwise
        /// they must not overlap.
        #[inline]
        #[allow(clippy::too_many_arguments)] // a place and strides for each operand
        pub unsafe fn $map<K: $Kernel>(
            k: &K,
            shape: &[usize],
            $($x: *const K::$In, $strides: &[isize],)+
            out: *mut K::Out,
        ) {
            // SAFETY: handed on: the inputs can be read and the output written where this function asks.
            unsafe { $with(isa(), k, shape, $($x, $strides,)+ out) }
        }

        /// As the public function, with a given instruction set.
        #[inline]
        #[allow(clippy::too_many_arguments)] // as above
        unsafe fn $with<K: $Kernel>(
            isa: Isa,
            k: &K,
            shape: &[usize],
            $($x: *const K::$In, $strides: &[isize],)+
            out: *mut K::Out,
        ) {
            const { assert!(size_of::<K::Out>() <= BUFFER $(&& size_of::<K::$In>() <= BUFFER)+) };
            let n = shape.iter().product();
            let simple = n <= SMALL $(&& is_row_major(shape, $strides) && disjoint($x, out, n))+;
            // SAFETY: the operands reach as far as the caller says; the slices are distinct as was just found.
            unsafe {
                if simple {
                    $(let $x = from_raw_parts($x, n);)+
                    $Erased::dispatch(k, isa, $($x,)+ from_raw_parts_mut(out.cast(), n));
                } else {
                    let inputs = [$(Input { data: $x.cast(), size: size_of::<K::$In>(), strides: $strides }),+];
                    drive(&$Erased(k), isa, K::NANOS, shape, inputs, out.cast(), size_of::<K::Out>());
                }
            }
        }
    };
}

kernels! {
    /// A function of one element.
    Map,
    /// `out = f(x)`, element by element.
    map, map_with, Erased1, x: In, x_strides, 0
}

kernels! {
    /// A function of two elements.
    Zip,
    /// `out = f(a, b)`, element by element.
    zip, zip_with, Erased2, a: A, a_strides, 0; b: B, b_strides, 1
}

kernels! {
    /// A function of three elements.
    Zip3,
    /// `out = f(a, b, c)`, element by element.
    zip3, zip3_with, Erased3, a: A, a_strides, 0; b: B, b_strides, 1; c: C, c_strides, 2
}

/// `x = f(x)`, element by element.
#[inline]
pub fn map_in_place<T: Copy, K: Map<In = T, Out = T>>(k: &K, x: &mut [T]) {
    let (n, places) = (x.len(), x.as_mut_ptr());
    // SAFETY: the slice is contiguous and ours alone, and a kernel may write where it reads.
    unsafe { map(k, &[n], places, &[1], places) }
}
