//! Temporary stand-in.
#![allow(missing_docs, clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks)]
pub trait Map { type In: Copy; type Out: Copy; const NANOS: f64; fn f<const FMA: bool>(&self, x: Self::In) -> Self::Out; }
pub trait Zip { type A: Copy; type B: Copy; type Out: Copy; const NANOS: f64; fn f<const FMA: bool>(&self, a: Self::A, b: Self::B) -> Self::Out; }
pub trait Zip3 { type A: Copy; type B: Copy; type C: Copy; type Out: Copy; const NANOS: f64; fn f<const FMA: bool>(&self, a: Self::A, b: Self::B, c: Self::C) -> Self::Out; }
fn walk(shape: &[usize], strides: &[&[isize]], mut f: impl FnMut(usize, [isize; 3])) {
    let n: usize = shape.iter().product();
    for i in 0..n {
        let mut r = i; let mut at = [0isize; 3];
        for k in (0..shape.len()).rev() { let j = (r % shape[k]) as isize; r /= shape[k]; for (a, s) in at.iter_mut().zip(strides) { *a += j * s[k]; } }
        f(i, at)
    }
}
pub unsafe fn map<K: Map + Sync>(k: &K, shape: &[usize], x: *const K::In, xs: &[isize], out: *mut K::Out) {
    walk(shape, &[xs], |i, a| unsafe { *out.add(i) = k.f::<false>(*x.offset(a[0])) });
}
pub unsafe fn zip<K: Zip + Sync>(k: &K, shape: &[usize], a: *const K::A, sa: &[isize], b: *const K::B, sb: &[isize], out: *mut K::Out) {
    walk(shape, &[sa, sb], |i, p| unsafe { *out.add(i) = k.f::<false>(*a.offset(p[0]), *b.offset(p[1])) });
}
#[allow(clippy::too_many_arguments)]
pub unsafe fn zip3<K: Zip3 + Sync>(k: &K, shape: &[usize], a: *const K::A, sa: &[isize], b: *const K::B, sb: &[isize], c: *const K::C, sc: &[isize], out: *mut K::Out) {
    walk(shape, &[sa, sb, sc], |i, p| unsafe { *out.add(i) = k.f::<false>(*a.offset(p[0]), *b.offset(p[1]), *c.offset(p[2])) });
}
pub unsafe fn copy<T: Copy>(shape: &[usize], x: *const T, xs: &[isize], out: *mut T) {
    walk(shape, &[xs], |i, a| unsafe { *out.add(i) = *x.offset(a[0]) });
}
