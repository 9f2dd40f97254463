//! Temporary stand-in.
#![allow(missing_docs, clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks, clippy::too_many_arguments)]
pub trait Element: Copy + Default + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> + PartialOrd + Sync + Send + 'static {}
impl Element for f32 {} impl Element for f64 {}
#[derive(Clone, Copy)]
pub struct Operand<T> { pub ptr: *const T, pub rows: isize, pub cols: isize }
pub enum Activation<T> { None, Relu, Map(unsafe fn(*mut T, usize)) }
pub struct Epilogue<T> { pub accumulate: bool, pub bias: *const T, pub activation: Activation<T> }
pub unsafe fn gemm<T: Element>(m: usize, n: usize, k: usize, a: Operand<T>, b: Operand<T>, c: *mut T, ldc: usize, e: &Epilogue<T>) { unsafe {
    for i in 0..m { for j in 0..n {
        let p = c.add(i * ldc + j);
        let mut s = if e.accumulate { *p } else { T::default() };
        for l in 0..k { s = s + *a.ptr.offset(i as isize * a.rows + l as isize * a.cols) * *b.ptr.offset(l as isize * b.rows + j as isize * b.cols); }
        if !e.bias.is_null() { s = s + *e.bias.add(j); }
        if let Activation::Relu = e.activation && s < T::default() { s = T::default(); }
        *p = s;
    } if let Activation::Map(f) = e.activation { f(c.add(i * ldc), n) } }
} }
pub unsafe fn gemm_batched<T: Element>(batch: usize, m: usize, n: usize, k: usize, a: impl Fn(usize) -> Operand<T> + Sync, b: impl Fn(usize) -> Operand<T> + Sync, c: impl Fn(usize) -> *mut T + Sync, ldc: usize, e: &Epilogue<T>) {
    for i in 0..batch { unsafe { gemm(m, n, k, a(i), b(i), c(i), ldc, e) } }
}
