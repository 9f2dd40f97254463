//! Temporary stand-in.
#![allow(missing_docs)]
use crate::array::Array;
use crate::error::{Error, Result};
use crate::tape::Tensor;
pub enum Index { At(isize), Slice { start: Option<isize>, stop: Option<isize>, step: Option<isize> }, NewAxis, Ellipsis, Array(Array), Mask(Array) }
pub fn index(x: &Tensor, i: &[Index]) -> Result<Tensor> {
    if let [Index::At(k)] = i { 
        if *k < 0 || *k as usize >= x.shape()[0] { return Err(Error::Index("out".into())); }
        let mut r: Vec<_> = x.shape().iter().map(|&n| crate::array::Range::all(n)).collect();
        r[0] = crate::array::Range { start: *k as usize, step: 1, length: 1 };
        let y = x.slice(&r); let s = y.shape()[1..].to_vec();
        return super::reshape_to(&y.into(), &s);
    }
    Err(Error::Unsupported("index".into()))
}
pub fn assign(_: &Array, _: &[Index], _: &Array) -> Result<Array> { Err(Error::Unsupported("assign".into())) }
pub fn stack(_: &[&Tensor], _: isize) -> Result<Tensor> { Err(Error::Unsupported("stack".into())) }
pub(super) const OPS: &[super::Op] = &[];
#[cfg(feature = "python")]
pub(super) fn register(_: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> { Ok(()) }
