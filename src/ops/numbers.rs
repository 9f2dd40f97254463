//! Labels, indices and places: integers that are checked once and then used as addresses.
//!
//! They are a copy of ours. Memory that came from somebody else may be written by its owner at any time, between the check
//! and the use, or between the forward pass and the gradient; and so may ours, where somebody was given it.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tape::{
    Compute, Known, Operation, Parameter, Tensor, compute_into, derive, is_captured, parameters, readers,
};
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
            derive("below", vec![("n".into(), n.value())], &[self.0.array()], &[], below(n));
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
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)
    }
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

fn each_is_below(x: &Array, n: usize) -> Result<bool> {
    let x = x.cast(DType::I64)?.contiguous()?;
    Ok(given(&x).iter().all(|&i| i >= 0 && (i as u64) < n as u64))
}

/// What looks whether numbers are at least 0 and below `n`, in a program.
pub(crate) fn below(n: usize) -> Compute {
    Arc::new(move |x| match each_is_below(x[0], n)? {
        true => Ok(Vec::new()),
        false => Err(Error::Index(format!("a number is out of range for {n} places"))),
    })
}

/// Whether all numbers are at least 0 and below `n`. Where a program takes others, they are looked at again.
#[cfg(feature = "python")]
pub(crate) fn are_below(numbers: &Tensor, n: usize) -> Result<bool> {
    let found = each_is_below(numbers.array(), n)?;
    match is_captured() {
        true if found => {
            derive("below", vec![("n".into(), n.value())], &[numbers.array()], &[], below(n));
        }
        true => numbers.array().is_looked_at(),
        false => {}
    }
    Ok(found)
}

#[cfg(feature = "safetensors")]
fn is_true(x: &Array) -> Result<bool> {
    let x = x.cast(DType::F64)?.contiguous()?;
    Ok(x.values::<f64>("holds")?.first().is_some_and(|&x| x != 0.0))
}

/// What looks whether the truth of one element is still that, in a program.
#[cfg(feature = "safetensors")]
pub(crate) fn still(found: bool) -> Compute {
    Arc::new(move |x| match is_true(x[0])? == found {
        true => Ok(Vec::new()),
        false => Err(Error::Value("what was so is not so any more".into())),
    })
}

/// The truth of one element. Where a program does this again, it is to be the same.
#[cfg(feature = "python")]
pub(crate) fn holds(x: &Tensor) -> Result<bool> {
    let found = is_true(x.array())?;
    if !is_captured() {
        return Ok(found);
    }
    derive("holds", vec![("is".into(), found.value())], &[x.array()], &[], still(found));
    Ok(found)
}

/// The numbers that an operation was applied to.
#[inline]
pub(super) fn given(numbers: &Array) -> &[i64] {
    numbers.as_slice().expect("numbers are row-major int64")
}

readers! { "own" => Own }

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
