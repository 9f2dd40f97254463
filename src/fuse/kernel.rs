//! What an operation is to those who do several together: its kernel, whose types are forgotten.

use crate::array::Array;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::kernels::folding::{Folded, Folding};
use crate::kernels::map::{Block, Map, Owned1, Owned2, Owned3, Zip, Zip3};
use crate::kernels::reduce::{Axis, Fold};
use crate::shape::Dims;
use smallvec::{SmallVec, smallvec};
use std::fmt;
use std::sync::Arc;

/// What an operation is beside others.
#[derive(Clone, Debug)]
pub enum Fusible {
    /// A function of each element of inputs that broadcast.
    Each(Each),
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

    /// The same, with something that is done to the results in the end, which is told how many elements each is of.
    pub(crate) fn then(self, f: fn(&mut Array, usize) -> Result<()>) -> Fusible {
        match self {
            Fusible::Folds(folds) => Fusible::Folds(Folds { finish: Some(f), ..folds }),
            each => each,
        }
    }
}

/// A reduction over axes, for an input of some type.
#[derive(Clone)]
pub struct Folds {
    pub(super) fold: Arc<dyn Folding>,
    pub(crate) axes: SmallVec<[usize; 4]>,
    pub(super) input: DType,
    pub(super) out: DType,
    pub(super) finish: Option<fn(&mut Array, usize) -> Result<()>>,
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
        if let Some(finish) = self.finish {
            finish(&mut out, axis.n)?;
        }
        Ok(out)
    }
}

impl fmt::Debug for Folds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} over {:?}", self.input, self.out, self.axes)
    }
}
