//! Operators: `&a + &b`, `&a * 2.0`, `-&a`, each recorded like the function that it calls.
//!
//! A sum has no room for an error. Where the methods ([`Tensor::add`], …) give one, an operator panics with its message,
//! as those of `ndarray` do: shapes that are not known to fit are for the methods.

use super::{add, divide, multiply, negative, subtract};
use crate::array::Array;
use crate::error::Result;
use crate::tape::Tensor;
use std::borrow::Borrow;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What an operator gives.
#[track_caller]
fn done(result: Result<Tensor>) -> Tensor {
    match result {
        Ok(tensor) => tensor,
        Err(error) => panic!("{error}"),
    }
}

/// A number as a tensor that leaves a floating type as it is.
#[track_caller]
fn number(value: f64, beside: &Tensor) -> Tensor {
    done(Array::filled("number", &[], value, beside.dtype().to_float()).map(Tensor::from))
}

macro_rules! operators {
    ($($trait:ident::$method:ident = $function:ident;)+) => {$(
        operators! { tensors $trait::$method = $function: &Tensor, &Tensor; &Tensor, Tensor; Tensor, &Tensor; Tensor, Tensor }
        operators! { numbers $trait::$method = $function: &Tensor; Tensor }
    )+};
    (tensors $trait:ident::$method:ident = $function:ident: $($left:ty, $right:ty);+) => {$(
        impl $trait<$right> for $left {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: $right) -> Tensor {
                done($function(self.borrow(), other.borrow()))
            }
        }
    )+};
    (numbers $trait:ident::$method:ident = $function:ident: $($tensor:ty);+) => {$(
        impl $trait<f64> for $tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                let number = number(other, self.borrow());
                done($function(self.borrow(), &number))
            }
        }
        impl $trait<$tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: $tensor) -> Tensor {
                let number = number(self, other.borrow());
                done($function(&number, other.borrow()))
            }
        }
    )+};
}
operators! {
    Add::add = add;
    Sub::sub = subtract;
    Mul::mul = multiply;
    Div::div = divide;
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        done(negative(self))
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        -&self
    }
}
