//! The same values as another element type.

use super::Array;
use crate::dtype::DType::{self, BF16, F16, F32, F64};
use crate::dtype::half::{BFloat16, Float16, Half};
use crate::dtype::{Element, each};
use crate::error::Result;
use crate::kernels::map;
use std::marker::PhantomData;

/// A kernel that turns one element type into another.
pub(crate) struct Cast<A, B>(pub(crate) PhantomData<(A, B)>);

impl<A: Element, B: Element> map::Map for Cast<A, B> {
    type In = A;
    type Out = B;
    const NANOS: f64 = 0.4;
    #[inline(always)]
    fn f<const FMA: bool>(&self, x: A) -> B {
        let float = A::DTYPE.is_float();
        // Floats go to integers through i64, as C does for values in range; u64 keeps its upper half.
        if B::DTYPE == DType::Bool
            || B::DTYPE.is_float()
            || (float && B::DTYPE == DType::U64 && x.to_f64() > 0.0)
        {
            if !float && A::DTYPE != DType::U64 && B::DTYPE.is_float() {
                B::from_i64(x.to_i64())
            } else {
                B::from_f64(x.to_f64())
            }
        } else {
            B::from_i64(x.to_i64())
        }
    }
}

/// A number of 16 bits as a float32.
pub(crate) struct Widen<T>(pub(crate) PhantomData<T>);

impl<T: Half> map::Map for Widen<T> {
    type In = T;
    type Out = f32;
    const NANOS: f64 = 0.2;
    #[inline(always)]
    fn f<const FMA: bool>(&self, x: T) -> f32 {
        x.to_f32()
    }
}

/// A float32 rounded to 16 bits.
pub(crate) struct Narrow<T>(pub(crate) PhantomData<T>);

impl<T: Half> map::Map for Narrow<T> {
    type In = f32;
    type Out = T;
    const NANOS: f64 = 0.3;
    #[inline(always)]
    fn f<const FMA: bool>(&self, x: f32) -> T {
        T::from_f32(x)
    }
}

impl Array {
    /// The same values as another element type: itself if it has it already.
    pub fn cast(&self, dtype: DType) -> Result<Array> {
        if dtype == self.dtype {
            return Ok(self.clone());
        }
        match (self.dtype, dtype) {
            (F16 | BF16, to) if to != F32 => self.cast(F32)?.cast(to),
            (from, F16 | BF16) if from != F32 && from != F64 => self.cast(F64)?.cast(dtype),
            _ => {
                let mut out = Array::empty("astype", &self.shape, dtype)?;
                self.convert(&mut out);
                Ok(out)
            }
        }
    }

    /// Writes the values into an array of the same shape and another type, which is row-major and nobody else's. A type of
    /// 16 bits comes from floats alone, and goes to float32 alone.
    pub(crate) fn convert(&self, out: &mut Array) {
        match (self.dtype, out.dtype) {
            (F16, F32) => self.map_into(&Widen::<Float16>(PhantomData), out),
            (BF16, F32) => self.map_into(&Widen::<BFloat16>(PhantomData), out),
            (F32, F16) => self.map_into(&Narrow::<Float16>(PhantomData), out),
            (F32, BF16) => self.map_into(&Narrow::<BFloat16>(PhantomData), out),
            (F64, F16) => self.map_into(&Cast::<f64, Float16>(PhantomData), out),
            (F64, BF16) => self.map_into(&Cast::<f64, BFloat16>(PhantomData), out),
            (from, to) => each!(from, computed: A => each!(to, computed: B => {
                self.map_into(&Cast::<A, B>(PhantomData), out)
            }, else ()), else ()),
        }
    }

    fn map_into<K: map::Map>(&self, kernel: &K, out: &mut Array)
    where
        K::In: Element,
        K::Out: Element,
    {
        assert!(
            self.shape == out.shape && out.row_major && out.is_unique(),
            "astype: {out:?} is not to be written"
        );
        // SAFETY: shape and strides describe the source. The destination has as many elements and nobody else sees them, as
        // was just found. `convert` has matched the types.
        unsafe { map::map(kernel, &self.shape, self.ptr(), &self.strides, out.fresh_ptr()) };
    }
}
