//! Indexing, gathering, scattering and moving axes with any arguments: an error, or elements of the tensor.
//!
//! The tensor holds the numbers 1000, 1001, …, which the memory around it does not: an element that is none of them was
//! read from outside, even where AddressSanitizer sees no fault because the buffer is longer than the tensor.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oxiflux::ops::{self, Index};
use oxiflux::shape::Axes;
use oxiflux::tape::Scope;
use oxiflux::{Array, DType, Result, Tensor};

const FIRST: i64 = 1000;
/// As many elements as a case may make.
const MOST: usize = 1 << 16;
/// As many numbers as an index names: a few of them can grow a tensor by so much in each step.
const NAMED: usize = 32;

#[derive(Arbitrary, Debug)]
enum Key {
    At(i8),
    FarAt(isize),
    Slice(Option<i8>, Option<i8>, Option<i8>),
    FarSlice(Option<isize>, Option<isize>, Option<isize>),
    NewAxis,
    Ellipsis,
    Array(Numbers),
    Mask(Vec<bool>, bool),
}

/// A small integer tensor, some of whose elements may be far out of range.
#[derive(Arbitrary, Debug)]
struct Numbers {
    near: Vec<i8>,
    far: Option<i64>,
    columns: u8,
    narrow: bool,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Index(Vec<Key>),
    Assign(Vec<Key>),
    Take(Numbers, isize),
    TakeAlong(Numbers, i8),
    Scatter(Numbers, u8, u8, i8),
    Permute(Vec<i8>),
    Transpose,
    Reshape(Vec<i16>),
    Broadcast(Vec<u8>),
    Flip(Vec<i8>),
    Expand(i8),
    Squeeze(Vec<i8>),
    Repeat(u8, i8),
    Pad(Vec<i8>),
    Concat(i8),
    Stack(i8),
    OneHot(u8),
}

#[derive(Arbitrary, Debug)]
struct Case {
    shape: Vec<u8>,
    dtype: u8,
    steps: Vec<Step>,
    recorded: bool,
}

fn axes(given: &[i8]) -> Axes {
    Axes::These(given.iter().map(|&i| isize::from(i)).collect())
}

impl Numbers {
    fn tensor(&self) -> Result<Tensor> {
        let mut values: Vec<i64> = self.near.iter().take(NAMED).map(|&i| i64::from(i)).collect();
        values.extend(self.far);
        let n = values.len();
        let columns = usize::from(self.columns).max(1);
        let shape = if n % columns == 0 { vec![n / columns, columns] } else { vec![n] };
        let array = Array::from_slice(&shape, &values)?;
        Ok(Tensor::from(if self.narrow { array.cast(DType::U8)? } else { array }))
    }
}

fn key(x: &Tensor, given: &[Key]) -> Result<Vec<Index>> {
    given
        .iter()
        .map(|k| {
            let wide = |i: &Option<i8>| i.map(isize::from);
            Ok(match k {
                Key::At(i) => Index::At((*i).into()),
                Key::FarAt(i) => Index::At(*i),
                Key::Slice(a, b, c) => Index::Slice { start: wide(a), stop: wide(b), step: wide(c) },
                Key::FarSlice(a, b, c) => Index::Slice { start: *a, stop: *b, step: *c },
                Key::NewAxis => Index::NewAxis,
                Key::Ellipsis => Index::Ellipsis,
                Key::Array(n) => Index::Array(n.tensor()?.into_array()),
                Key::Mask(bits, true) => Index::Mask(Array::from_slice(&[bits.len()], bits)?),
                Key::Mask(bits, false) => {
                    let n = x.array().size();
                    let all: Vec<bool> = (0..n).map(|i| *bits.get(i % bits.len().max(1)).unwrap_or(&true)).collect();
                    Index::Mask(Array::from_slice(x.array().shape(), &all)?)
                }
            })
        })
        .collect()
}

fn step(x: &Tensor, step: &Step) -> Result<Tensor> {
    match step {
        Step::Index(given) => ops::index(x, &key(x, given)?),
        Step::Assign(given) => {
            let mut array = x.array().clone();
            let value = Array::filled("fuzz", &[], FIRST as f64, array.dtype())?;
            ops::assign(&mut array, &key(x, given)?, &value)?;
            Ok(array.into())
        }
        Step::Take(n, axis) => ops::take(x, &n.tensor()?, *axis),
        Step::TakeAlong(n, axis) => ops::take_along_axis(x, &n.tensor()?, (*axis).into()),
        Step::Scatter(n, of, op, axis) => {
            // Sums and products are new numbers: only those that choose an element are held to the old ones.
            let op = if op % 2 == 0 { "max" } else { "min" };
            let y = ops::scatter(x, &n.tensor()?, (*of).into(), op.into(), (*axis).into())?;
            ops::index(x, &[Index::Ellipsis])?;
            // The neutral element stands where nothing came.
            let numbers = y.array().to_vec::<f64>()?;
            let known = |v: f64| if (FIRST as f64..(FIRST + MOST as i64) as f64).contains(&v) { v } else { FIRST as f64 };
            let numbers: Vec<f64> = numbers.into_iter().map(known).collect();
            Ok(Tensor::from(Array::from_slice(y.array().shape(), &numbers)?))
        }
        Step::Permute(order) => ops::permute_dims(x, axes(order)),
        Step::Transpose => ops::matrix_transpose(x),
        Step::Reshape(to) => ops::reshape(x, Axes::These(to.iter().map(|&i| i.into()).collect())),
        Step::Broadcast(to) => {
            let to: Vec<usize> = to.iter().map(|&n| n.into()).collect();
            if to.iter().try_fold(1usize, |a, &n| a.checked_mul(n)).is_none_or(|n| n > MOST) {
                return Ok(x.clone());
            }
            ops::broadcast_to(x, &to)
        }
        Step::Flip(along) => ops::flip(x, axes(along)),
        Step::Expand(at) => ops::expand_dims(x, (*at).into()),
        Step::Squeeze(along) => ops::squeeze(x, axes(along)),
        Step::Repeat(n, axis) => ops::repeat(x, usize::from(n % 8), (*axis).into()),
        Step::Pad(sides) => {
            let sides: Vec<i8> = sides.iter().map(|n| n % 3).collect();
            ops::pad_constant(x, axes(&sides), FIRST as f64)
        }
        Step::Concat(axis) => ops::concat(&[x, x], (*axis).into()),
        Step::Stack(axis) => ops::stack(&[x, x], (*axis).into()),
        Step::OneHot(n) => {
            // Its labels are out of range: an error, and nothing read or written outside.
            let y = ops::one_hot(x, usize::from(*n), DType::F32);
            assert!(y.is_err() || x.array().size() == 0);
            Ok(x.clone())
        }
    }
}

fn case(case: &Case) -> Result<()> {
    let shape: Vec<usize> = case.shape.iter().take(6).map(|&n| usize::from(n % 9)).collect();
    let size: usize = shape.iter().product();
    if size > MOST {
        return Ok(());
    }
    let numbers: Vec<i64> = (FIRST..).take(size).collect();
    let dtypes = [DType::F32, DType::F64, DType::I32, DType::I64, DType::U32];
    let array = Array::from_slice(&shape, &numbers)?.cast(dtypes[usize::from(case.dtype) % dtypes.len()])?;
    let scope = Scope::enter();
    let mut x = Tensor::from(array);
    if case.recorded && x.array().dtype().is_float() {
        x = scope.watch(&x);
    }
    for s in case.steps.iter().take(8) {
        let Ok(y) = step(&x, s) else { continue };
        if y.array().size() > MOST {
            break;
        }
        let last = FIRST + size as i64;
        for v in y.array().to_vec::<i64>()? {
            assert!(v == FIRST || (FIRST..last).contains(&v), "{v} after {s:?}");
        }
        x = y;
    }
    drop(scope.close());
    Ok(())
}

fuzz_target!(|given: Case| {
    let _ = case(&given);
});
