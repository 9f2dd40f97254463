//! Dropout. The gradient draws the same words again instead of keeping which elements were dropped.

use super::Case;
use super::binary::as_float;
use super::movement::broadcast_to;
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::dropout::{self as kernel, Rule};
use crate::kernels::random::Place;
use crate::tape::{Context, Grads, Operation, Tensor, apply};

/// What becomes of an element: with probability `keep` it is `x * scale + shift`, else `dropped`.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The probability of being kept, in [0, 1].
    pub keep: f64,
    /// The factor of an element that is kept.
    pub scale: f64,
    /// What is added to an element that is kept.
    pub shift: f64,
    /// What stands for an element that is not.
    pub dropped: f64,
}

#[derive(Debug)]
struct Dropout {
    place: Place,
    fate: Fate,
}

impl Operation for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (x, Fate { keep, scale, shift, dropped }) = (x[0].contiguous()?, self.fate);
        let kept_words = (keep * (1_u64 << 32) as f64).round() as u64;
        let Some(limit) = kept_words.checked_sub(1) else {
            return Array::filled("dropout", x.shape(), dropped, x.dtype());
        };
        let mut out = Array::empty("dropout", x.shape(), x.dtype())?;
        each!(x.dtype(), float: T => {
            let [scale, shift, dropped] = [scale, shift, dropped].map(T::from_f64);
            let rule = Rule { limit: limit as u32, scale, shift, dropped };
            // SAFETY: both are row-major of that size; the output is fresh.
            unsafe { kernel::dropout(self.place, rule, x.size(), x.ptr(), out.fresh_ptr()) };
        }, else return Err(Error::DType(format!("dropout: not defined for {}", x.dtype()))));
        Ok(out)
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let fate = Fate { shift: 0.0, dropped: 0.0, ..self.fate };
        cx.each(|i| apply(Dropout { place: self.place, fate }, &[&broadcast_to(g, cx.shape(i))?]))
    }
}

/// Each element as its fate has it, drawn from the words that follow a place.
pub fn dropout(x: &Tensor, place: Place, fate: Fate) -> Result<Tensor> {
    apply(Dropout { place, fate }, &[&*as_float(x)?])
}

const SOME: Place = Place { key: 3, counter: 5 };

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "dropout",
    cases: &[
        Case {
            f: |t| dropout(&t[0], SOME, Fate { keep: 0.7, scale: 1.5, shift: 0.5, dropped: -1.0 }),
            shapes: &[&[5, 7]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| dropout(&t[0], SOME, Fate { keep: 0.0, scale: 1.0, shift: 0.0, dropped: 2.0 }),
            shapes: &[&[3]],
            domain: (-1.0, 1.0),
        },
    ],
}];
