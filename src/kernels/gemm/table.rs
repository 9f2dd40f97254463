//! The kernels of one instruction set as a table of functions, from which the rest of the product is instruction-free.

use super::pack::Pack;
use super::tile::Tile;
use super::vector::Vector;

/// How the kernel finds the elements of its rows of A.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Element `(row, k)` at `row + k * stride`: a packed panel, or a transposed matrix in place.
    Panel,
    /// Element `(row, k)` at `row * stride + k`: a row-major matrix in place.
    Rows,
}

/// A function of a table, with its arguments behind one pointer.
pub(super) type Kernel<A> = unsafe fn(&A);

/// The tiles of one layout of A, each indexed by the number of rows less one.
#[derive(Debug)]
pub struct Tiles<T: 'static> {
    /// Two full registers wide.
    pub full: &'static [Kernel<Tile<T>>],
    /// Between one and two registers wide.
    pub ragged: &'static [Kernel<Tile<T>>],
    /// At most one register wide, and up to twice as tall.
    pub narrow: &'static [Kernel<Tile<T>>],
}

/// The kernels of one instruction set and element type.
#[derive(Debug)]
pub struct Kernels<T: 'static> {
    /// Elements in a register.
    pub lanes: usize,
    /// Rows of a full tile; a narrow one has up to twice as many.
    pub rows: usize,
    /// Tiles on packed or transposed rows of A.
    pub panel: Tiles<T>,
    /// Tiles on row-major rows of A.
    pub strided: Tiles<T>,
    /// Copies a part of an operand into a panel.
    pub pack: Kernel<Pack<T>>,
    /// Matrix by vector, for a matrix with contiguous rows.
    pub dots: Kernel<Vector<T>>,
    /// Matrix by vector, for a matrix with contiguous columns.
    pub axpys: Kernel<Vector<T>>,
}

impl<T> Kernels<T> {
    /// Columns of a full tile.
    pub fn cols(&self) -> usize {
        2 * self.lanes
    }

    /// The tile for `rows` by `cols`.
    #[inline]
    pub fn tile(&self, layout: Access, rows: usize, cols: usize) -> Kernel<Tile<T>> {
        let tiles = match layout {
            Access::Panel => &self.panel,
            Access::Rows => &self.strided,
        };
        let of_rows = if cols <= self.lanes {
            tiles.narrow
        } else if cols < self.cols() {
            tiles.ragged
        } else {
            tiles.full
        };
        of_rows[rows - 1]
    }
}

/// Instantiates every kernel inside functions that enable the instruction set. Functions and not closures: a closure
/// would not inherit the feature, and would not be inlined.
macro_rules! kernels {
    ([$($features:literal)?], $rows:literal: $low:tt, $high:tt;
     $($name:ident: $elem:ty = $simd:ty),*) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn tile<S: Simd, const M: usize, const NV: usize, const MASKED: bool, const ROWS: bool>(
            t: &$crate::kernels::gemm::tile::Tile<S::Elem>,
        ) {
            // SAFETY: the instruction set is enabled here; the pointers of `t` are valid for the tile, as this function asks, too.
            unsafe { $crate::kernels::gemm::tile::tile::<S, M, NV, MASKED, ROWS>(t) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn pack<S: Simd>(p: &$crate::kernels::gemm::pack::Pack<S::Elem>) {
            // SAFETY: the instruction set is enabled here; the pointers of `p` are valid for the panel, as this function asks, too.
            unsafe { $crate::kernels::gemm::pack::pack::<S>(p) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn dots<S: Simd>(v: &$crate::kernels::gemm::vector::Vector<S::Elem>) {
            // SAFETY: the instruction set is enabled here; matrix, vector and result are valid, as this function asks, too.
            unsafe { $crate::kernels::gemm::vector::dots::<S>(v) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn axpys<S: Simd>(v: &$crate::kernels::gemm::vector::Vector<S::Elem>) {
            // SAFETY: the instruction set is enabled here; matrix, vector and result are valid, as this function asks, too.
            unsafe { $crate::kernels::gemm::vector::axpys::<S>(v) }
        }

        $(pub(super) static $name: $crate::kernels::gemm::table::Kernels<$elem> =
            $crate::kernels::gemm::table::Kernels {
                lanes: <$simd as Simd>::LANES,
                rows: $rows,
                panel: $crate::kernels::gemm::table::tiles!($simd, false, $low, $high),
                strided: $crate::kernels::gemm::table::tiles!($simd, true, $low, $high),
                pack: pack::<$simd>,
                dots: dots::<$simd>,
                axpys: axpys::<$simd>,
            };)*
    };
}

macro_rules! tiles {
    ($simd:ty, $strided:literal, [$($row:literal)*], [$($high:literal)*]) => {
        $crate::kernels::gemm::table::Tiles {
            full: &[$(tile::<$simd, $row, 2, false, $strided>),*],
            ragged: &[$(tile::<$simd, $row, 2, true, $strided>),*],
            narrow: &[$(tile::<$simd, $high, 1, true, $strided>),*],
        }
    };
}

pub(super) use {kernels, tiles};
