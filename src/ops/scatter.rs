//! Rows by number: taken, folded together at their numbers, and mixed with weights.

use super::binary::{as_float, number};
use super::movement::reshape_to;
use super::numbers::{Numbers, given, owned};
use super::{Case, astype, divide, equal, multiply, select};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::kernels::reduce::{Fold, Max, Min, Prod, Sum};
use crate::kernels::{put, scatter as kernel};
use crate::memory::{collected, filled};
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, choice, compute_beside,
    in_single, parameters, readers,
};

/// Rows of matrices by number: `(outer, of, width)` and numbers of rows become `(outer, rows, width)`.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    pub(super) of: usize,
}

/// The opposite: rows folded together at their numbers, `(outer, rows, width)` and these become `(outer, of, width)`.
#[derive(Clone, Debug)]
struct Scatter {
    of: usize,
    fold: Folding,
}

choice!(Folding: Sum, Product, Max, Min);

/// That an input is of matrices `(outer, of, width)`, that one is of numbers of their rows, and that one, if there is such,
/// is of these rows.
pub(super) fn rows_of(
    x: &Known<'_>,
    matrices: usize,
    rows: Option<usize>,
    numbers: usize,
    of: usize,
) -> Result<()> {
    x.axes(matrices, 3)?;
    let &[outer, _, width] = x.shape(matrices) else { return Ok(()) };
    let count = shape::size(x.shape(numbers));
    x.shaped(matrices, &[outer, of, width])?;
    x.there_is(&[outer, count, width])?;
    if let Some(rows) = rows {
        x.shaped(rows, &[outer, count, width])?;
    }
    x.numbers(numbers, of)
}

/// The rows of matrices `(outer, of, width)` that have these numbers, each below `of`.
pub(super) fn gather(x: &Tensor, rows: &Numbers, of: usize) -> Result<Tensor> {
    apply(Gather { of }, &[x, rows.tensor()])
}

/// What becomes of rows with the same number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Folding {
    Sum,
    Product,
    Max,
    Min,
}

impl Operation for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    parameters! { of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        rows_of(x, 0, None, 1, self.of)
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (rows, x, outer, width) = (given(x[1]), x[0].contiguous()?, x[0].shape()[0], x[0].shape()[2]);
        let shape = [outer, rows.len(), width];
        each!(x.dtype(), moved: T => {
            let values = x.values::<T>("gather")?;
            Array::written_as("gather", &shape, x.dtype(), |out| {
                put::gather(outer, rows, self.of, width, values, out)
            })
        })
    }
}

impl Differentiable for Gather {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let sums = apply(Scatter { of: self.of, fold: Folding::Sum }, &[g, cx.constant(0)])?;
        Ok(Grads::from_iter([Some(sums), None]))
    }
}

impl Scatter {
    fn folded<K: Fold<In = T, Out = T>, T: Element>(&self, x: &Array, rows: &[i64]) -> Result<Array> {
        let (outer, width) = (x.shape()[0], x.shape()[2]);
        let mut out = Array::full("scatter", &[outer, self.of, width], K::START)?;
        kernel::scatter::<K, T>(outer, rows, self.of, width, x.values("scatter")?, out.make_mut::<T>()?);
        Ok(out)
    }
}

impl Operation for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }
    parameters! { of, fold }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.axes(0, 3)?;
        let &[outer, rows, width] = x.shape(0) else { return Ok(()) };
        x.holds(shape::size(x.shape(1)) == rows, || "there are other numbers than rows".into())?;
        x.there_is(&[outer, self.of, width])?;
        x.numbers(1, self.of)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, rows) = (x[0].cast(x[0].dtype().widest())?.contiguous()?, given(x[1]));
        each!(x.dtype(), wide: T => match self.fold {
            Folding::Sum => self.folded::<Sum<T>, T>(&x, rows),
            Folding::Product => self.folded::<Prod<T>, T>(&x, rows),
            Folding::Max => self.folded::<Max<T>, T>(&x, rows),
            Folding::Min => self.folded::<Min<T>, T>(&x, rows),
        })
    }
}

impl Differentiable for Scatter {
    fn keeps(&self) -> Keeps {
        if self.fold == Folding::Sum { Keeps::Constants } else { Keeps::Both }
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let rows = cx.constant(0);
        let taken = |x: &Tensor| apply(Gather { of: self.of }, &[x, rows]);
        let g = taken(g)?;
        let dx = match self.fold {
            Folding::Sum => g,
            // Only products have derivatives where there are zeros.
            Folding::Product => multiply(&g, &others_multiplied(cx.input(0), rows, self.of)?)?,
            Folding::Max | Folding::Min => {
                let won = equal(cx.input(0), &taken(cx.output())?)?;
                multiply(&g, &astype(&won, g.dtype())?)?
            }
        };
        Ok(Grads::from_iter([Some(dx), None]))
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let divided = || {
            let others = product_of_others(cx.input(0), cx.constant(0), self.of)?;
            let dx = multiply(&apply(Gather { of: self.of }, &[g, cx.constant(0)])?, &others)?;
            Ok(Grads::from_iter([Some(dx), None]))
        };
        (self.fold == Folding::Product).then(divided)
    }
}

/// The product of the other elements with the same number: of all divided by one's own, with zeros counted apart.
fn product_of_others(x: &Tensor, rows: &Tensor, of: usize) -> Result<Tensor> {
    let [zero, one] = [number(0.0, x)?, number(1.0, x)?];
    // What the fold of the rows gives, at each of the places that are folded.
    let folded = |fold, x: &Tensor| apply(Gather { of }, &[&apply(Scatter { of, fold }, &[x, rows])?, rows]);
    let is_zero = equal(x, &zero)?;
    let zeros = folded(Folding::Sum, &astype(&is_zero, x.dtype())?)?;
    let x = select(&is_zero, &one, x)?;
    let product = folded(Folding::Product, &x)?;
    let only_zero = select(&equal(&zeros, &one)?, &product, &zero)?;
    select(&is_zero, &only_zero, &select(&equal(&zeros, &zero)?, &divide(&product, &x)?, &zero)?)
}

/// [`product_of_others`] as a product: of the element that comes next with the same number, the one after it and so on,
/// until one's own.
fn others_multiplied(x: &Tensor, rows: &Tensor, of: usize) -> Result<Tensor> {
    rows.array().is_looked_at();
    let (n, rows) = (x.shape()[1], given(rows.array()));
    let mut members = filled(of, Vec::new());
    let join = |(&row, i): (&i64, i64)| {
        members[row as usize].push(i);
        members[row as usize].len() - 1
    };
    let places: Vec<usize> = collected(rows.iter().zip(0..).map(join));
    let ones = |rows: usize| {
        Array::filled("scatter", &[x.shape()[0], rows, x.shape()[2]], 1.0, x.dtype()).map(Tensor::from)
    };
    let with_one = super::concat(&[x, &ones(1)?], 1)?;
    let mut product = ones(n)?;
    for ahead in 1..members.iter().map(Vec::len).max().unwrap_or(0) {
        let other = |(&row, &place): (&i64, &usize)| {
            let members = &members[row as usize];
            if ahead < members.len() { members[(place + ahead) % members.len()] } else { n as i64 }
        };
        let others: Vec<i64> = collected(rows.iter().zip(&places).map(other));
        product = multiply(&product, &gather(&with_one, &Numbers::from_slice(&others)?, n + 1)?)?;
    }
    Ok(product)
}

/// Rows mixed by a sparse matrix: `(outer, of, width)` becomes `(outer, rows, width)`. The inputs after the first are where
/// each row of the matrix starts, its columns, and its weights in float64.
#[derive(Clone, Debug)]
struct Resample {
    of: usize,
}

/// A sparse matrix with rows and columns exchanged, which had `of` columns: where its rows start, and beside these its columns
/// and its weights.
#[derive(Clone, Debug)]
struct Transposed {
    of: usize,
}

/// That inputs from a place on are a sparse matrix with so many columns: where its rows start, its columns, and its weights.
fn is_sparse(x: &Known<'_>, first: usize, of: usize) -> Result<()> {
    let (starts, columns) = (x.constant(first)?, x.shape(first + 1));
    x.shaped(first + 2, columns)?;
    x.typed(first + 2, DType::F64)?;
    x.row_major(first + 2)?;
    x.axes(first + 1, 1)?;
    x.axes(first, 1)?;
    x.numbers(first, columns[0] + 1)?;
    x.numbers(first + 1, of)?;
    let starts = starts.to_vec::<i64>()?;
    let fits =
        starts.is_sorted() && starts.first() == Some(&0) && starts.last() == Some(&(columns[0] as i64));
    x.holds(fits, || "that is no sparse matrix".into())
}

impl Operation for Transposed {
    fn name(&self) -> &'static str {
        "transposed"
    }
    parameters! { of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        is_sparse(x, 0, self.of)?;
        x.there_is(&[self.of, 1])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (starts, columns, weights) = (given(x[0]), given(x[1]), x[2].values::<f64>("resample")?);
        let mut counts = filled(self.of + 1, 0i64);
        columns.iter().for_each(|&c| counts[c as usize + 1] += 1);
        (0..self.of).for_each(|c| counts[c + 1] += counts[c]);
        let (new_starts, mut next): (Vec<i64>, _) = (collected(counts.iter().copied()), counts);
        let (mut rows, mut moved) = (filled(columns.len(), 0i64), filled(columns.len(), 0.0));
        for (row, range) in starts.windows(2).enumerate() {
            for k in range[0] as usize..range[1] as usize {
                let to = &mut next[columns[k] as usize];
                (rows[*to as usize], moved[*to as usize]) = (row as i64, weights[k]);
                *to += 1;
            }
        }
        let n = [rows.len()];
        let beside = vec![Array::from_slice(&n, &rows)?, Array::from_slice(&n, &moved)?];
        Ok((Array::from_slice(&[self.of + 1], &new_starts)?, beside))
    }
}

impl Operation for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }
    parameters! { of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)?;
        x.floats([0])?;
        x.axes(0, 3)?;
        x.shaped(0, &[x.shape(0)[0], self.of, x.shape(0)[2]])?;
        is_sparse(x, 1, self.of)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (starts, columns, weights) = (given(x[1]), given(x[2]), x[3]);
        let (x, outer, width) = (x[0].contiguous()?, x[0].shape()[0], x[0].shape()[2]);
        let shape = [outer, starts.len() - 1, width];
        let weights = weights.cast(x.dtype())?;
        each!(x.dtype(), float: T => {
            let (values, weights) = (x.values::<T>("resample")?, weights.values("resample")?);
            let matrix = kernel::Sparse { starts, columns, weights };
            Array::written("resample", &shape, |out| kernel::resample(outer, matrix, self.of, width, values, out))
        }, else Err(Error::DType(format!("resample: not defined for {}", x.dtype()))))
    }
}

impl Differentiable for Resample {
    fn keeps(&self) -> Keeps {
        Keeps::Rest
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let matrix = [cx.rest(1), cx.rest(2), cx.rest(3)];
        let exchanged = compute_beside(Transposed { of: self.of }, &matrix)?;
        let [starts, columns, weights] = &exchanged[..] else {
            return Err(Error::Value("resample: a matrix has three parts".into()));
        };
        let of = matrix[0].array().size() - 1;
        let dx = apply(Resample { of }, &[g, starts, columns, weights])?;
        Ok(Grads::from_iter([Some(dx), None, None, None]))
    }
}

readers! { "gather" => Gather, "scatter" => Scatter, "resample" => Resample, "transposed" => Transposed }

operations! {
    /// The opposite of `take`: the elements of `x` whose places along `axis` have the same index, folded together.
    ///
    /// The axes of `x` from `axis` on are those of `indices`; they become one of `n`. `op` is "+", "*", "max" or "min";
    /// where no element goes, there is the neutral element of that. Integers are folded in 64 bits.
    scatter(x, indices; n: usize = 0, op: String = String::from("+"), axis: isize = 0) {
        scattered(x, indices, n, op, axis)
    } cases [
        Case { f: |t| scatter(&t[0], &some_indices(&[2, 3])?, 4, "+".into(), 0), shapes: &[&[2, 3, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "*".into(), 1), shapes: &[&[2, 5, 3]], domain: (0.5, 1.5) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "max".into(), 1), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "min".into(), -1), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
    ];
    /// A sparse matrix times `x` along an axis: element `r` of the result is the sum of `weights[k] * x[columns[k]]` for
    /// `k` from `starts[r]` up to `starts[r + 1]`. There are gradients for `x` alone.
    resample(x, starts, columns, weights; axis: isize = 0) {
        mixed(x, starts, columns, weights, axis)
    } cases [
        Case { f: |t| resample(&t[0], &integers(&[0, 2, 2, 3])?, &integers(&[1, 0, 3])?, &integers(&[2, -1, 3])?, 1), shapes: &[&[2, 4, 3]], domain: (-1.0, 1.0) },
    ];
}

/// Indices for the checks: 0, 2, 1, 0, …
fn some_indices(shape: &[usize]) -> Result<Tensor> {
    let values: Vec<i64> = (0..shape::size(shape) as i64).map(|i| i * 2 % 3).collect();
    Ok(Array::from_slice(shape, &values)?.into())
}

fn integers(values: &[i64]) -> Result<Tensor> {
    Ok(Array::from_slice(&[values.len()], values)?.into())
}

/// Indices, each below `n`.
pub(super) fn checked(op: &str, indices: &Tensor, n: usize) -> Result<Numbers> {
    if indices.dtype().is_float() {
        return Err(Error::DType(format!("{op}: indices are integers, not {}", indices.dtype())));
    }
    let indices = Numbers::of(indices.array().clone())?;
    match indices.iter().find(|&&i| i < 0 || i as usize >= n) {
        Some(i) => Err(Error::Index(format!("{op}: index {i} is out of range for {n} places"))),
        None => Ok(indices.each_below(n)),
    }
}

/// The rows `(outer, rows, width)` folded together at their numbers, `(outer, of, width)`.
pub(super) fn scatter_rows(x: &Tensor, rows: &Tensor, of: usize, op: &str) -> Result<Tensor> {
    apply(Scatter { of, fold: folding(op)? }, &[x, rows])
}

fn folding(op: &str) -> Result<Folding> {
    match op {
        "+" => Ok(Folding::Sum),
        "*" => Ok(Folding::Product),
        "max" => Ok(Folding::Max),
        "min" => Ok(Folding::Min),
        _ => Err(Error::Value(format!("scatter: op is \"+\", \"*\", \"max\" or \"min\", not {op:?}"))),
    }
}

fn scattered(x: &Tensor, indices: &Tensor, n: usize, op: String, axis: isize) -> Result<Tensor> {
    let fold = folding(&op)?;
    let rows = checked("scatter", indices, n)?;
    let axis = if x.ndim() == 0 { 0 } else { shape::axis("scatter", axis, x.ndim())? };
    let after = axis + rows.shape().len();
    if after > x.ndim() || x.shape()[axis..after] != *rows.shape() {
        let (a, b) = (shape::show(x.shape()), shape::show(rows.shape()));
        return Err(Error::Shape(format!(
            "scatter: indices of shape {b} do not name the elements of shape {a} from axis {axis}"
        )));
    }
    let (outer, width) = (shape::size(&x.shape()[..axis]), shape::size(&x.shape()[after..]));
    let dims: Dims =
        x.shape()[..axis].iter().copied().chain([n]).chain(x.shape()[after..].iter().copied()).collect();
    let x = reshape_to(x, &[outer, rows.len(), width])?;
    reshape_to(&apply(Scatter { of: n, fold }, &[&x, rows.tensor()])?, &dims)
}

fn mixed(x: &Tensor, starts: &Tensor, columns: &Tensor, weights: &Tensor, axis: isize) -> Result<Tensor> {
    if x.dtype().is_half() {
        return in_single(&[x], |x| mixed(x[0], starts, columns, weights, axis));
    }
    let x = as_float(x)?;
    let axis = shape::axis("resample", axis, x.ndim())?;
    let of = x.shape()[axis];
    let (starts, columns) =
        (checked("resample", starts, columns.size() + 1)?, checked("resample", columns, of)?);
    // The gradient reads them again.
    let weights = owned(weights.array().clone(), DType::F64)?;
    starts.are_looked_at();
    let ordered =
        starts.is_sorted() && starts.first() == Some(&0) && starts.last() == Some(&(columns.len() as i64));
    let vectors = starts.shape().len() == 1 && columns.shape().len() == 1;
    if !ordered || !vectors || weights.shape() != columns.shape() {
        return Err(Error::Value(format!(
            "resample: {} starts, {} columns and {} weights are no sparse matrix",
            starts.len(),
            columns.len(),
            weights.size()
        )));
    }
    let mut dims = Dims::from_slice(x.shape());
    let (outer, width) = (shape::size(&dims[..axis]), shape::size(&dims[axis + 1..]));
    dims[axis] = starts.len() - 1;
    let x = reshape_to(&x, &[outer, of, width])?;
    reshape_to(&apply(Resample { of }, &[&x, starts.tensor(), columns.tensor(), &weights])?, &dims)
}
