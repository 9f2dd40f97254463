//! What an operation is to those who do several together: its kernel, whose types are forgotten.

use crate::array::Array;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::kernels::folding::{Folded, Folding};
use crate::kernels::map::{Block, Map, Owned1, Owned2, Owned3, Zip, Zip3};
use crate::kernels::reduce::{Axis, Fold};
use crate::memory::unwritten::Unwritten;
use crate::shape::Dims;
use smallvec::{SmallVec, smallvec};
use std::fmt;
use std::slice::{from_raw_parts, from_raw_parts_mut};
use std::sync::Arc;

/// What an operation is beside others.
#[derive(Clone, Debug)]
pub enum Fusible {
    /// A function of each element of inputs that broadcast.
    Each(Each),
    /// A function of the rows of inputs of one shape.
    Rowwise(Rowwise),
    /// A reduction over axes.
    Folds(Folds),
    /// The elements of its input, seen in another way: nothing is computed.
    View,
}

/// A part of an operation that is made of several.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub what: Fusible,
    /// What it reads: inputs of the operation by their numbers, and after these what the parts before it give.
    pub inputs: SmallVec<[usize; 3]>,
    /// The shape of what it gives, which is row-major.
    pub shape: Dims,
    /// The type of what it gives.
    pub dtype: DType,
}

/// The kernel of an element-wise operation, for inputs of some types.
#[derive(Clone)]
pub struct Each {
    pub(super) block: Arc<dyn Block + Send>,
    pub(super) inputs: SmallVec<[DType; 3]>,
    pub(super) out: DType,
    /// What an element costs.
    pub(super) nanos: f64,
}

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {}", self.inputs, self.out)
    }
}

impl Fusible {
    /// A function of one element.
    pub(crate) fn map<K: Map<In: Element, Out: Element> + Send + 'static>(kernel: K) -> Fusible {
        let (inputs, out) = (smallvec![K::In::DTYPE], K::Out::DTYPE);
        Fusible::Each(Each { block: Arc::new(Owned1(kernel)), inputs, out, nanos: K::NANOS })
    }

    /// A function of two elements.
    pub(crate) fn zip<K>(kernel: K) -> Fusible
    where
        K: Zip<A: Element, B: Element, Out: Element> + Send + 'static,
    {
        let (inputs, out) = (smallvec![K::A::DTYPE, K::B::DTYPE], K::Out::DTYPE);
        Fusible::Each(Each { block: Arc::new(Owned2(kernel)), inputs, out, nanos: K::NANOS })
    }

    /// A function of three elements, whose result has the bits of an element of the type `out`.
    pub(crate) fn zip3_as<K>(out: DType, kernel: K) -> Fusible
    where
        K: Zip3<A: Element, B: Element, C: Element, Out: Element> + Send + 'static,
    {
        let inputs = smallvec![K::A::DTYPE, K::B::DTYPE, K::C::DTYPE];
        Fusible::Each(Each { block: Arc::new(Owned3(kernel)), inputs, out, nanos: K::NANOS })
    }

    /// The reduction `K` over axes, in order.
    pub(crate) fn fold<K>(axes: &[usize]) -> Fusible
    where
        K: Fold<In: Element, Out: Element>,
    {
        let (input, out) = (K::In::DTYPE, K::Out::DTYPE);
        let axes = SmallVec::from_slice(axes);
        Fusible::Folds(Folds { fold: Arc::new(Folded::<K>::new()), axes, input, out, finish: None })
    }

    /// A function of rows, from so many rows of so many elements to as many.
    pub(crate) fn rowwise<T: Element>(nanos: f64, f: OfRows<T>) -> Fusible {
        let kernel = Arc::new(Owned { f });
        Fusible::Rowwise(Rowwise { kernel, inputs: 1, dtype: T::DTYPE, nanos })
    }

    /// The same of two inputs.
    pub(crate) fn rowwise_of_two<T: Element>(nanos: f64, f: OfTwo<T>) -> Fusible {
        let kernel = Arc::new(OwnedOfTwo { f });
        Fusible::Rowwise(Rowwise { kernel, inputs: 2, dtype: T::DTYPE, nanos })
    }

    /// The same, with something that is done to the results in the end, which is told how many elements each is of.
    pub(crate) fn then<T: Element>(self, f: fn(&mut [T], usize)) -> Fusible {
        match self {
            Fusible::Folds(folds) if folds.out == T::DTYPE => {
                Fusible::Folds(Folds { finish: Some(Arc::new(f)), ..folds })
            }
            each => each,
        }
    }
}

/// What gives rows of rows.
pub(crate) type OfRows<T> = for<'a> fn(usize, usize, &[T], &'a mut Unwritten<T>) -> &'a mut [T];
/// The same of two inputs.
pub(crate) type OfTwo<T> = for<'a> fn(usize, usize, &[T], &[T], &'a mut Unwritten<T>) -> &'a mut [T];

/// A function of rows whose type is forgotten.
pub(crate) trait ByRows: Send + Sync {
    /// Does it.
    ///
    /// # Safety
    /// All inputs must be readable, and the result writable, for so many rows of `n` elements of its type.
    unsafe fn run(&self, rows: usize, n: usize, inputs: &[*const u8], out: *mut u8);
}

struct Owned<T> {
    f: OfRows<T>,
}

impl<T: Element> ByRows for Owned<T> {
    unsafe fn run(&self, rows: usize, n: usize, inputs: &[*const u8], out: *mut u8) {
        // SAFETY: the caller has so many elements.
        unsafe {
            let x = from_raw_parts(inputs[0].cast(), rows * n);
            (self.f)(rows, n, x, from_raw_parts_mut(out.cast(), rows * n));
        }
    }
}

struct OwnedOfTwo<T> {
    f: OfTwo<T>,
}

impl<T: Element> ByRows for OwnedOfTwo<T> {
    unsafe fn run(&self, rows: usize, n: usize, inputs: &[*const u8], out: *mut u8) {
        // SAFETY: the caller has so many elements.
        unsafe {
            let [x, y] = [inputs[0], inputs[1]].map(|x| from_raw_parts(x.cast(), rows * n));
            (self.f)(rows, n, x, y, from_raw_parts_mut(out.cast(), rows * n));
        }
    }
}

/// A function of rows, for inputs of one type, which is that of the result.
#[derive(Clone)]
pub struct Rowwise {
    pub(super) kernel: Arc<dyn ByRows>,
    pub(super) inputs: usize,
    pub(super) dtype: DType,
    /// What an element costs.
    pub(super) nanos: f64,
}

impl fmt::Debug for Rowwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {}", self.inputs, self.dtype)
    }
}

/// What is done to the results of a reduction in the end.
pub(crate) trait Finish: Send + Sync {
    /// Does it to `count` results, each of `n` elements.
    ///
    /// # Safety
    /// There must be as many results of the type.
    unsafe fn finish(&self, results: *mut u8, count: usize, n: usize);
}

impl<T: Element> Finish for fn(&mut [T], usize) {
    unsafe fn finish(&self, results: *mut u8, count: usize, n: usize) {
        // SAFETY: the caller has as many.
        unsafe { self(from_raw_parts_mut(results.cast(), count), n) }
    }
}

/// A reduction over axes, for an input of some type.
#[derive(Clone)]
pub struct Folds {
    pub(super) fold: Arc<dyn Folding>,
    pub(crate) axes: SmallVec<[usize; 4]>,
    pub(super) input: DType,
    pub(super) out: DType,
    pub(super) finish: Option<Arc<dyn Finish>>,
}

impl Folds {
    /// The reduction by itself.
    pub(crate) fn whole(&self, x: &Array, axis: Axis, shape: &[usize]) -> Result<Array> {
        let x = x.contiguous()?;
        if x.size() != axis.size() || x.dtype() != self.input {
            return Err(Error::Unsupported("fold: an operand is not laid out as it was".into()));
        }
        let mut out = Array::empty("fold", shape, self.out)?;
        // SAFETY: there are as many elements of that type, and the result has a place for each of those that are made.
        unsafe { self.fold.whole(axis, x.start(), out.start_mut()) };
        if let Some(finish) = &self.finish {
            // SAFETY: the results have just been written.
            unsafe { finish.finish(out.start_mut(), axis.places(), axis.n) };
        }
        Ok(out)
    }
}

impl fmt::Debug for Folds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} over {:?}", self.input, self.out, self.axes)
    }
}
