//! A program that is done to the result of an operation as its elements are finished: by the threads that compute them,
//! while they are in the cache.

use super::program::{How, Program};
use super::run::{Given, Run, Task};
use crate::array::Array;
use crate::error::Result;
use crate::kernels::then::{Runs, Then};
use smallvec::SmallVec;

/// What an operation has given, unless the memory is another result's now, and what the program has made of it.
pub(crate) type Made = (Option<Array>, SmallVec<[Array; 4]>);

impl Program {
    /// Whether it can be done to any elements of an operand for themselves.
    pub(crate) fn is_by_elements_of(&self, operand: usize) -> bool {
        self.row.is_none()
            && self.division.is_none()
            && self.operands.get(operand).is_some_and(|reading| matches!(reading.how, How::Flat))
    }

    /// The shape of all that it computes.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// [`Program::run`], where `make` gives the operand of that number: it is told what to do to the elements that it has
    /// finished.
    pub(crate) fn run_after(
        &self,
        operand: usize,
        given: &mut [Given<'_>],
        make: impl FnOnce(&mut Array, &dyn Then) -> Result<()>,
    ) -> Result<Made> {
        let (shape, _, dtype) = &self.operands[operand].layout;
        given[operand] = Given::Left(Array::empty("fused", shape, *dtype)?);
        let (operands, _copies) = self.operands(given)?;
        let (results, mut made) = self.results(given)?;
        let (start, size) = (operands[operand] as usize, dtype.size());
        let run = Run::new(self, operands, results, SmallVec::new());
        let after = After { run, start, size };
        // The memory is perhaps that of a result by now.
        let place = made.iter_mut().find(|x| x.start() as usize == start);
        match (place, &mut given[operand]) {
            (Some(product), _) | (None, Given::Left(product)) => make(product, &after)?,
            (None, Given::Lent(_)) => {}
        }
        let left = match std::mem::replace(&mut given[operand], Given::Left(Array::nothing())) {
            Given::Left(product) if product.start() as usize == start => Some(product),
            _ => None,
        };
        Ok((left, made))
    }
}

/// What is to be done to elements of an array that begins there.
struct After<'a> {
    run: Run<'a>,
    start: usize,
    /// The bytes of an element.
    size: usize,
}

impl Then for After<'_> {
    unsafe fn done(&self, runs: &mut Runs<'_>) {
        let mut task = Task::new(self.run.program);
        let scratch = self.run.program.scratch();
        let first = |run: *mut u8| (run as usize - self.start) / self.size;
        // SAFETY: the elements are of the shape and nobody else's, by the caller's word; the scratch is the task's own.
        unsafe {
            self.run.begin(&mut task, scratch.data());
            let mut whole = 0..0;
            for (run, n) in runs {
                let start = first(run);
                if start != whole.end {
                    self.run.elements(&mut task, whole.start, whole.start, whole.end);
                    whole.start = start;
                }
                whole.end = start + n;
            }
            self.run.elements(&mut task, whole.start, whole.start, whole.end);
        }
    }

    fn nanos(&self, elements: usize) -> usize {
        self.run.program.nanos_of(elements)
    }
}
