//! A tensor in the place of a number: a row's derivative, evaluated on one, does recorded operations.
//!
//! Rows compute with `Copy` values that cannot fail. So a [`Traced`] is the number of a tensor in a list that belongs to
//! one evaluation, and the first error waits in that list until the end.

use super::*;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::real::Real;
use crate::tape::Tensor;
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A tensor, or a constant, of the evaluation under way on this thread.
#[derive(Clone, Copy)]
pub(crate) struct Traced(usize);

struct Evaluation {
    values: Vec<Tensor>,
    dtype: DType,
    error: Option<Error>,
}

thread_local!(static EVALUATION: RefCell<Evaluation> =
    const { RefCell::new(Evaluation { values: Vec::new(), dtype: DType::F32, error: None }) });

/// What a formula gives at `v`, done with recorded operations.
pub(super) fn evaluated(v: &Tensor, formula: impl FnOnce(Traced) -> Traced) -> Result<Tensor> {
    begin(v.dtype());
    end(formula(put(Ok(v.clone()))))
}

fn begin(dtype: DType) {
    EVALUATION.with_borrow_mut(|e| *e = Evaluation { values: Vec::new(), dtype, error: None });
}

fn end(y: Traced) -> Result<Tensor> {
    let evaluation = EVALUATION.with_borrow_mut(|e| {
        std::mem::replace(e, Evaluation { values: Vec::new(), dtype: DType::F32, error: None })
    });
    match evaluation.error {
        Some(error) => Err(error),
        None => Ok(evaluation.values[y.0].clone()),
    }
}

#[inline(never)]
fn put(value: Result<Tensor>) -> Traced {
    EVALUATION.with_borrow_mut(|e| {
        match value {
            Ok(value) => e.values.push(value),
            Err(error) => {
                let stand_in = e.values[0].clone();
                e.values.push(stand_in);
                e.error.get_or_insert(error);
            }
        }
        Traced(e.values.len() - 1)
    })
}

impl Traced {
    fn get(self) -> Tensor {
        EVALUATION.with_borrow(|e| e.values[self.0].clone())
    }
    // By the address of the function, so that there is one of each of these for all formulas.
    #[inline(never)]
    fn map(self, f: fn(&Tensor) -> Result<Tensor>) -> Traced {
        put(f(&self.get()))
    }
    #[inline(never)]
    fn with(self, other: Traced, f: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Traced {
        put(f(&self.get(), &other.get()))
    }
}

macro_rules! operators {
    ($($op:ident $method:ident $f:ident),+) => {$(
        impl $op for Traced {
            type Output = Traced;
            fn $method(self, other: Traced) -> Traced {
                self.with(other, $f)
            }
        }
        impl $op<f64> for Traced {
            type Output = Traced;
            fn $method(self, other: f64) -> Traced {
                self.with(Traced::lit(other), $f)
            }
        }
        impl $op<Traced> for f64 {
            type Output = Traced;
            fn $method(self, other: Traced) -> Traced {
                Traced::lit(self).with(other, $f)
            }
        }
    )+};
}
operators!(Add add add, Sub sub subtract, Mul mul multiply, Div div divide);

impl Neg for Traced {
    type Output = Traced;
    fn neg(self) -> Traced {
        self.map(negative)
    }
}

macro_rules! functions {
    ($($method:ident = $f:ident),+ $(,)?) => {$(
        fn $method(self) -> Traced {
            self.map($f)
        }
    )+};
}

impl Real for Traced {
    #[inline(never)]
    fn lit(x: f64) -> Traced {
        let dtype = EVALUATION.with_borrow(|e| e.dtype);
        put(Array::filled("constant", &[], x, dtype).map(Tensor::from))
    }
    fn mul_add(self, y: Traced, z: Traced) -> Traced {
        self * y + z
    }
    functions! {
        exp = exp, exp2 = exp2, expm1 = expm1, ln = log, ln_1p = log1p, log2 = log2, log10 = log10, sqrt = sqrt, sin = sin, cos = cos,
        tan = tan, sinc = sinc, asin = asin, acos = acos, atan = atan, sinh = sinh, cosh = cosh, tanh = tanh, asinh = asinh,
        acosh = acosh, atanh = atanh, sigmoid = sigmoid, softplus = softplus, erf = erf, erfc = erfc, erfinv = erfinv,
        lgamma = lgamma, digamma = digamma, trigamma = trigamma, abs = abs, sign = sign,
        floor = floor, ceil = ceil, trunc = trunc, round_even = round,
    }
    fn max(self, other: Traced) -> Traced {
        self.with(other, maximum)
    }
    fn min(self, other: Traced) -> Traced {
        self.with(other, minimum)
    }
    fn pow(self, other: Traced) -> Traced {
        self.with(other, pow)
    }
    fn polygamma(self, order: Traced) -> Traced {
        put(order.get().item().and_then(|order| polygamma(&self.get(), order)))
    }
    fn atan2(self, other: Traced) -> Traced {
        self.with(other, atan2)
    }
    fn hypot(self, other: Traced) -> Traced {
        self.with(other, hypot)
    }
    #[inline(never)]
    fn select_gt(x: Traced, y: Traced, a: Traced, b: Traced) -> Traced {
        let test = x.with(y, greater);
        put(select(&test.get(), &a.get(), &b.get()))
    }
    fn apart(x: Traced, y: Traced) -> [Traced; 2] {
        [Traced::select_gt(x, y, x, y), Traced::select_gt(x, y, y, x)]
    }
    fn largest() -> Traced {
        let dtype = EVALUATION.with_borrow(|e| e.dtype);
        Traced::lit(if dtype == DType::F64 { f64::MAX } else { f64::from(f32::MAX) })
    }
}
