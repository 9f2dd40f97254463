//! Euclidean distances between points.

use super::binary::{as_dtype, number};
use super::movement::{broadcast_to, reshape_to};
use super::{Case, divide, equal, matmul, matrix_transpose, multiply, select, subtract, sum};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::distance as kernel;
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};

/// The distances of all points `(batch, n, width)` from all `(batch, m, width)`.
#[derive(Clone, Debug)]
struct Distances;

impl Operation for Distances {
    fn name(&self) -> &'static str {
        "distances"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        x.axes(0, 3)?;
        x.axes(1, 3)?;
        let (a, b) = (x.shape(0), x.shape(1));
        x.shaped(1, &[a[0], b[1], a[2]])?;
        x.there_is(&[a[0], a[1], b[1]])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, b) = (x[0].contiguous()?, x[1].permute(&[0, 2, 1])?.contiguous()?);
        let (batch, n, width, m) = (a.shape()[0], a.shape()[1], a.shape()[2], b.shape()[2]);
        let shape = [batch, n, m];
        if width == 0 || shape::size(&shape) == 0 {
            return Array::filled("distances", &shape, 0.0, a.dtype());
        }
        each!(a.dtype(), float: T => {
            let (a, b) = (a.values::<T>("distances")?, b.values("distances")?);
            Array::written("distances", &shape, |out| kernel::euclidean([batch, n, m, width], a, b, out))
        }, else Err(Error::DType(format!("distances: not defined for {}", a.dtype()))))
    }
}

impl Differentiable for Distances {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // The direction from one point to another, which is none where they are the same.
        let (y, zero, one) = (cx.output(), number(0.0, g)?, number(1.0, g)?);
        let same = equal(y, &zero)?;
        let weights = select(&same, &zero, &divide(g, &select(&same, &one, y)?)?)?;
        cx.each(|i| {
            let weights = if i == 0 { weights.clone() } else { matrix_transpose(&weights)? };
            let (from, to) = (cx.input(i), cx.input(1 - i));
            let total = sum(&weights, (-1).into(), true)?;
            subtract(&multiply(from, &total)?, &matmul(&weights, to)?)
        })
    }
}

readers! { "distances" => Distances }

operations! {
    /// The Euclidean distances of the points `a`, `(..., n, width)`, from the points `b`, `(..., m, width)`, by their
    /// differences: `(..., n, m)`. Equal points have the gradient 0.
    distances(a, b) {
        between(a, b)
    } cases [
        Case { f: |t| distances(&t[0], &t[1]), shapes: &[&[3, 2], &[4, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| distances(&t[0], &t[1]), shapes: &[&[2, 1, 3], &[5, 3]], domain: (-2.0, 2.0) },
    ];
}

fn between(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() || b.dtype().is_half() {
        return in_single(&[a, b], |x| between(x[0], x[1]));
    }
    let dtype = a.dtype().promote(b.dtype()).to_float();
    let (a, b) = (as_dtype(a, dtype)?, as_dtype(b, dtype)?);
    let shapes = || (shape::show(a.shape()), shape::show(b.shape()));
    let ([.., n, width], [.., m, other]) = (a.shape(), b.shape()) else {
        let (a, b) = shapes();
        return Err(Error::Shape(format!("cdist: expected points (..., n, width), got shapes {a} and {b}")));
    };
    if width != other {
        let (a, b) = shapes();
        return Err(Error::Shape(format!("cdist: points of shapes {a} and {b} differ on the last axis")));
    }
    let (lead_a, lead_b) = (&a.shape()[..a.ndim() - 2], &b.shape()[..b.ndim() - 2]);
    let lead = shape::broadcast("cdist", lead_a, lead_b)?;
    let spread = |x: &Tensor, rows: usize| -> Result<Tensor> {
        let full: Dims = lead.iter().copied().chain([rows, *width]).collect();
        reshape_to(&broadcast_to(x, &full)?, &[shape::size(&lead), rows, *width])
    };
    let y = apply(Distances, &[&spread(&a, *n)?, &spread(&b, *m)?])?;
    let full: Dims = lead.iter().copied().chain([*n, *m]).collect();
    reshape_to(&y, &full)
}
