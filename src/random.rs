//! Random tensors from a stream with a seed.

use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::random::{self, Position};
use crate::tape::Tensor;

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
        }, else return Err(not_float(dtype)));
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
        }, else return Err(not_float(dtype)));
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

fn not_float(dtype: DType) -> Error {
    Error::DType(format!("random: {dtype} is not a floating type"))
}
