//! What work takes on one thread, in nanoseconds: estimates by which a region decides whether to share it out.

/// The time to copy `rows` rows of `n` elements.
pub(super) fn moving(rows: usize, n: usize) -> usize {
    rows * (n + 8) / 4
}

/// The time to read so many elements, which is that of folding them.
pub(super) fn reading<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 32
}

/// The time to find the mean and the variance of so many elements, which are read twice.
pub(super) fn spreading<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 16
}

/// The time to write so many elements less their mean, over a unit.
pub(super) fn centring<T>(elements: usize) -> usize {
    elements * size_of::<T>() / 8
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
