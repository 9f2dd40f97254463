//! Operations by their names in files, and what is known of their inputs before they are done.

use super::capture::Layout;
use super::operation::Operation;
use super::parameters::Parameters;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{self, MOST_AXES, show};
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::sync::Arc;

/// How an operation is written to a file, and read again.
pub struct Reader {
    /// Its name there, which stays what it is.
    pub name: &'static str,
    kind: fn() -> TypeId,
    /// The operation of these parameters, if there is one.
    pub read: fn(&Parameters) -> Option<Arc<dyn Operation>>,
}

impl Reader {
    /// That of a type of operations.
    pub const fn of<O: Operation>(name: &'static str) -> Reader {
        fn read<O: Operation>(parameters: &Parameters) -> Option<Arc<dyn Operation>> {
            O::read(parameters).map(|op| Arc::new(op) as Arc<dyn Operation>)
        }
        Reader { name, kind: TypeId::of::<O>, read: read::<O> }
    }

    /// Whether an operation is of its type.
    pub fn is_of(&self, op: &dyn Operation) -> bool {
        (op as &dyn Any).type_id() == (self.kind)()
    }
}

/// The table of the operations of a file, by their names in files.
macro_rules! readers {
    ($(@$name:ident => $operation:ty),+) => {
        pub(crate) const READERS: &[$crate::tape::Reader] =
            &[$($crate::tape::Reader::of::<$operation>(stringify!($name))),+];
    };
    ($($name:literal => $operation:ty),+ $(,)?) => {
        pub(crate) const READERS: &[$crate::tape::Reader] =
            &[$($crate::tape::Reader::of::<$operation>($name)),+];
    };
}
pub(crate) use readers;

/// What is known of the inputs of an operation: how they are laid out, and the values of constants.
pub struct Known<'a> {
    inputs: Vec<(&'a Layout, Option<&'a Array>)>,
    below: RefCell<Vec<(usize, usize)>>,
}

impl<'a> Known<'a> {
    /// Inputs that are laid out so, those with their values that have them.
    pub fn new(inputs: Vec<(&'a Layout, Option<&'a Array>)>) -> Known<'a> {
        Known { inputs, below: RefCell::default() }
    }

    /// The inputs whose values have to be from 0 on and below a number, with that.
    pub fn limits(self) -> Vec<(usize, usize)> {
        self.below.into_inner()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// That there are so many.
    pub fn count(&self, n: usize) -> Result<()> {
        self.between(n, n)
    }

    /// That there are at least and at most so many.
    pub fn between(&self, least: usize, most: usize) -> Result<()> {
        match (least..=most).contains(&self.len()) {
            true => Ok(()),
            false => Err(Error::Value(format!("it takes {least} to {most} inputs, not {}", self.len()))),
        }
    }

    /// The shape of one.
    pub fn shape(&self, i: usize) -> &'a [usize] {
        &self.inputs[i].0.0
    }

    /// The element type of one.
    pub fn dtype(&self, i: usize) -> DType {
        self.inputs[i].0.2
    }

    /// The values of one, if it is a constant.
    pub fn constant(&self, i: usize) -> Result<&'a Array> {
        self.inputs[i].1.ok_or_else(|| Error::Value(format!("input {i} is a constant")))
    }

    /// That one has so many axes.
    pub fn axes(&self, i: usize, n: usize) -> Result<()> {
        self.holds(self.shape(i).len() == n, || {
            format!("input {i} has {n} axes, not {}", show(self.shape(i)))
        })
    }

    /// That one has so many axes or more.
    pub fn least_axes(&self, i: usize, n: usize) -> Result<()> {
        let shape = self.shape(i);
        self.holds(shape.len() >= n, || format!("input {i} has {n} axes or more, not {}", show(shape)))
    }

    /// That one has this shape.
    pub fn shaped(&self, i: usize, shape: &[usize]) -> Result<()> {
        let given = self.shape(i);
        self.holds(given == shape, || format!("input {i} has shape {}, not {}", show(shape), show(given)))
    }

    /// That one has this element type.
    pub fn typed(&self, i: usize, dtype: DType) -> Result<()> {
        let given = self.dtype(i);
        self.holds(given == dtype, || format!("input {i} is of {dtype}, not {given}"))
    }

    /// That all of these have one float type that is computed with.
    pub fn floats(&self, these: impl IntoIterator<Item = usize>) -> Result<()> {
        let mut first = None;
        for i in these {
            let dtype = self.dtype(i);
            self.holds(matches!(dtype, DType::F32 | DType::F64), || {
                format!("input {i} is no float but {dtype}")
            })?;
            self.typed(i, *first.get_or_insert(dtype))?;
        }
        Ok(())
    }

    /// That all have one element type.
    pub fn alike(&self) -> Result<()> {
        (1..self.len()).try_for_each(|i| self.typed(i, self.dtype(0)))
    }

    /// That all broadcast together.
    pub fn broadcast(&self) -> Result<()> {
        let mut all = shape::Dims::new();
        for i in 0..self.len() {
            all = shape::broadcast("program", &all, self.shape(i))?;
        }
        self.there_is(&all)
    }

    /// That there are tensors of a shape.
    pub fn there_is(&self, shape: &[usize]) -> Result<()> {
        let reach = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
        let fits = shape.len() <= MOST_AXES && reach.is_some_and(|n| n <= isize::MAX as usize / 16);
        self.holds(fits, || format!("there is no tensor of shape {}", show(shape)))
    }

    /// That one broadcasts to a shape.
    pub fn broadcasts_to(&self, i: usize, shape: &[usize]) -> Result<()> {
        let fits = shape::broadcast("program", self.shape(i), shape).is_ok_and(|both| both[..] == *shape);
        self.holds(fits, || {
            format!("input {i} of shape {} does not broadcast to {}", show(self.shape(i)), show(shape))
        })
    }

    /// That one has so many elements.
    pub fn sized(&self, i: usize, n: usize) -> Result<()> {
        let shape = self.shape(i);
        self.holds(shape::size(shape) == n, || {
            format!("input {i} has {n} elements, not shape {}", show(shape))
        })
    }

    /// That axes of one are there, and named in order.
    pub fn ascending(&self, i: usize, axes: &[usize]) -> Result<()> {
        let n = self.shape(i).len();
        let fits = axes.windows(2).all(|two| two[0] < two[1]) && axes.last().is_none_or(|&last| last < n);
        self.holds(fits, || format!("{axes:?} are no axes of shape {}", show(self.shape(i))))
    }

    /// That one lies row by row.
    pub fn row_major(&self, i: usize) -> Result<()> {
        let (shape, strides, _) = self.inputs[i].0;
        self.holds(shape::is_row_major(shape, strides), || format!("input {i} does not lie row by row"))
    }

    /// That one is int64 and lies row by row, with values from 0 on and below `n`, which is looked at when they are there.
    pub fn numbers(&self, i: usize, n: usize) -> Result<()> {
        self.typed(i, DType::I64)?;
        self.row_major(i)?;
        self.below.borrow_mut().push((i, n));
        Ok(())
    }

    /// An error of these words, unless something holds.
    pub fn holds(&self, is: bool, what: impl FnOnce() -> String) -> Result<()> {
        if is { Ok(()) } else { Err(Error::Value(what())) }
    }
}
