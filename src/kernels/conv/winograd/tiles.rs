//! The tiles that a result is cut into, and the pixels that each sees.

use super::transform::{SIDE, TILE};
use crate::kernels::conv::axis::Axis;
use crate::kernels::conv::band::Images;

/// The tiles of a batch of images, line after line and image after image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// Lines of the result, and pixels of a line.
    size: [usize; 2],
    /// How far before a pixel of the result it sees the first one of the source.
    low: [isize; 2],
    /// Images, with each of their planes.
    pub images: usize,
}

/// A tile: its image, and its first pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub image: usize,
    pub at: [usize; 2],
}

/// Pixels to read: the first, and how many elements apart lines and pixels are.
pub(super) type Patch<T> = (*const T, [isize; 2]);

impl Tiles {
    pub(super) fn new([planes, lines, across]: &[Axis; 3], images: usize) -> Self {
        let (size, low) = ([lines.count, across.count], [lines.low(), across.low()]);
        Self { size, low, images: images * planes.count }
    }

    fn sides(&self) -> [usize; 2] {
        self.size.map(|n| n.div_ceil(TILE))
    }

    pub(super) fn len(&self) -> usize {
        self.images * self.sides().iter().product::<usize>()
    }

    pub(super) fn place(&self, tile: usize) -> Place {
        let [lines, across] = self.sides();
        let line = tile / across;
        Place { image: line / lines, at: [line % lines * TILE, tile % across * TILE] }
    }

    /// How many lines and pixels of a line of the tile there are.
    pub(super) fn inside(&self, place: &Place) -> [usize; 2] {
        std::array::from_fn(|a| TILE.min(self.size[a] - place.at[a]))
    }

    /// The pixels that a tile sees: in place or, with zeros where there are none, in a copy.
    ///
    /// # Safety
    /// The images must be readable, and `own` have room for a patch.
    pub(super) unsafe fn seen<T: Copy>(
        &self,
        place: &Place,
        source: &Images<T>,
        channels: usize,
        own: *mut T,
    ) -> Patch<T> {
        let first = std::array::from_fn(|a| place.at[a] as isize + self.low[a]);
        // SAFETY: handed on from this function's caller.
        unsafe { patch::<T, SIDE>(source, place.image, first, channels, own) }
    }

    /// The pixels of the tile itself: in place or, with zeros where there are none, in a copy.
    ///
    /// # Safety
    /// The images must be readable, and `own` have room for a patch.
    pub(super) unsafe fn own<T: Copy>(
        &self,
        place: &Place,
        result: &Images<T>,
        channels: usize,
        own: *mut T,
    ) -> Patch<T> {
        // SAFETY: handed on from this function's caller.
        unsafe { patch::<T, TILE>(result, place.image, place.at.map(|i| i as isize), channels, own) }
    }
}

/// A square of `N` x `N` pixels.
///
/// # Safety
/// The images must be readable, and `own` have room for so many pixels.
unsafe fn patch<T: Copy, const N: usize>(
    images: &Images<T>,
    image: usize,
    [h, w]: [isize; 2],
    channels: usize,
    own: *mut T,
) -> Patch<T> {
    let [_, height, width] = images.size.map(|n| n as isize);
    let n = N as isize;
    if h >= 0 && w >= 0 && h + n <= height && w + n <= width {
        let pixel = images.pitch as isize;
        return (images.at(image, [0, h as usize, w as usize]), [width * pixel, pixel]);
    }
    let mut dst = own;
    for h in h..h + n {
        for w in w..w + n {
            // SAFETY: this pixel of the image can be read, and there is room for it, as this function asks; zero bytes
            // are the number 0.
            unsafe {
                if (0..height).contains(&h) && (0..width).contains(&w) {
                    dst.copy_from_nonoverlapping(images.at(image, [0, h as usize, w as usize]), channels);
                } else {
                    dst.write_bytes(0, channels);
                }
            }
            dst = dst.wrapping_add(channels);
        }
    }
    (own, [n * channels as isize, channels as isize])
}
