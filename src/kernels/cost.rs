//! What work takes on one thread, in nanoseconds: estimates by which a region decides whether to share it out.

/// The time to copy `rows` rows of `n` elements.
pub(super) fn moving(rows: usize, n: usize) -> usize {
    rows * (n + 8) / 4
}

/// The time to read so many elements, which is that of folding them.
pub(super) fn reading<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 32
}

/// The time to go over so many elements twice, or to read them and to write as many.
pub(super) fn streaming<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 16
}

/// The time to write so many elements less their mean, over a unit.
pub(super) fn centring<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 8
}

/// The time to pack so many elements for a product.
pub(super) fn packing(elements: usize) -> usize {
    elements / 8
}

/// The time to sort `rows` rows of `n` elements: two nanoseconds for each element and binary digit of their number.
pub(super) fn sorting(rows: usize, n: usize) -> usize {
    rows * n * (n.max(2).ilog2() as usize) * 2
}

/// The time for `rows` rows of `n` elements that take so many nanoseconds each.
pub(super) fn rowwise(rows: usize, n: usize, each: f64) -> usize {
    ((rows * n) as f64 * each) as usize
}

/// The time to fold `rows` rows of `n` elements into others, wherever they are.
pub(super) fn scattering(rows: usize, n: usize) -> usize {
    rows * n / 2
}

/// The time for so many multiplications, each with an addition.
pub(super) fn multiplying(products: usize) -> usize {
    products / 4
}

/// The time to sum so many elements, and their squares, column by column.
pub(super) fn summing(elements: usize) -> usize {
    elements / 6
}

/// The time to factor a square matrix.
pub(super) fn factoring(n: usize) -> usize {
    multiplying(n.saturating_mul(n).saturating_mul(n) / 3).saturating_add(50 * n)
}
