//! The same elements in another shape or order: views, where the strides allow.

use super::Case;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::shape::{self, Axes, Dims};
use crate::tape::{Context, Differentiable, Grads, Known, Operation, Tensor, apply, parameters, readers};
use smallvec::SmallVec;

#[derive(Clone, Debug)]
struct Reshape(Dims);

impl Operation for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    parameters! { 0: shape }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.there_is(&self.0)?;
        x.sized(0, shape::size(&self.0))
    }
    fn moves(&self) -> bool {
        true
    }
    fn fused(&self, _: &[DType]) -> Option<Fusible> {
        Some(Fusible::View)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].reshape(&self.0)
    }
}

impl Differentiable for Reshape {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| reshape_to(g, cx.shape(i)))
    }
}

/// The elements in row-major order with another shape of the same size.
pub fn reshape_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape() == shape { Ok(x.clone()) } else { apply(Reshape(Dims::from_slice(shape)), &[x]) }
}

#[derive(Clone, Debug)]
struct Permute(SmallVec<[usize; 4]>);

impl Operation for Permute {
    fn name(&self) -> &'static str {
        "permute_dims"
    }
    parameters! { 0: order }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.axes(0, self.0.len())?;
        let names_each = (0..self.0.len()).all(|axis| self.0.contains(&axis));
        x.holds(names_each, || format!("{:?} are no axes in another order", self.0))
    }
    fn moves(&self) -> bool {
        true
    }
    fn fused(&self, _: &[DType]) -> Option<Fusible> {
        Some(Fusible::View)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].permute(&self.0)
    }
}

impl Differentiable for Permute {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let mut back = self.0.clone();
        for (i, &k) in self.0.iter().enumerate() {
            back[k] = i;
        }
        cx.each(|_| permute(g, &back))
    }
}

/// The axes in the order given, which names each once.
pub(crate) fn permute(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    apply(Permute(SmallVec::from_slice(order)), &[x])
}

#[derive(Clone, Debug)]
struct BroadcastTo(Dims);

impl Operation for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }
    parameters! { 0: shape }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.there_is(&self.0)?;
        x.broadcasts_to(0, &self.0)
    }
    fn moves(&self) -> bool {
        true
    }
    fn fused(&self, _: &[DType]) -> Option<Fusible> {
        Some(Fusible::View)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].broadcast_to(&self.0)
    }
}

impl Differentiable for BroadcastTo {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| Ok(g.clone())) // the walk sums it back
    }
}

/// Repeated, without copying, to a shape that it broadcasts to.
pub fn broadcast_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape() == shape { Ok(x.clone()) } else { apply(BroadcastTo(Dims::from_slice(shape)), &[x]) }
}

readers! { "reshape" => Reshape, "permute_dims" => Permute, "broadcast_to" => BroadcastTo }

operations! {
    /// The elements in row-major order with another shape; one length may be -1, to be worked out.
    reshape(x; shape: Axes) {
        reshape_signed(x, shape)
    } cases [Case { f: |t| reshape(&t[0], [2, -1].into()), shapes: &[&[3, 4]], domain: (-1.0, 1.0) }];
    /// The axes in another order; all of them reversed, if none is given.
    permute_dims(x; axes: Axes) {
        permute_signed(x, axes)
    } cases [Case { f: |t| permute_dims(&t[0], [2, 0, 1].into()), shapes: &[&[2, 3, 4]], domain: (-1.0, 1.0) }];
    /// The last two axes exchanged.
    matrix_transpose(x) {
        transpose_last(x)
    } cases [Case { f: matrix_transpose_case, shapes: &[&[2, 3, 4]], domain: (-1.0, 1.0) }];
}

fn matrix_transpose_case(t: &[Tensor]) -> Result<Tensor> {
    matrix_transpose(&t[0])
}

fn reshape_signed(x: &Tensor, lengths: Axes) -> Result<Tensor> {
    let Axes::These(lengths) = lengths else { return reshape_to(x, &[x.size()]) };
    let bad = || {
        let to = lengths.iter().map(isize::to_string).collect::<Vec<_>>().join(", ");
        let from = shape::show(x.shape());
        Err(Error::Shape(format!("reshape: {} elements of shape {from} do not fill shape ({to})", x.size())))
    };
    let known: usize = match shape::checked_size(
        &lengths.iter().filter(|&&n| n >= 0).map(|&n| n as usize).collect::<Dims>(),
    ) {
        Some(n) => n,
        None => return bad(),
    };
    let unknown = lengths.iter().filter(|&&n| n < 0).count();
    if unknown > 1
        || lengths.iter().any(|&n| n < -1)
        || (unknown == 1 && (known == 0 || !x.size().is_multiple_of(known)))
    {
        return bad();
    }
    let dims: Dims = lengths.iter().map(|&n| if n < 0 { x.size() / known } else { n as usize }).collect();
    if shape::size(&dims) == x.size() { reshape_to(x, &dims) } else { bad() }
}

fn permute_signed(x: &Tensor, axes: Axes) -> Result<Tensor> {
    let n = x.ndim();
    let order: SmallVec<[usize; 4]> = match axes {
        Axes::All => (0..n).rev().collect(),
        Axes::These(these) => {
            these.iter().map(|&a| shape::axis("permute_dims", a, n)).collect::<Result<_>>()?
        }
    };
    let mut seen = SmallVec::<[bool; 4]>::from_elem(false, n);
    for &a in &order {
        seen[a] = true;
    }
    if order.len() != n || seen.contains(&false) {
        return Err(Error::Value(format!("permute_dims: axes {order:?} do not name each of {n} axes once")));
    }
    permute(x, &order)
}

/// The last two axes exchanged.
pub(crate) fn transpose_last(x: &Tensor) -> Result<Tensor> {
    let n = x.ndim();
    if n < 2 {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!("matrix_transpose: shape {shape} has fewer than two axes")));
    }
    let mut order: SmallVec<[usize; 4]> = (0..n).collect();
    order.swap(n - 2, n - 1);
    permute(x, &order)
}
