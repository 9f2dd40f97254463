//! Dense arrays: a shared buffer, a shape, strides and an element type. Knows nothing of gradients.

#[cfg(feature = "ndarray")]
mod nd;
mod show;
mod view;

pub use view::Range;

use crate::dtype::DType::{self, BF16, F16, F32, F64};
use crate::dtype::half::{BFloat16, Float16, Half};
use crate::dtype::{Element, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::map;
use crate::memory::{Buffer, collected};
use crate::shape::{self, Dims, Strides};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A strided view of a shared buffer. Cloning is cheap and shares the elements; writing needs [`Array::make_mut`].
pub struct Array {
    buffer: Buffer,
    start: *mut u8,
    shape: Dims,
    strides: Strides,
    dtype: DType,
    row_major: bool,
}

impl Clone for Array {
    #[inline]
    fn clone(&self) -> Self {
        // From slices: cloning these vectors element by element is what an operation would spend most of its time on.
        let (shape, strides) = (Dims::from_slice(&self.shape), Strides::from_slice(&self.strides));
        let Array { start, dtype, row_major, .. } = *self;
        Array { buffer: self.buffer.clone(), start, shape, strides, dtype, row_major }
    }
}

// SAFETY: `start` points into `buffer`, which is `Send` and `Sync`; writing asks for its uniqueness.
unsafe impl Send for Array {}
// SAFETY: as above.
unsafe impl Sync for Array {}

/// A kernel that turns one element type into another.
struct Cast<A, B>(PhantomData<(A, B)>);

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
struct Widen<T>(PhantomData<T>);

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
struct Narrow<T>(PhantomData<T>);

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
    /// Memory of that shape that nobody has written yet; `op` names who asks, for the message. Whoever asks writes every
    /// element before anyone else has the array.
    pub(crate) fn empty(op: &'static str, shape: &[usize], dtype: DType) -> Result<Array> {
        let bytes = shape::checked_size(shape).and_then(|n| n.checked_mul(dtype.size()));
        let buffer = bytes.and_then(Buffer::new);
        let buffer = buffer.ok_or_else(|| Error::Memory { op, shape: shape.to_vec(), dtype })?;
        Ok(Array::from_buffer(buffer, shape, dtype))
    }

    /// An array without elements that costs nothing, to stand in while another is worked on.
    pub(crate) fn nothing() -> Array {
        // SAFETY: no element is reached.
        unsafe {
            Array::foreign(
                std::ptr::NonNull::<u8>::dangling().as_ptr(),
                &[0],
                &[1],
                DType::Bool,
                Box::new(()),
            )
        }
    }

    fn from_buffer(buffer: Buffer, shape: &[usize], dtype: DType) -> Array {
        let start = buffer.data();
        Array {
            buffer,
            start,
            shape: Dims::from_slice(shape),
            strides: shape::row_major(shape),
            dtype,
            row_major: true,
        }
    }

    /// An array over memory that belongs to somebody else; strides are in elements.
    ///
    /// # Safety
    /// Every element that shape and strides reach from `data` must stay readable and unchanged while `owner` lives.
    pub unsafe fn foreign(
        data: *const u8,
        shape: &[usize],
        strides: &[isize],
        dtype: DType,
        owner: Box<dyn std::any::Any + Send + Sync>,
    ) -> Array {
        // SAFETY: handed on to the caller.
        let buffer = unsafe { Buffer::foreign(data, owner) };
        Array {
            start: buffer.data(),
            buffer,
            shape: Dims::from_slice(shape),
            strides: Strides::from_slice(strides),
            dtype,
            row_major: shape::is_row_major(shape, strides),
        }
    }

    /// All elements equal to `value`.
    pub fn full<T: Element>(op: &'static str, shape: &[usize], value: T) -> Result<Array> {
        let mut out = Array::empty(op, shape, T::DTYPE)?;
        out.fresh_mut::<T>().fill(value);
        Ok(out)
    }

    /// All elements equal to `value`, converted to `dtype`.
    pub fn filled(op: &'static str, shape: &[usize], value: f64, dtype: DType) -> Result<Array> {
        each!(dtype, all: T => Array::full(op, shape, T::from_f64(value)))
    }

    /// A 0-d array.
    #[inline]
    pub fn scalar<T: Element>(value: T) -> Result<Array> {
        Array::full("scalar", &[], value)
    }

    /// A copy of the values in row-major order.
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Array> {
        if shape::checked_size(shape) != Some(values.len()) {
            let shape = shape::show(shape);
            return Err(Error::Shape(format!("{} values do not fill shape {shape}", values.len())));
        }
        let mut out = Array::empty("from_slice", shape, T::DTYPE)?;
        out.fresh_mut::<T>().copy_from_slice(values);
        Ok(out)
    }

    /// What `f` gives for each place, counted in row-major order; `op` names who asks, for the message.
    pub fn from_fn<T: Element>(
        op: &'static str,
        shape: &[usize],
        mut f: impl FnMut(usize) -> T,
    ) -> Result<Array> {
        let mut out = Array::empty(op, shape, T::DTYPE)?;
        for (i, place) in out.unwritten::<T>().iter_mut().enumerate() {
            place.write(f(i));
        }
        Ok(out)
    }

    /// The lengths of the axes.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    /// How many elements apart neighbours along each axis are.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }
    /// The number of axes.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }
    /// The number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        shape::size(&self.shape)
    }
    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// Whether the elements lie in row-major order without gaps.
    #[inline]
    pub fn is_row_major(&self) -> bool {
        self.row_major
    }
    /// Whether nobody else can see the elements.
    #[inline]
    pub fn is_unique(&self) -> bool {
        self.buffer.is_unique()
    }

    /// Whether the memory belongs to somebody else, such as a NumPy array.
    #[cfg(feature = "python")]
    pub(crate) fn is_foreign(&self) -> bool {
        self.buffer.is_foreign()
    }

    /// Where the first element is. The caller has matched `T` to the dtype.
    #[inline]
    pub fn ptr<T: Element>(&self) -> *const T {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        self.start.cast()
    }

    /// Where to write the elements of an array just made by [`Array::empty`].
    #[inline]
    pub(crate) fn fresh_ptr<T>(&mut self) -> *mut T {
        debug_assert!(size_of::<T>() == self.dtype.size() && self.is_unique());
        self.start.cast()
    }

    /// The places of an array just made by [`Array::empty`], to be written.
    #[inline]
    fn unwritten<T: Element>(&mut self) -> &mut [MaybeUninit<T>] {
        debug_assert_eq!(T::DTYPE, self.dtype);
        let n = self.size();
        // SAFETY: the buffer is ours alone and holds n elements of this size, which need not be values yet.
        unsafe { std::slice::from_raw_parts_mut(self.fresh_ptr::<MaybeUninit<T>>(), n) }
    }

    /// The elements of an array just made by [`Array::empty`], to be overwritten.
    #[inline]
    pub(crate) fn fresh_mut<T: Element>(&mut self) -> &mut [T] {
        let (n, p) = (self.size(), self.fresh_ptr::<T>());
        if T::DTYPE == DType::Bool {
            // SAFETY: as below; a bool must be 0 or 1 before a reference to it exists.
            unsafe { p.cast::<u8>().write_bytes(0, n) };
        }
        // SAFETY: the buffer is ours alone and holds n elements; every bit pattern of these types is a value.
        unsafe { std::slice::from_raw_parts_mut(p, n) }
    }

    /// The elements in memory order, when they are row-major; the caller has matched `T` to the dtype.
    #[inline]
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        // SAFETY: a row-major array holds `size` elements from its start.
        (self.row_major && T::DTYPE == self.dtype)
            .then(|| unsafe { std::slice::from_raw_parts(self.ptr(), self.size()) })
    }

    /// The bytes of the elements in memory order, when they are row-major.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        let bytes = self.size() * self.dtype.size();
        // SAFETY: a row-major array holds that many bytes from its start.
        self.row_major.then(|| unsafe { std::slice::from_raw_parts(self.start, bytes) })
    }

    /// The bytes of an array just made by [`Array::empty`], to be overwritten; those of a bool may only be 0 and 1.
    #[cfg(feature = "safetensors")]
    pub(crate) fn fresh_bytes(&mut self) -> &mut [u8] {
        debug_assert!(self.is_unique());
        let bytes = self.size() * self.dtype.size();
        // SAFETY: the buffer is ours alone and holds that many bytes.
        unsafe { std::slice::from_raw_parts_mut(self.start, bytes) }
    }

    /// The elements for writing, copied first if anyone else can see them (value semantics). `T` is their type.
    pub fn make_mut<T: Element>(&mut self) -> Result<&mut [T]> {
        if T::DTYPE != self.dtype {
            let (dtype, wanted) = (self.dtype, T::DTYPE);
            return Err(Error::DType(format!("make_mut: the elements are {dtype}, not {wanted}")));
        }
        self.make_own()?;
        let n = self.size();
        // SAFETY: unique, row-major, and of n elements of this type.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.start.cast(), n) })
    }

    /// Makes the elements row-major, in memory that nobody else can see.
    pub(crate) fn make_own(&mut self) -> Result<()> {
        if !(self.is_unique() && self.row_major) {
            *self = self.copy()?;
        }
        Ok(())
    }

    /// The same elements, row-major in memory that nobody else can see: themselves if they are, else a copy.
    pub(crate) fn into_own(mut self) -> Result<Array> {
        self.make_own()?;
        Ok(self)
    }

    /// The elements in row-major order, converted to `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let a = self.cast(T::DTYPE)?.contiguous()?;
        let values = a.as_slice::<T>().expect("a cast and contiguous array is a slice of that type");
        attempt("to_vec", || Ok(collected(values.iter().copied())))
    }

    /// The only element, as a float.
    pub fn item(&self) -> Result<f64> {
        if self.size() != 1 {
            let shape = shape::show(&self.shape);
            return Err(Error::Shape(format!("item: shape {shape} holds {} elements, not one", self.size())));
        }
        // SAFETY: there is one element at the start.
        Ok(each!(self.dtype, all: T => unsafe { *self.ptr::<T>() }.to_f64()))
    }

    /// A row-major array with the same elements: itself if it already is, else a copy.
    #[inline]
    pub fn contiguous(&self) -> Result<Array> {
        if self.row_major { Ok(self.clone()) } else { self.copy() }
    }

    /// A fresh row-major copy.
    pub fn copy(&self) -> Result<Array> {
        let mut out = Array::empty("copy", &self.shape, self.dtype)?;
        each!(self.dtype, moved: T => {
            // SAFETY: shape and strides describe the source; the destination is fresh and of the same size.
            unsafe { map::copy::<T>(&self.shape, self.ptr(), &self.strides, out.fresh_ptr()) }
        });
        Ok(out)
    }

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

    /// Writes the values into an array of the same shape and another type, which is row-major and nobody else's. One of
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
        debug_assert!(self.shape == out.shape && out.row_major);
        // SAFETY: shape and strides describe the source, the destination is as `convert` asks; it has matched the types.
        unsafe { map::map(kernel, &self.shape, self.ptr(), &self.strides, out.fresh_ptr()) };
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array{} of {}", shape::show(&self.shape), self.dtype)
    }
}
