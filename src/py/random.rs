//! Random tensors: generators with a seed of their own, and the one that everybody shares.

use super::hints::add_function;
use super::operand::{Operand, whole};
use super::run::released;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::dropout as kernel;
use crate::kernels::random::{self, Place};
use crate::ops::{self, Fate};
use crate::shape::{self, Axes};
use crate::tape::Tensor;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stream of random numbers: Philox 4x32-10 (Salmon et al. 2011), the same on every machine and for any number of
/// threads.
#[pyclass(name = "Generator", module = "oxiflux", frozen)]
pub(super) struct Generator(Mutex<Place>);

/// What a stream of random numbers begins with.
struct Seed(u64);

impl<'py> FromPyObject<'_, 'py> for Seed {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Seed> {
        Ok(Seed(whole("Generator: a seed", &ob, 0..=u64::MAX)?))
    }
}

impl Generator {
    /// The stream of a seed, from its start.
    fn of(key: u64) -> Self {
        Generator(Mutex::new(Place { key, counter: 0 }))
    }

    /// Draws from the stream and moves it on; a draw that fails leaves it where it was.
    fn draw<R: Send>(
        &self,
        py: Python<'_>,
        size: usize,
        f: impl Fn(Place) -> Result<(Place, R)> + Sync,
    ) -> PyResult<R> {
        loop {
            let place = *self.place();
            // What runs without the GIL must not hold the lock: another thread may have drawn meanwhile.
            let (next, drawn) = released(py, size, || f(place))?;
            let mut now = self.place();
            if *now == place {
                *now = next;
                return Ok(drawn);
            }
        }
    }

    pub(super) fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lengths in `*shape`: integers, or one tuple of them.
fn dims(shape: &Bound<'_, PyTuple>) -> PyResult<Vec<usize>> {
    let lengths =
        if shape.len() == 1 { shape.get_item(0)?.extract::<Axes>()? } else { shape.extract::<Axes>()? };
    let Axes::These(lengths) = lengths else {
        return Err(PyTypeError::new_err("a shape is integers, not None"));
    };
    lengths
        .iter()
        .map(|&n| {
            usize::try_from(n)
                .map_err(|_| PyValueError::new_err(format!("a shape has no negative length, got {n}")))
        })
        .collect()
}

/// How many elements a shape has; 0 where they are too many, which fails when it is made.
fn size_of(dims: &[usize]) -> usize {
    shape::checked_size(dims).unwrap_or(0)
}

fn not_float(dtype: DType) -> Error {
    Error::DType(format!("random: {dtype} is not a floating type"))
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (seed = Seed(0)), text_signature = "(seed=0)")]
    fn new(seed: Seed) -> Self {
        Generator::of(seed.0)
    }
    /// Numbers equally likely in [0, 1).
    #[pyo3(signature = (*shape, dtype = DType::F32))]
    fn rand(&self, shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
        let (dims, drawn) = (dims(shape)?, if dtype.is_half() { DType::F32 } else { dtype });
        self.draw(shape.py(), size_of(&dims), |place| {
            let mut out = Array::empty("rand", &dims, drawn)?;
            let n = out.size();
            // SAFETY: the output is fresh and of n elements.
            let next = each!(drawn, float: T => unsafe { random::uniform::<T>(place, n, out.fresh_ptr()) }, else return Err(not_float(dtype)));
            if dtype.is_half() {
                // Cut, not rounded: 1 is not among them.
                let parts = if dtype == DType::F16 { 2048.0 } else { 256.0 };
                out.make_mut::<f32>()?.iter_mut().for_each(|x| *x = (*x * parts).floor() / parts);
            }
            Ok((next, out.cast(dtype)?))
        })
        .map(|out| Tensor::from(out).into())
    }
    /// Normal numbers of mean 0 and variance 1.
    #[pyo3(signature = (*shape, dtype = DType::F32))]
    fn randn(&self, shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
        let (dims, drawn) = (dims(shape)?, if dtype.is_half() { DType::F32 } else { dtype });
        self.draw(shape.py(), size_of(&dims), |place| {
            let mut out = Array::empty("randn", &dims, drawn)?;
            let n = out.size();
            // SAFETY: the output is fresh and of n elements.
            let next = each!(drawn, float: T => unsafe { random::normal::<T>(place, n, out.fresh_ptr()) }, else return Err(not_float(dtype)));
            Ok((next, out.cast(dtype)?))
        })
        .map(|out| Tensor::from(out).into())
    }
    /// Integers equally likely from `low` to `high`, which is not among them.
    #[pyo3(signature = (low, high, shape = None, dtype = DType::I64))]
    fn randint(
        &self,
        py: Python<'_>,
        low: i64,
        high: i64,
        shape: Option<Axes>,
        dtype: DType,
    ) -> PyResult<PyTensor> {
        if low >= high {
            return Err(PyValueError::new_err(format!(
                "randint: there is no integer from {low} to below {high}"
            )));
        }
        for extreme in [low, high - 1] {
            super::fitted(&Array::scalar(extreme)?, dtype)?;
        }
        let lengths: Vec<usize> = match shape {
            None | Some(Axes::All) => Vec::new(),
            Some(Axes::These(n)) => n
                .iter()
                .map(|&n| {
                    usize::try_from(n).map_err(|_| {
                        PyValueError::new_err(format!("a shape has no negative length, got {n}"))
                    })
                })
                .collect::<PyResult<_>>()?,
        };
        self.draw(py, size_of(&lengths), |place| {
            let mut out = Array::empty("randint", &lengths, DType::I64)?;
            let n = out.size();
            // SAFETY: the output is fresh and of n elements, and the range is not empty.
            let next = unsafe { random::integers(place, low, high, n, out.fresh_ptr()) };
            Ok((next, out.cast(dtype)?))
        })
        .map(|out| Tensor::from(out).into())
    }
    /// The numbers below `n` in random order.
    fn randperm(&self, py: Python<'_>, n: isize) -> PyResult<PyTensor> {
        let n = usize::try_from(n)
            .map_err(|_| PyValueError::new_err(format!("randperm: {n} is not a number of elements")))?;
        self.draw(py, n, |place| {
            let mut out = Array::empty("randperm", &[n], DType::I64)?;
            // SAFETY: the output is fresh and of n elements.
            let next = attempt("randperm", || Ok(unsafe { random::permutation(place, n, out.fresh_ptr()) }))?;
            Ok((next, out))
        })
        .map(|out| Tensor::from(out).into())
    }
    /// `n` generators whose streams have nothing in common with each other or with this one.
    fn split(&self, py: Python<'_>, n: usize) -> PyResult<Vec<Generator>> {
        self.draw(py, n, |place| {
            let mut keys = Array::empty("split", &[n], DType::U64)?;
            // SAFETY: the output is fresh and of n elements.
            let next = unsafe { random::bits(place, n, keys.fresh_ptr()) };
            let keys = keys.to_vec::<u64>()?;
            Ok((next, keys.into_iter().map(Generator::of).collect()))
        })
    }
    /// The place in the stream, to be given to `set_state`.
    fn get_state(&self) -> (u64, u64) {
        let place = *self.place();
        (place.key, place.counter)
    }
    /// Goes to a place that `get_state` gave.
    fn set_state(&self, state: (u64, u64)) {
        *self.place() = Place { key: state.0, counter: state.1 };
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (u64,), (u64, u64))> {
        let state = slf.get().get_state();
        Ok((slf.get_type().into_any(), (state.0,), state))
    }
    fn __setstate__(&self, state: (u64, u64)) {
        self.set_state(state);
    }
    fn __repr__(&self) -> String {
        let (key, counter) = self.get_state();
        format!("Generator(seed={key}, counter={counter})")
    }
}

thread_local! {
    /// What this thread draws from in place of the shared generator.
    static REPLAYED: RefCell<Option<Py<Generator>>> = const { RefCell::new(None) };
}

/// Lets this thread draw from another generator in place of the shared one, or from that again; gives what was before.
#[pyfunction]
#[pyo3(signature = (generator, /))]
fn replay(generator: Option<Py<Generator>>) -> Option<Py<Generator>> {
    REPLAYED.replace(generator)
}

/// The generator that everything random draws from unless it is given another.
#[pyfunction]
fn default_generator(py: Python<'_>) -> PyResult<Py<Generator>> {
    if let Some(own) = REPLAYED.with_borrow(|own| own.as_ref().map(|g| g.clone_ref(py))) {
        return Ok(own);
    }
    static SHARED: pyo3::sync::PyOnceLock<Py<Generator>> = pyo3::sync::PyOnceLock::new();
    let shared = SHARED.get_or_try_init(py, || {
        // Different in every process until `seed` is called.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64);
        Py::new(py, Generator::of(now ^ u64::from(std::process::id()).rotate_left(32)))
    })?;
    Ok(shared.clone_ref(py))
}

/// Starts the shared generator anew: the same seed gives the same numbers.
#[pyfunction]
#[pyo3(signature = (n, /))]
fn seed(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let key = whole("seed: a seed", n, 0..=u64::MAX)?;
    default_generator(n.py())?.get().set_state((key, 0));
    Ok(())
}

/// Numbers equally likely in [0, 1), from the shared generator.
#[pyfunction]
#[pyo3(signature = (*shape, dtype = DType::F32))]
fn rand(shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
    default_generator(shape.py())?.get().rand(shape, dtype)
}

/// Normal numbers of mean 0 and variance 1, from the shared generator.
#[pyfunction]
#[pyo3(signature = (*shape, dtype = DType::F32))]
fn randn(shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
    default_generator(shape.py())?.get().randn(shape, dtype)
}

/// Integers equally likely from `low` to `high`, which is not among them, from the shared generator.
#[pyfunction]
#[pyo3(signature = (low, high, shape = None, dtype = DType::I64))]
fn randint(py: Python<'_>, low: i64, high: i64, shape: Option<Axes>, dtype: DType) -> PyResult<PyTensor> {
    default_generator(py)?.get().randint(py, low, high, shape, dtype)
}

/// The numbers below `n` in random order, from the shared generator.
#[pyfunction]
fn randperm(py: Python<'_>, n: isize) -> PyResult<PyTensor> {
    default_generator(py)?.get().randperm(py, n)
}

/// `x * scale + shift` for each element with probability `keep`, and `dropped` for the others.
#[pyfunction]
#[pyo3(signature = (x, keep, scale, shift = 0.0, dropped = 0.0, rng = None, /))]
fn dropout(
    py: Python<'_>,
    x: Operand,
    keep: f64,
    scale: f64,
    shift: f64,
    dropped: f64,
    rng: Option<Py<Generator>>,
) -> PyResult<PyTensor> {
    let (x, rng) = (x.0, rng.map_or_else(|| default_generator(py), Ok)?);
    let place = rng.get().draw(py, 0, |place| Ok((kernel::after(place, x.size()), place)))?;
    let fate = Fate { keep, scale, shift, dropped };
    super::run(&[&x], || ops::dropout(&x, place, fate))
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Generator>()?;
    add_function!(m, replay)?;
    add_function!(m, default_generator)?;
    add_function!(m, seed)?;
    add_function!(m, rand)?;
    add_function!(m, randn)?;
    add_function!(m, randint)?;
    add_function!(m, randperm)?;
    add_function!(m, dropout)
}
