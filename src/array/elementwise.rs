//! Functions of each element of one to three arrays of any strides, which broadcast.

use super::Array;
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::kernels::map::{self, Map, Zip, Zip3};
use crate::shape::{self, Dims, Strides};

/// The strides with which `a` is read as `shape`, to which it broadcasts.
#[inline]
fn strides(a: &Array, shape: &[usize]) -> Strides {
    if a.shape() == shape {
        Strides::from_slice(a.strides())
    } else {
        shape::broadcast_strides(a.shape(), a.strides(), shape)
    }
}

impl Array {
    /// `kernel(x)` for every element; `op` names who asks, for the message.
    #[inline]
    pub(crate) fn map<K: Map<In: Element, Out: Element>>(
        &self,
        op: &'static str,
        kernel: &K,
    ) -> Result<Array> {
        self.can_be::<K::In>(op)?;
        let mut out = Array::empty(op, &self.shape, K::Out::DTYPE)?;
        // SAFETY: shape and strides are the array's, whose elements can be the kernel's; the output is fresh and of the
        // type and the size of the result, all of which the kernel writes.
        unsafe { map::map(kernel, &self.shape, self.ptr(), &self.strides, out.fresh_ptr()) };
        Ok(out)
    }

    /// `kernel(a, b)` for every pair of elements that broadcasting puts together.
    #[inline]
    pub(crate) fn zip<K: Zip<A: Element, B: Element, Out: Element>>(
        op: &'static str,
        kernel: &K,
        [a, b]: [&Array; 2],
    ) -> Result<Array> {
        a.can_be::<K::A>(op)?;
        b.can_be::<K::B>(op)?;
        let shape = shape::broadcast(op, &a.shape, &b.shape)?;
        let mut out = Array::empty(op, &shape, K::Out::DTYPE)?;
        let (sa, sb) = (strides(a, &shape), strides(b, &shape));
        // SAFETY: both broadcast to the shape, so that the strides stay among their elements, which can be the kernel's;
        // the output is fresh and of the type and the size of the result, all of which the kernel writes.
        unsafe { map::zip(kernel, &shape, a.ptr(), &sa, b.ptr(), &sb, out.fresh_ptr()) };
        Ok(out)
    }

    /// `self = kernel(self, b)` for every element, where `b` broadcasts to the shape; copied first if anyone else can see
    /// the elements.
    #[inline]
    pub(crate) fn zip_in_place<T: Element, K: Zip<A = T, B: Element, Out = T>>(
        &mut self,
        op: &'static str,
        kernel: &K,
        b: &Array,
    ) -> Result<()> {
        self.can_be::<T>(op)?;
        b.can_be::<K::B>(op)?;
        if b.shape != self.shape {
            return self.zip_in_place(op, kernel, &b.broadcast_to(&self.shape)?);
        }
        self.make_own()?;
        let (shape, own) = (Dims::from_slice(&self.shape), Strides::from_slice(&self.strides));
        let places = self.fresh_ptr::<T>();
        // SAFETY: the elements are ours alone, row-major, and can be the kernel's, which may write where it reads; so can
        // those of `b`, which has that shape.
        unsafe { map::zip(kernel, &shape, places, &own, b.ptr(), b.strides(), places) };
        Ok(())
    }

    /// `kernel(a, b, c)` for all elements that broadcasting puts together. The results have the bits of elements of the
    /// type `dtype`.
    #[inline]
    pub(crate) fn zip3_as<K: Zip3<A: Element, B: Element, C: Element, Out: Element>>(
        op: &'static str,
        dtype: DType,
        kernel: &K,
        [a, b, c]: [&Array; 3],
    ) -> Result<Array> {
        a.can_be::<K::A>(op)?;
        b.can_be::<K::B>(op)?;
        c.can_be::<K::C>(op)?;
        let shape = shape::broadcast(op, &a.shape, &shape::broadcast(op, &b.shape, &c.shape)?)?;
        let mut out = Array::empty_as::<K::Out>(op, &shape, dtype)?;
        let [sa, sb, sc] = [a, b, c].map(|x| strides(x, &shape));
        // SAFETY: all broadcast to the shape, so that the strides stay among their elements, which can be the kernel's;
        // the output is fresh, of the size of the result, and of a type that its bits can be; the kernel writes all of it.
        unsafe { map::zip3(kernel, &shape, a.ptr(), &sa, b.ptr(), &sb, c.ptr(), &sc, out.fresh_ptr()) };
        Ok(out)
    }
}
