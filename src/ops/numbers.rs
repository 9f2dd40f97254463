//! Labels, indices and places: integers that are checked once and then used as addresses.
//!
//! They are a copy of ours. Memory that came from somebody else may be written by its owner at any time, between the check
//! and the use, or between the forward pass and the gradient; and so may ours, where somebody was given it.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tape::{Operation, Parameter, Tensor, compute_into, derive, is_captured, parameters};
use std::ops::Deref;
use std::sync::Arc;

/// Numbers of 64 bits, row-major, that nobody else can change. An operation takes them as an input.
#[derive(Clone, Debug)]
pub(super) struct Numbers(Tensor);

impl Numbers {
    /// The values as int64: a copy, unless nobody else has them.
    pub(super) fn of(values: Array) -> Result<Numbers> {
        Ok(Numbers(owned(values, DType::I64)?))
    }

    /// These numbers, as a vector.
    pub(super) fn from_slice(values: &[i64]) -> Result<Numbers> {
        Ok(Numbers(Array::from_slice(&[values.len()], values)?.into()))
    }

    /// As an input of an operation.
    pub(super) fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// These numbers, which have been found to be below `n` and not negative: where a program takes others, these are too.
    pub(super) fn each_below(self, n: usize) -> Numbers {
        if is_captured() {
            let look = move |x: &[&Array]| match given(x[0]).iter().all(|i| (0..n as i64).contains(i)) {
                true => Ok(Vec::new()),
                false => Err(Error::Index(format!("a number is out of range for {n} places"))),
            };
            derive("below", vec![("n", n.value())], &[self.0.array()], &[], Arc::new(look));
        }
        self
    }

    /// To be called where the numbers decide what is done, other than by an operation.
    pub(super) fn are_looked_at(&self) {
        self.0.array().is_looked_at();
    }

    pub(super) fn shape(&self) -> &[usize] {
        self.0.shape()
    }
}

impl Deref for Numbers {
    type Target = [i64];
    #[inline]
    fn deref(&self) -> &[i64] {
        given(self.0.array())
    }
}

/// Values that are ours, as another element type.
#[derive(Clone, Debug)]
struct Own {
    dtype: DType,
}

impl Operation for Own {
    fn name(&self) -> &'static str {
        "own"
    }
    parameters! { dtype }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        self.forward_into(x[0].clone(), &[])
    }
    fn forward_into(&self, x: Array, _: &[&Array]) -> Result<Array> {
        let x = if x.dtype() == self.dtype { x } else { x.cast(self.dtype)? };
        x.into_own()
    }
}

/// The values as that type, row-major in memory of ours: a copy, unless nobody else has them.
pub(super) fn owned(values: Array, dtype: DType) -> Result<Tensor> {
    compute_into(Own { dtype }, values.into(), &[])
}

/// The same values in memory of their own, at the same place of a tape.
#[cfg(feature = "python")]
pub(crate) fn copy(x: &Tensor) -> Result<Tensor> {
    Ok(owned(x.array().clone(), x.dtype())?.at(x.place()))
}

/// Whether all numbers are at least 0 and below `n`. Where a program takes others, they are looked at again.
#[cfg(feature = "python")]
pub(crate) fn are_below(numbers: &Tensor, n: usize) -> Result<bool> {
    let look = move |x: &Array| -> Result<bool> {
        let x = x.cast(DType::I64)?.contiguous()?;
        Ok(given(&x).iter().all(|i| (0..n as i64).contains(i)))
    };
    let found = look(numbers.array())?;
    match is_captured() {
        true if found => {
            let again = move |x: &[&Array]| match look(x[0])? {
                true => Ok(Vec::new()),
                false => Err(Error::Index(format!("a number is out of range for {n} places"))),
            };
            derive("below", vec![("n", n.value())], &[numbers.array()], &[], Arc::new(again));
        }
        true => numbers.array().is_looked_at(),
        false => {}
    }
    Ok(found)
}

/// The truth of one element. Where a program does this again, it is to be the same.
#[cfg(feature = "python")]
pub(crate) fn holds(x: &Tensor) -> Result<bool> {
    let look = |x: &Array| -> Result<bool> {
        let x = x.cast(DType::F64)?.contiguous()?;
        Ok(x.values::<f64>("holds")?.first().is_some_and(|&x| x != 0.0))
    };
    let found = look(x.array())?;
    if !is_captured() {
        return Ok(found);
    }
    let again = move |x: &[&Array]| match look(x[0])? == found {
        true => Ok(Vec::new()),
        false => Err(Error::Value("what was so is not so any more".into())),
    };
    derive("holds", vec![("is", found.value())], &[x.array()], &[], Arc::new(again));
    Ok(found)
}

/// The numbers that an operation was applied to.
#[inline]
pub(super) fn given(numbers: &Array) -> &[i64] {
    numbers.as_slice().expect("numbers are row-major int64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_a_copy_of_what_others_can_write() -> Result<()> {
        let mut theirs = vec![0i64, 1, 2];
        // SAFETY: the memory lives as long as the array; that it is written meanwhile is what is tried.
        let array =
            unsafe { Array::foreign(theirs.as_mut_ptr().cast(), &[3], &[1], DType::I64, Box::new(())) };
        let (numbers, shared) = (Numbers::of(array)?, Array::from_slice(&[2], &[3i64, 4])?);
        theirs.fill(1 << 40);
        assert_eq!(*numbers, [0, 1, 2]);
        assert_ne!(Numbers::of(shared.clone())?.as_ptr(), shared.ptr());
        Ok(())
    }
}
