//! Random tensors: generators with a seed of their own, and the one that everybody shares.

use super::compiled::{drawn, drawn_place, will_be_drawn_again};
use super::hints::add_function;
use super::once::Once;
use super::operand::{Operand, whole};
use super::run::released;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::dropout as kernel;
use crate::kernels::random::Position;
use crate::ops::{self, Fate};
use crate::random::{Draw, Drawn, Generator as Stream};
use crate::shape::{self, Axes};
use crate::tape::{self, Tensor, is_captured};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stream of random numbers: Philox 4x32-10 (Salmon et al. 2011), the same on every machine and for any number of
/// threads.
#[pyclass(name = "Generator", module = "oxiflux", frozen)]
pub(super) struct Generator {
    stream: Mutex<Stream>,
    /// Whether it draws once more what another has drawn.
    is_twin: bool,
}

/// What a stream of random numbers begins with.
struct Seed(u64);

impl<'py> FromPyObject<'_, 'py> for Seed {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Seed> {
        Ok(Seed(whole("Generator: a seed", &ob, 0..=u64::MAX)?))
    }
}

impl From<Stream> for Generator {
    fn from(stream: Stream) -> Self {
        Generator { stream: Mutex::new(stream), is_twin: false }
    }
}

impl Generator {
    /// Draws from the stream and moves it on; a draw that fails leaves it where it was.
    fn draw<R: Send>(
        &self,
        py: Python<'_>,
        size: usize,
        f: impl Fn(&mut Stream) -> Result<R> + Sync,
    ) -> PyResult<R> {
        loop {
            let before = *self.stream();
            // What runs without the GIL must not hold the lock: another thread may have drawn meanwhile.
            let (after, drawn) = released(py, size, || {
                let mut stream = before;
                let drawn = f(&mut stream)?;
                Ok((stream, drawn))
            })?;
            let mut now = self.stream();
            if *now == before {
                *now = after;
                return Ok(drawn);
            }
        }
    }

    /// [`Generator::draw`] for one tensor.
    fn tensor(slf: &Bound<'_, Self>, what: Draw) -> PyResult<PyTensor> {
        let draw = |stream: &mut Stream| Ok((*stream, what.of(stream)?));
        let (before, made) = slf.get().draw(slf.py(), size_of(&what.shape), draw)?;
        let made = if is_captured() { drawn(slf, before, what, made) } else { made };
        Ok(Tensor::from(made).into())
    }

    pub(super) fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
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

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (seed = Seed(0)), text_signature = "(seed=0)")]
    fn new(seed: Seed) -> Self {
        Stream::new(seed.0).into()
    }
    /// Numbers equally likely in [0, 1).
    #[pyo3(signature = (*shape, dtype = DType::F32), text_signature = "($self, *shape, dtype='float32')")]
    fn rand(slf: &Bound<'_, Self>, shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
        Self::tensor(slf, Draw::new(Drawn::Uniform, &dims(shape)?, dtype))
    }
    /// Normal numbers of mean 0 and variance 1.
    #[pyo3(signature = (*shape, dtype = DType::F32), text_signature = "($self, *shape, dtype='float32')")]
    fn randn(slf: &Bound<'_, Self>, shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
        Self::tensor(slf, Draw::new(Drawn::Normal, &dims(shape)?, dtype))
    }
    /// Integers equally likely from `low` to `high`, which is not among them.
    #[pyo3(
        signature = (low, high, shape = None, dtype = DType::I64),
        text_signature = "($self, low, high, shape=None, dtype='int64')"
    )]
    fn randint(
        slf: &Bound<'_, Self>,
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
        Self::tensor(slf, Draw { low, high, ..Draw::new(Drawn::Integers, &lengths, dtype) })
    }
    /// The numbers below `n` in random order.
    fn randperm(slf: &Bound<'_, Self>, n: isize) -> PyResult<PyTensor> {
        let n = usize::try_from(n)
            .map_err(|_| PyValueError::new_err(format!("randperm: {n} is not a number of elements")))?;
        Self::tensor(slf, Draw::new(Drawn::Permutation, &[n], DType::I64))
    }
    /// `n` generators whose streams have nothing in common with each other or with this one.
    fn split(&self, py: Python<'_>, n: usize) -> PyResult<Vec<Generator>> {
        placed();
        Ok(self.draw(py, n, |stream| stream.split(n))?.into_iter().map(Generator::from).collect())
    }
    /// The place in the stream, to be given to `set_state`.
    fn get_state(&self) -> (u64, u64) {
        placed();
        let place = self.stream().place();
        (place.key, place.counter)
    }
    /// Goes to a place that `get_state` gave.
    fn set_state(&self, state: (u64, u64)) {
        placed();
        *self.stream() = Stream::at(Position { key: state.0, counter: state.1 });
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

/// To be called where the place of a generator is asked for or set: a program draws from it, and does no more.
fn placed() {
    if is_captured() {
        tape::refuse(|| "the place of a generator is asked for or set".into());
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
    if !is_drawn_again() && !generator.as_ref().is_some_and(|g| g.get().is_twin) {
        placed();
    }
    REPLAYED.replace(generator)
}

/// Whether this thread draws once more what it has drawn.
pub(super) fn is_drawn_again() -> bool {
    REPLAYED.with_borrow(|own| own.as_ref().is_some_and(|g| g.get().is_twin))
}

/// A generator at the place of another, or of the shared one, to draw once more what that has drawn from there.
#[pyfunction]
#[pyo3(signature = (generator = None, /))]
fn twin(py: Python<'_>, generator: Option<Py<Generator>>) -> PyResult<Generator> {
    let of = generator.map_or_else(|| default_generator(py), Ok)?;
    let stream = *of.get().stream();
    if is_captured() {
        will_be_drawn_again();
    }
    Ok(Generator { stream: Mutex::new(stream), is_twin: true })
}

/// The generator that everything random draws from unless it is given another.
#[pyfunction]
pub(super) fn default_generator(py: Python<'_>) -> PyResult<Py<Generator>> {
    if let Some(own) = REPLAYED.with_borrow(|own| own.as_ref().map(|g| g.clone_ref(py))) {
        return Ok(own);
    }
    static SHARED: Once<Py<Generator>> = Once::new();
    let shared = SHARED.get_or_find(py, || {
        // Different in every process until `seed` is called.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64);
        Py::new(py, Generator::from(Stream::new(now ^ u64::from(std::process::id()).rotate_left(32))))
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
#[pyo3(signature = (*shape, dtype = DType::F32), text_signature = "(*shape, dtype='float32')")]
fn rand(shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
    Generator::rand(default_generator(shape.py())?.bind(shape.py()), shape, dtype)
}

/// Normal numbers of mean 0 and variance 1, from the shared generator.
#[pyfunction]
#[pyo3(signature = (*shape, dtype = DType::F32), text_signature = "(*shape, dtype='float32')")]
fn randn(shape: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<PyTensor> {
    Generator::randn(default_generator(shape.py())?.bind(shape.py()), shape, dtype)
}

/// Integers equally likely from `low` to `high`, which is not among them, from the shared generator.
#[pyfunction]
#[pyo3(
    signature = (low, high, shape = None, dtype = DType::I64),
    text_signature = "(low, high, shape=None, dtype='int64')"
)]
fn randint(py: Python<'_>, low: i64, high: i64, shape: Option<Axes>, dtype: DType) -> PyResult<PyTensor> {
    Generator::randint(default_generator(py)?.bind(py), low, high, shape, dtype)
}

/// The numbers below `n` in random order, from the shared generator.
#[pyfunction]
fn randperm(py: Python<'_>, n: isize) -> PyResult<PyTensor> {
    Generator::randperm(default_generator(py)?.bind(py), n)
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
    let stream = rng.get().draw(py, 0, |stream| {
        let before = *stream;
        *stream = Stream::at(kernel::after(before.place(), x.size()));
        Ok(before)
    })?;
    let fate = Fate { keep, scale, shift, dropped };
    let mut place = ops::place(stream)?;
    if is_captured() {
        place = drawn_place(rng.bind(py), stream, x.size(), place);
    }
    super::run(&[&x], || ops::dropout_at(&x, &place, fate))
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Generator>()?;
    add_function!(m, replay)?;
    add_function!(m, twin)?;
    add_function!(m, default_generator)?;
    add_function!(m, seed)?;
    add_function!(m, rand)?;
    add_function!(m, randn)?;
    add_function!(m, randint)?;
    add_function!(m, randperm)?;
    add_function!(m, dropout)
}
