//! Convolutions of windows of 3 x 3 in a quarter of the multiplications.
//!
//! The result is cut into tiles of 4 x 4 pixels. As a product of polynomials is worked out from their values at enough
//! points, so is a tile from those of the 6 x 6 pixels that it sees and of the window, at six points in each dimension
//! (Winograd's algorithm F(4 x 4, 3 x 3)): the channels meet in 36 products in place of 16 times 9. A block of tiles is
//! transformed, multiplied and transformed back while it is in the second cache ([`correlate()`]). The gradient for the
//! weight is a sum over tiles at the same points ([`weight_gradient`]).
//!
//! # Accuracy
//! The error of a result is two to three times that of the plain sum. It is bounded not by what that result sums over
//! but by what its tile sees: by 16 units in the last place of the sum over the channels of the largest of its 6 x 6
//! pixels times the sum of the window, all in magnitudes; in a gradient for the weight, of the sum over the tiles of
//! the largest pixel times the sum of the gradient. Where a pixel is larger by far than its neighbours, the results
//! beside those that see it are as inaccurate as they. Where a tile does not come out finite, its image is computed by
//! the plain sums: infinities and NaN go where they belong, and nothing overflows that would not there.

mod correlate;
mod filters;
mod points;
mod tiles;
mod transform;
mod weight;
#[cfg(test)]
mod tests;

use super::axis::Axis;
use crate::isa::{Isa, isa};
use crate::kernels::gemm::Scalar;
use crate::strict::strict;
pub(super) use correlate::correlate;
use transform::{TILE, Transforms, WINDOW};
pub(super) use weight::weight_gradient;

/// An element whose convolutions may have tiles.
pub trait Tiled: Scalar {
    #[doc(hidden)]
    fn transforms(isa: Isa) -> Option<&'static Transforms<Self>>;
}

impl Tiled for f32 {
    fn transforms(isa: Isa) -> Option<&'static Transforms<Self>> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(&transform::avx512::TRANSFORMS),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(&transform::avx2::TRANSFORMS),
            _ => None,
        }
    }
}

/// These are rather accurate than fast.
impl Tiled for f64 {
    fn transforms(_: Isa) -> Option<&'static Transforms<Self>> {
        None
    }
}

/// What tiles are to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A correlation, whose filters are to be transformed.
    Images,
    /// The gradient for the weight, which is to be transformed back.
    Weight,
}

/// The transforms for a correlation of `images` images with some channels of source and result, where it gains by them.
pub(super) fn chosen<T: Tiled>(
    purpose: Purpose,
    axes: &[Axis; 3],
    images: usize,
    channels: usize,
    columns: usize,
) -> Option<&'static Transforms<T>> {
    let transforms = T::transforms(isa()).filter(|_| !strict())?;
    let [planes, lines, across] = axes;
    let is_square = planes.is_identity() && lines.is_plain(WINDOW) && across.is_plain(WINDOW);
    let positions = images * axes.iter().map(|a| a.count).product::<usize>();
    let tiles = images * planes.count * lines.count.div_ceil(TILE) * across.count.div_ceil(TILE);
    let lanes = T::kernels(isa()).lanes;
    (is_square && gains(purpose, positions, tiles, channels, columns, lanes)).then_some(transforms)
}

/// Whether tiles are quicker by so much that it is worth their error: the work of either, counted in multiplications of
/// registers. The numbers are measured.
fn gains(
    purpose: Purpose,
    positions: usize,
    tiles: usize,
    channels: usize,
    columns: usize,
    lanes: usize,
) -> bool {
    let registers = channels.div_ceil(lanes) + columns.div_ceil(lanes);
    let products = channels * columns.div_ceil(lanes);
    let weight = match purpose {
        Purpose::Images => 400,
        Purpose::Weight => 800,
    };
    let plain = positions.saturating_mul(9 * products);
    let tiled = products.saturating_mul(36 * tiles + weight).saturating_add(tiles * (300 * registers + 800));
    plain / 5 > tiled / 4
}
