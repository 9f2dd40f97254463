//! Changes of the element type as operations that are done with others.

use super::Fusible;
use crate::array::{Cast, Narrow, Widen};
use crate::dtype::half::{BFloat16, Float16};
use crate::dtype::{DType, each};
use std::marker::PhantomData;

/// What changes one type into another, to be done with other operations. Numbers of 16 bits come from float32 and go there.
pub(crate) fn casting(from: DType, to: DType) -> Option<Fusible> {
    match (from, to) {
        (DType::F16, DType::F32) => Some(Fusible::map(Widen::<Float16>(PhantomData))),
        (DType::BF16, DType::F32) => Some(Fusible::map(Widen::<BFloat16>(PhantomData))),
        (DType::F32, DType::F16) => Some(Fusible::map(Narrow::<Float16>(PhantomData))),
        (DType::F32, DType::BF16) => Some(Fusible::map(Narrow::<BFloat16>(PhantomData))),
        (from, to) if from != to => each!(from, computed: A => each!(to, computed: B => {
            Some(Fusible::map(Cast::<A, B>(PhantomData)))
        }, else None), else None),
        _ => None,
    }
}
