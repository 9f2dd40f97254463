//! What an operation is: what it computes, and its gradient rule.

use super::Tensor;
use super::capture::Layout;
use super::known::Known;
use super::parameters::Parameters;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::fuse::{Fusible, Part};
use crate::kernels::then::Then;
use crate::shape::Dims;
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What an operation's gradient rule looks at, kept on the tape until the walk has passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Only the incoming gradient and the shapes.
    Nothing,
    /// Of the inputs those that are no floats and so have no gradient: labels, indices, masks, places of generators.
    Constants,
    /// The inputs but the first.
    Rest,
    /// The inputs.
    Inputs,
    /// The result.
    Output,
    /// The inputs and the result.
    Both,
}

/// The gradients that a rule gives: one for each input, `None` where it is not wanted or there is no dependence.
pub type Grads = SmallVec<[Option<Tensor>; 3]>;

/// A computation: its parameters, and what it gives for its inputs. The parameters are numbers, names and shapes, never
/// data: labels, indices, masks and the places of generators are inputs, so that an operation says the same of every batch.
///
/// To add one, see `ops/mod.rs`.
pub trait Operation: Any + fmt::Debug + Send + Sync {
    /// The name, as in Python and in messages.
    fn name(&self) -> &'static str;

    /// Its parameters as data, which [`parameters!`](super::parameters) lists.
    fn parameters(&self) -> Parameters;

    /// The operation once more, to be kept in a program that does it again; `None` where that cannot be.
    fn kept(&self) -> Option<Arc<dyn Operation>> {
        None
    }

    /// The operation that has these parameters, which [`parameters!`](super::parameters) reads; `None` if there is none.
    fn read(_parameters: &Parameters) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Whether it can be done with inputs of which that is known, and whatever values: all that [`Operation::forward`] relies on is
    /// looked at here, because parameters may come from a file, which nobody has made with the functions of this crate.
    fn check(&self, _inputs: &Known<'_>) -> Result<()> {
        Err(Error::Unsupported("it is not done from files".into()))
    }

    /// What it is to those who do several operations together, for inputs of these types; `None` if it is done by itself.
    fn fused(&self, _inputs: &[DType]) -> Option<Fusible> {
        None
    }

    /// What it is made of to them, for inputs that are laid out so, if the parts give the same bits; nothing where it is
    /// one, or is done by itself. The last part gives the result.
    fn parts(&self, _inputs: &[&Layout]) -> Vec<Part> {
        Vec::new()
    }

    /// The result for these inputs.
    fn forward(&self, inputs: &[&Array]) -> Result<Array>;

    /// The result, and beside it what has no gradient of its own: what the gradient rule needs of the forward pass, such as
    /// the largest logit of each row, or further results. It is done instead of [`Operation::forward`] where it is recorded.
    fn forward_beside(&self, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
        Ok((self.forward(inputs)?, Vec::new()))
    }

    /// The result, in the memory of the first input where that can be done: its owner gives it up.
    fn forward_into(&self, first: Array, rest: &[&Array]) -> Result<Array> {
        let inputs: SmallVec<[&Array; 4]> = std::iter::once(&first).chain(rest.iter().copied()).collect();
        self.forward(&inputs)
    }

    /// Whether [`Operation::forward_then`] can be done with inputs that are laid out so.
    fn tells(&self, _inputs: &[&Layout]) -> bool {
        false
    }

    /// The result, in an array that is laid out as it is and that nobody else has; `then` is done to its elements as they
    /// are finished.
    fn forward_then(&self, _inputs: &[&Array], _out: &mut Array, _then: &dyn Then) -> Result<()> {
        Err(Error::Unsupported(format!("{}: it does not tell what is finished", self.name())))
    }

    /// How many products and sums of numbers it takes for inputs and a result of these shapes, where that is what it costs:
    /// for a profile.
    fn flops(&self, _inputs: &[&[usize]], _output: &[usize]) -> u64 {
        0
    }

    /// Whether it only moves elements, of whatever type: such operations see numbers of 16 bits as they are, all others
    /// see them as float32.
    fn moves(&self) -> bool {
        false
    }
}

/// An operation with a gradient rule.
pub trait Differentiable: Operation {
    /// What the gradient rule needs.
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }

    /// The gradient rule, written with tensor operations so that it is differentiable itself.
    ///
    /// The gradient `g` that comes in has the shape and the element type of the result. One that goes out may still have
    /// the broadcast shape of the result or another floating type: the walk makes it fit its input.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads>;

    /// The same in fewer passes, by an operation of its own, if there is one: the walk asks for it where nobody records.
    fn backward_fused(&self, _cx: &Context<'_>, _g: &Tensor) -> Option<Result<Grads>> {
        None
    }
}

/// What a gradient rule is told beside the incoming gradient.
pub struct Context<'a> {
    pub(super) kept: &'a [Tensor],
    pub(super) beside: &'a [Array],
    pub(super) keeps: Keeps,
    pub(super) wanted: &'a [bool],
    pub(super) shapes: &'a [(Dims, DType)],
}

impl Context<'_> {
    /// Input `i`, of an operation that keeps its inputs.
    pub fn input(&self, i: usize) -> &Tensor {
        debug_assert!(matches!(self.keeps, Keeps::Inputs | Keeps::Both));
        &self.kept[i]
    }
    /// The result, of an operation that keeps it.
    pub fn output(&self) -> &Tensor {
        debug_assert!(matches!(self.keeps, Keeps::Output | Keeps::Both));
        &self.kept[self.kept.len() - 1]
    }
    /// Input `i` among those that are no floats, of an operation that keeps these or all.
    pub fn constant(&self, i: usize) -> &Tensor {
        let mut constants = self.kept.iter().filter(|t| !t.dtype().is_float());
        constants.nth(i).expect("the operation keeps its constants")
    }
    /// Input `i`, which is not the first, of an operation that keeps all but that.
    pub fn rest(&self, i: usize) -> &Tensor {
        debug_assert!(self.keeps == Keeps::Rest && i > 0);
        &self.kept[i - 1]
    }
    /// What the forward pass gave beside the result.
    pub fn beside(&self) -> &[Array] {
        self.beside
    }
    /// Whether the gradient of input `i` is wanted.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted[i]
    }
    /// The shape of input `i`; only known of inputs whose gradient is wanted.
    pub fn shape(&self, i: usize) -> &[usize] {
        &self.shapes[i].0
    }
    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.wanted.len()
    }
    /// Asks `rule` for the gradient of each input that wants one.
    pub fn each(&self, mut rule: impl FnMut(usize) -> Result<Tensor>) -> Result<Grads> {
        let mut grads = Grads::new();
        for (i, &is_wanted) in self.wanted.iter().enumerate() {
            grads.push(if is_wanted { Some(rule(i)?) } else { None });
        }
        Ok(grads)
    }
}
