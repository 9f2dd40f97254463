//! How a block program is made: which value is where while it runs.

use super::Division;
use super::kernel::{Each, Fusible};
use super::operand::{Operand, strides};
use super::program::{
    Fold, Folded, Folding, How, Instruction, Program, Reading, Source, Values, What, Written,
};
use crate::array::{Array, Range};
use crate::dtype::DType;
use crate::kernels::reduce::Axis;
use crate::shape::{self, Dims, Strides};
use smallvec::SmallVec;
use std::collections::HashMap;

/// What the blocks of a program have in the first-level cache at a time, about.
const CACHE: usize = 32 << 10;
/// Elements of a block.
const LEAST: usize = 256;
const MOST: usize = 2048;
/// Where an operand comes again sooner than after so many elements, blocks do not end there.
const SHORT: usize = 256;
/// What is between two registers, so that what is written to one is not taken for what is read of another.
const APART: usize = 192;
/// Results of so many bytes take the memory of an operand that nobody needs afterwards.
const LARGE: usize = 1 << 15;

/// Gives out offsets of registers.
#[derive(Default)]
struct Offsets {
    end: usize,
    free: Vec<(usize, usize)>,
}

impl Offsets {
    fn take(&mut self, bytes: usize) -> usize {
        let size = (bytes + APART).next_multiple_of(64);
        if let Some(at) = self.free.iter().rposition(|&(_, other)| other == size) {
            return self.free.swap_remove(at).0;
        }
        self.fresh(bytes)
    }
    /// One that is used by nobody else, for what stays from block to block.
    fn fresh(&mut self, bytes: usize) -> usize {
        self.end += (bytes + APART).next_multiple_of(64);
        self.end - (bytes + APART).next_multiple_of(64)
    }
    fn give(&mut self, offset: usize, bytes: usize) {
        self.free.push((offset, (bytes + APART).next_multiple_of(64)));
    }
}

/// A value, for the elements or for the rows.
type Value = (u32, bool);

/// What is being made of sources.
struct Making<'a> {
    sources: &'a [Source<'a>],
    values: &'a dyn Values,
    shape: Dims,
    row: Option<usize>,
    /// The operand that is finished piece by piece.
    after: Option<u32>,
    /// The operands by their numbers, and which instruction reads a value last.
    numbers: HashMap<Value, usize>,
    operands: Vec<Value>,
    last: HashMap<u32, usize>,
}

impl Program {
    /// The program that does all of these, with the numbers of the values that it is given and of those that it gives. Each
    /// [fits](Each::fits) its inputs, and all have the shape in common; but what is done by rows of that length. With `after`
    /// it is done to the elements of that value as they are finished.
    pub(crate) fn new(
        sources: &[Source<'_>],
        row: Option<usize>,
        after: Option<u32>,
        values: &dyn Values,
    ) -> (Program, Vec<u32>, Vec<u32>) {
        let first = sources.iter().find(|s| !matches!(s.what, Fusible::Folds(_)));
        let shape = first.map(|s| values.layout(s.output).0.clone()).unwrap_or_default();
        let (numbers, last) = (HashMap::new(), HashMap::new());
        let mut making = Making { sources, values, shape, row, after, numbers, operands: Vec::new(), last };
        let mut made: Vec<u32> = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let of_rows = making.is_of_rows(source);
            for &v in source.inputs {
                let shown = making.shown(v, &made);
                making.last.insert(shown, at);
                let value = (shown, of_rows);
                if !made.contains(&shown) && !making.numbers.contains_key(&value) {
                    making.numbers.insert(value, making.operands.len());
                    making.operands.push(value);
                }
            }
            made.push(source.output);
        }
        making.program()
    }
}

impl Making<'_> {
    fn is_each<'a>(source: &'a Source<'_>) -> Option<&'a Each> {
        match &source.what {
            Fusible::Each(each) => Some(each),
            Fusible::Rowwise(_) | Fusible::Folds(_) | Fusible::View => None,
        }
    }

    /// Whether a step computes what rows have one of.
    fn is_of_rows(&self, source: &Source<'_>) -> bool {
        let size = shape::size(&self.shape);
        let is = |n| shape::size(&self.values.layout(source.output).0) * n == size;
        matches!(source.what, Fusible::Each(_)) && self.row.is_some_and(is)
    }

    /// What is read where a value is: of one that has been made for each row, also what shows it.
    fn shown(&self, v: u32, made: &[u32]) -> u32 {
        let shown = self.values.shown(v);
        if self.row.is_some() && made.contains(&shown) { shown } else { v }
    }

    /// How many elements a block has: as many as leave room for all that is read and written at a time.
    fn block(&self, size: usize) -> usize {
        let (mut alive, mut most, mut widest) = (0usize, 0usize, 1);
        for (at, source) in self.sources.iter().enumerate() {
            if let Some(each) = Self::is_each(source) {
                alive += 1;
                widest = widest.max(each.out.size());
            }
            most = most.max(alive);
            let ends = |v: &&u32| self.last.get(v) == Some(&at) && !self.numbers.contains_key(&(**v, false));
            alive = alive.saturating_sub(source.inputs.iter().filter(ends).count());
        }
        let streams = most + self.operands.len().min(4);
        let block = (CACHE / (widest * streams.max(1)) / 64 * 64).clamp(LEAST, MOST);
        match self.row {
            Some(n) => (block / n).max(1) * n,
            None => block.min(size.next_multiple_of(16)),
        }
    }

    fn program(self) -> (Program, Vec<u32>, Vec<u32>) {
        let size = shape::size(&self.shape);
        let block = self.block(size);
        let rows = self.row.map_or(0, |n| block / n);
        let mut offsets = Offsets::default();
        let (mut registers, mut buffers): (Vec<(u16, usize)>, Vec<Folded>) = (Vec::new(), Vec::new());
        let mut cut = usize::MAX;
        let operands: Vec<Reading> =
            self.operands.iter().map(|&v| self.reading(v, block, &mut offsets, &mut cut)).collect();
        let mut places = operands.len();
        let mut place_of: HashMap<Value, usize> = self.numbers.clone();
        let (mut instructions, mut results, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let (mut folds, mut folded, mut nanos) = (Vec::new(), Vec::new(), 0.0);
        let mut held: HashMap<u32, SmallVec<[(usize, usize); 2]>> = HashMap::new();
        let axes: SmallVec<[(u32, Axis); 4]> = self.sources.iter().filter_map(|s| self.axis(s)).collect();
        let by_rows = self.row.map(|n| Axis { outer: size / n, n, inner: 1 });
        let axis_of_all = axes.iter().map(|&(_, axis)| axis).chain(by_rows.filter(|_| !axes.is_empty()));
        let division = Division::of(&axis_of_all.collect::<SmallVec<[Axis; 4]>>());
        let is_by_rows = |axis: Axis| Some(axis) == by_rows;
        let is_folded = |v: u32| axes.iter().any(|&(of, axis)| of == v && !is_by_rows(axis));
        let mut taken: Vec<usize> = Vec::new();
        let mut made: Vec<u32> = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            let of_rows = self.is_of_rows(source);
            let axis = self.axis(source).map(|(_, axis)| axis);
            let mut inputs = [0; 3];
            for (place, &v) in inputs.iter_mut().zip(source.inputs) {
                let shown = self.shown(v, &made);
                let value = (shown, of_rows);
                if !place_of.contains_key(&value)
                    && let Some(&from) = place_of.get(&(shown, true))
                {
                    // What is made for each row is read for each element.
                    let element = self.values.layout(shown).2.size();
                    let (out, offset) = (places, offsets.take(block * element));
                    places += 1;
                    registers.push((out as u16, offset));
                    held.entry(shown).or_default().push((offset, block * element));
                    let what = What::Spread(element);
                    instructions.push(Instruction {
                        what,
                        inputs: [from as u16, 0, 0],
                        count: 1,
                        out: out as u16,
                    });
                    place_of.insert(value, out);
                    nanos += 0.1;
                }
                *place = place_of[&value] as u16;
            }
            let output = source.output;
            let dtype = self.values.layout(output).2;
            let (what, count) = match &source.what {
                Fusible::Each(each) => {
                    nanos += if of_rows { each.nanos / self.row.unwrap_or(1) as f64 } else { each.nanos };
                    let block = each.block.clone();
                    (if of_rows { What::Rows(block) } else { What::Elements(block) }, source.inputs.len())
                }
                Fusible::Rowwise(rowwise) => {
                    nanos += rowwise.nanos;
                    (What::Whole(rowwise.kernel.clone()), source.inputs.len())
                }
                Fusible::Folds(f) if axis.is_some_and(is_by_rows) => {
                    nanos += f.input.size() as f64 / 32.0;
                    (What::Fold(f.clone()), 1)
                }
                Fusible::Folds(f) => {
                    let result = results.iter().position(|r: &Written| r.place == inputs[0]);
                    let buffer = buffers.iter().find(|b| b.place == inputs[0]);
                    let of = match (result, buffer) {
                        (Some(r), _) => Folding::Result(r),
                        (None, Some(b)) => Folding::Buffer(*b),
                        (None, None) => unreachable!("what is folded is kept"),
                    };
                    let (shape, axis) = (self.values.layout(output).0.clone(), axis.expect("it is divided"));
                    folds.push(Fold { folds: f.clone(), of, axis, shape });
                    folded.push(output);
                    nanos += f.input.size() as f64 / 32.0;
                    made.push(output);
                    self.end(at, source, &made, &mut held, &mut offsets);
                    continue;
                }
                Fusible::View => continue,
            };
            let place = places;
            places += 1;
            let for_rows = matches!(what, What::Rows(_) | What::Fold(_));
            let bytes = if for_rows { rows } else { block } * dtype.size();
            if self.values.is_wanted(output) {
                let takes = if for_rows { None } else { self.taken(dtype, &mut taken, size) };
                let takes = takes.map(|operand| (operand, offsets.take(bytes)));
                let of_rows = for_rows.then(|| self.values.layout(output).0.clone());
                results.push(Written { dtype, place: place as u16, takes, of_rows });
                given.push(output);
            } else if let Some(division) = division.filter(|_| is_folded(output)) {
                let is_whole = axes.contains(&(output, division.main));
                let room = if is_whole { division.batch(block) } else { division.step(block) };
                let (place, size) = (place as u16, dtype.size());
                buffers.push(Folded { place, offset: offsets.fresh(room * size), size, is_whole });
            } else {
                let offset = offsets.take(bytes);
                registers.push((place as u16, offset));
                held.entry(output).or_default().push((offset, bytes));
            }
            instructions.push(Instruction { what, inputs, count, out: place as u16 });
            place_of.insert((output, for_rows), place);
            made.push(output);
            self.end(at, source, &made, &mut held, &mut offsets);
        }
        given.extend(folded);
        let (scratch, row) = (offsets.end, self.row);
        if row.is_some() {
            cut = usize::MAX;
        }
        let program = Program {
            shape: self.shape,
            size,
            block,
            cut,
            row,
            nanos,
            operands,
            places,
            registers,
            buffers,
            instructions,
            results,
            folds,
            division,
            scratch,
        };
        (program, self.operands.iter().map(|&(v, _)| v).collect(), given)
    }

    /// Registers that nobody reads after a step are free again.
    fn end(
        &self,
        at: usize,
        source: &Source<'_>,
        made: &[u32],
        held: &mut HashMap<u32, SmallVec<[(usize, usize); 2]>>,
        offsets: &mut Offsets,
    ) {
        let read = source.inputs.iter().map(|&v| self.shown(v, made));
        for v in read.chain([source.output]) {
            if self.last.get(&v).copied().unwrap_or(0) <= at {
                for (offset, bytes) in held.remove(&v).unwrap_or_default() {
                    offsets.give(offset, bytes);
                }
            }
        }
    }

    /// What a reduction is of, and how the elements are divided for it.
    fn axis(&self, source: &Source<'_>) -> Option<(u32, Axis)> {
        let Fusible::Folds(folds) = &source.what else { return None };
        let of = source.inputs[0];
        Some((of, folds.axis(self.values.layout(of), self.values.layout(source.output))?))
    }

    /// How an operand is read.
    fn reading(&self, (v, of_rows): Value, block: usize, offsets: &mut Offsets, cut: &mut usize) -> Reading {
        let layout = self.values.layout(v).clone();
        if of_rows && shape::size(&layout.0) > 1 {
            return Reading { layout, how: How::Rows, copied: false };
        }
        let read = |strides_of: &Strides| {
            // One element that is read for rows may have more axes than the shape.
            let strides = match shape::size(&layout.0) {
                1 => self.shape.iter().map(|_| 0).collect(),
                _ => strides(&layout.0, strides_of, &self.shape).expect("what is read broadcasts"),
            };
            Operand::new(&self.shape, &strides)
        };
        let mut operand = read(&layout.1);
        // What jumps from cache line to cache line is brought into order once, by who knows how.
        let copied = operand.is_scattered() && shape::size(&layout.0) > block;
        if copied {
            operand = read(&shape::row_major(&layout.0));
        }
        let bytes = operand.room(block) * layout.2.size();
        let how = if operand.is_flat() {
            How::Flat
        } else if operand.is_single() {
            match self.values.constant(v).and_then(|x| many(x, block)) {
                Some(x) => How::Constant(x),
                None => How::Single(offsets.take(bytes)),
            }
        } else {
            if operand.ends(block) >= SHORT {
                *cut = operand.ends(block).min(*cut);
            }
            How::Packed(operand, offsets.take(bytes))
        };
        Reading { layout, how, copied }
    }

    /// An operand whose memory a result can take.
    fn taken(&self, dtype: DType, taken: &mut Vec<usize>, size: usize) -> Option<usize> {
        let operand = self.operands.iter().enumerate().position(|(i, &(v, _))| {
            let layout = self.values.layout(v);
            let is_read_once = self.operands.iter().filter(|&&(other, _)| other == v).count() == 1;
            // What is finished piece by piece is perhaps made of the others, and some of it twice.
            let is_free = self.after.is_none_or(|after| after == v);
            is_read_once
                && is_free
                && layout.2 == dtype
                && layout.0 == self.shape
                && shape::is_row_major(&layout.0, &layout.1)
                && size * dtype.size() >= LARGE
                && !taken.contains(&i)
                && !self.values.is_wanted(v)
                && self.values.constant(v).is_none()
        })?;
        taken.push(operand);
        Some(operand)
    }
}

/// So many of the element that an array has once or again and again.
fn many(x: &Array, n: usize) -> Option<Array> {
    let one: SmallVec<[Range; 4]> = x.shape().iter().map(|_| Range::all(1)).collect();
    x.slice(&one).and_then(|x| x.reshape(&[1])).and_then(|x| x.broadcast_to(&[n])).and_then(|x| x.copy()).ok()
}
