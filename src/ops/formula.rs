//! What a row of the tables `unary.rs` and `activation.rs` becomes: kernels, an operation and its gradient.
//!
//! A row's function and derivative are written once, for anything that is [`Real`]: a lane of a kernel, or a
//! [`Traced`](super::traced::Traced) tensor when the derivative has to be recorded for a second one.

use super::multiply;
use super::traced::{Traced, evaluated};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::map::{Map, Zip, map_in_place};
use crate::kernels::real::{Lane, Literal, Real};
use crate::tape::{
    self, Context, Differentiable, Grads, Keeps, Known, Operation, Parameter, Tensor, Value, compute,
    is_recording, parameter,
};
use smallvec::smallvec;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The parameters of a row, such as the slope of `leakyrelu`; those it does not have are 0.
pub(crate) type Parameters = [f64; 2];

/// A row: an element-wise function of one argument and its derivative.
pub(crate) trait Row: Copy + Send + Sync + 'static {
    /// Its name in Rust and in Python.
    const NAME: &'static str;
    /// Whether the derivative is written in terms of the result (`y`) and not of the argument (`x`).
    const OF_OUTPUT: bool;
    /// Time per element in nanoseconds, for the decision to split; rough.
    const NANOS: f64;
    /// The parameters' names.
    const PARAMETERS: &'static [&'static str];
    /// Their defaults.
    const DEFAULTS: Parameters;
    /// How a product or a convolution does it to its result.
    const FUSION: Fusion = Fusion::Map;
    /// The function.
    fn f<R: Real>(x: R, p: [R; 2]) -> R
    where
        f64: Literal<R>;
    /// The derivative in terms of the argument or the result.
    fn d<R: Real>(v: R, p: [R; 2]) -> R
    where
        f64: Literal<R>;
}

/// `f(x)`, element by element.
pub(crate) struct Forward<K, T>(pub(crate) Parameters, pub(crate) PhantomData<(K, T)>);
/// `g * d(v)`, element by element.
pub(crate) struct Backward<K, T>(pub(crate) Parameters, pub(crate) PhantomData<(K, T)>);

macro_rules! kernels {
    ($($t:ty),+) => {$(
        impl<K: Row> Map for Forward<K, $t> {
            type In = $t;
            type Out = $t;
            const NANOS: f64 = K::NANOS;
            #[inline(always)]
            fn f<const FMA: bool>(&self, x: $t) -> $t {
                K::f(Lane::<$t, FMA>(x), self.0.map(|p| Lane(p as $t))).0
            }
        }
        impl<K: Row> Zip for Backward<K, $t> {
            type A = $t;
            type B = $t;
            type Out = $t;
            const NANOS: f64 = K::NANOS;
            #[inline(always)]
            fn f<const FMA: bool>(&self, g: $t, v: $t) -> $t {
                g * K::d(Lane::<$t, FMA>(v), self.0.map(|p| Lane(p as $t))).0
            }
        }
    )+};
}
kernels!(f32, f64);

/// A row as an operation.
pub(crate) struct Unary<K>(pub(crate) Parameters, pub(crate) PhantomData<K>);

impl<K: Row> fmt::Debug for Unary<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", K::NAME, shown(&self.0))
    }
}

/// The parameters of a row as data.
fn named(names: &[&'static str], parameters: &Parameters) -> tape::Parameters {
    names.iter().map(|&name| name.into()).zip(parameters.iter().map(Parameter::value)).collect()
}

/// The opposite: what a row does not have is 0.
fn given(names: &[&'static str], parameters: &tape::Parameters) -> Option<Parameters> {
    let mut given = [0.0; 2];
    for (given, name) in given.iter_mut().zip(names) {
        *given = parameter(parameters, name)?;
    }
    Some(given)
}

/// The parameters of a row, in brackets.
fn shown(parameters: &Parameters) -> String {
    format!("({}, {})", parameters[0], parameters[1])
}

fn not_float<K: Row, T>(x: &Array) -> Result<T> {
    Err(Error::DType(format!("{}: not defined for {}", K::NAME, x.dtype())))
}

impl<K: Row> Operation for Unary<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }
    fn kept(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(Unary::<K>(self.0, PhantomData)))
    }
    fn parameters(&self) -> tape::Parameters {
        named(K::PARAMETERS, &self.0)
    }
    fn read(parameters: &tape::Parameters) -> Option<Self> {
        Some(Unary(given(K::PARAMETERS, parameters)?, PhantomData))
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.floats([0])
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => Some(Fusible::map(Forward::<K, T>(self.0, PhantomData))), else None)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0];
        each!(x.dtype(), float: T => x.map(K::NAME, &Forward::<K, T>(self.0, PhantomData)), else not_float::<K, _>(x))
    }
}

impl<K: Row> Differentiable for Unary<K> {
    fn keeps(&self) -> Keeps {
        if K::OF_OUTPUT { Keeps::Output } else { Keeps::Inputs }
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(smallvec![Some(composed::<K>(g, self.looked_at(cx), self.0)?)])
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let dx = compute(Slope::<K>(self.0, PhantomData), &[g, self.looked_at(cx)]);
        Some(dx.map(|dx| smallvec![Some(dx)]))
    }
}

impl<K: Row> Unary<K> {
    /// What the derivative is written in terms of.
    fn looked_at<'a>(&self, cx: &'a Context<'_>) -> &'a Tensor {
        if K::OF_OUTPUT { cx.output() } else { cx.input(0) }
    }
}

/// `g * d(v)` with recorded operations.
fn composed<K: Row>(g: &Tensor, v: &Tensor, p: Parameters) -> Result<Tensor> {
    multiply(g, &evaluated(v, |v| K::d(v, p.map(Traced::lit)))?)
}

/// `g * d(v)` of a row in one pass.
pub(crate) struct Slope<K>(Parameters, PhantomData<K>);

impl<K: Row> fmt::Debug for Slope<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_gradient{}", K::NAME, shown(&self.0))
    }
}

impl<K: Row> Operation for Slope<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }
    fn kept(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(Slope::<K>(self.0, PhantomData)))
    }
    fn parameters(&self) -> tape::Parameters {
        let mut parameters = named(K::PARAMETERS, &self.0);
        parameters.push(("gradient".into(), Value::Bool(true)));
        parameters
    }
    fn read(parameters: &tape::Parameters) -> Option<Self> {
        Some(Slope(given(K::PARAMETERS, parameters)?, PhantomData))
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0, 1])?;
        x.broadcast()
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[1], float: T => Some(Fusible::zip(Backward::<K, T>(self.0, PhantomData))), else None)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (g, v) = (x[0], x[1]);
        each!(v.dtype(), float: T => {
            Array::zip(K::NAME, &Backward::<K, T>(self.0, PhantomData), [g, v])
        }, else not_float::<K, _>(v))
    }
}

/// How a product or a convolution does an activation to its result, while that is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// There is nothing to do.
    Nothing,
    /// The kernel knows it.
    Relu,
    /// It calls the row's function.
    Map,
}

/// A row seen without its type: what a layer needs to fuse an activation.
pub struct Activation {
    /// The name of the row.
    pub(crate) name: &'static str,
    /// The names of its parameters, and what they are.
    parameters: (&'static [&'static str], Parameters),
    /// How it is fused.
    pub(crate) fusion: Fusion,
    /// Whether the gradient looks at the result alone, so that the argument need not be kept.
    pub(crate) of_output: bool,
    /// The function, on a tensor.
    pub(crate) apply: fn(&Tensor) -> Result<Tensor>,
    /// `g * d(v)`, with recorded operations.
    pub(crate) gradient: fn(&Tensor, &Tensor) -> Result<Tensor>,
    /// `g * d(v)` in one pass, where nobody records.
    pub(crate) gradient_fused: fn(&Tensor, &Tensor) -> Result<Tensor>,
    /// The function in the place of its arguments.
    pub(crate) f32: fn(&mut [f32]),
    /// The function in the place of its arguments.
    pub(crate) f64: fn(&mut [f64]),
}

impl Activation {
    /// The name of the function that it is.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Parameter for &'static Activation {
    fn value(&self) -> Value {
        let (names, parameters) = &self.parameters;
        let mut fields = vec![("function".into(), Value::Name(self.name.into()))];
        fields.extend(named(names, parameters));
        Value::Fields(fields)
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::Fields(fields) = value else { return None };
        let (_, Value::Name(name)) = fields.iter().find(|(name, _)| name == "function")? else { return None };
        // Its parameters are the defaults.
        super::activation(name).ok().filter(|activation| activation.value() == *value)
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What of an activation an operation does itself, and what is done to its result afterwards: an activation whose gradient
/// looks at its argument needs that argument kept, as an entry of its own on the tape.
pub(super) fn planned(activation: Option<&'static Activation>) -> [Option<&'static Activation>; 2] {
    let activation = activation.filter(|a| a.fusion != Fusion::Nothing);
    if is_recording() && activation.is_some_and(|a| !a.of_output) {
        [None, activation]
    } else {
        [activation, None]
    }
}

/// The entry of a row in the table of activations, with its parameters at their defaults.
pub(crate) const fn activation<K: Row>(apply: fn(&Tensor) -> Result<Tensor>) -> Activation {
    fn single<K: Row>(x: &mut [f32]) {
        map_in_place(&Forward::<K, f32>(K::DEFAULTS, PhantomData), x);
    }
    fn double<K: Row>(x: &mut [f64]) {
        map_in_place(&Forward::<K, f64>(K::DEFAULTS, PhantomData), x);
    }
    fn grad<K: Row>(g: &Tensor, v: &Tensor) -> Result<Tensor> {
        composed::<K>(g, v, K::DEFAULTS)
    }
    fn fused<K: Row>(g: &Tensor, v: &Tensor) -> Result<Tensor> {
        compute(Slope::<K>(K::DEFAULTS, PhantomData), &[g, v])
    }
    Activation {
        name: K::NAME,
        parameters: (K::PARAMETERS, K::DEFAULTS),
        fusion: K::FUSION,
        of_output: K::OF_OUTPUT,
        apply,
        gradient: grad::<K>,
        gradient_fused: fused::<K>,
        f32: single::<K>,
        f64: double::<K>,
    }
}

/// A table of rows: `name(parameter = default) = |x| function, d(x or y) = |v| derivative, on (interval), nanos;`. A row may
/// add `fuses` and a [`Fusion`], and `instead` and a function that is asked first and may do it in another way.
macro_rules! rows {
    ($(
        $(#[$doc:meta])+
        $name:ident $(($($p:ident $(= $pd:literal)? $(: $example:literal)?),+))? = |$x:ident| $f:expr,
        d($of:ident) = |$v:ident| $d:expr, on $domain:expr, $nanos:literal ns
        $(, fuses $fusion:ident)? $(, instead $instead:path)?;
    )+) => {
        $(
            mod $name {
                #[derive(Clone, Copy)]
                pub(super) struct Kernel;
            }
            impl Row for $name::Kernel {
                const NAME: &'static str = stringify!($name);
                const OF_OUTPUT: bool = rows!(@of $of);
                const NANOS: f64 = $nanos;
                const PARAMETERS: &'static [&'static str] = &[$($(stringify!($p)),+)?];
                const DEFAULTS: Parameters = rows!(@pad [$($($($pd)? $($example)?),+)?]);
                $(const FUSION: super::formula::Fusion = super::formula::Fusion::$fusion;)?
                #[inline(always)]
                #[allow(unused_variables)]
                fn f<R: Real>($x: R, p: [R; 2]) -> R
                where
                    f64: Literal<R>,
                {
                    #[allow(unused_imports)]
                    use crate::kernels::real::*;
                    rows!(@bind p [$($($p),+)?]);
                    $f
                }
                #[inline(always)]
                #[allow(unused_variables)]
                fn d<R: Real>($v: R, p: [R; 2]) -> R
                where
                    f64: Literal<R>,
                {
                    #[allow(unused_imports)]
                    use crate::kernels::real::*;
                    rows!(@bind p [$($($p),+)?]);
                    $d
                }
            }
            $(#[$doc])+
            pub fn $name(x: &Tensor $(, $($p: f64),+)?) -> Result<Tensor> {
                $(if let Some(done) = $instead(x) {
                    return done;
                })?
                let x = super::binary::as_float(x)?;
                let p = rows!(@pad [$($($p),+)?]);
                crate::tape::apply(super::formula::Unary::<$name::Kernel>(p, std::marker::PhantomData), &[&x])
            }
        )+
        pub(super) const READERS: &[crate::tape::Reader] = &[$(
            crate::tape::Reader::of::<super::formula::Unary<$name::Kernel>>(stringify!($name)),
            crate::tape::Reader::of::<super::formula::Slope<$name::Kernel>>(concat!(stringify!($name), "_gradient")),
        )+];
        pub(super) const OPS: &[super::Op] = &[$(super::Op { name: stringify!($name), cases: &[
            super::Case { f: |t| $name(&t[0] $(, $($($pd)? $($example)?),+)?), shapes: &[&[3, 5]], domain: $domain },
        ] }),+];
        /// The rows of this table as activations, with default parameters.
        #[allow(dead_code)] // only the table of activations is asked for it
        pub(super) const ACTIVATIONS: &[super::formula::Activation] = &[$(
            super::formula::activation::<$name::Kernel>(|x| $name(x $(, $($($pd)? $($example)?),+)?))
        ),+];
        crate::bind! { row $($(#[$doc])+ $name($($($p $(= $pd)?),+)?);)+ }
    };
    (@of x) => { false };
    (@of y) => { true };
    (@pad []) => { [0.0, 0.0] };
    (@pad [$a:expr]) => { [$a, 0.0] };
    (@pad [$a:expr, $b:expr]) => { [$a, $b] };
    (@bind $p:ident []) => {};
    (@bind $p:ident [$a:ident]) => { let $a = $p[0]; };
    (@bind $p:ident [$a:ident, $b:ident]) => { let ($a, $b) = ($p[0], $p[1]); };
}
pub(crate) use rows;

/// A value of `R`: itself, or a constant.
pub(crate) trait Lift<R> {
    /// As `R`.
    fn lift(self) -> R;
}
impl<R: Real> Lift<R> for R {
    #[inline(always)]
    fn lift(self) -> R {
        self
    }
}
impl<R: Real> Lift<R> for f64 {
    #[inline(always)]
    fn lift(self) -> R {
        R::lit(self)
    }
}

/// `a(x)` where `x > y`, else `b(x)`: for branches that overflow where they are not taken. A recorded one gets `y` there
/// in place of `x`, since the gradient that it does not get, 0, is multiplied by what it does.
#[inline(always)]
pub(crate) fn branch_gt<R: Real>(x: R, y: impl Lift<R>, a: impl Fn(R) -> R, b: impl Fn(R) -> R) -> R {
    let y = y.lift();
    let [above, below] = R::apart(x, y);
    R::select_gt(x, y, a(above), b(below))
}

/// `x`, or `low` where that is larger; NaN for NaN, in one instruction.
#[inline(always)]
pub(crate) fn at_least<R: Real>(x: R, low: R) -> R {
    R::select_gt(low, x, low, x)
}

/// `x`, or `high` where that is smaller; NaN for NaN.
#[inline(always)]
pub(crate) fn at_most<R: Real>(x: R, high: R) -> R {
    R::select_gt(x, high, high, x)
}

/// Where an exponential of it, or of minus it, has been 0 for long in every type.
const FAR: f64 = 1e4;

/// `x`, but no less than where a function that falls exponentially is 0: at minus infinity it is not `-inf * 0`.
#[inline(always)]
pub(crate) fn not_far_below<R: Real>(x: R) -> R {
    at_least(x, R::lit(-FAR))
}

/// `x`, but no further from 0 than where a function that has a limit exponentially soon is at it.
#[inline(always)]
pub(crate) fn not_far<R: Real>(x: R) -> R {
    at_most(at_least(x, R::lit(-FAR)), R::lit(FAR))
}

/// `x` with the largest numbers in place of the infinities, for formulas whose limit is reached long before.
#[inline(always)]
pub(crate) fn finite<R: Real>(x: R) -> R {
    at_most(at_least(x, -R::largest()), R::largest())
}

/// `a` where `x > y`, else `b`, which also wins where either is NaN. Branches that may overflow take [`branch_gt`].
#[inline(always)]
pub(crate) fn when_gt<R: Real>(x: impl Lift<R>, y: impl Lift<R>, a: impl Lift<R>, b: impl Lift<R>) -> R {
    R::select_gt(x.lift(), y.lift(), a.lift(), b.lift())
}
