//! Numbers in the place of what is none.

use super::{Case, isfinite, isnan, select};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::map::Map;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};

/// What stands in for NaN, infinity and minus infinity.
#[derive(Clone, Debug)]
struct NanToNum {
    nan: f64,
    posinf: f64,
    neginf: f64,
}

struct Kernel<T> {
    nan: T,
    posinf: T,
    neginf: T,
}

macro_rules! kernels {
    ($($t:ident),+) => {$(
        impl Map for Kernel<$t> {
            type In = $t;
            type Out = $t;
            const NANOS: f64 = 0.4;
            #[inline(always)]
            fn f<const FMA: bool>(&self, x: $t) -> $t {
                let y = if x > $t::MAX { self.posinf } else { x };
                let y = if x < $t::MIN { self.neginf } else { y };
                if x.is_nan() { self.nan } else { y }
            }
        }
    )+};
}
kernels!(f32, f64);

impl Operation for NanToNum {
    fn name(&self) -> &'static str {
        "nan_to_num"
    }
    parameters! { nan, posinf, neginf }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.floats([0])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0];
        each!(x.dtype(), float: T => {
            let [nan, posinf, neginf] = [self.nan, self.posinf, self.neginf].map(|v| v as T);
            x.map("nan_to_num", &Kernel::<T> { nan, posinf, neginf })
        }, else Err(Error::DType(format!("nan_to_num: not defined for {}", x.dtype()))))
    }
}

impl Differentiable for NanToNum {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let zero: Tensor = Array::filled("nan_to_num", &[], 0.0, g.dtype())?.into();
        // An infinity that stays where it is has the gradient of the identity.
        let infinities_stay = self.posinf == f64::INFINITY && self.neginf == f64::NEG_INFINITY;
        cx.each(|i| {
            let x = cx.input(i);
            if infinities_stay { select(&isnan(x)?, &zero, g) } else { select(&isfinite(x)?, g, &zero) }
        })
    }
}

readers! { "nan_to_num" => NanToNum }

operations! {
    /// `x` with `nan` in the place of NaN, and with `posinf` and `neginf` in the place of the infinities, by default the
    /// largest and the lowest number of the type. Integers stay as they are. What is replaced has no gradient.
    nan_to_num(x; nan: f64 = 0.0, posinf: Option<f64> = None, neginf: Option<f64> = None) {
        replaced(x, nan, posinf, neginf)
    } cases [
        Case { f: |t| nan_to_num(&t[0], 0.0, None, None), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
    ];
}

fn replaced(x: &Tensor, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Result<Tensor> {
    let most = match x.dtype() {
        DType::F64 => f64::MAX,
        DType::F32 => f64::from(f32::MAX),
        DType::F16 => 65504.0,
        // Seven bits of fraction.
        DType::BF16 => (2.0 - 1.0 / 128.0) * 2f64.powi(127),
        _ => return Ok(x.clone()),
    };
    apply(NanToNum { nan, posinf: posinf.unwrap_or(most), neginf: neginf.unwrap_or(-most) }, &[x])
}
