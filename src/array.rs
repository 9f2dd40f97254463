//! Dense arrays: a shared buffer, a shape, strides and an element type. Knows nothing of gradients.

mod cast;
mod elementwise;
#[cfg(feature = "ndarray")]
mod nd;
mod notes;
mod place;
mod show;
mod view;

pub(crate) use cast::{Cast, Narrow, Widen};
pub(crate) use notes::{Noted, closed, is_any_open, is_noted, noted, opened};
pub use view::Range;
#[cfg(feature = "safetensors")]
pub(crate) use view::span;

use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::map;
use crate::memory::unwritten::{Unwritten, copy_from, fill_with};
use crate::memory::{Buffer, collected};
use crate::shape::{self, Dims, Strides};
use std::fmt;

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
// SAFETY: as for `Send`: a shared array is only read.
unsafe impl Sync for Array {}

/// What tells the places of an array from others; values there, and as many, are proof that all are written.
#[inline]
fn mark<T>(places: &Unwritten<T>) -> (*const T, usize) {
    (places.as_ptr().cast(), places.len())
}

/// The [`mark`] of the places that hold these values.
#[inline]
fn marked<T>(values: &[T]) -> (*const T, usize) {
    (values.as_ptr(), values.len())
}

/// Whether elements can be taken for those of another type: their own, or any of the same size whose values all bits are.
#[inline]
pub(crate) fn can_be(dtype: DType, other: DType) -> bool {
    dtype == other || (dtype.size() == other.size() && other != DType::Bool)
}

/// An operation has taken the elements for something else than they are: a fault of ours.
#[cold]
fn mistaken(op: &str, taken: DType, dtype: DType) -> Error {
    Error::DType(format!("{op}: elements of {dtype} are no {taken}"))
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

    /// An error, unless it is what [`Array::empty`] gives for these.
    pub(crate) fn is_empty_of(&self, op: &str, shape: &[usize], dtype: DType) -> Result<()> {
        match self.is_unique() && self.shape() == shape && self.dtype == dtype && self.is_row_major() {
            true => Ok(()),
            false => Err(Error::Unsupported(format!("{op}: the result is not laid out as it was"))),
        }
    }

    /// [`Array::empty`] for elements that will have the bits of a `T`: of its type, or of any of the same size that all bits
    /// are values of.
    #[inline]
    fn empty_as<T: Element>(op: &'static str, shape: &[usize], dtype: DType) -> Result<Array> {
        if can_be(T::DTYPE, dtype) {
            return Array::empty(op, shape, dtype);
        }
        Err(mistaken(op, T::DTYPE, dtype))
    }

    /// An array without elements that costs nothing, to stand in while another is worked on.
    pub(crate) fn nothing() -> Array {
        fn made() -> Array {
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
        thread_local!(static NOTHING: Array = made());
        NOTHING.try_with(Clone::clone).unwrap_or_else(|_| made())
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
        // SAFETY: the elements stay readable and unchanged while `owner` lives, as this function asks.
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
        Array::written(op, shape, |out| fill_with(out, |_| value)).inspect(notes::made)
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
        Array::written("from_slice", shape, |out| copy_from(out, values))
    }

    /// What `f` gives for each place, counted in row-major order; `op` names who asks, for the message.
    pub fn from_fn<T: Element>(
        op: &'static str,
        shape: &[usize],
        f: impl FnMut(usize) -> T,
    ) -> Result<Array> {
        Array::written(op, shape, |out| fill_with(out, f))
    }

    /// The array of that shape that `write` fills, which hands its places back as values; `op` names who asks, for the
    /// message.
    #[inline]
    pub(crate) fn written<T: Element>(
        op: &'static str,
        shape: &[usize],
        write: impl FnOnce(&mut Unwritten<T>) -> &mut [T],
    ) -> Result<Array> {
        Array::written_as(op, shape, T::DTYPE, write)
    }

    /// [`Array::written`] with elements of the type `dtype` that have the bits of a `T`.
    #[inline]
    pub(crate) fn written_as<T: Element>(
        op: &'static str,
        shape: &[usize],
        dtype: DType,
        write: impl FnOnce(&mut Unwritten<T>) -> &mut [T],
    ) -> Result<Array> {
        let mut out = Array::empty_as::<T>(op, shape, dtype)?;
        let places = out.unwritten::<T>();
        let all = mark(places);
        assert!(all == marked(write(places)), "{op}: what was written is not the array");
        Ok(out)
    }

    /// [`Array::written`] for two arrays of one shape, whose types may differ.
    pub(crate) fn written_pair<A: Element, B: Element>(
        op: &'static str,
        shape: &[usize],
        write: impl for<'a> FnOnce(&'a mut Unwritten<A>, &'a mut Unwritten<B>) -> (&'a mut [A], &'a mut [B]),
    ) -> Result<(Array, Array)> {
        let mut out = (Array::empty(op, shape, A::DTYPE)?, Array::empty(op, shape, B::DTYPE)?);
        let places = (out.0.unwritten::<A>(), out.1.unwritten::<B>());
        let all = (mark(places.0), mark(places.1));
        let (a, b) = write(places.0, places.1);
        assert!(all == (marked(a), marked(b)), "{op}: what was written is not the arrays");
        Ok(out)
    }

    /// [`Array::written`] for several arrays.
    pub(crate) fn written_all<T: Element, const N: usize>(
        op: &'static str,
        shapes: [&[usize]; N],
        write: impl for<'a> FnOnce([&'a mut Unwritten<T>; N]) -> [&'a mut [T]; N],
    ) -> Result<[Array; N]> {
        let mut out = [const { None }; N];
        for (out, shape) in out.iter_mut().zip(shapes) {
            *out = Some(Array::empty(op, shape, T::DTYPE)?);
        }
        let mut out = out.map(|made| made.expect("the loop has made each array"));
        let places = out.each_mut().map(Array::unwritten::<T>);
        let all = places.each_ref().map(|places| mark(places));
        let written = write(places);
        assert!(all == written.map(|values| marked(values)), "{op}: what was written is not the arrays");
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
    pub(crate) fn is_foreign(&self) -> bool {
        self.buffer.is_foreign()
    }

    /// To be called where the values decide what is done, other than by an operation.
    #[inline]
    pub(crate) fn is_looked_at(&self) {
        notes::read(self);
    }

    /// Where the first element is. The caller has matched `T` to the dtype.
    #[inline]
    pub fn ptr<T: Element>(&self) -> *const T {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        self.start.cast()
    }

    /// Where the first element is, whatever its type.
    #[inline]
    pub(crate) fn start(&self) -> *const u8 {
        self.start
    }

    /// Where to write the first element of an array that nobody else can see.
    #[inline]
    pub(crate) fn start_mut(&mut self) -> *mut u8 {
        debug_assert!(self.is_unique());
        self.start
    }

    /// Where to write the elements of an array just made by [`Array::empty`].
    #[inline]
    pub(crate) fn fresh_ptr<T>(&mut self) -> *mut T {
        debug_assert!(size_of::<T>() == self.dtype.size() && self.is_unique());
        self.start.cast()
    }

    /// The places of an array just made by [`Array::empty`], to be written.
    #[inline]
    fn unwritten<T: Element>(&mut self) -> &mut Unwritten<T> {
        let (n, start) = (self.size(), self.fresh_ptr());
        // SAFETY: the buffer is ours alone and holds n elements of this size, which need not be values yet.
        unsafe { std::slice::from_raw_parts_mut(start, n) }
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

    /// The elements of a row-major array in order; `T` is their type, or an integer of the same size that stands for their
    /// bits.
    #[inline]
    pub(crate) fn values<T: Element>(&self, op: &str) -> Result<&[T]> {
        self.can_be::<T>(op)?;
        if !self.row_major {
            return Err(Error::Unsupported(format!("{op}: the elements do not lie in order")));
        }
        // SAFETY: a row-major array holds `size` elements from its start, and their bits are values of `T`.
        Ok(unsafe { std::slice::from_raw_parts(self.ptr(), self.size()) })
    }

    /// The elements of a row-major array that nobody else can see, for writing; `T` is as for [`Array::values`].
    #[inline]
    pub(crate) fn values_mut<T: Element>(&mut self, op: &str) -> Result<&mut [T]> {
        self.can_be::<T>(op)?;
        if !self.row_major || !self.is_unique() || (self.dtype == DType::Bool) != (T::DTYPE == DType::Bool) {
            return Err(Error::Unsupported(format!("{op}: the elements are not to be written")));
        }
        let n = self.size();
        // SAFETY: nobody else sees the elements, which are `size` from the start on; all bits of `T` are values of theirs.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.start.cast(), n) })
    }

    /// An error unless the elements can be read as `T`.
    #[inline]
    fn can_be<T: Element>(&self, op: &str) -> Result<()> {
        self.check(op, T::DTYPE)
    }

    /// An error unless the elements can be read as those of another type.
    fn check(&self, op: &str, dtype: DType) -> Result<()> {
        if can_be(self.dtype, dtype) {
            return Ok(());
        }
        Err(mistaken(op, dtype, self.dtype))
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
        notes::read(self);
        let a = self.cast(T::DTYPE)?.contiguous()?;
        let values = a.as_slice::<T>().expect("a cast and contiguous array is a slice of that type");
        attempt("to_vec", || Ok(collected(values.iter().copied())))
    }

    /// The only element, as a float.
    pub fn item(&self) -> Result<f64> {
        notes::read(self);
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
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array{} of {}", shape::show(&self.shape), self.dtype)
    }
}
