//! The convolution and its gradient for the input: each pixel of the result is a sum over the taps of its window.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use super::winograd::{self, Purpose, Tiled};
use crate::isa::isa;
use crate::kernels::cost::packing;
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Access, Kernels};
use crate::kernels::gemm::tile::Tile;
use crate::kernels::gemm::{Activation, Epilogue, Scalar};
use crate::kernels::then;
use crate::team;
use smallvec::SmallVec;
use std::ops::Range;

/// Pixels that are computed at a time, at most.
const PIXELS: usize = 1024;

/// Terms of a sum that are added up in registers before the result is visited: the filters for so many, in the columns
/// of one tile, fit the first cache.
const DEPTH: usize = 320;

/// The number of chunks from which the channels of the result are not shared among threads.
const ENOUGH: usize = 16;

/// Tiles that the filters of their columns meet at most when these are read in place: packing them would take longer.
const FEW: usize = 2;

/// The weight of a group of channels: for each element of the window a matrix from the channels of the source to those
/// of the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filters<T> {
    pub ptr: *const T,
    /// Elements of the window in each dimension.
    pub kernel: [usize; 3],
    /// Elements between matrices.
    pub tap: usize,
    /// Elements between channels of the source.
    pub along: isize,
    /// Elements between channels of the result.
    pub across: isize,
}

// SAFETY: what it points to is only read.
unsafe impl<T: Sync> Sync for Filters<T> {}

impl<T> Filters<T> {
    /// The matrices, tap after tap in the order of the axes.
    pub(super) fn taps(&self, [d, h, w]: &[Axis; 3]) -> SmallVec<[*const T; 32]> {
        let mut taps = SmallVec::new();
        for d in &d.taps {
            for h in &h.taps {
                let line = (d.element * self.kernel[1] + h.element) * self.kernel[2];
                taps.extend(w.taps.iter().map(|w| self.ptr.wrapping_add((line + w.element) * self.tap)));
            }
        }
        taps
    }

    /// Whether they are one matrix with contiguous columns, whose rows are the channels of one tap after the other.
    fn is_plain(&self, taps: &[*const T], channels: usize) -> bool {
        let rows = channels as isize * self.along;
        self.across == 1 && taps.windows(2).all(|pair| pair[0].wrapping_offset(rows) == pair[1])
    }
}

/// The positions of the result that `axes` name, in a group of its channels.
pub(super) struct Target<'a, T> {
    pub axes: &'a [Axis; 3],
    pub images: Images<T>,
    pub columns: usize,
    pub epilogue: &'a Epilogue<'a, T>,
}

// SAFETY: tasks write pixels or channels of their own, and only read the bias.
unsafe impl<T: Sync> Sync for Target<'_, T> {}

impl<T: Scalar> Target<'_, T> {
    /// The pixel at a position of a unit.
    pub(super) fn pixel(&self, unit: &Unit, image: usize, line: usize, across: usize) -> *mut T {
        let at = [unit.plane, unit.lines.start + line, unit.across.start + across];
        let at = std::array::from_fn(|a| self.axes[a].start + at[a] * self.axes[a].step);
        self.images.at(unit.images.start + image, at)
    }

    /// Elements between neighbours in a line.
    pub(super) fn step(&self) -> usize {
        self.axes[2].step * self.images.pitch
    }

    /// Does what is done last to the finished columns of a unit.
    ///
    /// # Safety
    /// The columns must be written, and nobody else use them meanwhile.
    pub(super) unsafe fn end(&self, unit: &Unit, columns: Range<usize>) {
        let pixels = unit.across.len();
        // Pixels side by side with all their channels are one piece.
        let is_whole = columns.len() == self.step();
        let (pieces, len) = if is_whole { (1, pixels * columns.len()) } else { (pixels, columns.len()) };
        let each = || unit.each_line().flat_map(|(image, line)| (0..pieces).map(move |i| (image, line, i)));
        let run = |(image, line, i)| self.pixel(unit, image, line, i).wrapping_add(columns.start);
        if let Activation::Map(map) = self.epilogue.activation {
            for piece in each().map(run) {
                // SAFETY: the piece is inside of the unit, whose columns are by the caller's word written and ours.
                map(unsafe { std::slice::from_raw_parts_mut(piece, len) });
            }
        }
        // Short runs are better left until all columns are finished.
        if let Some(then) = self.epilogue.then
            && columns.len() == self.columns
        {
            // SAFETY: as for the map.
            unsafe { then.done(&mut each().map(|at| (run(at).cast(), len))) };
        }
    }

    /// Does to all that is finished what somebody else does to it, where that has been left.
    ///
    /// # Safety
    /// As for [`Target::end`], for all units.
    pub(super) unsafe fn late(&self, images: usize, channels: usize) {
        if self.epilogue.then.is_some() {
            let cut = Cut::new(self.axes, images, channels, PIXELS);
            let positions = images * self.axes.iter().map(|a| a.count).product::<usize>();
            let target =
                Target { epilogue: &Epilogue { then: self.epilogue.then, ..Epilogue::NONE }, ..*self };
            team::run(cut.len(), then::nanos(self.epilogue.then, positions * self.columns), |i| {
                // SAFETY: the units are disjoint, and all columns written.
                unsafe { target.end(&cut.unit(i), 0..self.columns) };
            });
        }
    }
}

/// Writes the target, a correlation of the first `channels` channels of the source with the filters.
///
/// # Safety
/// As for [`plain`].
pub(super) unsafe fn correlate<T: Tiled>(
    images: usize,
    (source, channels): (Images<T>, usize),
    filters: Filters<T>,
    target: &Target<'_, T>,
) {
    // SAFETY: handed on from this function's caller.
    unsafe {
        match winograd::chosen(Purpose::Images, target.axes, images, channels, target.columns) {
            Some(transforms) => winograd::correlate(transforms, images, (source, channels), filters, target),
            None => plain(images, (source, channels), filters, target),
        }
    }
}

/// [`correlate`] as the sums that it stands for.
///
/// # Safety
/// The source and the filters must be readable and the target writable where axes and channels say; the target must not
/// overlap the others nor be used by other threads meanwhile.
pub(super) unsafe fn plain<T: Scalar>(
    images: usize,
    (source, channels): (Images<T>, usize),
    filters: Filters<T>,
    target: &Target<'_, T>,
) {
    let (kernels, axes, columns) = (T::kernels(isa()), target.axes, target.columns);
    let terms = axes.iter().map(|a| a.taps.len()).product::<usize>() * channels;
    let cut = Cut::new(axes, images, channels, PIXELS);
    let tiles = columns.div_ceil(kernels.cols());
    if cut.len() * tiles == 0 {
        return;
    }
    let taps = filters.taps(axes);
    let across = axes[2].count.div_ceil(kernels.rows);
    let visits = images * axes[0].count * axes[1].count * across;
    let job = |panels| Job { kernels, source, channels, target, terms, filters, taps: &taps, panels };
    let pieces = ENOUGH.div_ceil(cut.len()).min(tiles);
    let positions = images * axes.iter().map(|a| a.count).product::<usize>();
    let nanos = nanos(kernels.lanes, positions, columns, terms)
        + then::nanos(target.epilogue.then, positions * columns);
    let run = |job: &Job<'_, T>, nanos: usize| {
        team::run(cut.len() * pieces, nanos, |i| {
            // SAFETY: source and target are where axes and channels say, as `plain` asks; the panels are packed,
            // and the chunks disjoint.
            unsafe { job.chunk(&cut.unit(i / pieces), part(tiles, pieces, i % pieces)) };
        });
        if pieces > 1 {
            // SAFETY: all is written, and ours.
            unsafe { target.late(images, channels) };
        }
    };
    if visits <= FEW && filters.is_plain(&taps, channels) {
        return run(&job(Panels::InPlace), nanos);
    }
    if cut.len() == 1 {
        return run(&job(Panels::Own), nanos + packing(terms * columns));
    }
    scratch::with(Slot::Many, terms * columns.next_multiple_of(kernels.lanes), |panels: *mut T| {
        let shared = Shared(panels);
        let job = job(Panels::Packed(panels));
        team::run(tiles, packing(terms * columns), |tile| {
            let first = tile * kernels.cols();
            // SAFETY: the filters can be read, as `plain` asks; each tile has a panel of its own, with room for all
            // terms.
            unsafe { job.pack(first, 0..terms, shared.at(first * terms)) };
        });
        run(&job, nanos);
    });
}

/// Where the filters are read.
#[derive(Clone, Copy)]
enum Panels<T> {
    /// Where they are.
    InPlace,
    /// In panels of each chunk, packed just before they are used.
    Own,
    /// In panels for all chunks: for each tile all terms.
    Packed(*const T),
}

/// A correlation and where its operands are.
struct Job<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    source: Images<T>,
    channels: usize,
    target: &'a Target<'a, T>,
    /// Terms of each sum.
    terms: usize,
    filters: Filters<T>,
    /// The matrices of the filters, tap after tap.
    taps: &'a [*const T],
    panels: Panels<T>,
}

// SAFETY: the chunks read the source, the panels and the bias, and write disjoint parts of the target.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

/// Terms that are summed up in one go: the same terms of each of some runs of taps.
struct Terms {
    runs: Range<usize>,
    of_run: Range<usize>,
}

impl Terms {
    fn len(&self) -> usize {
        self.runs.len() * self.of_run.len()
    }
}

/// The sums over `runs` runs of `len` terms, in parts of up to about `DEPTH` terms.
fn parts(runs: usize, len: usize) -> SmallVec<[Terms; 8]> {
    if len > DEPTH {
        let pieces = len.div_ceil(DEPTH);
        let of_run =
            |i: usize| (0..pieces).map(move |p| Terms { runs: i..i + 1, of_run: part(len, pieces, p) });
        return (0..runs).flat_map(of_run).collect();
    }
    let groups = runs.div_ceil(DEPTH / len.max(1));
    (0..groups).map(|i| Terms { runs: part(runs, groups, i), of_run: 0..len }).collect()
}

impl<T: Scalar> Job<'_, T> {
    /// Packs some terms of the filters, in the columns of the tile that begins with `first`.
    ///
    /// # Safety
    /// The filters must be readable, and `dst` have room for the terms in so many columns, as full registers.
    unsafe fn pack(&self, first: usize, terms: Range<usize>, mut dst: *mut T) {
        let count = self.kernels.cols().min(self.target.columns - first);
        let width = count.next_multiple_of(self.kernels.lanes);
        let (across, along) = (self.filters.across, self.filters.along);
        let mut term = terms.start;
        while term < terms.end {
            let (tap, channel) = (term / self.channels, term % self.channels);
            let depth = (self.channels - channel).min(terms.end - term);
            let src = self.taps[tap].wrapping_offset(first as isize * across + channel as isize * along);
            // SAFETY: these channels and columns are of the filters; there is room for them, as this function asks.
            unsafe { (self.kernels.pack)(&Pack { count, depth, src, across, along, dst, width }) };
            (term, dst) = (term + depth, dst.wrapping_add(depth * width));
        }
    }

    /// One unit of the target in the columns of some tiles.
    ///
    /// # Safety
    /// All must be where axes and channels say, the panels packed, and nobody else use the unit meanwhile.
    unsafe fn chunk(&self, unit: &Unit, tiles: Range<usize>) {
        let axes = self.target.axes;
        let run = axes[2].run();
        // SAFETY: the source can be read and the unit is ours, as this function asks.
        unsafe {
            Band::with(axes, &self.source, (self.channels, 1), unit, |band| {
                let runs = band.runs(run);
                let parts = parts(runs.len(), run * self.channels);
                let longest = parts.iter().map(Terms::len).max().unwrap_or(0);
                let room = if matches!(self.panels, Panels::Own) { longest * self.kernels.cols() } else { 0 };
                scratch::with(Slot::Many, room, |own: *mut T| {
                    for tile in tiles.clone() {
                        for terms in &parts {
                            self.column_of_tiles(unit, tile, band, &runs, terms, own);
                        }
                    }
                });
            });
            let cols = self.kernels.cols();
            self.target.end(unit, tiles.start * cols..(tiles.end * cols).min(self.target.columns));
        }
    }

    unsafe fn column_of_tiles(
        &self,
        unit: &Unit,
        tile: usize,
        band: &Band<'_, T>,
        runs: &[isize],
        terms: &Terms,
        own: *mut T,
    ) {
        let first = tile * self.kernels.cols();
        let cols = self.kernels.cols().min(self.target.columns - first);
        let width = cols.next_multiple_of(self.kernels.lanes);
        let height = if cols <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows };
        let count = unit.across.len().div_ceil(height);
        let before = terms.runs.start * (self.terms / runs.len()) + terms.of_run.start;
        let is_last = before + terms.len() == self.terms;
        let (b, b_stride) = match self.panels {
            Panels::InPlace => {
                let row = self.taps[0].wrapping_offset(before as isize * self.filters.along);
                (row.wrapping_add(first), self.filters.along)
            }
            Panels::Own => {
                // SAFETY: the filters can be read, as this function asks; `own` has room for the longest part.
                unsafe { self.pack(first, before..before + terms.len(), own) };
                (own.cast_const(), width as isize)
            }
            Panels::Packed(panels) => {
                (panels.wrapping_add(first * self.terms + before * width), width as isize)
            }
        };
        let epilogue = self.target.epilogue;
        let has_bias = is_last && !epilogue.bias.is_null();
        for (image, line) in unit.each_line() {
            for i in 0..count {
                let rows = part(unit.across.len(), count, i);
                let tile = Tile {
                    depth: terms.of_run.len(),
                    parts: &runs[terms.runs.clone()],
                    a: band.at(image, line, rows.start).wrapping_add(terms.of_run.start),
                    a_stride: band.pixel() as isize,
                    b,
                    b_stride,
                    c: self.target.pixel(unit, image, line, rows.start).wrapping_add(first),
                    c_stride: self.target.step(),
                    cols,
                    accumulate: before > 0,
                    bias: if has_bias { epilogue.bias.wrapping_add(first) } else { std::ptr::null() },
                    relu: is_last && matches!(epilogue.activation, Activation::Relu),
                };
                // SAFETY: the rows and columns of the tile are of the unit, which is ours, and its terms of the band
                // and of the panel; `isa` chose kernels that this processor has.
                unsafe { self.kernels.tile(Access::Rows, rows.len(), cols)(&tile) };
            }
        }
    }
}
