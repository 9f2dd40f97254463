//! Rows by number: taken, folded together at their numbers, and mixed with weights.

use super::binary::as_float;
use super::movement::{broadcast_to, reshape_to};
use super::numbers::Numbers;
use super::{Case, astype, divide, equal, multiply, select};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::kernels::reduce::{Fold, Max, Min, Prod, Sum};
use crate::kernels::{put, scatter as kernel};
use crate::memory::{collected, filled};
use crate::shape::{self, Dims};
use crate::tape::{Context, Grads, Keeps, Operation, Tensor, apply, is_recording};

/// Rows of matrices by number: `(outer, of, width)` becomes `(outer, rows, width)`.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) rows: Numbers,
    pub(super) of: usize,
}

/// The opposite: rows folded together at their numbers, `(outer, rows, width)` becomes `(outer, of, width)`.
#[derive(Debug)]
struct Scatter {
    rows: Numbers,
    of: usize,
    fold: Folding,
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
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, outer, width) = (x[0].contiguous()?, x[0].shape()[0], x[0].shape()[2]);
        let mut out = Array::empty("gather", &[outer, self.rows.len(), width], x.dtype())?;
        each!(x.dtype(), moved: T => {
            // SAFETY: the numbers are rows of each matrix of `x`, which is row-major; the output is fresh.
            unsafe { put::gather(outer, &self.rows, self.of, width, x.ptr::<T>(), out.fresh_ptr()) };
        });
        Ok(out)
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let g = broadcast_to(g, &[cx.shape(i)[0], self.rows.len(), cx.shape(i)[2]])?;
            apply(Scatter { rows: self.rows.clone(), of: self.of, fold: Folding::Sum }, &[&g])
        })
    }
}

impl Scatter {
    fn folded<K: Fold<In = T, Out = T>, T: Element>(&self, x: &Array) -> Result<Array> {
        let (outer, width) = (x.shape()[0], x.shape()[2]);
        let mut out = Array::full("scatter", &[outer, self.of, width], K::START)?;
        let to = out.make_mut::<T>()?.as_mut_ptr();
        // SAFETY: the numbers are rows of the output, which is ours; `x` is row-major.
        unsafe { kernel::scatter::<K, T>(outer, &self.rows, self.of, width, x.ptr(), to) };
        Ok(out)
    }

    /// What `f` gives for the rows, at each of the places that are folded.
    fn taken(&self, x: &Tensor) -> Result<Tensor> {
        apply(Gather { rows: self.rows.clone(), of: self.of }, &[x])
    }

    fn with(&self, fold: Folding) -> Scatter {
        Scatter { rows: self.rows.clone(), of: self.of, fold }
    }
}

impl Operation for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].cast(x[0].dtype().widest())?.contiguous()?;
        each!(x.dtype(), wide: T => match self.fold {
            Folding::Sum => self.folded::<Sum<T>, T>(&x),
            Folding::Product => self.folded::<Prod<T>, T>(&x),
            Folding::Max => self.folded::<Max<T>, T>(&x),
            Folding::Min => self.folded::<Min<T>, T>(&x),
        })
    }
    fn keeps(&self) -> Keeps {
        if self.fold == Folding::Sum { Keeps::Nothing } else { Keeps::Both }
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let g = self.taken(&broadcast_to(g, &[cx.shape(i)[0], self.of, cx.shape(i)[2]])?)?;
            match self.fold {
                Folding::Sum => Ok(g),
                // Only products have derivatives where there are zeros.
                Folding::Product if is_recording() => multiply(&g, &self.others_multiplied(cx.input(i))?),
                Folding::Product => multiply(&g, &self.product_of_others(cx.input(i))?),
                Folding::Max | Folding::Min => {
                    let won = equal(cx.input(i), &self.taken(cx.output())?)?;
                    multiply(&g, &astype(&won, g.dtype())?)
                }
            }
        })
    }
}

impl Scatter {
    /// The product of the other elements with the same number: of all divided by one's own, with zeros counted apart.
    fn product_of_others(&self, x: &Tensor) -> Result<Tensor> {
        let [zero, one]: [Tensor; 2] = [
            Array::filled("scatter", &[], 0.0, x.dtype())?.into(),
            Array::filled("scatter", &[], 1.0, x.dtype())?.into(),
        ];
        let is_zero = equal(x, &zero)?;
        let zeros = self.taken(&apply(self.with(Folding::Sum), &[&astype(&is_zero, x.dtype())?])?)?;
        let x = select(&is_zero, &one, x)?;
        let product = self.taken(&apply(self.with(Folding::Product), &[&x])?)?;
        let only_zero = select(&equal(&zeros, &one)?, &product, &zero)?;
        select(&is_zero, &only_zero, &select(&equal(&zeros, &zero)?, &divide(&product, &x)?, &zero)?)
    }
}

impl Scatter {
    /// [`Scatter::product_of_others`] as a product: of the element that comes next with the same number, the one after it
    /// and so on, until one's own.
    fn others_multiplied(&self, x: &Tensor) -> Result<Tensor> {
        let (of, rows) = (x.shape()[1], &self.rows);
        let mut members = filled(self.of, Vec::new());
        let join = |(&row, i): (&i64, i64)| {
            members[row as usize].push(i);
            members[row as usize].len() - 1
        };
        let places: Vec<usize> = collected(rows.iter().zip(0..).map(join));
        let ones = |rows: usize| {
            Array::filled("scatter", &[x.shape()[0], rows, x.shape()[2]], 1.0, x.dtype()).map(Tensor::from)
        };
        let with_one = super::concat(&[x, &ones(1)?], 1)?;
        let mut product = ones(of)?;
        for ahead in 1..members.iter().map(Vec::len).max().unwrap_or(0) {
            let other = |(&row, &place): (&i64, &usize)| {
                let members = &members[row as usize];
                if ahead < members.len() { members[(place + ahead) % members.len()] } else { of as i64 }
            };
            let others: Vec<i64> = collected(rows.iter().zip(&places).map(other));
            let others = Gather { rows: Numbers::from_slice(&others)?, of: of + 1 };
            product = multiply(&product, &apply(others, &[&with_one])?)?;
        }
        Ok(product)
    }
}

/// Rows mixed by a sparse matrix: `(outer, of, width)` becomes `(outer, rows, width)`.
#[derive(Debug)]
struct Resample {
    starts: Numbers,
    columns: Numbers,
    weights: Array,
    of: usize,
}

impl Resample {
    /// The matrix with rows and columns exchanged.
    fn transposed(&self) -> Result<Resample> {
        let (starts, columns) = (&self.starts, &self.columns);
        let weights = self.weights.as_slice::<f64>().expect("the weights are row-major float64");
        let mut counts = filled(self.of + 1, 0i64);
        columns.iter().for_each(|&c| counts[c as usize + 1] += 1);
        (0..self.of).for_each(|c| counts[c + 1] += counts[c]);
        let (new_starts, mut next) = (collected(counts.iter().copied()), counts);
        let (mut rows, mut moved) = (filled(columns.len(), 0), filled(columns.len(), 0.0));
        for (row, range) in starts.windows(2).enumerate() {
            for k in range[0] as usize..range[1] as usize {
                let to = &mut next[columns[k] as usize];
                (rows[*to as usize], moved[*to as usize]) = (row as i64, weights[k]);
                *to += 1;
            }
        }
        Ok(Resample {
            starts: Numbers::from_slice(&new_starts)?,
            columns: Numbers::from_slice(&rows)?,
            weights: Array::from_slice(&[rows.len()], &moved)?,
            of: starts.len() - 1,
        })
    }
}

impl Operation for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, outer, width) = (x[0].contiguous()?, x[0].shape()[0], x[0].shape()[2]);
        let starts = &self.starts;
        let mut out = Array::empty("resample", &[outer, starts.len() - 1, width], x.dtype())?;
        let weights = self.weights.cast(x.dtype())?;
        each!(x.dtype(), float: T => {
            let weights = weights.as_slice::<T>().expect("the weights are row-major and were cast");
            let matrix = kernel::Sparse { starts, columns: &self.columns, weights };
            // SAFETY: `mixed` has checked the matrix; `x` is row-major; the output is fresh.
            unsafe { kernel::resample(outer, matrix, self.of, width, x.ptr::<T>(), out.fresh_ptr()) };
        }, else return Err(Error::DType(format!("resample: not defined for {}", x.dtype()))));
        Ok(out)
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let back = self.transposed()?;
            let g = broadcast_to(g, &[cx.shape(i)[0], back.of, cx.shape(i)[2]])?;
            apply(back, &[&g])
        })
    }
}

operations! {
    /// The opposite of `take`: the elements of `x` whose places along `axis` have the same index, folded together.
    ///
    /// The axes of `x` from `axis` on are those of `indices`; they become one of `n`. `op` is "+", "*", "max" or "min";
    /// where no element goes, there is the neutral element of that. Integers are folded in 64 bits.
    scatter(x, indices; n: usize = 0, op: String = String::from("+"), axis: isize = 0) = scattered, cases [
        Case { f: |t| scatter(&t[0], &some_indices(&[2, 3])?, 4, "+".into(), 0), shapes: &[&[2, 3, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "*".into(), 1), shapes: &[&[2, 5, 3]], domain: (0.5, 1.5) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "max".into(), 1), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
        Case { f: |t| scatter(&t[0], &some_indices(&[5])?, 3, "min".into(), -1), shapes: &[&[2, 5]], domain: (-1.0, 1.0) },
    ];
    /// A sparse matrix times `x` along an axis: element `r` of the result is the sum of `weights[k] * x[columns[k]]` for
    /// `k` from `starts[r]` up to `starts[r + 1]`. There are gradients for `x` alone.
    resample(x, starts, columns, weights; axis: isize = 0) = mixed, cases [
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
        None => Ok(indices),
    }
}

fn scattered(x: &Tensor, indices: &Tensor, n: usize, op: String, axis: isize) -> Result<Tensor> {
    let fold = match op.as_str() {
        "+" => Folding::Sum,
        "*" => Folding::Product,
        "max" => Folding::Max,
        "min" => Folding::Min,
        _ => {
            return Err(Error::Value(format!("scatter: op is \"+\", \"*\", \"max\" or \"min\", not {op:?}")));
        }
    };
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
    reshape_to(&apply(Scatter { rows, of: n, fold }, &[&x])?, &dims)
}

fn mixed(x: &Tensor, starts: &Tensor, columns: &Tensor, weights: &Tensor, axis: isize) -> Result<Tensor> {
    let x = as_float(x)?;
    let axis = shape::axis("resample", axis, x.ndim())?;
    let of = x.shape()[axis];
    let (starts, columns) =
        (checked("resample", starts, columns.size() + 1)?, checked("resample", columns, of)?);
    let weights = weights.array().cast(DType::F64)?.contiguous()?;
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
    let y = apply(Resample { starts, columns, weights, of }, &[&reshape_to(&x, &[outer, of, width])?])?;
    reshape_to(&y, &dims)
}
