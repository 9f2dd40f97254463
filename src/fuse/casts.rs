//! Changes of the element type as operations that are done with others.

use super::Fusible;
use crate::array::{Cast, Narrow, Widen};
use crate::dtype::DType;
use crate::dtype::half::{BFloat16, Float16};
use std::marker::PhantomData;

/// What changes one floating type, or truth values, into another, to be done with other operations.
pub(crate) fn casting(from: DType, to: DType) -> Option<Fusible> {
    match (from, to) {
        (DType::F16, DType::F32) => Some(Fusible::map(Widen::<Float16>(PhantomData))),
        (DType::BF16, DType::F32) => Some(Fusible::map(Widen::<BFloat16>(PhantomData))),
        (DType::F32, DType::F16) => Some(Fusible::map(Narrow::<Float16>(PhantomData))),
        (DType::F32, DType::BF16) => Some(Fusible::map(Narrow::<BFloat16>(PhantomData))),
        (DType::F32, DType::F64) => Some(Fusible::map(Cast::<f32, f64>(PhantomData))),
        (DType::F64, DType::F32) => Some(Fusible::map(Cast::<f64, f32>(PhantomData))),
        (DType::Bool, DType::F32) => Some(Fusible::map(Cast::<bool, f32>(PhantomData))),
        (DType::Bool, DType::F64) => Some(Fusible::map(Cast::<bool, f64>(PhantomData))),
        (DType::F32, DType::Bool) => Some(Fusible::map(Cast::<f32, bool>(PhantomData))),
        (DType::F64, DType::Bool) => Some(Fusible::map(Cast::<f64, bool>(PhantomData))),
        _ => None,
    }
}
