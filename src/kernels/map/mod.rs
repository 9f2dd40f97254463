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
use drive::BUFFER;
pub(crate) use drive::{Block, Input, SMALL, run};
use std::mem::MaybeUninit;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Elements of the widest vector; a multiple of those of all others.
const LANES: usize = 16;

/// From so many nanoseconds for an element on, a loop is compiled for whole vectors alone: it is a third of the code, and
/// what it takes longer for the last elements, which come with others as a vector, is little beside the rest.
const COSTLY: f64 = 1.0;

/// What takes so many calls the standard library element by element, in no vectors.
const CALLING: f64 = 8.0;

/// Defines the trait of the kernels with so many inputs, its function, and its loops for each instruction set.
macro_rules! kernels {
    ($(#[$doc:meta])* $Kernel:ident, $(#[$fdoc:meta])* $map:ident, $with:ident, $Erased:ident, $Owned:ident,
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

        /// The kernel as a [`Block`].
        pub(crate) struct $Erased<'a, K>(pub(crate) &'a K);

        impl<K: $Kernel> $Erased<'_, K> {
            const WHOLE: bool = K::NANOS >= COSTLY && K::NANOS < CALLING;

            #[inline(always)]
            fn each<const FMA: bool>(k: &K, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                // With a length that it sees to be so the compiler leaves out what does the rest of a vector.
                let n = if Self::WHOLE { (out.len() & !(LANES - 1)).max(LANES) } else { out.len() };
                let out = &mut out[..n];
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

            fn by_vectors(k: &K, isa: Isa, $($x: &[K::$In],)+ out: &mut [MaybeUninit<K::Out>]) {
                let n = out.len();
                if n >= LANES {
                    Self::dispatch(k, isa, $($x,)+ out);
                    if !n.is_multiple_of(LANES) {
                        // Some of the last elements for a second time.
                        Self::dispatch(k, isa, $(&$x[n - LANES..],)+ &mut out[n - LANES..]);
                    }
                } else if n > 0 {
                    $(
                        let mut full = [$x[0]; LANES];
                        full[..n].copy_from_slice(&$x[..n]);
                        let $x = full;
                    )+
                    let mut last = [const { MaybeUninit::uninit() }; LANES];
                    Self::dispatch(k, isa, $(&$x,)+ &mut last);
                    out.copy_from_slice(&last[..n]);
                }
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
                    let out = from_raw_parts_mut(out.cast(), n);
                    if Self::WHOLE {
                        Self::by_vectors(self.0, isa, $($x,)+ out);
                    } else {
                        Self::dispatch(self.0, isa, $($x,)+ out);
                    }
                }
            }
        }

        /// The kernel as a [`Block`] that has it.
        pub(crate) struct $Owned<K>(pub(crate) K);

        impl<K: $Kernel> Block for $Owned<K> {
            unsafe fn run(&self, isa: Isa, inputs: &[*const u8], out: *mut u8, n: usize) {
                // SAFETY: handed on.
                unsafe { $Erased(&self.0).run(isa, inputs, out, n) }
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
            let inputs = [$(Input { data: $x.cast(), size: size_of::<K::$In>(), strides: $strides }),+];
            // SAFETY: handed on: the inputs can be read and the output written where this function asks.
            unsafe { run(&$Erased(k), isa, K::NANOS, shape, inputs, out.cast(), size_of::<K::Out>()) }
        }
    };
}

kernels! {
    /// A function of one element.
    Map,
    /// `out = f(x)`, element by element.
    map, map_with, Erased1, Owned1, x: In, x_strides, 0
}

kernels! {
    /// A function of two elements.
    Zip,
    /// `out = f(a, b)`, element by element.
    zip, zip_with, Erased2, Owned2, a: A, a_strides, 0; b: B, b_strides, 1
}

kernels! {
    /// A function of three elements.
    Zip3,
    /// `out = f(a, b, c)`, element by element.
    zip3, zip3_with, Erased3, Owned3, a: A, a_strides, 0; b: B, b_strides, 1; c: C, c_strides, 2
}

/// `x = f(x)`, element by element.
#[inline]
pub fn map_in_place<T: Copy, K: Map<In = T, Out = T>>(k: &K, x: &mut [T]) {
    let (n, places) = (x.len(), x.as_mut_ptr());
    // SAFETY: the slice is contiguous and ours alone, and a kernel may write where it reads.
    unsafe { map(k, &[n], places, &[1], places) }
}
