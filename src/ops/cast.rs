//! Changing the element type.

use super::Case;
use crate::dtype::DType;
use crate::tape::cast;

operations! {
    /// The same values as another element type.
    astype(x; dtype: DType) {
        cast(x, dtype)
    } cases [Case { f: |t| astype(&t[0], DType::F64), shapes: &[&[3]], domain: (-1.0, 1.0) }];
}
