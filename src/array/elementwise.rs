//! Functions of each element of one to three arrays of any strides, which broadcast.

use super::{Array, can_be, mistaken};
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::isa::isa;
use crate::kernels::map::{self, Block, Erased1, Erased2, Erased3, Input, Map, Zip, Zip3};
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

/// A kernel without its types, of which there is one of what follows for all: these, and what an element costs.
struct Erased<'a, const N: usize> {
    block: &'a dyn Block,
    inputs: [DType; N],
    out: DType,
    nanos: f64,
}

impl<const N: usize> Erased<'_, N> {
    /// What the kernel makes of `arrays`, read as its inputs and broadcast.
    ///
    /// # Safety
    /// The block must be one of the types that are said, or of others whose values have the bits of theirs.
    unsafe fn of(&self, op: &'static str, arrays: [&Array; N]) -> Result<Array> {
        let (shape, n) = (&arrays[0].shape, arrays[0].size());
        let fits = |(x, dtype): (&&Array, DType)| x.row_major && x.shape == *shape && can_be(x.dtype, dtype);
        if n <= map::SMALL && arrays.iter().zip(self.inputs).all(fits) {
            let out = Array::empty(op, shape, self.out)?;
            // SAFETY: the arrays have so many elements one after the other, which can be the kernel's; the output is fresh
            // and of the type and the size of the result.
            unsafe { self.block.run(isa(), &arrays.map(|x| x.start.cast_const()), out.start, n) };
            return Ok(out);
        }
        // SAFETY: handed on.
        unsafe { self.of_any(op, arrays) }
    }

    /// [`Erased::of`] for arrays of any size and any strides.
    ///
    /// # Safety
    /// As for that.
    #[inline(never)]
    unsafe fn of_any(&self, op: &'static str, arrays: [&Array; N]) -> Result<Array> {
        let mut shape = Dims::new();
        for (i, (array, dtype)) in arrays.iter().zip(self.inputs).enumerate().rev() {
            array.check(op, dtype)?;
            shape = if i + 1 == N {
                Dims::from_slice(&array.shape)
            } else {
                shape::broadcast(op, &array.shape, &shape)?
            };
        }
        let out = Array::empty(op, &shape, self.out)?;
        let strides = arrays.map(|x| strides(x, &shape));
        // SAFETY: all broadcast to the shape, so that the strides stay among their elements, which can be the kernel's; the
        // output is fresh and of the type and the size of the result, all of which the kernel writes.
        unsafe { self.run(&shape, std::array::from_fn(|i| (arrays[i].start, &strides[i][..])), out.start) };
        Ok(out)
    }

    /// # Safety
    /// As for [`map::run`].
    unsafe fn run(&self, shape: &[usize], inputs: [(*mut u8, &[isize]); N], out: *mut u8) {
        let inputs: [Input<'_>; N] = std::array::from_fn(|i| {
            let (data, strides) = inputs[i];
            Input { data, size: self.inputs[i].size(), strides }
        });
        // SAFETY: handed on.
        unsafe { map::run(self.block, isa(), self.nanos, shape, inputs, out, self.out.size()) };
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
        let (inputs, out) = ([K::In::DTYPE], K::Out::DTYPE);
        let kernel = Erased { block: &Erased1(kernel), inputs, out, nanos: K::NANOS };
        // SAFETY: the types are the kernel's.
        unsafe { kernel.of(op, [self]) }
    }

    /// `kernel(a, b)` for every pair of elements that broadcasting puts together.
    #[inline]
    pub(crate) fn zip<K: Zip<A: Element, B: Element, Out: Element>>(
        op: &'static str,
        kernel: &K,
        arrays: [&Array; 2],
    ) -> Result<Array> {
        let (inputs, out) = ([K::A::DTYPE, K::B::DTYPE], K::Out::DTYPE);
        let kernel = Erased { block: &Erased2(kernel), inputs, out, nanos: K::NANOS };
        // SAFETY: the types are the kernel's.
        unsafe { kernel.of(op, arrays) }
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
        let (inputs, out) = ([T::DTYPE, K::B::DTYPE], T::DTYPE);
        let kernel = Erased { block: &Erased2(kernel), inputs, out, nanos: K::NANOS };
        // SAFETY: the types are the kernel's.
        unsafe { self.become_of(op, &kernel, b) }
    }

    /// # Safety
    /// The kernel's block must be one of the types that are said.
    unsafe fn become_of(&mut self, op: &'static str, kernel: &Erased<'_, 2>, b: &Array) -> Result<()> {
        self.check(op, kernel.inputs[0])?;
        b.check(op, kernel.inputs[1])?;
        if b.shape != self.shape {
            // SAFETY: handed on.
            return unsafe { self.become_of(op, kernel, &b.broadcast_to(&self.shape)?) };
        }
        self.make_own()?;
        // SAFETY: the elements are ours alone, row-major, and can be the kernel's, which may write where it reads; so can
        // those of `b`, which has that shape.
        unsafe { kernel.run(&self.shape, [(self.start, &self.strides), (b.start, &b.strides)], self.start) };
        Ok(())
    }

    /// `kernel(a, b, c)` for all elements that broadcasting puts together. The results have the bits of elements of the
    /// type `dtype`.
    #[inline]
    pub(crate) fn zip3_as<K: Zip3<A: Element, B: Element, C: Element, Out: Element>>(
        op: &'static str,
        dtype: DType,
        kernel: &K,
        arrays: [&Array; 3],
    ) -> Result<Array> {
        if !can_be(K::Out::DTYPE, dtype) {
            return Err(mistaken(op, K::Out::DTYPE, dtype));
        }
        let inputs = [K::A::DTYPE, K::B::DTYPE, K::C::DTYPE];
        let kernel = Erased { block: &Erased3(kernel), inputs, out: dtype, nanos: K::NANOS };
        // SAFETY: the types are the kernel's, but that of the result, which can have its bits.
        unsafe { kernel.of(op, arrays) }
    }
}
