//! Indexing as NumPy does it: a view for integers and slices, then one gather of rows for integer and bool arrays.

use super::Case;
use super::movement::{broadcast_to, permute, reshape_to};
use super::numbers::Numbers;
use super::scatter::gather;
use super::view::{put, slice};
use crate::array::{Array, Range};
use crate::dtype::{DType, each};
use crate::error::{Error, Result, attempt};
use crate::memory::collected;
use crate::shape::{self, Dims};
use crate::tape::{Known, Operation, Tensor, compute, parameters, readers};

/// One part of an index.
#[derive(Clone, Debug)]
pub enum Index {
    /// One element of an axis, which goes; negative counts from the back.
    At(isize),
    /// A range of an axis, as Python's `start:stop:step`.
    Slice {
        /// The first element.
        start: Option<isize>,
        /// The first element that is not taken.
        stop: Option<isize>,
        /// How far apart the elements are.
        step: Option<isize>,
    },
    /// A new axis of length 1.
    NewAxis,
    /// As many whole axes as are left.
    Ellipsis,
    /// Elements of an axis by number.
    Array(Array),
    /// The elements at which a mask over one or more axes is true.
    Mask(Array),
}

/// `start:stop:step` on an axis of `n` elements, by Python's rules.
fn range(start: Option<isize>, stop: Option<isize>, step: Option<isize>, n: usize) -> Result<Range> {
    let (n, step) = (n as isize, step.unwrap_or(1));
    if step == 0 {
        return Err(Error::Value("index: a slice's step is not zero".into()));
    }
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |x: isize| (if x < 0 { x.saturating_add(n) } else { x }).clamp(low, high);
    let start = start.map_or(if step > 0 { low } else { high }, place);
    let stop = stop.map_or(if step > 0 { high } else { low }, place);
    let span = if step > 0 { stop - start } else { start - stop };
    Ok(if span <= 0 {
        Range { start: 0, step: 1, length: 0 }
    } else {
        let length = (span as usize - 1) / step.unsigned_abs() + 1;
        // A step past the end of the axis may be as large as a word: it is not one that strides can be multiplied by.
        Range { start: start as usize, step: if length == 1 { 1 } else { step }, length }
    })
}

pub(super) fn at(i: isize, axis: usize, n: usize) -> Result<usize> {
    let m = n as isize;
    if (-m..m).contains(&i) {
        return Ok(if i < 0 { i + m } else { i } as usize);
    }
    Err(Error::Index(format!("index: {i} is out of range for axis {axis} with size {n}")))
}

/// Where a mask is true: one array of numbers for each of its axes.
pub(crate) fn nonzero(mask: &Array) -> Result<Vec<Array>> {
    mask.is_looked_at();
    let mask = mask.cast(DType::Bool)?.contiguous()?;
    let values = mask.as_slice::<bool>().expect("a contiguous mask is a slice of bools");
    let found = attempt("nonzero", || {
        Ok(collected(values.iter().enumerate().filter_map(|(i, &is_true)| is_true.then_some(i))))
    })?;
    let mut behind = 1;
    let mut places = Vec::with_capacity(mask.ndim());
    for &n in mask.shape().iter().rev() {
        places.push(Array::from_fn("nonzero", &[found.len()], |i| (found[i] / behind % n) as i64)?);
        behind *= n;
    }
    places.reverse();
    Ok(places)
}

/// An index, worked out for a shape.
pub(super) struct Resolved {
    /// The ranges of the tensor's axes.
    pub(super) ranges: Vec<Range>,
    /// The shape of the view: without the axes that integers take, with the new ones.
    pub(super) view: Dims,
    /// The axes of the view that arrays index.
    arrays: Vec<(usize, Array)>,
    /// Whether those arrays stand side by side in the index.
    adjacent: bool,
}

/// The rows that arrays name of a view, if its axes are brought in order and become those of a matrix for each place along
/// the first ones.
pub(super) struct Named {
    /// The axes in that order.
    pub(super) order: Vec<usize>,
    /// How many matrices there are, the rows of one, and their length.
    pub(super) matrices: [usize; 3],
    /// The numbers of the rows.
    pub(super) rows: Numbers,
    /// The shape of the result.
    pub(super) shape: Vec<usize>,
}

impl Resolved {
    /// The rows that the arrays name, if there are arrays.
    pub(super) fn named(&self) -> Result<Option<Named>> {
        let Resolved { view, arrays, adjacent, .. } = self;
        if arrays.is_empty() {
            return Ok(None);
        }
        let (rows, shape) = rows(view, arrays)?;
        let indexed: Vec<usize> = arrays.iter().map(|(axis, _)| *axis).collect();
        let others: Vec<usize> = (0..view.len()).filter(|i| !indexed.contains(i)).collect();
        // Side by side, the arrays' axes take the place of those they index; else they come first.
        let before = if *adjacent { others.iter().filter(|&&i| i < indexed[0]).count() } else { 0 };
        let (outer, inner) = others.split_at(before);
        let order = outer.iter().chain(&indexed).chain(inner).copied().collect();
        let size = |axes: &[usize]| axes.iter().map(|&i| view[i]).product::<usize>();
        let matrices = [size(outer), size(&indexed), size(inner)];
        let lengths = |axes: &[usize]| axes.iter().map(|&i| view[i]).collect::<Dims>();
        Ok(Some(Named { order, matrices, rows, shape: [lengths(outer), shape, lengths(inner)].concat() }))
    }
}

pub(super) fn resolve(shape: &[usize], key: &[Index]) -> Result<Resolved> {
    let takes = |k: &Index| match k {
        Index::NewAxis | Index::Ellipsis => 0,
        Index::Mask(m) => m.ndim(),
        _ => 1,
    };
    let taken: usize = key.iter().map(takes).sum();
    if taken > shape.len() {
        let shape = shape::show(shape);
        return Err(Error::Index(format!("index: {taken} indices are too many for shape {shape}")));
    }
    if key.iter().filter(|k| matches!(k, Index::Ellipsis)).count() > 1 {
        return Err(Error::Index("index: an index has one ellipsis at most".into()));
    }
    let advanced = key.iter().any(|k| matches!(k, Index::Array(_) | Index::Mask(_)));
    let (mut ranges, mut view, mut arrays) = (Vec::new(), Dims::new(), Vec::new());
    let mut spots = Vec::new();
    let whole = |ranges: &mut Vec<Range>, view: &mut Dims, n: usize| {
        ranges.push(Range::all(n));
        view.push(n);
    };
    for (spot, k) in key.iter().enumerate() {
        let axis = ranges.len();
        match k {
            Index::NewAxis => view.push(1),
            Index::Ellipsis => {
                (0..shape.len() - taken).for_each(|i| whole(&mut ranges, &mut view, shape[axis + i]))
            }
            // Among arrays an integer is an array of no axes.
            Index::At(i) if advanced => {
                arrays.push((view.len(), Array::scalar(at(*i, axis, shape[axis])? as i64)?));
                spots.push(spot);
                whole(&mut ranges, &mut view, shape[axis]);
            }
            Index::At(i) => ranges.push(Range { start: at(*i, axis, shape[axis])?, step: 1, length: 1 }),
            Index::Slice { start, stop, step } => {
                let r = range(*start, *stop, *step, shape[axis])?;
                view.push(r.length);
                ranges.push(r);
            }
            Index::Array(a) => {
                arrays.push((view.len(), a.clone()));
                spots.push(spot);
                whole(&mut ranges, &mut view, shape[axis]);
            }
            Index::Mask(m) => {
                let over = &shape[axis..axis + m.ndim()];
                // A mask without elements may be so along any of its axes: nothing is chosen.
                if m.shape().iter().zip(over).any(|(&m, &n)| m != n && m != 0) {
                    let (m, over) = (shape::show(m.shape()), shape::show(over));
                    return Err(Error::Index(format!("index: a mask of shape {m} on axes of shape {over}")));
                }
                if m.ndim() == 0 {
                    // A single truth value takes all or nothing, along a new axis.
                    let numbers: &[i64] = if m.item()? != 0.0 { &[0] } else { &[] };
                    arrays.push((view.len(), Array::from_slice(&[numbers.len()], numbers)?));
                    view.push(1);
                }
                for (n, a) in over.iter().zip(nonzero(m)?) {
                    arrays.push((view.len(), a));
                    whole(&mut ranges, &mut view, *n);
                }
                spots.push(spot);
            }
        }
    }
    (ranges.len()..shape.len()).for_each(|i| whole(&mut ranges, &mut view, shape[i]));
    let adjacent = spots.windows(2).all(|w| w[1] == w[0] + 1);
    Ok(Resolved { ranges, view, arrays, adjacent })
}

/// The numbers of the rows that arrays name, of a matrix whose rows are the places of the indexed axes.
fn rows(view: &[usize], arrays: &[(usize, Array)]) -> Result<(Numbers, Dims)> {
    let mut shape = Dims::new();
    for (_, a) in arrays {
        shape = shape::broadcast("index", &shape, a.shape()).map_err(|_| {
            let shapes: Vec<String> = arrays.iter().map(|(_, a)| shape::show(a.shape())).collect();
            Error::Index(format!("index: arrays of shapes {} do not broadcast together", shapes.join(", ")))
        })?;
    }
    let (axes, given): (Dims, Vec<Tensor>) = arrays.iter().map(|(axis, a)| (*axis, a.clone().into())).unzip();
    let lengths = axes.iter().map(|&axis| view[axis]).collect();
    let total = compute(Rows { axes, lengths }, &given.iter().collect::<Vec<_>>())?;
    Ok((Numbers::of(total.into_array())?, shape))
}

/// The numbers of rows, of the numbers along some axes of these lengths, which broadcast.
#[derive(Clone, Debug)]
struct Rows {
    axes: Dims,
    lengths: Dims,
}

impl Operation for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }
    parameters! { axes, lengths }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.between(1, self.axes.len())?;
        x.count(self.lengths.len())?;
        x.there_is(&self.lengths)?;
        x.broadcast()
    }
    fn forward(&self, arrays: &[&Array]) -> Result<Array> {
        let mut shape = Dims::new();
        for a in arrays {
            shape = shape::broadcast("index", &shape, a.shape())?;
        }
        let mut total = Array::full("index", &[shape::size(&shape)], 0i64)?;
        for ((a, &axis), &n) in arrays.iter().zip(&self.axes).zip(&self.lengths) {
            // Checked where it is used.
            let a = a.broadcast_to(&shape)?.to_vec::<i64>()?;
            for (t, &i) in total.make_mut::<i64>()?.iter_mut().zip(&a) {
                *t = *t * n as i64 + at(i as isize, axis, n)? as i64;
            }
        }
        Ok(total)
    }
}

/// `x[key]`, by NumPy's rules.
pub fn index(x: &Tensor, key: &[Index]) -> Result<Tensor> {
    let resolved = resolve(x.shape(), key)?;
    let Resolved { ranges, view, .. } = &resolved;
    let part = if is_whole(ranges, x.shape()) { x.clone() } else { slice(x, ranges)? };
    let part = reshape_to(&part, view)?;
    let Some(Named { order, matrices, rows, shape }) = resolved.named()? else { return Ok(part) };
    let part = if order.is_sorted() { part } else { permute(&part, &order)? };
    reshape_to(&gather(&reshape_to(&part, &matrices)?, &rows, matrices[1])?, &shape)
}

/// Whether ranges take every element of an array.
pub(super) fn is_whole(ranges: &[Range], shape: &[usize]) -> bool {
    ranges.iter().zip(shape).all(|(r, &n)| *r == Range::all(n))
}

/// `x[key] = value`: the value broadcasts to the part and takes its type. `x` is copied first if others see it.
pub fn assign(x: &mut Array, key: &[Index], value: &Array) -> Result<()> {
    let Resolved { ranges, view, arrays, .. } = resolve(x.shape(), key)?;
    let value: Tensor = value.cast(x.dtype())?.into();
    let fit = |shape: &[usize]| Ok(spread(&value, shape)?.into_array());
    if arrays.is_empty() {
        let lengths: Dims = ranges.iter().map(|r| r.length).collect();
        let value = fit(&view)?.reshape(&lengths)?;
        return put(x, &ranges, &value);
    }
    // Which elements the key names: those of the numbers 0, 1, … that it takes.
    let all = Array::from_fn("index", x.shape(), |i| i as i64)?;
    let places = Numbers::of(index(&all.into(), key)?.into_array())?;
    let value = fit(places.shape())?.contiguous()?;
    each!(x.dtype(), all: T => {
        let from = value.as_slice::<T>().expect("the value was made contiguous and of this type");
        let to = x.make_mut::<T>()?;
        for (&i, &v) in places.iter().zip(from) {
            to[i as usize] = v;
        }
    });
    Ok(())
}

/// The values for a part of this shape. Leading axes of length 1 may be too many, as in NumPy.
pub(super) fn spread(value: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let extra = value.ndim().saturating_sub(shape.len());
    let is_extra = extra > 0 && value.shape()[..extra].iter().all(|&n| n == 1);
    let fitting = if is_extra { reshape_to(value, &value.shape()[extra..])? } else { value.clone() };
    broadcast_to(&fitting, shape).map_err(|_| {
        let (v, to) = (shape::show(value.shape()), shape::show(shape));
        Error::Shape(format!("index: values of shape {v} do not broadcast to the part of shape {to}"))
    })
}

readers! { "rows" => Rows }

operations! {
    /// The elements that an integer tensor names along an axis, the first unless another is given.
    take(x, indices; axis: isize = 0) {
        integers("take", indices)?;
        let axis = shape::axis("take", axis, x.ndim())?;
        let mut key = vec![whole(); axis];
        key.push(Index::Array(indices.array().clone()));
        index(x, &key)
    } cases [
        Case { f: |t| take(&t[0], &some_indices(&[3])?, 1), shapes: &[&[2, 3, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| take(&t[0], &some_indices(&[2, 2])?, 0), shapes: &[&[3, 2]], domain: (-1.0, 1.0) },
    ];
}

/// Indices for the checks: 0, 2, 1, 0, …
fn some_indices(shape: &[usize]) -> Result<Tensor> {
    let values: Vec<i64> = (0..shape::size(shape) as i64).map(|i| i * 2 % 3).collect();
    Ok(Array::from_slice(shape, &values)?.into())
}

fn whole() -> Index {
    Index::Slice { start: None, stop: None, step: None }
}

fn integers(op: &str, indices: &Tensor) -> Result<()> {
    if indices.dtype().is_float() {
        return Err(Error::DType(format!("{op}: indices are integers, not {}", indices.dtype())));
    }
    Ok(())
}
