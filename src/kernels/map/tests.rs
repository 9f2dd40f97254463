use super::*;
use crate::kernels::real::{Lane, Real};

/// Numbers that look random, by Knuth's linear congruence.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}

/// An array with room for what its strides reach.
struct Strided<T> {
    values: Vec<T>,
    origin: usize,
    strides: Vec<isize>,
}

impl<T: Copy> Strided<T> {
    /// Axes in random order, each whole, with gaps, reversed, or repeated.
    fn new(numbers: &mut Numbers, shape: &[usize], value: impl Fn(usize) -> T) -> Self {
        let mut order: Vec<usize> = (0..shape.len()).collect();
        if numbers.below(2) == 0 {
            for i in (1..order.len()).rev() {
                order.swap(i, numbers.below(i + 1));
            }
        }
        let plain = numbers.below(3) == 0;
        let (mut strides, mut origin, mut reach) = (vec![0; shape.len()], 0, 1);
        for &axis in order.iter().rev() {
            let kind = if plain { 0 } else { numbers.below(8) };
            if kind == 1 {
                continue;
            }
            let step = if kind == 2 { reach + 1 + numbers.below(3) } else { reach };
            strides[axis] = if kind == 3 { -(step as isize) } else { step as isize };
            let last = shape[axis].saturating_sub(1) * step;
            origin += if kind == 3 { last } else { 0 };
            reach = (last + reach).max(step * shape[axis].max(1));
        }
        Strided { values: (0..reach).map(value).collect(), origin, strides }
    }

    fn pointer(&self) -> *const T {
        // SAFETY: the origin is within the values.
        unsafe { self.values.as_ptr().add(self.origin) }
    }

    fn at(&self, index: &[usize]) -> T {
        let offset: isize = index.iter().zip(&self.strides).map(|(&i, s)| i as isize * s).sum();
        self.values[(self.origin as isize + offset) as usize]
    }
}

/// All indices of a shape, the last axis fastest.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &n| {
        all.into_iter().flat_map(|index| (0..n).map(move |i| [index.clone(), vec![i]].concat())).collect()
    })
}

/// Few elements on many axes, or many on few.
fn shape(numbers: &mut Numbers) -> Vec<usize> {
    match numbers.below(16) {
        0 => vec![1 + numbers.below(70_000)],
        1 => vec![1 + numbers.below(60), 100 + numbers.below(600)],
        2 => vec![100 + numbers.below(600), 1 + numbers.below(60)],
        3 => vec![1 + numbers.below(9), 1 + numbers.below(70), 1 + numbers.below(140)],
        4 => vec![2, 1200, 3],
        _ => (0..numbers.below(9))
            .map(|_| [0, 1, 2, 2, 3, 1, 3, 2, 4, 5][numbers.below(40).clamp(0, 9)])
            .collect(),
    }
}

fn instruction_sets() -> impl Iterator<Item = Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|&set| set <= isa())
}

struct Widen;

impl Map for Widen {
    type In = u8;
    type Out = f64;
    const NANOS: f64 = 0.1;
    #[inline(always)]
    fn f<const FMA: bool>(&self, x: u8) -> f64 {
        f64::from(x) + 0.5
    }
}

struct Less;

impl Zip for Less {
    type A = f32;
    type B = i64;
    type Out = bool;
    const NANOS: f64 = 0.1;
    #[inline(always)]
    fn f<const FMA: bool>(&self, a: f32, b: i64) -> bool {
        a < b as f32
    }
}

struct Combine(f32);

impl Zip3 for Combine {
    type A = f32;
    type B = f32;
    type C = f32;
    type Out = f32;
    const NANOS: f64 = 0.1;
    #[inline(always)]
    fn f<const FMA: bool>(&self, a: f32, b: f32, c: f32) -> f32 {
        a * 3.0 + b * 5.0 + c * self.0
    }
}

struct Exp;

impl Map for Exp {
    type In = f32;
    type Out = f32;
    const NANOS: f64 = 0.2;
    #[inline(always)]
    fn f<const FMA: bool>(&self, x: f32) -> f32 {
        Lane::<f32, FMA>(x).exp().0
    }
}

/// What is so costly that it is computed by whole vectors.
struct Costly;

impl Zip for Costly {
    type A = f32;
    type B = i64;
    type Out = f64;
    const NANOS: f64 = COSTLY;
    #[inline(always)]
    fn f<const FMA: bool>(&self, a: f32, b: i64) -> f64 {
        f64::from(a) * 3.0 + b as f64
    }
}

/// The result of a call that writes `n` elements.
fn written<T: Copy + Default>(n: usize, call: impl FnOnce(*mut T)) -> Vec<T> {
    let mut out = vec![T::default(); n];
    call(out.as_mut_ptr());
    out
}

#[test]
fn every_walk_agrees_with_a_walk_by_index() {
    let mut numbers = Numbers(1);
    for round in 0..800 {
        let shape = shape(&mut numbers);
        let indices = indices(&shape);
        let n = indices.len();
        let small = |i: usize| (i % 251) as f32;
        let bytes = Strided::new(&mut numbers, &shape, |i| (i % 256) as u8);
        let a = Strided::new(&mut numbers, &shape, small);
        let b = Strided::new(&mut numbers, &shape, |i| (i * 7 % 251) as i64);
        let c = Strided::new(&mut numbers, &shape, |i| small(i * 3));
        let d = Strided::new(&mut numbers, &shape, |i| small(i * 5));
        // SAFETY: the arrays have room for what their strides reach.
        let copied = written(n, |out| unsafe { copy(&shape, bytes.pointer(), &bytes.strides, out) });
        assert!(indices.iter().zip(&copied).all(|(i, &y)| y == bytes.at(i)), "{round} copy {shape:?}");
        // SAFETY: the arrays have room for what their strides reach.
        let copied = written(n, |out| unsafe { copy(&shape, b.pointer(), &b.strides, out) });
        assert!(
            indices.iter().zip(&copied).all(|(i, &y)| y == b.at(i)),
            "{round} copy {shape:?} {:?}",
            b.strides
        );
        for set in instruction_sets() {
            // SAFETY: the arrays have room for what their strides reach.
            let one = written(n, |out| unsafe {
                map_with(set, &Widen, &shape, bytes.pointer(), &bytes.strides, out);
            });
            let good = indices.iter().zip(&one).all(|(i, &y)| y == f64::from(bytes.at(i)) + 0.5);
            assert!(good, "{round} {set:?} map {shape:?} {:?}", bytes.strides);
            // SAFETY: the arrays have room for what their strides reach.
            let two = written(n, |out| unsafe {
                zip_with(set, &Less, &shape, a.pointer(), &a.strides, b.pointer(), &b.strides, out);
            });
            let good = indices.iter().zip(&two).all(|(i, &y)| y == (a.at(i) < b.at(i) as f32));
            assert!(good, "{round} {set:?} zip {shape:?} {:?} {:?}", a.strides, b.strides);
            // SAFETY: the arrays have room for what their strides reach.
            let costly = written(n, |out| unsafe {
                zip_with(set, &Costly, &shape, a.pointer(), &a.strides, b.pointer(), &b.strides, out);
            });
            let expected = |i: &Vec<usize>| f64::from(a.at(i)) * 3.0 + b.at(i) as f64;
            let good = indices.iter().zip(&costly).all(|(i, &y)| y == expected(i));
            assert!(good, "{round} {set:?} costly {shape:?} {:?} {:?}", a.strides, b.strides);
            let (sa, sc, sd) = (&a.strides, &c.strides, &d.strides);
            // SAFETY: the arrays have room for what their strides reach.
            let three = written(n, |out| unsafe {
                zip3_with(set, &Combine(7.0), &shape, a.pointer(), sa, c.pointer(), sc, d.pointer(), sd, out);
            });
            let expected = |i: &Vec<usize>| a.at(i) * 3.0 + c.at(i) * 5.0 + d.at(i) * 7.0;
            let good = indices.iter().zip(&three).all(|(i, &y)| y == expected(i));
            assert!(good, "{round} {set:?} zip3 {shape:?} {sa:?} {sc:?} {sd:?}");
        }
    }
}

#[test]
fn what_is_computed_by_whole_vectors_writes_its_elements_and_no_others() {
    for set in instruction_sets() {
        for n in 0..=2 * LANES + 1 {
            let (x, y) = (vec![2.0f32; n], vec![1i64; n]);
            let mut out = vec![-1.0; n + LANES];
            // SAFETY: the vectors have at least `n` elements each.
            unsafe { zip_with(set, &Costly, &[n], x.as_ptr(), &[1], y.as_ptr(), &[1], out.as_mut_ptr()) };
            assert!(out[..n].iter().all(|&y| y == 7.0), "{set:?} {n}");
            assert!(out[n..].iter().all(|&y| y == -1.0), "{set:?} {n}");
        }
    }
}

#[test]
fn the_output_may_be_an_input() {
    for set in instruction_sets() {
        for n in [0, 1, 63, 1024, 1025, 5000, 100_000] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let y: Vec<f32> = (0..n).map(|i| (i % 13) as f32).collect();
            for place in 0..3 {
                let mut inputs = [x.clone(), y.clone(), vec![2.0; n]];
                let out = inputs[place].as_mut_ptr();
                let [a, b, c] =
                    [0, 1, 2].map(|i| if i == place { out.cast_const() } else { inputs[i].as_ptr() });
                // SAFETY: the vectors have `n` elements each.
                unsafe { zip3_with(set, &Combine(7.0), &[n], a, &[1], b, &[1], c, &[1], out) };
                let good = (0..n).all(|i| inputs[place][i] == x[i] * 3.0 + y[i] * 5.0 + 14.0);
                assert!(good, "{set:?} {n} {place}");
            }
        }
    }
}

#[test]
fn a_row_may_be_added_to_a_matrix_in_place() {
    for (rows, columns) in [(700, 10), (10, 700)] {
        let bias: Vec<f32> = (0..columns).map(|i| i as f32).collect();
        let mut x = vec![1.0f32; rows * columns];
        let (out, shape, strides) = (x.as_mut_ptr(), [rows, columns], [columns as isize, 1]);
        // SAFETY: the arrays have the sizes that the strides reach.
        unsafe { zip3(&Combine(1.0), &shape, out, &strides, bias.as_ptr(), &[0, 1], &2.0, &[0, 0], out) };
        assert!((0..rows * columns).all(|i| x[i] == 5.0 + 5.0 * (i % columns) as f32));
    }
}

#[test]
fn a_function_is_as_accurate_in_vectors_as_alone() {
    let x: Vec<f32> = (0..=u32::MAX).step_by(65_537).map(f32::from_bits).collect();
    let n = x.len();
    for set in instruction_sets() {
        // SAFETY: both have `n` elements.
        let y = written(n, |out| unsafe { map_with(set, &Exp, &[n], x.as_ptr(), &[1], out) });
        for (&x, y) in x.iter().zip(y) {
            let alone = if set == Isa::Portable {
                Lane::<f32, false>(x).exp().0
            } else {
                Lane::<f32, true>(x).exp().0
            };
            assert!(
                alone.to_bits() == y.to_bits() || alone.is_nan() && y.is_nan(),
                "{set:?} {x:e} {alone:e} {y:e}"
            );
        }
    }
}
