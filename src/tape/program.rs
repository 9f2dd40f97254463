//! What a thread computes, written down as data: a [`Program`] is the flat list of the operations that went through the
//! door while a [`Recording`] was open, whether or not a gradient follows them.

use super::Tensor;
use super::capture::{self, is_captured};
use super::current::CURRENT;
use super::operation::Operation;
use super::parameters::Parameters;
use crate::array::{self, Array, is_noted};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Strides};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;

/// One operation that was done. Values are named by their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The name of the operation.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: Parameters,
    /// What it was given.
    pub inputs: SmallVec<[u32; 4]>,
    /// Its result, and what it gave beside that.
    pub outputs: SmallVec<[u32; 2]>,
}

/// What was computed, in order.
#[derive(Debug, Default)]
pub struct Program {
    instructions: Vec<Instruction>,
    values: Vec<Array>,
    numbers: HashMap<Identity, u32>,
}

/// Two arrays with the same one have the same elements: a program holds all that it has met, so that no memory comes to
/// be another value's, and nobody writes into what is held.
type Identity = (usize, Dims, Strides, DType);

impl Program {
    /// The operations.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The values by their numbers: what was given to the program, what it met, and what it computed.
    pub fn values(&self) -> &[Array] {
        &self.values
    }

    /// The number of a value: a new one, if the program has not met it.
    pub fn number(&mut self, value: &Array) -> u32 {
        let next = self.values.len() as u32;
        let number = *self.numbers.entry(value.identity()).or_insert(next);
        if number == next {
            self.values.push(value.clone());
        }
        number
    }

    /// A result is a new value, even where it is made of the memory of another.
    fn computed(&mut self, value: &Array) -> u32 {
        let number = self.values.len() as u32;
        self.numbers.insert(value.identity(), number);
        self.values.push(value.clone());
        number
    }
}

thread_local! {
    /// The programs that this thread writes, the outermost first: each has all that is done while it is open.
    static OPEN: RefCell<Vec<(Program, Option<usize>)>> = const { RefCell::new(Vec::new()) };
}

/// Operations of this thread are written down until it is closed, or dropped, and with it those that were opened since.
pub struct Recording {
    depth: usize,
    /// It ends on the thread on which it began.
    _thread: PhantomData<*const ()>,
}

impl Recording {
    /// Starts to write down what is done with `given`, which are the first values of the program. With `stop`, the operation
    /// of that number is not written but is an error, which says from where it was asked for.
    pub fn open(given: &[Tensor], stop: Option<usize>) -> Recording {
        let mut program = Program::default();
        for x in given {
            program.computed(x.array());
        }
        let depth = OPEN.with(|open| {
            let mut open = open.borrow_mut();
            open.push((program, stop));
            open.len()
        });
        array::opened();
        capture::refuse(|| "what is done is recorded".into());
        CURRENT.with(|c| c.is_written.set(true));
        Recording { depth, _thread: PhantomData }
    }

    /// Ends it.
    pub fn close(self) -> Program {
        self.end().unwrap_or_default()
    }

    fn end(&self) -> Option<Program> {
        let ended = OPEN.try_with(|open| {
            let mut open = open.borrow_mut();
            let first = (self.depth - 1).min(open.len());
            (open.split_off(first), open.is_empty())
        });
        // What programs hold is dropped here, where none is borrowed. A thread that ends writes nothing more.
        let (ended, was_last) = ended.ok()?;
        ended.iter().for_each(|_| array::closed());
        if was_last {
            let _ = CURRENT.try_with(|c| c.is_written.set(c.is_captured.get()));
        }
        ended.into_iter().next().map(|(program, _)| program)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether what this thread computes is written down.
#[inline]
pub fn is_written() -> bool {
    array::is_any_open() && CURRENT.with(|c| c.is_written.get())
}

/// Does the work of an operation: those that it is done with are not written beside it.
#[cold]
pub(super) fn unwritten<R>(f: impl FnOnce() -> R) -> R {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            CURRENT.with(|c| c.is_written.set(true));
            is_noted(is_captured());
        }
    }
    let _again = Again;
    CURRENT.with(|c| c.is_written.set(false));
    is_noted(false);
    f()
}

/// Writes down that `op` made results of inputs.
#[cold]
pub(super) fn write<'a>(
    op: &dyn Operation,
    is_beside: bool,
    inputs: &[&Array],
    outputs: impl Iterator<Item = &'a Array> + Clone,
) -> Result<()> {
    if is_captured() {
        capture::write(op, is_beside, inputs, outputs.clone());
    }
    OPEN.with(|open| {
        for (program, stop) in &mut *open.borrow_mut() {
            if *stop == Some(program.instructions.len()) {
                return Err(Error::Unsupported(format!("{}: the recording stops here", op.name())));
            }
            let inputs = inputs.iter().map(|x| program.number(x)).collect();
            let outputs = outputs.clone().map(|y| program.computed(y)).collect();
            program.instructions.push(Instruction {
                name: op.name(),
                parameters: op.parameters(),
                inputs,
                outputs,
            });
        }
        Ok(())
    })
}
