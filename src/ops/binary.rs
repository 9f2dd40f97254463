//! Element-wise functions of two arguments that broadcast. A row is the function, what its gradient rules look at, and
//! the rules themselves; the walk sums a gradient back to its argument's shape.

use super::{
    Case, abs, astype, bitwise_and, bitwise_or, equal, floor_divide, greater, greater_equal, isinf, isnan,
    less, log, log1p, logical_and, logical_not, logical_or, negative, power, select, sigmoid, sign, square,
    trunc,
};
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::map::Zip;
use crate::kernels::math::{double, single};
use crate::shape::Axes;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute_into, parameters, readers,
};
use std::borrow::Cow;

/// The arguments in the type that they have in common.
pub(crate) fn promote<'a>(a: &'a Tensor, b: &'a Tensor) -> Result<(Cow<'a, Tensor>, Cow<'a, Tensor>)> {
    let dtype = a.dtype().promote(b.dtype());
    Ok((as_dtype(a, dtype)?, as_dtype(b, dtype)?))
}

/// The argument in the type `dtype`.
pub(crate) fn as_dtype(a: &Tensor, dtype: DType) -> Result<Cow<'_, Tensor>> {
    if a.dtype() == dtype { Ok(Cow::Borrowed(a)) } else { astype(a, dtype).map(Cow::Owned) }
}

/// The argument in the floating type that it computes in.
pub(crate) fn as_float(a: &Tensor) -> Result<Cow<'_, Tensor>> {
    as_dtype(a, a.dtype().to_float())
}

/// A float as a 0-d tensor of the type of `like`.
pub(crate) fn number(value: f64, like: &Tensor) -> Result<Tensor> {
    Ok(Array::filled("number", &[], value, like.dtype())?.into())
}

macro_rules! binary {
    ($(
        $(#[$doc:meta])+
        $name:ident($set:ident: $bound:ident) = $f:expr, keeps $keeps:ident,
        da = |$ca:ident, $ga:ident| $da:expr, db = |$cb:ident, $gb:ident| $db:expr, on $domain:expr
        $(, instead $instead:expr)?;
    )+) => {
        $(
            mod $name {
                #[derive(Clone, Debug)]
                pub(super) struct Rule;
                pub(super) struct Kernel<T>(pub(super) std::marker::PhantomData<T>);
            }
            impl<T: $bound> Zip for $name::Kernel<T> {
                type A = T;
                type B = T;
                type Out = T;
                const NANOS: f64 = 0.4;
                #[inline(always)]
                fn f<const FMA: bool>(&self, a: T, b: T) -> T {
                    ($f)(a, b)
                }
            }
            impl Operation for $name::Rule {
                fn name(&self) -> &'static str {
                    stringify!($name)
                }
                parameters! {}
                fn check(&self, x: &Known<'_>) -> Result<()> {
                    x.count(2)?;
                    x.alike()?;
                    x.broadcast()
                }
                fn fused(&self, x: &[DType]) -> Option<Fusible> {
                    each!(x[0], $set: T => {
                        Some(Fusible::zip($name::Kernel::<T>(std::marker::PhantomData)))
                    }, else None)
                }
                fn forward(&self, x: &[&Array]) -> Result<Array> {
                    let name = stringify!($name);
                    each!(x[0].dtype(), $set: T => {
                        Array::zip(name, &$name::Kernel::<T>(std::marker::PhantomData), [x[0], x[1]])
                    }, else Err(Error::DType(format!("{name}: not defined for {}", x[0].dtype()))))
                }
                fn forward_into(&self, mut a: Array, rest: &[&Array]) -> Result<Array> {
                    let (name, b) = (self.name(), rest[0]);
                    if !(a.is_unique() && a.is_row_major() && a.shape() == b.shape()) {
                        return self.forward(&[&a, b]);
                    }
                    each!(a.dtype(), $set: T => {
                        a.zip_in_place(name, &$name::Kernel::<T>(std::marker::PhantomData), b)?;
                    }, else return self.forward(&[&a, b]));
                    Ok(a)
                }
            }
            impl Differentiable for $name::Rule {
                fn keeps(&self) -> Keeps {
                    Keeps::$keeps
                }
                fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
                    cx.each(|i| if i == 0 { let ($ca, $ga) = (cx, g); $da } else { let ($cb, $gb) = (cx, g); $db })
                }
            }
            $(#[$doc])+
            pub fn $name(a: &Tensor, b: &Tensor) -> Result<Tensor> {
                let (a, b) = binary!(@prepare $set, a, b);
                $(if let Some(done) = ($instead)(&a, &b) {
                    return done;
                })?
                apply($name::Rule, &[&a, &b])
            }
        )+
        readers! { $(@$name => $name::Rule),+ }
        pub(super) const OPS: &[super::Op] = &[$(super::Op { name: stringify!($name), cases: &[
            Case { f: |t| $name(&t[0], &t[1]), shapes: &[&[2, 3], &[2, 3]], domain: $domain },
            Case { f: |t| $name(&t[0], &t[1]), shapes: &[&[2, 1, 3], &[4, 1]], domain: $domain },
            Case { f: |t| $name(&t[0], &t[1]), shapes: &[&[], &[3]], domain: $domain },
        ] }),+];
        crate::bind! { pair $($(#[$doc])+ $name;)+ }
    };
    (@prepare numeric, $a:ident, $b:ident) => { promote($a, $b)? };
    (@prepare float, $a:ident, $b:ident) => {{
        let dtype = $a.dtype().promote($b.dtype()).to_float();
        (as_dtype($a, dtype)?, as_dtype($b, dtype)?)
    }};
}

/// Powers with one exponent for all elements, and what has no integer result.
fn raised(a: &Tensor, b: &Tensor) -> Option<Result<Tensor>> {
    if a.dtype().kind() == Kind::Integer {
        let negative = b.dtype().is_signed() && b.to_vec::<i64>().is_ok_and(|v| v.iter().any(|&e| e < 0));
        return negative
            .then(|| Err(Error::Value("pow: integers to negative integer powers are not integers".into())));
    }
    let constant = a.dtype() != DType::Bool && b.ndim() == 0 && b.place().is_none();
    constant.then(|| {
        let e = b.item()?;
        match e {
            // 1 for zero and NaN too; what is not chosen has the gradient 0.
            0.0 => select(&Array::scalar(false)?.into(), a, &number(1.0, a)?),
            2.0 => square(a),
            _ => power(a, e),
        }
    })
}

/// A function of truth values, for those alone.
fn of_truth(
    f: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> impl Fn(&Tensor, &Tensor) -> Option<Result<Tensor>> {
    move |a, b| (a.dtype() == DType::Bool).then(|| f(a, b))
}

/// The error of integers that are to be divided by zero: floats have an infinity and NaN for that, integers have nothing.
fn by_zero(name: &'static str) -> impl Fn(&Tensor, &Tensor) -> Option<Result<Tensor>> {
    move |_, divisors| not_zero(name, divisors).err().map(Err)
}

pub(super) fn not_zero(name: &'static str, divisors: &Tensor) -> Result<()> {
    if divisors.dtype().kind() != Kind::Integer || super::all(divisors, Axes::All, false)?.item()? != 0.0 {
        return Ok(());
    }
    let place = divisors.to_vec::<i64>()?.iter().position(|&n| n == 0).unwrap_or(0);
    Err(Error::Value(format!(
        "{name}: an integer is divided by zero, at position {place} of the divisors; divide floats, or choose other divisors \
         with where(b == 0, 1, b)"
    )))
}

/// Floating types with the functions of two arguments that only they have.
trait Real2: Arithmetic {
    fn divide(a: Self, b: Self) -> Self;
    fn atan2(a: Self, b: Self) -> Self;
    fn hypot(a: Self, b: Self) -> Self;
    fn copysign(a: Self, b: Self) -> Self;
    fn logaddexp(a: Self, b: Self) -> Self;
    fn xlogy(a: Self, b: Self) -> Self;
    fn xlog1py(a: Self, b: Self) -> Self;
    fn prelu(a: Self, b: Self) -> Self;
    fn entropy_of_two(a: Self, b: Self) -> Self;
}

macro_rules! real2 {
    ($($t:ty, $math:ident);+) => {$(
        impl Real2 for $t {
            #[inline(always)]
            fn divide(a: Self, b: Self) -> Self {
                a / b
            }
            #[inline(always)]
            fn atan2(a: Self, b: Self) -> Self {
                a.atan2(b)
            }
            #[inline(always)]
            fn hypot(a: Self, b: Self) -> Self {
                a.hypot(b)
            }
            #[inline(always)]
            fn copysign(a: Self, b: Self) -> Self {
                <$t>::copysign(a, b)
            }
            #[inline(always)]
            fn logaddexp(a: Self, b: Self) -> Self {
                let (low, high) = if a < b { (a, b) } else { (b, a) };
                // Of two equal infinities the distance is NaN.
                let distance = if low == high { 0.0 } else { low - high };
                high + $math::ln_1p::<false>($math::exp::<false>(distance))
            }
            #[inline(always)]
            fn xlogy(a: Self, b: Self) -> Self {
                let y = a * $math::ln::<false>(b);
                if a == 0.0 && !b.is_nan() { 0.0 } else { y }
            }
            #[inline(always)]
            fn xlog1py(a: Self, b: Self) -> Self {
                let y = a * $math::ln_1p::<false>(b);
                if a == 0.0 && !b.is_nan() { 0.0 } else { y }
            }
            #[inline(always)]
            fn prelu(a: Self, b: Self) -> Self {
                if a > 0.0 { a } else { a * b }
            }
            #[inline(always)]
            fn entropy_of_two(a: Self, b: Self) -> Self {
                let rest = $math::softplus::<false>(-a.abs());
                let (yes, no) = (if a < 0.0 { rest - a } else { rest }, if a > 0.0 { rest + a } else { rest });
                (if b == 0.0 { 0.0 } else { b * yes }) + (if b == 1.0 { 0.0 } else { (1.0 - b) * no })
            }
        }
    )+};
}
real2!(f32, single; f64, double);

/// 1 where the first is larger, 1/2 where they are equal, else 0: how a gradient is shared at `maximum`.
fn share(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let won = astype(&greater(a, b)?, a.dtype())?;
    let tied = astype(&equal(a, b)?, a.dtype())?;
    add(&won, &multiply(&tied, &number(0.5, a)?)?)
}

/// As [`share`], for functions that leave NaN out: all to the other number where one is NaN.
fn share_of_numbers(a: &Tensor, b: &Tensor, share: &Tensor) -> Result<Tensor> {
    let (zero, one) = (number(0.0, a)?, number(1.0, a)?);
    select(&isnan(a)?, &zero, &select(&isnan(b)?, &one, share)?)
}

/// The slope for each `b`, but 0 where `a` is 0 and `b` at the edge of the logarithm or beyond: there the product is 0,
/// whatever `b` is. The slope is asked for one at another `b`, so that its own slope is no infinity.
fn but_at_zero(c: &Context<'_>, edge: f64, slope: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (a, b) = (c.input(0), c.input(1));
    let at_edge = logical_not(&greater(b, &number(edge, b)?)?)?;
    let none = logical_and(&equal(a, &number(0.0, a)?)?, &logical_and(&at_edge, &logical_not(&isnan(b)?)?)?)?;
    select(&none, &number(0.0, b)?, &slope(&select(&none, &number(edge + 1.0, b)?, b)?)?)
}

/// The tensor with the largest numbers in place of the infinities, whose quotients are their limits.
fn finite(x: &Tensor) -> Result<Tensor> {
    let most = if x.dtype() == DType::F64 { f64::MAX } else { f64::from(f32::MAX) };
    minimum(&maximum(x, &number(-most, x)?)?, &number(most, x)?)
}

/// `v / (a^2 + b^2)`, of which the gradients of `atan2` are made, without overflow on the way; 0 at the origin.
fn over_square(v: &Tensor, cx: &Context<'_>) -> Result<Tensor> {
    let length = hypot(cx.input(0), cx.input(1))?;
    let origin = equal(&length, &number(0.0, &length)?)?;
    let length = select(&origin, &number(1.0, &length)?, &finite(&length)?)?;
    divide(&divide(&finite(v)?, &length)?, &length)
}

/// `v / length`, 0 where both are: the direction of a point, and none at the origin.
fn direction(v: &Tensor, length: &Tensor) -> Result<Tensor> {
    let origin = equal(length, &number(0.0, length)?)?;
    divide(&finite(v)?, &select(&origin, &number(1.0, length)?, &finite(length)?)?)
}

/// `sigmoid(a - b)`, one half where both are the same infinity.
fn chance(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let same = logical_and(&isinf(a)?, &equal(a, b)?)?;
    let zero = number(0.0, a)?;
    sigmoid(&subtract(&select(&same, &zero, a)?, &select(&same, &zero, b)?)?)
}

binary! {
    /// `a + b`.
    add(numeric: Arithmetic) = T::add, keeps Nothing, da = |_c, g| Ok(g.clone()), db = |_c, g| Ok(g.clone()), on (-2.0, 2.0),
        instead of_truth(bitwise_or);
    /// `a - b`.
    subtract(numeric: Arithmetic) = T::sub, keeps Nothing, da = |_c, g| Ok(g.clone()), db = |_c, g| negative(g), on (-2.0, 2.0);
    /// `a * b`.
    multiply(numeric: Arithmetic) = T::mul, keeps Inputs,
        da = |c, g| multiply(g, c.input(1)), db = |c, g| multiply(g, c.input(0)), on (-2.0, 2.0),
        instead of_truth(bitwise_and);
    /// `a / b`, in a floating type.
    divide(float: Real2) = T::divide, keeps Both,
        da = |c, g| divide(g, c.input(1)),
        db = |c, g| negative(&multiply(g, &divide(c.output(), c.input(1))?)?), on (0.5, 2.0);
    /// `a` to the power `b`.
    pow(numeric: Arithmetic) = T::pow, keeps Both,
        da = |c, g| {
            // Where `b` is 0 and `1 / a` may overflow, another power of `a` is finite times 0.
            let (one, zero) = (number(1.0, c.output())?, number(0.0, c.output())?);
            // A power that an infinite exponent has brought to 0 stays there.
            let settled = logical_and(&isinf(c.input(1))?, &equal(c.output(), &zero)?)?;
            let (a, b) = (select(&settled, &one, c.input(0))?, select(&settled, &one, c.input(1))?);
            let tiny = less(&abs(&a)?, &number(f64::from(f32::MIN_POSITIVE) * 16.0, &a)?)?;
            let safe = select(&logical_and(&tiny, &equal(&b, &zero)?)?, &one, &b)?;
            let slope = multiply(g, &multiply(&b, &pow(&a, &subtract(&safe, &one)?)?)?)?;
            select(&settled, &zero, &slope)
        },
        db = |c, g| {
            // `a^b` is 0 more strongly than its logarithm is infinite; at `0^0`, where there is no limit, 0 is PyTorch's.
            let (a, b) = (c.input(0), c.input(1));
            let (one, zero) = (number(1.0, b)?, number(0.0, b)?);
            let gone = logical_and(&equal(c.output(), &zero)?, &logical_or(&isinf(a)?, &isinf(b)?)?)?;
            let origin = logical_and(&equal(a, &zero)?, &greater_equal(b, &zero)?)?;
            let vanishes = logical_or(&gone, &origin)?;
            let a = select(&vanishes, &one, a)?;
            // Not the result: a second derivative must not meet the power that has none there.
            let y = pow(&a, &select(&vanishes, &one, b)?)?;
            select(&vanishes, &zero, &multiply(g, &multiply(&y, &log(&a)?)?)?)
        }, on (0.5, 2.0), instead raised;
    /// The larger of `a` and `b`; NaN if either is. Where they are equal each gets half of the gradient.
    maximum(numeric: Arithmetic) = T::maximum, keeps Inputs,
        da = |c, g| multiply(g, &share(c.input(0), c.input(1))?),
        db = |c, g| multiply(g, &share(c.input(1), c.input(0))?), on (-2.0, 2.0), instead of_truth(bitwise_or);
    /// The smaller of `a` and `b`; NaN if either is. Where they are equal each gets half of the gradient.
    minimum(numeric: Arithmetic) = T::minimum, keeps Inputs,
        da = |c, g| multiply(g, &share(c.input(1), c.input(0))?),
        db = |c, g| multiply(g, &share(c.input(0), c.input(1))?), on (-2.0, 2.0), instead of_truth(bitwise_and);
    /// What is left of `a` after `floor_divide`, with the sign of `b`. An integer divided by zero is an error.
    remainder(numeric: Arithmetic) = T::remainder, keeps Inputs,
        da = |_c, g| Ok(g.clone()),
        db = |c, g| negative(&multiply(g, &floor_divide(c.input(0), c.input(1))?)?), on (2.1, 3.9),
        instead by_zero("remainder");
    /// What is left of `a` after division towards 0, with the sign of `a`. An integer divided by zero is an error.
    fmod(numeric: Arithmetic) = T::fmod, keeps Inputs,
        da = |_c, g| Ok(g.clone()),
        db = |c, g| negative(&multiply(g, &trunc(&divide(c.input(0), c.input(1))?)?)?), on (2.1, 3.9),
        instead by_zero("fmod");
    /// The larger of `a` and `b`, the other where one is NaN. Where they are equal each gets half of the gradient.
    fmax(numeric: Arithmetic) = T::fmax, keeps Inputs,
        da = |c, g| multiply(g, &share_of_numbers(c.input(0), c.input(1), &share(c.input(0), c.input(1))?)?),
        db = |c, g| multiply(g, &share_of_numbers(c.input(1), c.input(0), &share(c.input(1), c.input(0))?)?),
        on (-2.0, 2.0), instead of_truth(bitwise_or);
    /// The smaller of `a` and `b`, the other where one is NaN. Where they are equal each gets half of the gradient.
    fmin(numeric: Arithmetic) = T::fmin, keeps Inputs,
        da = |c, g| multiply(g, &share_of_numbers(c.input(0), c.input(1), &share(c.input(1), c.input(0))?)?),
        db = |c, g| multiply(g, &share_of_numbers(c.input(1), c.input(0), &share(c.input(0), c.input(1))?)?),
        on (-2.0, 2.0), instead of_truth(bitwise_and);
    /// `a log(b)`, 0 where `a` is 0.
    xlogy(float: Real2) = T::xlogy, keeps Inputs,
        da = |c, g| multiply(g, &but_at_zero(c, 0.0, log)?),
        db = |c, g| multiply(g, &but_at_zero(c, 0.0, |b| divide(c.input(0), b))?), on (0.5, 2.0);
    /// `a log(1 + b)`, 0 where `a` is 0.
    xlog1py(float: Real2) = T::xlog1py, keeps Inputs,
        da = |c, g| multiply(g, &but_at_zero(c, -1.0, log1p)?),
        db = |c, g| {
            let slope = |b: &Tensor| divide(c.input(0), &add(b, &number(1.0, b)?)?);
            multiply(g, &but_at_zero(c, -1.0, slope)?)
        }, on (0.5, 2.0);
    /// `a` where it is above 0, else `a * b`: a slope that is learned, for each channel on the last axis or for all. At 0
    /// the gradient is the slope.
    prelu(float: Real2) = T::prelu, keeps Inputs,
        da = |c, g| {
            let above = greater(c.input(0), &number(0.0, c.input(0))?)?;
            multiply(g, &select(&above, &number(1.0, c.input(1))?, c.input(1))?)
        },
        db = |c, g| {
            let zero = number(0.0, c.input(0))?;
            multiply(g, &select(&greater(c.input(0), &zero)?, &zero, c.input(0))?)
        }, on (-2.0, -0.2);
    /// The angle of the point `(b, a)`, in radians.
    atan2(float: Real2) = T::atan2, keeps Inputs,
        da = |c, g| multiply(g, &over_square(c.input(1), c)?),
        db = |c, g| negative(&multiply(g, &over_square(c.input(0), c)?)?), on (0.5, 2.0);
    /// `sqrt(a^2 + b^2)` without overflow on the way.
    hypot(float: Real2) = T::hypot, keeps Both,
        da = |c, g| multiply(g, &direction(c.input(0), c.output())?),
        db = |c, g| multiply(g, &direction(c.input(1), c.output())?), on (0.5, 2.0);
    /// The magnitude of `a` with the sign of `b`. The gradient at 0 is 0.
    copysign(float: Real2) = T::copysign, keeps Both,
        da = |c, g| multiply(g, &multiply(&sign(c.output())?, &sign(c.input(0))?)?),
        db = |c, g| multiply(g, &number(0.0, c.input(1))?), on (0.5, 2.0);
    /// `log(exp(a) + exp(b))` without overflow.
    logaddexp(float: Real2) = T::logaddexp, keeps Inputs,
        da = |c, g| multiply(g, &chance(c.input(0), c.input(1))?),
        db = |c, g| multiply(g, &chance(c.input(1), c.input(0))?), on (-2.0, 2.0);
    /// `-b log(sigmoid(a)) - (1 - b) log(sigmoid(-a))`: what is certain and right costs nothing.
    logitbinarycrossentropy_each(float: Real2) = T::entropy_of_two, keeps Inputs,
        da = |c, g| {
            let (a, b) = (c.input(0), c.input(1));
            let too_high = multiply(&subtract(&number(1.0, b)?, b)?, &sigmoid(a)?)?;
            multiply(g, &subtract(&too_high, &multiply(b, &sigmoid(&negative(a)?)?)?)?)
        },
        db = |c, g| negative(&multiply(g, c.input(0))?), on (-2.0, 2.0);
}

/// `a + b`, in the memory of `a` where nobody else sees it. Nobody records it.
pub(crate) fn add_into(a: Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dtype() == b.dtype() { compute_into(self::add::Rule, a, &[b]) } else { add(&a, b) }
}
