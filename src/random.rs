//! Random tensors from a stream with a seed.

use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::dropout;
use crate::kernels::random::{self, Position};
use crate::shape::{self, Dims};
use crate::tape::{Known, Operation, Tensor, choice, parameters, readers};
use std::fmt;

/// A stream of random numbers: Philox 4x32-10 (Salmon et al. 2011), the same on every machine and for any number of
/// threads. A draw that fails leaves it where it was.
///
/// ```
/// use oxiflux::{DType, Generator};
/// let mut rng = Generator::new(7);
/// let x = rng.randn(&[100, 3], DType::F32)?;
/// assert_eq!(x.shape(), [100, 3]);
/// let again = Generator::new(7).randn(&[100, 3], DType::F32)?;
/// assert_eq!(x.to_vec::<f32>()?, again.to_vec::<f32>()?);
/// assert_ne!(x.to_vec::<f32>()?, rng.randn(&[100, 3], DType::F32)?.to_vec::<f32>()?);
/// # Ok::<(), oxiflux::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator(Position);

impl Generator {
    /// The stream of a seed, from its start.
    pub fn new(seed: u64) -> Generator {
        Generator::at(Position { key: seed, counter: 0 })
    }
    /// The stream from a place on.
    pub(crate) fn at(place: Position) -> Generator {
        Generator(place)
    }
    /// Where the next number comes from.
    pub(crate) fn place(self) -> Position {
        self.0
    }

    /// Numbers of a floating type, equally likely in [0, 1).
    pub fn rand(&mut self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let drawn = if dtype.is_half() { DType::F32 } else { dtype };
        let mut next = self.0;
        let mut out = each!(drawn, float: T => {
            Array::written("rand", shape, |out| random::uniform::<T>(&mut next, out))?
        }, else return Err(not_float("rand", dtype)));
        if dtype.is_half() {
            // Cut, not rounded: 1 is not among them.
            let parts = if dtype == DType::F16 { 2048.0 } else { 256.0 };
            out.make_mut::<f32>()?.iter_mut().for_each(|x| *x = (*x * parts).floor() / parts);
        }
        self.give(next, out.cast(dtype)?)
    }

    /// Normal numbers of a floating type, of mean 0 and variance 1.
    pub fn randn(&mut self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let drawn = if dtype.is_half() { DType::F32 } else { dtype };
        let mut next = self.0;
        let out = each!(drawn, float: T => {
            Array::written("randn", shape, |out| random::normal::<T>(&mut next, out))?
        }, else return Err(not_float("randn", dtype)));
        self.give(next, out.cast(dtype)?)
    }

    /// Integers (int64) equally likely from `low` to `high`, which is not among them.
    pub fn randint(&mut self, low: i64, high: i64, shape: &[usize]) -> Result<Tensor> {
        if low >= high {
            return Err(Error::Value(format!("randint: there is no integer from {low} to below {high}")));
        }
        let mut next = self.0;
        let out = Array::written("randint", shape, |out| random::integers(&mut next, low, high, out))?;
        self.give(next, out)
    }

    /// The numbers below `n` in random order.
    pub fn randperm(&mut self, n: usize) -> Result<Tensor> {
        let mut next = self.0;
        let out = attempt("randperm", || {
            Array::written("randperm", &[n], |out| random::permutation(&mut next, out))
        })?;
        self.give(next, out)
    }

    /// `n` generators whose streams have nothing in common with each other or with this one.
    pub fn split(&mut self, n: usize) -> Result<Vec<Generator>> {
        let mut next = self.0;
        let keys = Array::written("split", &[n], |out| random::bits(&mut next, out))?;
        let keys = self.give(next, keys)?.to_vec::<u64>()?;
        Ok(keys.into_iter().map(Generator::new).collect())
    }

    /// What was drawn, with which the stream moves on.
    fn give(&mut self, next: Position, drawn: Array) -> Result<Tensor> {
        self.0 = next;
        Ok(drawn.into())
    }
}

fn not_float(op: &str, dtype: DType) -> Error {
    Error::DType(format!("{op}: {dtype} is not a floating type; randint draws integers"))
}

/// What is drawn from a stream. In a program it is an operation, of the place of the stream: beside what is drawn it gives the
/// place after that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draw {
    pub(crate) what: Drawn,
    pub(crate) shape: Dims,
    pub(crate) dtype: DType,
    /// Integers are from here on.
    pub(crate) low: i64,
    /// And below this.
    pub(crate) high: i64,
}

/// The kinds of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    Uniform,
    Normal,
    Integers,
    Permutation,
    /// The place itself, of so many elements that a dropout draws from there.
    Place,
}

choice!(Drawn: Uniform, Normal, Integers, Permutation, Place);

impl Draw {
    /// Numbers of a shape that know no limits.
    #[cfg(feature = "python")]
    pub(crate) fn new(what: Drawn, shape: &[usize], dtype: DType) -> Draw {
        Draw { what, shape: Dims::from_slice(shape), dtype, low: 0, high: 0 }
    }

    /// Draws from a stream, which moves on.
    pub(crate) fn of(&self, stream: &mut Generator) -> Result<Array> {
        let drawn = match self.what {
            Drawn::Uniform => stream.rand(&self.shape, self.dtype)?,
            Drawn::Normal => stream.randn(&self.shape, self.dtype)?,
            Drawn::Integers => stream.randint(self.low, self.high, &self.shape)?,
            Drawn::Permutation => stream.randperm(self.shape.first().copied().unwrap_or(0))?,
            Drawn::Place => {
                let before = stream.place();
                *stream = Generator::at(dropout::after(before, shape::size(&self.shape)));
                return words(before);
            }
        };
        drawn.into_array().cast(self.dtype)
    }
}

/// A place in a stream as two words.
fn words(place: Position) -> Result<Array> {
    Array::from_slice(&[2], &[place.key, place.counter])
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draw { what, shape, dtype, low, high } = self;
        let shape = shape::show(shape);
        match what {
            Drawn::Uniform => write!(f, "rand {shape} {dtype}"),
            Drawn::Normal => write!(f, "randn {shape} {dtype}"),
            Drawn::Integers => write!(f, "randint {low} {high} {shape} {dtype}"),
            Drawn::Permutation => write!(f, "randperm {shape}"),
            Drawn::Place => write!(f, "a place for {shape}"),
        }
    }
}

impl Operation for Draw {
    fn name(&self) -> &'static str {
        "draw"
    }
    parameters! { what, shape, dtype, low, high }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.typed(0, DType::U64)?;
        x.shaped(0, &[2])?;
        x.row_major(0)?;
        let fits = match self.what {
            Drawn::Uniform | Drawn::Normal => self.dtype.is_float(),
            Drawn::Integers => self.low < self.high,
            Drawn::Permutation => self.shape.len() == 1,
            Drawn::Place => true,
        };
        x.holds(fits, || format!("there is no draw of {self}"))?;
        x.there_is(&self.shape)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let words_of = x[0].values::<u64>("draw")?;
        let &[key, counter] = words_of else {
            return Err(Error::Value("draw: the place of a generator is two words".into()));
        };
        let mut stream = Generator::at(Position { key, counter });
        let drawn = self.of(&mut stream)?;
        Ok((drawn, vec![words(stream.place())?]))
    }
}

readers! { "draw" => Draw }
