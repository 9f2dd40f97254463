//! The convolution and its gradient for the input, tile by tile.

use super::Tiled;
use super::filters::{self, Panels};
use super::points::Points;
use super::tiles::{Place, Tiles};
use super::transform::{Collect, POINTS, SIDE, Transforms};
use crate::isa::isa;
use crate::kernels::conv::band::Images;
use crate::kernels::conv::correlate::{Filters, Target, plain};
use crate::kernels::conv::multiply::multiply;
use crate::kernels::cost::{moving, packing};
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::Activation;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Access, Kernels};
use crate::team;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tiles that are computed at a time: they and their products stay in the second cache.
const BLOCK: usize = 28;

/// Tiles up to which each thread packs the filters of its own columns, which it has then in its second cache: for so
/// few tiles the filters are the larger part.
const FEW: usize = 96;

/// Columns from which there are enough for all threads.
const WIDE: usize = 256;

/// Elements of filters that are packed at a time for all threads, at most.
const PACKED: usize = 2 << 20;

/// Channels of the source whose filters a thread packs at a time for itself.
const DEPTH: usize = 128;

/// Writes the target, a correlation of the first `channels` channels of the source with the filters.
///
/// # Safety
/// As for [`plain`]; the axes must be such that the transforms were chosen for them.
pub(in crate::kernels::conv) unsafe fn correlate<T: Tiled>(
    transforms: &'static Transforms<T>,
    images: usize,
    (source, channels): (Images<T>, usize),
    filters: Filters<T>,
    target: &Target<'_, T>,
) {
    let tiles = Tiles::new(target.axes, images);
    let job = Job {
        kernels: T::kernels(isa()),
        transforms,
        source: source.flat(),
        channels,
        filters,
        taps: filters.taps(target.axes),
        target,
        tiles,
        not_finite: (0..tiles.images).map(|_| AtomicBool::new(false)).collect(),
    };
    // SAFETY: source and target are where axes and channels say, as this function asks.
    unsafe {
        if tiles.len() <= FEW && target.columns >= WIDE {
            job.by_columns()
        } else {
            job.by_tiles()
        }
        if !job.has_whole_blocks() {
            target.late(images, channels);
        }
    }
    let planes = target.axes[0].count;
    for image in 0..images {
        let of_image = &job.not_finite[image * planes..(image + 1) * planes];
        if of_image.iter().any(|is| is.load(Ordering::Relaxed)) {
            let source = Images { ptr: source.at(image, [0; 3]), ..source };
            let images = Images { ptr: target.images.at(image, [0; 3]), ..target.images };
            // SAFETY: as this function asks, for one of the images.
            unsafe { plain(1, (source, channels), filters, &Target { images, ..*target }) };
        }
    }
}

/// A correlation and where its operands are.
struct Job<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    transforms: &'static Transforms<T>,
    source: Images<T>,
    channels: usize,
    filters: Filters<T>,
    /// The matrices of the filters, tap after tap.
    taps: SmallVec<[*const T; 32]>,
    target: &'a Target<'a, T>,
    tiles: Tiles,
    /// By image, whether results of its tiles are not finite.
    not_finite: Vec<AtomicBool>,
}

// SAFETY: the tasks read the source, the filters and the bias, and write disjoint parts of the target.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

/// # Safety
/// So it is for all methods: source, filters and target must be where axes and channels say, and nobody else use the
/// part of the target that a method is for meanwhile.
impl<T: Tiled> Job<'_, T> {
    fn nanos(&self, columns: usize) -> usize {
        nanos(self.kernels.lanes, self.tiles.len(), columns, POINTS * self.channels)
    }

    /// Elements of a tile at a point.
    fn deep(&self) -> usize {
        self.channels.next_multiple_of(self.kernels.lanes)
    }

    /// The columns of some tiles of them.
    fn columns(&self, tiles: Range<usize>) -> Range<usize> {
        let cols = self.kernels.cols();
        tiles.start * cols..(tiles.end * cols).min(self.target.columns)
    }

    /// Whether all columns of a tile are finished in one go.
    fn has_whole_blocks(&self) -> bool {
        !(self.tiles.len() <= FEW && self.target.columns >= WIDE) && self.groups() == 1
    }

    /// How many times filters are packed, each time so many as there is room for.
    fn groups(&self) -> usize {
        let cols = self.kernels.cols();
        self.target.columns.div_ceil(cols).div_ceil((PACKED / filters::room(self.channels, cols)).max(1))
    }

    /// Packs the filters of as many columns as there is room for, then goes through the tiles block by block.
    unsafe fn by_tiles(&self) {
        let (channels, cols) = (self.channels, self.kernels.cols());
        let all = self.target.columns.div_ceil(cols);
        let groups = self.groups();
        for group in (0..groups).map(|i| part(all, groups, i)) {
            let columns = self.columns(group.clone());
            let width = columns.len().next_multiple_of(self.kernels.lanes);
            scratch::with(Slot::Many, filters::room(channels, width), |ptr: *mut T| {
                let panels = Panels { ptr, channels, width };
                team::run(group.len(), packing(filters::room(channels, width)), |i| {
                    let these = self.columns(group.start + i..group.start + i + 1);
                    // SAFETY: as for all methods; each tile of columns has panels of its own.
                    unsafe { self.pack(&panels, i * cols, these, 0..channels) };
                });
                let blocks = self.tiles.len().div_ceil(BLOCK);
                team::run(blocks, self.nanos(columns.len()), |i| {
                    // SAFETY: as for all methods; the panels are packed, and the blocks disjoint.
                    unsafe { self.block(part(self.tiles.len(), blocks, i), &panels, &columns) };
                });
            });
        }
    }

    /// Transforms all tiles, then goes through the columns, each of which packs its own filters.
    unsafe fn by_columns(&self) {
        let (n, deep) = (self.tiles.len(), self.deep());
        scratch::with(Slot::Many, Points::<T>::room(n, deep), |ptr: *mut T| {
            let shared = Shared(ptr);
            team::run(n, moving(2 * POINTS * n, deep), |i| {
                scratch::with(Slot::One, SIDE * SIDE * deep, |own: *mut T| {
                    // SAFETY: as for all methods; each tile has places of its own among the points.
                    unsafe { self.spread(i..i + 1, &Points::new(shared.at(0), n, deep), i, own) };
                });
            });
            let tiles = self.target.columns.div_ceil(self.kernels.cols());
            team::run(tiles, self.nanos(self.target.columns), |i| {
                // SAFETY: as for all methods; the points are written, and the columns disjoint.
                unsafe { self.column(&Points::new(shared.at(0), n, deep), self.columns(i..i + 1)) };
            });
        });
    }

    /// Packs some terms of the filters of one tile of columns; `first` of the panels are before it.
    unsafe fn pack(&self, panels: &Panels<T>, first: usize, columns: Range<usize>, terms: Range<usize>) {
        let (by, of) = ((self.kernels, self.transforms), (&self.filters, &*self.taps));
        // SAFETY: the filters can be read, as for all methods, and the panels are ours, as this one asks.
        unsafe { panels.pack(by, of, first, columns, terms) };
    }

    /// Some tiles of the target in the columns of some panels.
    unsafe fn block(&self, tiles: Range<usize>, panels: &Panels<T>, columns: &Range<usize>) {
        let (n, deep, wide) = (tiles.len(), self.deep(), panels.width);
        let (before, after) = (Points::<T>::room(n, deep), Points::<T>::room(n, wide));
        scratch::with(Slot::One, before + after + SIDE * SIDE * deep, |memory: *mut T| {
            let source = Points::new(memory, n, deep);
            let products = Points::new(memory.wrapping_add(before), n, wide);
            let own = memory.wrapping_add(before + after);
            // SAFETY: as for all methods; the memory has room for the points of both and for a patch.
            unsafe {
                self.spread(tiles.clone(), &source, 0, own);
                self.multiply([n, columns.len()], 0..self.channels, &source, panels, &products);
                self.collect(tiles, &products, columns);
            }
        });
    }

    /// All tiles of the target in one tile of columns.
    unsafe fn column(&self, source: &Points<T>, columns: Range<usize>) {
        let (n, wide) = (self.tiles.len(), columns.len().next_multiple_of(self.kernels.lanes));
        let parts = self.channels.div_ceil(DEPTH);
        let (after, packed) =
            (Points::<T>::room(n, wide), filters::room(self.channels.div_ceil(parts), wide));
        scratch::with(Slot::Caller, after + packed, |memory: *mut T| {
            let products = Points::new(memory, n, wide);
            for terms in (0..parts).map(|i| part(self.channels, parts, i)) {
                let panels = Panels { ptr: memory.wrapping_add(after), channels: terms.len(), width: wide };
                // SAFETY: as for all methods; the memory has room for the products and the panels.
                unsafe {
                    self.pack(&panels, 0, columns.clone(), terms.clone());
                    self.multiply([n, columns.len()], terms, source, &panels, &products);
                }
            }
            // SAFETY: as for all methods; the products are written.
            unsafe { self.collect(0..n, &products, &columns) };
        });
    }

    /// Writes the points of some tiles, from row `first` on.
    unsafe fn spread(&self, tiles: Range<usize>, points: &Points<T>, first: usize, own: *mut T) {
        for (i, place) in tiles.map(|tile| self.tiles.place(tile)).enumerate() {
            // SAFETY: the source can be read, as for all methods; there is room for the points and a patch, as this one
            // asks.
            unsafe {
                let patch = self.tiles.seen(&place, &self.source, self.channels, own);
                (self.transforms.source)(&points.spread(patch, self.channels, first + i));
            }
        }
    }

    /// Adds some terms to the products at all points, or starts with them.
    unsafe fn multiply(
        &self,
        [rows, columns]: [usize; 2],
        terms: Range<usize>,
        source: &Points<T>,
        panels: &Panels<T>,
        products: &Points<T>,
    ) {
        for point in 0..POINTS {
            let a = (source.at(point, 0).wrapping_add(terms.start).cast_const(), source.row);
            let panel = |first: usize| panels.panel(point, first, self.kernels.cols());
            let c = (products.at(point, 0), products.row);
            let size = [rows, terms.len(), columns];
            // SAFETY: the points and the panels are written and the products ours, as this method asks.
            unsafe { multiply(self.kernels, Access::Rows, size, a, panel, c, terms.start > 0) };
        }
    }

    /// Writes some tiles of the target.
    unsafe fn collect(&self, tiles: Range<usize>, products: &Points<T>, columns: &Range<usize>) {
        for (i, place) in tiles.clone().map(|tile| self.tiles.place(tile)).enumerate() {
            // SAFETY: the products are written, as this method asks.
            if !unsafe { self.collect_one(&place, products, i, columns) } {
                self.not_finite[place.image].store(true, Ordering::Relaxed);
            }
        }
        if let Some(then) = self.target.epilogue.then.filter(|_| self.has_whole_blocks()) {
            let places: SmallVec<[Place; BLOCK]> = tiles.map(|tile| self.tiles.place(tile)).collect();
            // Line by line, so that tiles side by side make runs that follow on each other.
            let side_by_side = places.chunk_by(|a, b| a.image == b.image && a.at[0] == b.at[0]);
            let mut runs = side_by_side.flat_map(|places| {
                let lines = self.tiles.inside(&places[0])[0];
                (0..lines).flat_map(move |line| places.iter().flat_map(move |place| self.line(place, line)))
            });
            // SAFETY: the tiles are written and ours, as this method asks.
            unsafe { then.done(&mut runs) };
        }
    }

    /// The runs of a line of a tile, with all columns.
    fn line(&self, place: &Place, line: usize) -> impl Iterator<Item = (*mut u8, usize)> + use<T> {
        let (runs, len) = self.runs(place, &(0..self.target.columns));
        let each = if len == self.target.columns { self.tiles.inside(place)[1] } else { 1 };
        runs.skip(line * each).take(each).map(move |run| (run.cast(), len))
    }

    /// Where the runs of the columns of a tile begin in the target, and how long they are.
    fn runs(&self, place: &Place, columns: &Range<usize>) -> (impl Iterator<Item = *mut T> + use<T>, usize) {
        let images = self.target.images.flat();
        let (line, pixel) = (images.size[2] * images.pitch, images.pitch);
        let start = images.at(place.image, [0, place.at[0], place.at[1]]).wrapping_add(columns.start);
        let (size, channels) = (self.tiles.inside(place), columns.len());
        // Pixels side by side with all their channels are one run.
        let (runs, len) = if channels == pixel { (1, size[1] * pixel) } else { (size[1], channels) };
        let each = (0..size[0]).flat_map(move |i| (0..runs).map(move |j| (i, j)));
        (each.map(move |(i, j)| start.wrapping_add(i * line + j * pixel)), len)
    }

    /// Writes one tile; says whether it is finite.
    unsafe fn collect_one(
        &self,
        place: &Place,
        products: &Points<T>,
        i: usize,
        columns: &Range<usize>,
    ) -> bool {
        let images = self.target.images.flat();
        let epilogue = self.target.epilogue;
        let (line, pixel) = (images.size[2] * images.pitch, images.pitch);
        let pixels = images.at(place.image, [0, place.at[0], place.at[1]]).wrapping_add(columns.start);
        let size = self.tiles.inside(place);
        let bias = epilogue.bias;
        let collect = Collect {
            points: products.at(0, i),
            pitch: products.pitch,
            channels: columns.len(),
            pixels,
            line,
            pixel,
            size,
            bias: if bias.is_null() { bias } else { bias.wrapping_add(columns.start) },
            relu: matches!(epilogue.activation, Activation::Relu),
        };
        // SAFETY: the products are written and the tile is ours, as this method asks; `isa` chose transforms that this
        // processor has.
        let is_finite = unsafe { (self.transforms.collect)(&collect) };
        if let Activation::Map(map) = epilogue.activation {
            let (runs, len) = self.runs(place, columns);
            for run in runs {
                // SAFETY: the run is of this tile, which is written and ours.
                map(unsafe { std::slice::from_raw_parts_mut(run, len) });
            }
        }
        is_finite
    }
}
