//! Element-wise functions of two arguments without a gradient: comparisons, logic, bits and steps. A row each.

use super::binary::{not_zero, promote};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::arithmetic::{Arithmetic, Bits};
use crate::kernels::map::Zip;
use crate::tape::{Known, Operation, Tensor, cast, compute, parameters, readers};
use std::marker::PhantomData;

macro_rules! compare {
    ($($(#[$doc:meta])+ $name:ident($set:ident: $bound:ident) -> $out:ident = $f:expr;)+) => {
        $(
            mod $name {
                #[derive(Clone, Debug)]
                pub(super) struct Test;
                pub(super) struct Kernel<T>(pub(super) std::marker::PhantomData<T>);
            }
            impl<T: $bound> Zip for $name::Kernel<T> {
                type A = T;
                type B = T;
                type Out = $out;
                const NANOS: f64 = 0.4;
                #[inline(always)]
                fn f<const FMA: bool>(&self, a: T, b: T) -> $out {
                    ($f)(a, b)
                }
            }
            impl Operation for $name::Test {
                fn name(&self) -> &'static str {
                    stringify!($name)
                }
                parameters! {}
                fn check(&self, x: &Known<'_>) -> Result<()> {
                    x.count(2)?;
                    x.alike()?;
                    x.broadcast()
                }
                fn moves(&self) -> bool {
                    compare!(@has_half $set)
                }
                fn fused(&self, x: &[DType]) -> Option<Fusible> {
                    compare!(@dispatch $set, x[0], T => Some(Fusible::zip($name::Kernel::<T>(PhantomData))), else None)
                }
                fn forward(&self, x: &[&Array]) -> Result<Array> {
                    let (name, dtype) = (self.name(), x[0].dtype());
                    compare!(@dispatch $set, dtype, T => {
                        Array::zip(name, &$name::Kernel::<T>(PhantomData), [x[0], x[1]])
                    }, else Err(Error::DType(format!("{name}: not defined for {dtype}"))))
                }
            }
            $(#[$doc])+
            pub fn $name(a: &Tensor, b: &Tensor) -> Result<Tensor> {
                let (a, b) = compare!(@prepare $set, stringify!($name), a, b);
                compute($name::Test, &[&a, &b])
            }
        )+
        readers! { $(@$name => $name::Test),+ }
        pub(super) const OPS: &[super::Op] = &[$(super::Op { name: stringify!($name), cases: &[] }),+];
        crate::bind! { compare $($(#[$doc])+ $name -> $out;)+ }
    };
    (@has_half all) => { false };
    (@has_half divided) => { false };
    (@has_half $set:ident) => { true };
    (@prepare logical, $name:expr, $a:ident, $b:ident) => { (truth($a)?, truth($b)?) };
    (@prepare float, $name:expr, $a:ident, $b:ident) => {{
        let (a, b) = (super::binary::as_float($a)?, super::binary::as_float($b)?);
        let (a, b) = promote(&a, &b)?;
        (a.into_owned(), b.into_owned())
    }};
    (@prepare divided, $name:expr, $a:ident, $b:ident) => {{
        let (a, b) = promote($a, $b)?;
        not_zero($name, &b)?;
        (a, b)
    }};
    (@prepare $set:ident, $name:expr, $a:ident, $b:ident) => { promote($a, $b)? };
    (@dispatch bits, $d:expr, $t:ident => $body:expr, else $other:expr) => {
        if $d == DType::Bool { type $t = bool; $body } else { each!($d, integer: $t => $body, else $other) }
    };
    (@dispatch logical, $d:expr, $t:ident => $body:expr, else $other:expr) => {
        if $d == DType::Bool { type $t = bool; $body } else { $other }
    };
    (@dispatch all, $d:expr, $t:ident => $body:expr, else $other:expr) => { each!($d, computed: $t => $body, else $other) };
    (@dispatch divided, $d:expr, $t:ident => $body:expr, else $other:expr) => { each!($d, numeric: $t => $body, else $other) };
    (@dispatch $set:ident, $d:expr, $t:ident => $body:expr, else $other:expr) => { each!($d, $set: $t => $body, else $other) };
}

/// Whether each element is not zero.
pub(crate) fn truth(a: &Tensor) -> Result<Tensor> {
    cast(a, DType::Bool)
}

/// Floating types that have neighbours.
trait Neighbours: Element {
    fn next(a: Self, b: Self) -> Self;
}
macro_rules! neighbours {
    ($($t:ty),+) => {$(
        impl Neighbours for $t {
            #[inline(always)]
            fn next(a: Self, b: Self) -> Self {
                if a.is_nan() || b.is_nan() {
                    a + b
                } else if a < b {
                    a.next_up()
                } else if a > b {
                    a.next_down()
                } else {
                    b
                }
            }
        }
    )+};
}
neighbours!(f32, f64);

compare! {
    /// `a == b`.
    equal(all: Element) -> bool = |a, b| a == b;
    /// `a != b`.
    not_equal(all: Element) -> bool = |a, b| a != b;
    /// `a < b`.
    less(all: Element) -> bool = |a, b| a < b;
    /// `a <= b`.
    less_equal(all: Element) -> bool = |a, b| a <= b;
    /// `a > b`.
    greater(all: Element) -> bool = |a, b| a > b;
    /// `a >= b`.
    greater_equal(all: Element) -> bool = |a, b| a >= b;
    /// Whether both are not zero.
    logical_and(logical: Bits) -> bool = |a, b| T::and(a, b) > T::default();
    /// Whether one or both are not zero.
    logical_or(logical: Bits) -> bool = |a, b| T::or(a, b) > T::default();
    /// Whether exactly one is not zero.
    logical_xor(logical: Bits) -> bool = |a, b| T::xor(a, b) > T::default();
    /// The bits that both have.
    bitwise_and(bits: Bits) -> T = T::and;
    /// The bits that one or both have.
    bitwise_or(bits: Bits) -> T = T::or;
    /// The bits that exactly one has.
    bitwise_xor(bits: Bits) -> T = T::xor;
    /// `a` shifted left by `b` bits; 0 where `b` is the width or more.
    bitwise_left_shift(integer: Bits) -> T = T::shl;
    /// `a` shifted right by `b` bits, with its sign.
    bitwise_right_shift(integer: Bits) -> T = T::shr;
    /// `floor(a / b)`. A step function: no gradient passes. An integer divided by zero is an error.
    floor_divide(divided: Arithmetic) -> T = T::floor_divide;
    /// The next number after `a` on the way to `b`. No gradient passes.
    nextafter(float: Neighbours) -> T = T::next;
}
