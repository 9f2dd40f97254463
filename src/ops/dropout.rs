//! Dropout. The gradient draws the same words again instead of keeping which elements were dropped.

use super::Case;
use super::binary::as_float;
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::kernels::dropout::{self as kernel, Rule};
use crate::kernels::random::Position;
use crate::random::Generator;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, fields, parameters, readers,
};

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

/// Each element of the first input as its fate has it; the second is the place of a generator.
#[derive(Clone, Debug)]
struct Dropout(Fate);

fields!(Fate: keep, scale, shift, dropped);

impl Operation for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }
    parameters! { 0: fate }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.shaped(1, &[2])?;
        x.typed(1, DType::U64)?;
        x.row_major(1)?;
        x.holds((0.0..=1.0).contains(&self.0.keep), || format!("{} is no probability", self.0.keep))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (place, x) = (place_of(x[1]), x[0].contiguous()?);
        let Fate { keep, scale, shift, dropped } = self.0;
        let kept_words = (keep * (1_u64 << 32) as f64).round() as u64;
        let Some(limit) = kept_words.checked_sub(1) else {
            return Array::filled("dropout", x.shape(), dropped, x.dtype());
        };
        each!(x.dtype(), float: T => {
            let [scale, shift, dropped] = [scale, shift, dropped].map(T::from_f64);
            let rule = Rule { limit: limit as u32, scale, shift, dropped };
            let values = x.values::<T>("dropout")?;
            Array::written("dropout", x.shape(), |out| kernel::dropout(place, rule, values, out))
        }, else Err(Error::DType(format!("dropout: not defined for {}", x.dtype()))))
    }
}

impl Differentiable for Dropout {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let fate = Fate { shift: 0.0, dropped: 0.0, ..self.0 };
        Ok(Grads::from_iter([Some(apply(Dropout(fate), &[g, cx.constant(0)])?), None]))
    }
}

/// Each element as its fate has it, drawn from the stream `rng`.
pub fn dropout(x: &Tensor, rng: &mut Generator, fate: Fate) -> Result<Tensor> {
    let y = dropout_at(x, &place(*rng)?, fate)?;
    *rng = Generator::at(kernel::after(rng.place(), x.size()));
    Ok(y)
}

/// The place of a generator as a tensor: two words.
pub(crate) fn place(rng: Generator) -> Result<Tensor> {
    let place = rng.place();
    Ok(Array::from_slice(&[2], &[place.key, place.counter])?.into())
}

/// [`dropout`] for the place of a generator that has been moved on.
pub(crate) fn dropout_at(x: &Tensor, place: &Tensor, fate: Fate) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&fate.keep) {
        return Err(Error::Value(format!("dropout: keep is a probability, from 0 to 1, got {}", fate.keep)));
    }
    apply(Dropout(fate), &[&*as_float(x)?, place])
}

/// The place that an operation was applied to.
fn place_of(x: &Array) -> Position {
    let words = x.as_slice::<u64>().expect("a place is two words");
    Position { key: words[0], counter: words[1] }
}

const SOME: Position = Position { key: 3, counter: 5 };

readers! { "dropout" => Dropout }

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "dropout",
    cases: &[
        Case {
            f: |t| {
                dropout(
                    &t[0],
                    &mut Generator::at(SOME),
                    Fate { keep: 0.7, scale: 1.5, shift: 0.5, dropped: -1.0 },
                )
            },
            shapes: &[&[5, 7]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| {
                dropout(
                    &t[0],
                    &mut Generator::at(SOME),
                    Fate { keep: 0.0, scale: 1.0, shift: 0.0, dropped: 2.0 },
                )
            },
            shapes: &[&[3]],
            domain: (-1.0, 1.0),
        },
    ],
}];
