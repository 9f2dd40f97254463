//! A matrix by a vector: bound by the reading of the matrix, which is read once, in order.

use super::simd::Simd;

/// `out[i] = sum over d of matrix[i, d] * x[d]`, with contiguous `x` and `out`.
#[derive(Debug)]
pub struct Vector<T> {
    /// Elements of the result.
    pub count: usize,
    /// Terms of each sum.
    pub depth: usize,
    /// The matrix.
    pub matrix: *const T,
    /// Elements between rows (`dots`) or columns (`axpys`) of the matrix; along the other it is contiguous.
    pub stride: isize,
    /// `depth` elements.
    pub x: *const T,
    /// `count` elements, overwritten.
    pub out: *mut T,
}

/// Rows or columns that are read side by side.
const ABREAST: usize = 4;

/// Each element of the result is a dot product of a contiguous row with the vector.
///
/// # Safety
/// The instruction set of `S` must be enabled and the pointers of `p` valid for what is read and written.
#[inline(always)]
pub(super) unsafe fn dots<S: Simd>(p: &Vector<S::Elem>) {
    // SAFETY: the instruction set is enabled and matrix, vector and result valid, as this function asks.
    unsafe {
        let mut i = 0;
        while i + ABREAST <= p.count {
            dots_abreast::<S, ABREAST>(p, i);
            i += ABREAST;
        }
        while i < p.count {
            dots_abreast::<S, 1>(p, i);
            i += 1;
        }
    }
}

#[inline(always)]
unsafe fn dots_abreast<S: Simd, const N: usize>(p: &Vector<S::Elem>, i: usize) {
    // SAFETY: the `N` rows from `i` on are of the matrix, which is valid, as `dots` asks; the last register of a row is
    // masked.
    unsafe {
        let rows: [*const S::Elem; N] =
            std::array::from_fn(|r| p.matrix.wrapping_offset((i + r) as isize * p.stride));
        let mut even = [S::zero(); N];
        let mut odd = [S::zero(); N];
        let mut d = 0;
        while d + 2 * S::LANES <= p.depth {
            let (x0, x1) = (S::load(p.x.add(d)), S::load(p.x.add(d + S::LANES)));
            for r in 0..N {
                even[r] = S::load(rows[r].add(d)).mul_add(x0, even[r]);
                odd[r] = S::load(rows[r].add(d + S::LANES)).mul_add(x1, odd[r]);
            }
            d += 2 * S::LANES;
        }
        while d < p.depth {
            let mask = S::first(p.depth - d);
            let x = S::load_some(p.x.add(d), mask);
            for r in 0..N {
                even[r] = S::load_some(rows[r].add(d), mask).mul_add(x, even[r]);
            }
            d += S::LANES;
        }
        for r in 0..N {
            *p.out.add(i + r) = even[r].add(odd[r]).sum();
        }
    }
}

/// The result is the sum of the contiguous columns, each times its element of the vector.
///
/// # Safety
/// The instruction set of `S` must be enabled and the pointers of `p` valid for what is read and written.
#[inline(always)]
pub(super) unsafe fn axpys<S: Simd>(p: &Vector<S::Elem>) {
    // SAFETY: the instruction set is enabled and matrix, vector and result valid, as this function asks.
    unsafe {
        let mut d = 0;
        while d + ABREAST <= p.depth {
            axpys_abreast::<S, ABREAST>(p, d);
            d += ABREAST;
        }
        while d < p.depth {
            axpys_abreast::<S, 1>(p, d);
            d += 1;
        }
    }
}

#[inline(always)]
unsafe fn axpys_abreast<S: Simd, const N: usize>(p: &Vector<S::Elem>, d: usize) {
    // SAFETY: the `N` columns from `d` on are of the matrix, which is valid, as `axpys` asks; the last register is
    // masked.
    unsafe {
        let mut cols = [p.matrix; N];
        let mut x = [S::zero(); N];
        for c in 0..N {
            cols[c] = p.matrix.wrapping_offset((d + c) as isize * p.stride);
            x[c] = S::splat(*p.x.add(d + c));
        }
        let mut i = 0;
        while i < p.count {
            let left = p.count - i;
            let out = p.out.add(i);
            if left >= S::LANES {
                let mut sum = if d == 0 { S::zero() } else { S::load(out) };
                for c in 0..N {
                    sum = S::load(cols[c].add(i)).mul_add(x[c], sum);
                }
                sum.store(out);
            } else {
                let mask = S::first(left);
                let mut sum = if d == 0 { S::zero() } else { S::load_some(out, mask) };
                for c in 0..N {
                    sum = S::load_some(cols[c].add(i), mask).mul_add(x[c], sum);
                }
                sum.store_some(out, mask);
            }
            i += S::LANES;
        }
    }
}
