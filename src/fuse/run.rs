//! A block program is done: its elements are divided among the threads, and each goes through its part block by block.

use super::operand::{Packed, each_repeated, repeat};
use super::program::{Folded, Folding, How, Instruction, Program, What};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::isa::{Isa, isa};
use crate::kernels::reduce::Axis;
use crate::memory::{Buffer, exhausted};
use crate::team;
use smallvec::{SmallVec, smallvec};

/// What a piece of work takes at least, in nanoseconds, if there is more than one.
const PIECE: f64 = 20_000.0;
/// What a block costs beside its elements, for each instruction.
const CALL: f64 = 10.0;

/// An operand of a run.
pub(crate) enum Given<'a> {
    /// It stays what it is.
    Lent(&'a Array),
    /// Nobody needs it any more.
    Left(Array),
}

impl Given<'_> {
    fn array(&self) -> &Array {
        match self {
            Given::Lent(x) => x,
            Given::Left(x) => x,
        }
    }
}

/// Where operands are.
pub(super) type Operands = SmallVec<[*const u8; 16]>;
/// Where results go, and whether by way of registers.
pub(super) type Results = SmallVec<[(*mut u8, bool); 8]>;

/// What all tasks of a run share.
pub(super) struct Run<'a> {
    pub(super) program: &'a Program,
    isa: Isa,
    operands: Operands,
    results: Results,
    /// Where folds, or those of pieces, go.
    folds: SmallVec<[*mut u8; 4]>,
}

// SAFETY: operands are only read. Results and folds are written at places that belong to one task alone.
unsafe impl Sync for Run<'_> {}

impl Program {
    /// The operands whose memory results may take.
    pub(crate) fn takes(&self) -> impl Iterator<Item = usize> + '_ {
        self.results.iter().filter_map(|r| r.takes.map(|(operand, _)| operand))
    }

    /// Where the operands are, of which some are copies in order.
    pub(super) fn operands(&self, given: &[Given<'_>]) -> Result<(Operands, SmallVec<[Array; 4]>)> {
        let mut copies: SmallVec<[Array; 4]> = SmallVec::new();
        let mut operands = Operands::new();
        if given.len() != self.operands.len() {
            return Err(changed());
        }
        for (reading, x) in self.operands.iter().zip(given.iter()) {
            let (x, layout) = (x.array(), &reading.layout);
            if x.dtype() != layout.2 || x.shape() != &layout.0[..] || x.strides() != &layout.1[..] {
                return Err(changed());
            }
            operands.push(if reading.copied {
                copies.push(x.copy()?);
                copies.last().map_or(std::ptr::null(), Array::start)
            } else {
                x.start()
            });
        }
        Ok((operands, copies))
    }

    /// Where the results go, and what they are, some of them in the memory of what was given.
    pub(super) fn results(&self, given: &mut [Given<'_>]) -> Result<(Results, SmallVec<[Array; 4]>)> {
        let (mut results, mut made) = (Results::new(), SmallVec::new());
        for result in &self.results {
            let taken = result.takes.and_then(|(operand, _)| match &mut given[operand] {
                Given::Left(x) if x.is_unique() => Some(std::mem::replace(x, Array::nothing())),
                _ => None,
            });
            let is_taken = taken.is_some();
            let mut array = match taken {
                Some(array) => array,
                None => Array::empty("fused", result.of_rows.as_ref().unwrap_or(&self.shape), result.dtype)?,
            };
            results.push((array.start_mut(), is_taken));
            made.push(array);
        }
        Ok((results, made))
    }

    /// How long it takes for so many elements on one thread, in nanoseconds.
    pub(super) fn nanos_of(&self, elements: usize) -> usize {
        let each = self.nanos + CALL * self.instructions.len() as f64 / self.block as f64;
        (elements as f64 * each) as usize
    }

    /// The memory of a task.
    pub(super) fn scratch(&self) -> Buffer {
        Buffer::new(self.scratch).unwrap_or_else(|| exhausted())
    }

    /// What all steps make of the operands: first what is as large as they, then what is folded.
    pub(crate) fn run(&self, given: &mut [Given<'_>]) -> Result<SmallVec<[Array; 4]>> {
        let (operands, _copies) = self.operands(given)?;
        let (results, mut made) = self.results(given)?;
        let mut folds = SmallVec::new();
        let mut partial: SmallVec<[Buffer; 4]> = SmallVec::new();
        for fold in &self.folds {
            let mut array = Array::empty("fused", &fold.shape, fold.folds.out)?;
            match fold.axis.n.div_ceil(fold.axis.piece()) {
                parts @ 2.. => {
                    let buffer = Buffer::new(array.size() * parts * fold.folds.out.size());
                    partial.push(buffer.unwrap_or_else(|| exhausted()));
                    folds.push(partial.last().map_or(std::ptr::null_mut(), Buffer::data));
                }
                _ => folds.push(array.start_mut()),
            }
            made.push(array);
        }
        Run::new(self, operands, results, folds).go();
        let (first, mut partial) = (self.results.len(), partial.iter());
        for (fold, array) in self.folds.iter().zip(&mut made[first..]) {
            let Axis { outer, n, inner } = fold.axis;
            let parts = n.div_ceil(fold.axis.piece());
            if parts > 1
                && let Some(buffer) = partial.next()
            {
                let axis = Axis { outer, n: parts, inner };
                // SAFETY: the tasks have written what all pieces give to the buffer, and the array has the shape of the
                // result.
                unsafe { fold.folds.fold.merge(axis, buffer.data(), array.start_mut()) };
            }
            if let Some(finish) = &fold.folds.finish {
                // SAFETY: the array has as many results of the type, which have been written.
                unsafe { finish.finish(array.start_mut(), fold.axis.places(), n) };
            }
        }
        Ok(made)
    }
}

/// What is given is laid out in another way than was planned for.
#[cold]
fn changed() -> Error {
    Error::Unsupported("fused: an operand is not laid out as it was".into())
}

/// A task's own.
pub(super) struct Task {
    /// Where the elements of each place are.
    places: SmallVec<[*mut u8; 64]>,
    packed: SmallVec<[Packed; 8]>,
    scratch: *mut u8,
}

impl Run<'_> {
    pub(super) fn new(
        program: &Program,
        operands: Operands,
        results: Results,
        folds: SmallVec<[*mut u8; 4]>,
    ) -> Run<'_> {
        Run { program, isa: isa(), operands, results, folds }
    }

    fn go(&self) {
        let program = self.program;
        let nanos = program.nanos + CALL * program.instructions.len() as f64 / program.block as f64;
        let cost = program.nanos_of(program.size);
        match program.division {
            None => {
                let blocks = ((PIECE / nanos) as usize / program.block).clamp(1, 16);
                let chunk = blocks * program.block;
                team::run(program.size.div_ceil(chunk), cost, |i| {
                    let mut task = Task::new(program);
                    let scratch = program.scratch();
                    // SAFETY: the task's elements are within the shape and nobody else's; the scratch is its own.
                    unsafe {
                        self.begin(&mut task, scratch.data());
                        let (start, end) = (i * chunk, program.size.min((i + 1) * chunk));
                        self.elements(&mut task, start, start, end);
                    }
                });
            }
            Some(division) => {
                let (axis, batch) = (division.main, division.batch(program.block));
                let (piece, unit) = (axis.piece(), axis.n * axis.inner);
                let parts = axis.n.div_ceil(piece).max(1);
                // Batches: pieces of one place before the axis, or several such places.
                let places = if parts == 1 { batch / unit } else { 1 };
                let batches = if parts == 1 { axis.outer.div_ceil(places) } else { axis.outer * parts };
                let step = division.step(program.block);
                let each = nanos * batch as f64;
                let group = ((PIECE / each) as usize).clamp(1, batches);
                team::run(batches.div_ceil(group), cost, |i| {
                    let mut task = Task::new(program);
                    let scratch = program.scratch();
                    // SAFETY: batches are within the shape, each of elements and results that are nobody else's; the
                    // scratch is the task's own.
                    unsafe {
                        self.begin(&mut task, scratch.data());
                        for k in i * group..batches.min((i + 1) * group) {
                            let (start, first, axis) = if parts == 1 {
                                let outer = places.min(axis.outer - k * places);
                                (k * places * unit, k * places, Axis { outer, ..axis })
                            } else {
                                let (o, p) = (k / parts, k % parts);
                                let n = piece.min(axis.n - p * piece);
                                ((o * axis.n + p * piece) * axis.inner, k, Axis { outer: 1, n, ..axis })
                            };
                            let end = start + axis.size();
                            let mut position = start;
                            while position < end {
                                let next = end.min(position.saturating_add(step));
                                self.elements(&mut task, start, position, next);
                                self.fold_finer(&task, start, position, next, division.main);
                                position = next;
                            }
                            self.fold(&task, start, first * axis.inner, axis, division.main);
                        }
                    }
                });
            }
        }
    }

    /// Sets what stays for the whole of a task.
    ///
    /// # Safety
    /// `scratch` must have the program's bytes, and be nobody else's.
    pub(super) unsafe fn begin(&self, task: &mut Task, scratch: *mut u8) {
        let program = self.program;
        task.scratch = scratch;
        // SAFETY: offsets are within the scratch, which leaves room for a block of each; the operands are readable.
        unsafe {
            for &(place, offset) in &program.registers {
                task.places[place as usize] = scratch.add(offset);
            }
            for (i, reading) in program.operands.iter().enumerate() {
                match &reading.how {
                    How::Constant(x) => task.places[i] = x.start().cast_mut(),
                    How::Single(offset) => {
                        let (target, size) = (scratch.add(*offset), reading.layout.2.size());
                        repeat(self.operands[i], size, target, program.block.min(program.size) * size);
                        task.places[i] = target;
                    }
                    How::Flat | How::Rows | How::Packed(..) => {}
                }
            }
        }
    }

    /// Does all instructions for the elements from `start` to `end`, of a batch that begins at `batch`, block by block. What
    /// is folded is in its buffers then.
    ///
    /// # Safety
    /// The elements must be within the shape and nobody else's; no more than a step of a batch where there are folds.
    pub(super) unsafe fn elements(&self, task: &mut Task, batch: usize, start: usize, end: usize) {
        let program = self.program;
        let row = program.row.unwrap_or(1);
        let mut position = start;
        while position < end {
            let mut n = program.block.min(end - position);
            if program.cut != usize::MAX {
                n = n.min(program.cut - position % program.cut);
            }
            // SAFETY: all places get `n` elements from this position on, or room for as many, none of which an
            // instruction both reads and writes: results that take the memory of operands are computed in registers.
            unsafe {
                for (i, reading) in program.operands.iter().enumerate() {
                    let size = reading.layout.2.size();
                    match &reading.how {
                        How::Flat => task.places[i] = self.operands[i].add(position * size).cast_mut(),
                        How::Rows => task.places[i] = self.operands[i].add(position / row * size).cast_mut(),
                        How::Packed(operand, offset) => {
                            let (buffer, packed) = (task.scratch.add(*offset), &mut task.packed[i]);
                            let at = operand.at(
                                self.operands[i],
                                size,
                                position..position + n,
                                buffer,
                                packed,
                                program.block,
                            );
                            task.places[i] = at.cast_mut();
                        }
                        How::Constant(_) | How::Single(_) => {}
                    }
                }
                for (result, &(data, is_taken)) in program.results.iter().zip(&self.results) {
                    task.places[result.place as usize] = match result.takes {
                        Some((_, offset)) if is_taken => task.scratch.add(offset),
                        _ if result.of_rows.is_some() => data.add(position / row * result.dtype.size()),
                        _ => data.add(position * result.dtype.size()),
                    };
                }
                for &Folded { place, offset, size, is_whole } in &program.buffers {
                    let first = if is_whole { batch } else { start };
                    task.places[place as usize] = task.scratch.add(offset + (position - first) * size);
                }
                for instruction in &program.instructions {
                    self.instruction(instruction, &task.places, n, row);
                }
                for (result, &(data, is_taken)) in program.results.iter().zip(&self.results) {
                    if is_taken {
                        let size = result.dtype.size();
                        let from = task.places[result.place as usize];
                        data.add(position * size).copy_from_nonoverlapping(from, n * size);
                    }
                }
            }
            position += n;
        }
    }

    /// Does one step for `n` elements, which are whole rows where something is done by rows.
    ///
    /// # Safety
    /// The places of its inputs and of its result must have as many elements, or one for each row, and be apart.
    #[inline(always)]
    unsafe fn instruction(&self, of: &Instruction, places: &[*mut u8], n: usize, row: usize) {
        let inputs = of.inputs.map(|place| places[place as usize].cast_const());
        let (inputs, out) = (&inputs[..of.count], places[of.out as usize]);
        // SAFETY: the places have so many elements of the types that the kernels take, as this function asks.
        unsafe {
            match &of.what {
                What::Elements(block) => block.run(self.isa, inputs, out, n),
                What::Rows(block) => block.run(self.isa, inputs, out, n / row),
                What::Whole(kernel) => kernel.run(n / row, row, inputs, out),
                What::Fold(folds) => {
                    let axis = Axis { outer: n / row, n: row, inner: 1 };
                    folds.fold.piece(axis, inputs[0], out);
                    if let Some(finish) = &folds.finish {
                        finish.finish(out, n / row, row);
                    }
                }
                What::Spread(size) => each_repeated(inputs[0], 1, *size, n / row, out, row),
            }
        }
    }

    /// Folds what the elements of a batch that begins at `start` have given to the results from `first` on.
    ///
    /// # Safety
    /// [`Run::elements`] has been done for as many elements as the axis has.
    unsafe fn fold(&self, task: &Task, start: usize, first: usize, axis: Axis, main: Axis) {
        for (fold, &out) in self.program.folds.iter().zip(&self.folds).filter(|(fold, _)| fold.axis == main) {
            // SAFETY: the elements have been written to the buffer or the result, and the results are this task's.
            unsafe {
                let x = match fold.of {
                    Folding::Buffer(Folded { offset, .. }) => task.scratch.add(offset).cast_const(),
                    Folding::Result(r) => self.result(r, start),
                };
                fold.folds.fold.piece(axis, x, out.add(first * fold.folds.out.size()));
            }
        }
    }

    /// Folds in all other ways what the elements from `start` to `end` have given, in a batch that begins at `batch`.
    ///
    /// # Safety
    /// [`Run::elements`] has just been done for these elements, which are whole places of all these ways.
    unsafe fn fold_finer(&self, task: &Task, batch: usize, start: usize, end: usize, main: Axis) {
        for (fold, &out) in self.program.folds.iter().zip(&self.folds).filter(|(fold, _)| fold.axis != main) {
            let Axis { n, inner, .. } = fold.axis;
            // SAFETY: as for `fold`.
            unsafe {
                let x = match fold.of {
                    Folding::Buffer(Folded { offset, size, is_whole: true, .. }) => {
                        task.scratch.add(offset + (start - batch) * size).cast_const()
                    }
                    Folding::Buffer(Folded { offset, .. }) => task.scratch.add(offset).cast_const(),
                    Folding::Result(r) => self.result(r, start),
                };
                let axis = Axis { outer: (end - start) / (n * inner), n, inner };
                let first = start / (n * inner) * inner;
                fold.folds.fold.piece(axis, x, out.add(first * fold.folds.out.size()));
            }
        }
    }

    /// Where an element of a result is.
    ///
    /// # Safety
    /// It must be within the shape.
    unsafe fn result(&self, result: usize, element: usize) -> *const u8 {
        // SAFETY: handed on.
        unsafe {
            self.results[result].0.add(element * self.program.results[result].dtype.size()).cast_const()
        }
    }
}

impl Task {
    pub(super) fn new(program: &Program) -> Task {
        let packed = program.operands.iter().map(|_| Packed::NOTHING).collect();
        Task {
            places: smallvec![std::ptr::null_mut(); program.places],
            packed,
            scratch: std::ptr::null_mut(),
        }
    }
}
