//! Dot-product attention, `softmax(q kᵀ / √features + bias) v` for each head, and its gradients.
//!
//! A block of query rows meets a block of keys at a time, so the scores are never whole in memory; of each row two
//! numbers are kept, from which the gradients compute its scores again. How the work is cut depends on the sizes alone.

mod rows;

use super::dispatch::Shared;
use super::gemm::scratch::{self, Slot};
use super::gemm::{Epilogue, Operand, Scalar, gemm};
use super::number::Number;
use super::softmax::Logit;
use crate::team;
use rows::{Absorb, Normalise, Recall, Scaled, Slope, run};
use std::ops::Range;

/// Query rows of a block.
const ROWS: usize = 128;

/// Keys of a block: with [`ROWS`] few enough that the scores, and in the backward pass their gradients, stay in the
/// second cache.
const KEYS: usize = 256;

/// Tasks fewer than [`FEW`] that take so long, in nanoseconds, run one after another with their products shared.
const LONG: usize = 200_000;

/// See [`LONG`].
const FEW: usize = 16;

/// The sizes of a problem; features and values are those of one head.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Independent sequences.
    pub batch: usize,
    /// Heads, side by side in the features of each query.
    pub heads: usize,
    /// How many heads of queries share a head of keys and values; it divides `heads`.
    pub sharing: usize,
    /// Length of the query sequence.
    pub queries: usize,
    /// Length of the key and value sequences.
    pub keys: usize,
    /// Features of a query and of a key.
    pub features: usize,
    /// Features of a value.
    pub values: usize,
}

/// A tensor of shape `(batch, length, heads * width)`, of which keys and values may have fewer heads, with its strides in
/// elements.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<T> {
    /// The first element.
    pub ptr: *const T,
    /// The strides of its axes.
    pub strides: [isize; 3],
}

/// A tensor of shape `(batch, heads, queries, keys)` whose keys lie side by side, with the strides of the other axes.
#[derive(Clone, Copy, Debug)]
pub struct Grid<T> {
    /// The first element.
    pub ptr: *const T,
    /// The strides of the first three axes.
    pub strides: [isize; 3],
}

impl<T> Grid<T> {
    fn at(&self, at: At, query: usize, key: usize) -> *const T {
        let [b, h, i] = self.strides;
        let offset = at.batch as isize * b + at.head as isize * h + query as isize * i;
        self.ptr.wrapping_offset(offset).wrapping_add(key)
    }
}

/// What goes into attention.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<T> {
    /// Their sizes.
    pub sizes: Sizes,
    /// The queries.
    pub q: Sequences<T>,
    /// The keys.
    pub k: Sequences<T>,
    /// The values.
    pub v: Sequences<T>,
    /// Added to the scores before the softmax.
    pub bias: Option<Grid<T>>,
    /// Where false, a query does not see a key.
    pub mask: Option<Grid<bool>>,
    /// Whether a query sees no key behind its own place.
    pub causal: bool,
}

// SAFETY: the tasks only read what an `Inputs` points to.
unsafe impl<T: Sync> Sync for Inputs<T> {}

/// Where gradients go, each row-major and overwritten, or null where it is not wanted.
#[derive(Clone, Copy, Debug)]
pub struct Grads<T> {
    /// As the queries.
    pub q: *mut T,
    /// As the keys.
    pub k: *mut T,
    /// As the values.
    pub v: *mut T,
    /// `(batch, heads, queries, keys)`.
    pub bias: *mut T,
}

// SAFETY: each task writes the parts of its own head.
unsafe impl<T: Sync> Sync for Grads<T> {}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct At {
    batch: usize,
    head: usize,
}

/// Rows of one head in a tensor of shape `(batch, length, heads * width)`: the first, and the elements between two.
fn rows_of<T>(x: Sequences<T>, at: At, width: usize) -> Operand<T> {
    let [batch, rows, cols] = x.strides;
    let offset = at.batch as isize * batch + (at.head * width) as isize * cols;
    Operand { ptr: x.ptr.wrapping_offset(offset), rows, cols }
}

/// The same of a row-major tensor that is written.
fn part_of<T>(x: *mut T, at: At, length: usize, heads: usize, width: usize) -> (*mut T, usize) {
    (x.wrapping_add((at.batch * length * heads + at.head) * width), heads * width)
}

/// From row `i` on.
fn from<T>(x: Operand<T>, i: usize) -> Operand<T> {
    Operand { ptr: x.ptr.wrapping_offset(i as isize * x.rows), ..x }
}

fn transposed<T>(x: Operand<T>) -> Operand<T> {
    Operand { ptr: x.ptr, rows: x.cols, cols: x.rows }
}

fn row_major<T>(ptr: *const T, cols: usize) -> Operand<T> {
    Operand { ptr, rows: cols as isize, cols: 1 }
}

/// Runs tasks side by side; few long ones one after another, so that the threads share what is inside.
fn share(tasks: usize, nanos: usize, task: impl Fn(usize) + Sync) {
    if tasks < FEW && nanos > LONG {
        return (0..tasks).for_each(task);
    }
    team::run(tasks, nanos.saturating_mul(tasks), task);
}

fn add_up<T>() -> Epilogue<'static, T> {
    Epilogue { accumulate: true, ..Epilogue::NONE }
}

/// A block of scores.
struct Block {
    at: At,
    rows: Range<usize>,
    keys: Range<usize>,
}

impl Sizes {
    /// The head of keys and values that a head of queries meets.
    fn met(&self, at: At) -> At {
        At { batch: at.batch, head: at.head / self.sharing }
    }
    /// How many heads of keys and values there are.
    fn key_heads(&self) -> usize {
        self.heads / self.sharing
    }
}

impl<T: Logit + Scalar> Inputs<T> {
    fn at(&self, i: usize) -> At {
        At { batch: i / self.sizes.heads, head: i % self.sizes.heads }
    }

    /// About how long the scores of so many rows take, with `products` products for each.
    fn nanos(&self, rows: usize, products: usize) -> usize {
        let terms = products * (self.sizes.features + self.sizes.values) / 2;
        rows.saturating_mul(self.sizes.keys).saturating_mul(terms / 64 + products / 2)
    }

    /// The blocks of some rows of which anything is seen.
    fn blocks(&self, at: At, rows: Range<usize>) -> impl Iterator<Item = Block> {
        let end = if self.causal { rows.end.min(self.sizes.keys) } else { self.sizes.keys };
        (0..end).step_by(KEYS).filter_map(move |start| {
            let keys = start..(start + KEYS).min(end);
            let sees = |mask: Grid<bool>| {
                // SAFETY: the mask is that large.
                let row = |i| unsafe { std::slice::from_raw_parts(mask.at(at, i, keys.start), keys.len()) };
                rows.clone().any(|i| row(i).contains(&true))
            };
            self.mask.is_none_or(sees).then(|| Block { at, rows: rows.clone(), keys: keys.clone() })
        })
    }

    /// Some queries of a head over the root of the number of features, row-major.
    ///
    /// # Safety
    /// The inputs must be as [`attention`] asks, and `out` have room for these rows.
    unsafe fn queries(&self, at: At, rows: &Range<usize>, out: *mut T) {
        let features = self.sizes.features;
        let from = from(rows_of(self.q, at, features), rows.start);
        // SAFETY: the queries of these rows can be read, and `out` has room for them, as this function asks.
        unsafe {
            run(&Scaled { from, to: Shared(out), ld: features, by: self.scale() }, rows.len(), features)
        };
    }

    fn scale(&self) -> T {
        T::of::<false>(<T::Lane<false> as super::real::Real>::lit(1.0 / (self.sizes.features as f64).sqrt()))
    }

    /// `queries kᵀ` of a block, before bias and mask.
    ///
    /// # Safety
    /// The inputs must be as [`attention`] asks, `queries` hold the block's, and `out` have room for its scores.
    unsafe fn products(&self, block: &Block, queries: *const T, out: *mut T) {
        let (rows, keys, features) = (block.rows.len(), block.keys.len(), self.sizes.features);
        let k = transposed(from(rows_of(self.k, self.sizes.met(block.at), features), block.keys.start));
        // SAFETY: `queries` and the keys of the block can be read, and `out` has room for its scores, as this function
        // asks.
        unsafe { gemm(rows, keys, features, row_major(queries, features), k, out, keys, &Epilogue::NONE) };
    }

    /// The result for some rows of a head, and what is kept of them.
    ///
    /// # Safety
    /// All must be as [`attention`] asks; nobody else may use these rows of `out` and `kept` meanwhile.
    unsafe fn forward(&self, at: At, rows: Range<usize>, out: *mut T, kept: *mut [T; 2]) {
        let Sizes { heads, queries, keys, features, values, .. } = self.sizes;
        let (y, ld) = part_of(out, at, queries, heads, values);
        let y = y.wrapping_add(rows.start * ld);
        let kept = kept.wrapping_add((at.batch * heads + at.head) * queries + rows.start);
        let (q, scores) = (rows.len() * features, rows.len() * keys.min(KEYS));
        scratch::with(Slot::Caller, q + scores, |memory: *mut T| {
            let (q, scores) = (memory, memory.wrapping_add(q));
            let v = rows_of(self.v, self.sizes.met(at), values);
            // SAFETY: the inputs can be read, and the results of these rows and what is kept of them are ours alone, as
            // this function asks; the scratch has room for queries and scores.
            unsafe {
                zero(y, rows.len(), values, ld);
                (0..rows.len()).for_each(|i| *kept.add(i) = [T::LOWEST, <T as Number>::ZERO]);
                self.queries(at, &rows, q);
                for block in self.blocks(at, rows.clone()) {
                    let (m, n) = (rows.len(), block.keys.len());
                    self.products(&block, q, scores);
                    let (x, y_rows, kept) = (Shared(scores), Shared(y), Shared(kept));
                    run(&Absorb { inputs: self, block: &block, x, y: y_rows, ld, kept }, m, n);
                    let v = from(v, block.keys.start);
                    gemm(m, values, n, row_major(scores, n), v, y, ld, &add_up());
                }
                run(&Normalise { y: Shared(y), ld, kept: Shared(kept) }, rows.len(), values);
            }
        });
    }

    /// The gradients of a head of queries, and its part of those of the keys and values that it meets, which are zero
    /// before the first that meets them.
    ///
    /// # Safety
    /// All must be as [`attention_grad`] asks; nobody else may use these heads' gradients meanwhile.
    unsafe fn backward(&self, at: At, y: *const T, kept: *const [T; 2], g: *const T, grads: &Grads<T>) {
        let Sizes { heads, queries, keys, features, values, .. } = self.sizes;
        let (y, ld) = part_of(y.cast_mut(), at, queries, heads, values);
        let (g, _) = part_of(g.cast_mut(), at, queries, heads, values);
        let (dq, ldq) = part_of(grads.q, at, queries, heads, features);
        let met = self.sizes.met(at);
        let (dk, ldk) = part_of(grads.k, met, keys, self.sizes.key_heads(), features);
        let (dv, ldv) = part_of(grads.v, met, keys, self.sizes.key_heads(), values);
        let is_first = at.head.is_multiple_of(self.sizes.sharing);
        let head = at.batch * heads + at.head;
        let kept = kept.wrapping_add(head * queries);
        let dbias = grads.bias.wrapping_add(head * queries * keys);
        let (k, v) = (rows_of(self.k, met, features), rows_of(self.v, met, values));
        let most = queries.min(ROWS);
        let (q, scores) = (most * features, most * keys.min(KEYS));
        scratch::with(Slot::Caller, q + 2 * scores, |memory: *mut T| {
            let (q, p) = (memory, memory.wrapping_add(q));
            let dp = p.wrapping_add(scores);
            // SAFETY: inputs, results and their gradient can be read, and the gradients of this head are ours alone, as
            // this function asks; the scratch has room for queries, scores and their gradients.
            unsafe {
                zero(dq, if grads.q.is_null() { 0 } else { queries }, features, ldq);
                zero(dk, if grads.k.is_null() || !is_first { 0 } else { keys }, features, ldk);
                zero(dv, if grads.v.is_null() || !is_first { 0 } else { keys }, values, ldv);
                zero(dbias, if grads.bias.is_null() { 0 } else { queries }, keys, keys);
                for start in (0..queries).step_by(ROWS) {
                    let rows = start..(start + ROWS).min(queries);
                    let (g_rows, dq) = (g.wrapping_add(start * ld), dq.wrapping_add(start * ldq));
                    self.queries(at, &rows, q);
                    for block in self.blocks(at, rows.clone()) {
                        let (m, n, first) = (rows.len(), block.keys.len(), block.keys.start);
                        self.products(&block, q, p);
                        let kept = kept.wrapping_add(start).cast_mut();
                        run(&Recall { inputs: self, block: &block, x: Shared(p), kept: Shared(kept) }, m, n);
                        let g = row_major(g_rows.cast_const(), ld);
                        if !grads.v.is_null() {
                            let dv = dv.wrapping_add(first * ldv);
                            gemm(n, values, m, transposed(row_major(p, n)), g, dv, ldv, &add_up());
                        }
                        gemm(m, n, values, g, transposed(from(v, first)), dp, n, &Epilogue::NONE);
                        let y = y.wrapping_add(start * ld);
                        let dbias = dbias.wrapping_add(start * keys + first);
                        let dbias = (!grads.bias.is_null()).then_some((Shared(dbias), keys));
                        let (p_rows, dp, y, g) = (Shared(p), Shared(dp), Shared(y), Shared(g_rows));
                        run(&Slope { p: p_rows, dp, y, g, ld, values, dbias }, m, n);
                        if !grads.q.is_null() {
                            gemm(m, features, n, row_major(p, n), from(k, first), dq, ldq, &add_up());
                        }
                        if !grads.k.is_null() {
                            let (q, dk) = (row_major(q, features), dk.wrapping_add(first * ldk));
                            gemm(n, features, m, transposed(row_major(p, n)), q, dk, ldk, &add_up());
                        }
                    }
                    if !grads.q.is_null() {
                        let (from, to) = (row_major(dq.cast_const(), ldq), Shared(dq));
                        run(&Scaled { from, to, ld: ldq, by: self.scale() }, rows.len(), features);
                    }
                }
            }
        });
    }
}

/// Writes zeros to the rows, which are `ld` apart.
///
/// # Safety
/// Nobody else may use them, and a `T` must be a number.
unsafe fn zero<T>(x: *mut T, rows: usize, width: usize, ld: usize) {
    for i in 0..rows {
        // SAFETY: row `i` is one of those that the caller has; zero bytes are the number 0.
        unsafe { x.add(i * ld).write_bytes(0, width) };
    }
}

/// `out = softmax(q kᵀ / √features + bias) v` for each head, zero where a query sees no key; `out` is row-major of shape
/// `(batch, queries, heads * values)`. `kept`, of shape `(batch, heads, queries)`, is what [`attention_grad`] needs: the
/// largest score of each row, and one over the sum of `exp(score - largest)`.
///
/// # Safety
/// The inputs must be readable with their sizes and strides; the outputs must be writable and overlap nothing.
pub unsafe fn attention<T: Logit + Scalar>(inputs: &Inputs<T>, out: *mut T, kept: *mut [T; 2]) {
    let Sizes { batch, heads, queries, .. } = inputs.sizes;
    let blocks = queries.div_ceil(ROWS);
    let (out, kept) = (Shared(out), Shared(kept));
    share(batch * heads * blocks, inputs.nanos(ROWS.min(queries), 2), |i| {
        let start = i % blocks * ROWS;
        let rows = start..(start + ROWS).min(queries);
        // SAFETY: the inputs can be read and the outputs written, as this function asks; the tasks have rows of their
        // own.
        unsafe { inputs.forward(inputs.at(i / blocks), rows, out.at(0), kept.at(0)) };
    });
}

/// The gradients of [`attention`] at its result `y`, for the gradient `g` at it, both row-major.
///
/// # Safety
/// As for [`attention`], which has written `y` and `kept`.
pub unsafe fn attention_grad<T: Logit + Scalar>(
    inputs: &Inputs<T>,
    y: *const T,
    kept: *const [T; 2],
    g: *const T,
    grads: &Grads<T>,
) {
    let Sizes { batch, queries, sharing, .. } = inputs.sizes;
    let (y, kept, g) = (Shared(y.cast_mut()), Shared(kept.cast_mut()), Shared(g.cast_mut()));
    let groups = batch * inputs.sizes.key_heads();
    share(groups, inputs.nanos(queries, 5).saturating_mul(sharing), |group| {
        for i in group * sharing..(group + 1) * sharing {
            // SAFETY: the inputs can be read and the gradients written, as this function asks; the tasks have heads of
            // their own, of queries and of the keys and values that these meet.
            unsafe { inputs.backward(inputs.at(i), y.at(0), kept.at(0), g.at(0), grads) };
        }
    });
}
