//! How an operand is read that broadcasts, or does not lie in order, a block at a time.

use crate::shape::{Dims, Strides};
use smallvec::SmallVec;
use std::ops::Range;

/// An operand over the shape of a program. From within to the outside it is a run of elements that are `step` apart, which
/// is repeated, and is somewhere else for each place of the other axes.
#[derive(Debug)]
pub(super) struct Operand {
    outer: SmallVec<[(usize, isize); 4]>,
    repeats: usize,
    run: usize,
    step: isize,
}

/// What a task remembers of an operand that it packs.
pub(super) struct Packed {
    /// Where the run begins with whose repetition the buffer is filled.
    holds: Option<isize>,
}

impl Packed {
    pub(super) const NOTHING: Packed = Packed { holds: None };
}

impl Operand {
    /// The operand with these strides, in elements.
    pub(super) fn new(shape: &[usize], strides: &[isize]) -> Operand {
        // Axes as one where they can be walked as one.
        let mut axes: SmallVec<[(usize, isize); 6]> = SmallVec::new();
        for (&n, &stride) in shape.iter().zip(strides).filter(|&(&n, _)| n != 1) {
            match axes.last_mut() {
                Some((outer, step)) if *step == stride * n as isize => (*outer, *step) = (*outer * n, stride),
                _ => axes.push((n, stride)),
            }
        }
        let (mut repeats, mut run, mut step) = (1, 1, 1);
        if axes.last().is_some_and(|&(_, stride)| stride != 0)
            && let Some((n, stride)) = axes.pop()
        {
            (run, step) = (n, stride);
        }
        if axes.last().is_some_and(|&(_, stride)| stride == 0)
            && let Some((n, _)) = axes.pop()
        {
            repeats = n;
        }
        Operand { outer: axes.into_iter().collect(), repeats, run, step }
    }

    /// Whether its elements lie in the order of the shape.
    pub(super) fn is_flat(&self) -> bool {
        self.outer.is_empty() && self.repeats == 1 && self.step == 1
    }

    /// Whether it is one element.
    pub(super) fn is_single(&self) -> bool {
        self.outer.is_empty() && self.run == 1
    }

    /// Whether it has an element for each of so many rows of `n`, in order.
    pub(super) fn is_of_rows(&self, rows: usize, n: usize) -> bool {
        let outer = match self.outer[..] {
            [] => 1,
            [(outer, 1)] => outer,
            _ => return false,
        };
        self.run == 1 && self.repeats == n && outer == rows
    }

    /// Whether it jumps from element to element.
    pub(super) fn is_scattered(&self) -> bool {
        self.step != 1
    }

    /// How many elements there are before it is somewhere else.
    fn span(&self) -> usize {
        self.repeats * self.run
    }

    /// The number of elements after which blocks had better end, if there is one.
    pub(super) fn ends(&self, block: usize) -> usize {
        match self.repeats > 1 && self.run > block {
            true => self.run,
            false if self.outer.is_empty() => usize::MAX,
            false => self.span(),
        }
    }

    /// How many elements a buffer for blocks must have room for.
    pub(super) fn room(&self, block: usize) -> usize {
        if self.repeats > 1 && self.run <= block { block + self.run } else { block }
    }

    /// Where the elements of a span begin.
    fn start(&self, span: usize) -> isize {
        let (mut rest, mut start) = (span, 0);
        for &(n, stride) in self.outer.iter().rev() {
            start += (rest % n) as isize * stride;
            rest /= n;
        }
        start
    }

    /// Where these elements lie in order: in the operand itself, or packed in the buffer.
    ///
    /// # Safety
    /// `data` must be readable at all elements, of `size` bytes each, that shape and strides reach, `elements` be within the
    /// shape, and `buffer` have [`Operand::room`] for a block of so many or more.
    pub(super) unsafe fn at(
        &self,
        data: *const u8,
        size: usize,
        elements: Range<usize>,
        buffer: *mut u8,
        packed: &mut Packed,
        block: usize,
    ) -> *const u8 {
        let (span, n) = (self.span(), elements.len());
        let (which, offset) = (elements.start / span, elements.start % span);
        let phase = offset % self.run;
        // SAFETY: all places are those of elements that the shape has, and the buffer has room, as this function asks.
        unsafe {
            if self.step == 1 && phase + n <= self.run {
                return data.offset((self.start(which) + phase as isize) * size as isize);
            }
            if self.step == 1 && self.repeats > 1 && self.run <= block && offset + n <= span {
                let start = self.start(which);
                if packed.holds != Some(start) {
                    let source = data.offset(start * size as isize);
                    repeat(source, self.run * size, buffer, (block + self.run).min(span) * size);
                    packed.holds = Some(start);
                }
                return buffer.add(phase * size);
            }
            packed.holds = None;
            if self.run == 1 {
                self.spread(data, size, elements, buffer);
                return buffer;
            }
            let (mut which, mut offset, mut done) = (which, offset, 0);
            while done < n {
                let phase = offset % self.run;
                let start = self.start(which) + phase as isize * self.step;
                let (source, target) = (data.offset(start * size as isize), buffer.add(done * size));
                let whole = (span - offset).min(n - done);
                let piece = if phase == 0 && self.step == 1 { whole } else { whole.min(self.run - phase) };
                if self.step == 1 {
                    repeat(source, self.run.min(piece) * size, target, piece * size);
                } else {
                    scattered(source, self.step, size, target, piece);
                }
                done += piece;
                offset += piece;
                if offset == span {
                    (which, offset) = (which + 1, 0);
                }
            }
        }
        buffer
    }

    /// [`Operand::at`] for single elements that come again and again, into the buffer.
    ///
    /// # Safety
    /// As there.
    unsafe fn spread(&self, data: *const u8, size: usize, elements: Range<usize>, buffer: *mut u8) {
        let (neighbours, step) = self.outer.last().copied().unwrap_or((1, 0));
        let (mut which, n) = (elements.start / self.repeats, elements.len());
        let mut done = 0;
        while done < n {
            // As many as follow each other along the last axis; of the first and the last perhaps only a part.
            let begun = (elements.start + done) % self.repeats;
            let near = neighbours - which % neighbours;
            let (count, left) = if begun > 0 { (1, self.repeats - begun) } else { (near, self.repeats) };
            let (count, left) = match (n - done) / left {
                0 => (1, n - done),
                whole => (count.min(whole), left),
            };
            // SAFETY: the places are those of elements that the shape has, and the buffer has room, as this function asks.
            unsafe {
                let source = data.offset(self.start(which) * size as isize);
                each_repeated(source, step, size, count, buffer.add(done * size), left);
            }
            done += count * left;
            which += if begun + left < self.repeats { 0 } else { count };
        }
    }
}

/// Writes each of `count` elements, which are `step` apart, so many times.
///
/// # Safety
/// The source must be readable at all of them, the target writable for as many as they become.
pub(super) unsafe fn each_repeated(
    source: *const u8,
    step: isize,
    size: usize,
    count: usize,
    target: *mut u8,
    times: usize,
) {
    macro_rules! by {
        ($t:ty: $($times:literal)+) => {
            match times {
                $($times => {
                    for i in 0..count {
                        // SAFETY: the element is one of them, and its copies have room.
                        unsafe {
                            let value = source.cast::<$t>().offset(i as isize * step).read_unaligned();
                            target.cast::<[$t; $times]>().add(i).write_unaligned([value; $times]);
                        }
                    }
                })+
                _ => {
                    for i in 0..count {
                        // SAFETY: the element is one of them, and there is room for so many of it.
                        unsafe {
                            let value = source.cast::<$t>().offset(i as isize * step).read_unaligned();
                            let target = target.cast::<$t>().add(i * times);
                            (0..times).for_each(|k| target.add(k).write_unaligned(value));
                        }
                    }
                }
            }
        };
    }
    match size {
        1 => by!(u8: 2 4 8),
        2 => by!(u16: 2 4 8),
        4 => by!(u32: 2 3 4 8 16),
        _ => by!(u64: 2 3 4 8 16),
    }
}

/// Fills `bytes` bytes with the first `run` bytes of the source, again and again.
///
/// # Safety
/// The source must be readable for the smaller of both, the target writable for `bytes`.
pub(super) unsafe fn repeat(source: *const u8, run: usize, target: *mut u8, bytes: usize) {
    // SAFETY: at most `bytes` bytes are written, and what is read again has been.
    unsafe {
        match run {
            // What is so short is not worth a call.
            4 if bytes.is_multiple_of(4) => {
                let value = source.cast::<u32>().read_unaligned();
                (0..bytes / 4).for_each(|i| target.cast::<u32>().add(i).write_unaligned(value));
            }
            8 if bytes.is_multiple_of(8) => {
                let value = source.cast::<u64>().read_unaligned();
                (0..bytes / 8).for_each(|i| target.cast::<u64>().add(i).write_unaligned(value));
            }
            _ => {
                let mut done = run.min(bytes);
                target.copy_from_nonoverlapping(source, done);
                while done < bytes {
                    let more = done.min(bytes - done);
                    target.add(done).copy_from_nonoverlapping(target, more);
                    done += more;
                }
            }
        }
    }
}

/// Copies `n` elements that are `step` apart.
///
/// # Safety
/// The source must be readable at all of them, the target writable for as many.
unsafe fn scattered(source: *const u8, step: isize, size: usize, target: *mut u8, n: usize) {
    macro_rules! by {
        ($t:ty) => {
            for i in 0..n {
                // SAFETY: the element is one of them; both may lie anywhere.
                unsafe {
                    let value = source.cast::<$t>().offset(i as isize * step).read_unaligned();
                    target.cast::<$t>().add(i).write_unaligned(value);
                }
            }
        };
    }
    match size {
        1 => by!(u8),
        2 => by!(u16),
        4 => by!(u32),
        _ => by!(u64),
    }
}

/// The strides with which an array of that shape and these strides is read as `target`; `None` if it does not broadcast.
pub(super) fn strides(shape: &Dims, strides: &Strides, target: &[usize]) -> Option<Strides> {
    let fits = shape.len() <= target.len()
        && shape.iter().rev().zip(target.iter().rev()).all(|(&n, &wanted)| n == wanted || n == 1);
    fits.then(|| crate::shape::broadcast_strides(shape, strides, target))
}
