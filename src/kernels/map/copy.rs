//! Copies of strided arrays into contiguous ones.

use super::layout::{Layout, Odometer};
use crate::shape::is_row_major;
use crate::team;

/// The side of the squares in which a matrix is transposed: as many elements as a cache line has single floats.
const TILE: usize = 16;

/// The part of a matrix that is one step of a copy, at most.
const ROWS: usize = 64;
const COLUMNS: usize = 1024;

/// Elements that are one thread's piece of work, about.
const CHUNK: usize = 16 * 1024;

/// What an element costs: nanoseconds.
const NANOS: f64 = 0.4;

struct Pointers(*const u8, *mut u8);

// SAFETY: pieces of work write to disjoint places.
unsafe impl Sync for Pointers {}

/// Copies an array with these strides, in elements, to a contiguous row-major one.
///
/// # Safety
/// `x` must be readable at every element that `shape` and `strides` reach and `out` writable for as many elements as
/// `shape` has; they must not overlap.
pub unsafe fn copy<T: Copy>(shape: &[usize], x: *const T, strides: &[isize], out: *mut T) {
    let total: usize = shape.iter().product();
    if total <= CHUNK && is_row_major(shape, strides) {
        // SAFETY: both are contiguous and have `total` elements, as this function asks, and do not overlap.
        return unsafe { out.copy_from_nonoverlapping(x, total) };
    }
    // SAFETY: the same arrays, as bytes of elements of their size.
    unsafe { copy_bytes(size_of::<T>(), total, shape, x.cast(), strides, out.cast()) }
}

/// # Safety
/// As for [`copy`], for elements of `size` bytes.
unsafe fn copy_bytes(
    size: usize,
    total: usize,
    shape: &[usize],
    x: *const u8,
    strides: &[isize],
    out: *mut u8,
) {
    if total == 0 {
        return;
    }
    let mut places: Vec<isize> = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        places[axis - 1] = places[axis] * shape[axis] as isize;
    }
    let layout = Layout::new(shape, [strides, &places]);
    let (columns, [step, _]) = layout.inner();
    let last = layout.shape.len() - 1;

    // The other axis of the matrices: the one along which the source is densest, if that is denser than the innermost.
    let dense = (0..last).min_by_key(|&axis| layout.strides[axis][0].unsigned_abs().max(1));
    let dense = dense.filter(|&axis| layout.strides[axis][0].unsigned_abs() < step.unsigned_abs());
    let across = dense.or(last.checked_sub(1));
    let (rows, row) = across.map_or((1, [0, 0]), |axis| (layout.shape[axis], layout.strides[axis]));

    // Steps of the copy: the axes left, then pieces of rows, then pieces of columns.
    let mut outer = Layout { shape: Default::default(), strides: Default::default() };
    for axis in (0..last).filter(|&axis| Some(axis) != across) {
        outer.shape.push(layout.shape[axis]);
        outer.strides.push(layout.strides[axis]);
    }
    outer.shape.push(rows.div_ceil(ROWS));
    outer.strides.push(row.map(|s| s * ROWS as isize));
    outer.shape.push(columns.div_ceil(COLUMNS));
    outer.strides.push([step, 1].map(|s| s * COLUMNS as isize));

    let steps: usize = outer.shape.iter().product();
    let chunk = (CHUNK / (rows.min(ROWS) * columns.min(COLUMNS))).max(1);
    let pointers = Pointers(x, out);
    team::run(steps.div_ceil(chunk), (total as f64 * NANOS) as usize, |i| {
        let pointers = &pointers;
        let mut place = Odometer::new(&outer.shape, &outer.strides, i * chunk);
        for _ in i * chunk..steps.min((i + 1) * chunk) {
            let [from, to] = place.offsets;
            let (r, c) = place.tail();
            let extent = [ROWS.min(rows - r * ROWS), COLUMNS.min(columns - c * COLUMNS)];
            // SAFETY: the step is within the arrays, which can be read and written as `copy` asks; no other task has
            // its places.
            unsafe {
                let source = pointers.0.offset(from * size as isize);
                let target = pointers.1.offset(to * size as isize);
                gather(size, source, [row[0], step], extent, target, row[1] as usize);
            }
            place.advance(1);
        }
    });
}

/// Copies a matrix with these strides to one whose rows are contiguous and `pitch` elements apart.
///
/// # Safety
/// Both must be valid for elements of `size` bytes at all these places, and must not overlap.
pub(super) unsafe fn gather(
    size: usize,
    source: *const u8,
    strides: [isize; 2],
    extent: [usize; 2],
    target: *mut u8,
    pitch: usize,
) {
    // SAFETY: both can be read and written at all places of the matrix, as this function asks; elements are copied as
    // integers of their size, wherever they lie.
    unsafe {
        match size {
            1 => gather_as::<u8>(source.cast(), strides, extent, target.cast(), pitch),
            2 => gather_as::<u16>(source.cast(), strides, extent, target.cast(), pitch),
            4 => gather_as::<u32>(source.cast(), strides, extent, target.cast(), pitch),
            8 => gather_as::<u64>(source.cast(), strides, extent, target.cast(), pitch),
            16 => gather_as::<u128>(source.cast(), strides, extent, target.cast(), pitch),
            _ => {
                for (r, c) in (0..extent[0]).flat_map(|r| (0..extent[1]).map(move |c| (r, c))) {
                    let from = (r as isize * strides[0] + c as isize * strides[1]) * size as isize;
                    target.add((r * pitch + c) * size).copy_from_nonoverlapping(source.offset(from), size);
                }
            }
        }
    }
}

/// # Safety
/// As for [`gather`].
unsafe fn gather_as<T: Copy>(
    source: *const T,
    [down, along]: [isize; 2],
    [rows, columns]: [usize; 2],
    target: *mut T,
    pitch: usize,
) {
    // SAFETY: rows and columns are those of the matrix, at all of whose places both can be read and written, as
    // `gather` asks.
    unsafe {
        if along != 1 && along != 0 && rows >= 4 && columns >= 4 && down.unsigned_abs() < along.unsigned_abs()
        {
            return transpose(source, [down, along], [rows, columns], target, pitch);
        }
        for r in 0..rows {
            let (from, to) = (source.offset(r as isize * down), target.add(r * pitch));
            match along {
                1 => to.cast::<u8>().copy_from_nonoverlapping(from.cast(), columns * size_of::<T>()),
                0 => {
                    let value = from.read_unaligned();
                    for c in 0..columns {
                        to.add(c).write_unaligned(value);
                    }
                }
                _ => {
                    for c in 0..columns {
                        to.add(c).write_unaligned(from.offset(c as isize * along).read_unaligned());
                    }
                }
            }
        }
    }
}

/// As [`gather_as`], in squares, so that a cache line of the source is used up while it is at hand.
///
/// # Safety
/// As for [`gather`].
unsafe fn transpose<T: Copy>(
    source: *const T,
    [down, along]: [isize; 2],
    [rows, columns]: [usize; 2],
    target: *mut T,
    pitch: usize,
) {
    for r in (0..rows).step_by(TILE) {
        for c in (0..columns).step_by(TILE) {
            for i in r..rows.min(r + TILE) {
                for j in c..columns.min(c + TILE) {
                    // SAFETY: row `i` and column `j` are those of the matrix, at all of whose places both can be read
                    // and written, as `gather` asks.
                    unsafe {
                        let from = source.offset(i as isize * down + j as isize * along);
                        target.add(i * pitch + j).write_unaligned(from.read_unaligned());
                    }
                }
            }
        }
    }
}
