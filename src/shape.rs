//! Shapes and strides: broadcasting, axes, and what a shape looks like in a message.

pub use crate::error::show;
use crate::error::{Error, Result};
use smallvec::SmallVec;

/// As many axes as NumPy has.
pub const MOST_AXES: usize = 64;

/// The lengths of a tensor's axes.
pub type Dims = SmallVec<[usize; 4]>;
/// How many elements apart neighbours along each axis are.
pub type Strides = SmallVec<[isize; 4]>;

/// The number of elements, or `None` where it does not fit a machine word.
pub fn checked_size(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= isize::MAX as usize)
}

/// The number of elements.
#[inline]
pub fn size(shape: &[usize]) -> usize {
    // Beside an axis of length 0 the others may be of any length.
    shape.iter().fold(1, |n: usize, &d| n.wrapping_mul(d))
}

/// Row-major strides: the last axis is contiguous.
#[inline]
pub fn row_major(shape: &[usize]) -> Strides {
    let mut strides = Strides::from_elem(1, shape.len());
    for i in (1..shape.len()).rev() {
        // Too large for a word only where another axis is empty and no element is reached.
        strides[i - 1] = strides[i].wrapping_mul(shape[i].max(1) as isize);
    }
    strides
}

/// Whether elements at these strides lie in row-major order without gaps; axes of length 1 may have any stride.
#[inline]
pub fn is_row_major(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1;
    for (&n, &s) in shape.iter().zip(strides).rev() {
        if n != 1 {
            if s != expected {
                return shape.contains(&0);
            }
            expected = expected.wrapping_mul(n as isize);
        }
    }
    true
}

/// Where the element of this number is in row-major order, by the strides.
#[inline]
pub fn offset(number: usize, shape: &[usize], strides: &[isize]) -> isize {
    let (mut rest, mut offset) = (number, 0);
    for (&n, &stride) in shape.iter().zip(strides).rev() {
        offset += (rest % n) as isize * stride;
        rest /= n;
    }
    offset
}

/// The shape that two shapes have in common by NumPy's rules: aligned at the last axis, length 1 stretches.
pub fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Dims> {
    if a == b {
        return Ok(Dims::from_slice(a));
    }
    let n = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < n { 1 } else { s[i + s.len() - n] };
    (0..n)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Error::Shape(format!(
                "{op}: shapes {} and {} do not broadcast together",
                show(a),
                show(b)
            ))),
        })
        .collect()
}

/// The strides with which an array of `shape` is read as `target`, to which it broadcasts.
#[inline]
pub fn broadcast_strides(shape: &[usize], strides: &[isize], target: &[usize]) -> Strides {
    let skip = target.len() - shape.len();
    (0..target.len())
        .map(|i| match i.checked_sub(skip) {
            Some(j) if shape[j] == target[i] => strides[j],
            _ => 0,
        })
        .collect()
}

/// An axis counted from the front; negative ones count from the back.
pub fn axis(op: &str, axis: isize, ndim: usize) -> Result<usize> {
    let n = ndim as isize;
    if (-n..n).contains(&axis) {
        return Ok(if axis < 0 { axis + n } else { axis } as usize);
    }
    Err(Error::Index(format!("{op}: axis {axis} is out of range for {ndim} {}", plural(ndim, "dimension"))))
}

/// Several axes, sorted and without repetition; none means all.
pub fn axes(op: &str, wanted: Option<&[isize]>, ndim: usize) -> Result<SmallVec<[usize; 4]>> {
    let Some(wanted) = wanted else { return Ok((0..ndim).collect()) };
    let mut found: SmallVec<[usize; 4]> = wanted.iter().map(|&a| axis(op, a, ndim)).collect::<Result<_>>()?;
    found.sort_unstable();
    match found.windows(2).find(|w| w[0] == w[1]) {
        Some(w) => Err(Error::Value(format!("{op}: axis {} is given twice", w[0]))),
        None => Ok(found),
    }
}

/// "1 dimension", "2 dimensions".
pub(crate) fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_string() } else { format!("{word}s") }
}

/// Which axes an operation runs over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// All of them.
    All,
    /// These; negative ones count from the back.
    These(SmallVec<[isize; 4]>),
}

impl Axes {
    /// Counted from the front, sorted, without repetition.
    pub fn resolve(&self, op: &str, ndim: usize) -> Result<SmallVec<[usize; 4]>> {
        match self {
            Axes::All => axes(op, None, ndim),
            Axes::These(these) => axes(op, Some(these), ndim),
        }
    }
}

impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Axes::These(SmallVec::from_slice(&[axis]))
    }
}

impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Axes::These(SmallVec::from_slice(&axes))
    }
}
