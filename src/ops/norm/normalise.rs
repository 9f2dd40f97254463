//! Normalisation over any axes.

use super::{Together, norm};
use crate::error::Result;
use crate::ops::Case;
use crate::ops::binary::as_float;
use crate::ops::movement::{permute, reshape_to};
use crate::shape::{self, Axes};
use crate::tape::Tensor;
use smallvec::SmallVec;

operations! {
    /// `(x - mean) / sqrt(var + eps)` over axes, by default the first: mean 0 and standard deviation 1, where the
    /// variance is not tiny beside `eps`.
    normalise(x; axis: Axes = Axes::from(0), eps: f64 = 1e-5) {
        normalised(x, axis, eps)
    } cases [
        Case { f: |t| normalise(&t[0], 0.into(), 1e-3), shapes: &[&[4, 3]], domain: (-2.0, 2.0) },
        Case { f: |t| normalise(&t[0], (-1).into(), 1e-3), shapes: &[&[2, 5]], domain: (-2.0, 2.0) },
        Case { f: |t| normalise(&t[0], [0, 2].into(), 1e-3), shapes: &[&[2, 3, 4]], domain: (-2.0, 2.0) },
        Case { f: |t| normalise(&t[0], Axes::All, 1e-3), shapes: &[&[2, 3]], domain: (-2.0, 2.0) },
    ];
}

fn normalised(x: &Tensor, axis: Axes, eps: f64) -> Result<Tensor> {
    let x = as_float(x)?;
    let axes = axis.resolve("normalise", x.ndim())?;
    let adjacent = axes.windows(2).all(|w| w[1] == w[0] + 1);
    if adjacent && let (Some(&first), Some(&last)) = (axes.first(), axes.last()) {
        let [outer, n, inner] =
            [&x.shape()[..first], &x.shape()[first..=last], &x.shape()[last + 1..]].map(shape::size);
        // Rows that lie in memory are one group of columns; other axes leave each column a group of its own.
        let (dims, groups) = if inner == 1 { ([outer, 1, n], 1) } else { ([outer, n, inner], inner) };
        let [y, ..] = norm(
            &reshape_to(&x, &dims)?,
            None,
            None,
            Together { lead: 1, trail: 1, groups: groups.max(1) },
            eps,
        )?;
        return reshape_to(&y, x.shape());
    }
    let order: SmallVec<[usize; 4]> =
        (0..x.ndim()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
    let together = Together { lead: x.ndim() - axes.len(), trail: axes.len(), groups: 1 };
    let [y, ..] = norm(&permute(&x, &order)?, None, None, together, eps)?;
    let mut back = order.clone();
    for (i, &axis) in order.iter().enumerate() {
        back[axis] = i;
    }
    permute(&y, &back)
}
