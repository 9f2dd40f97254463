//! Programs of random operations, done again as they are planned, against the same operations one by one: equal to the bit.

use oxiflux::ops::{self, Case, OPS};
use oxiflux::tape::{Capturing, Fate, Replay};
use oxiflux::{Array, Axes, DType, Error, Result, Tensor, set_threads, withgradient};
use std::collections::HashSet;

/// Numbers that look random, by Knuth's linear congruence.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }

    /// Mostly ordinary numbers; now and then one that is none.
    fn value(&mut self, is_wild: bool) -> f64 {
        let wild = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-40, -1e30, 1.0, 0.5, -3.0];
        match is_wild && self.below(6) == 0 {
            true => wild[self.below(wild.len())],
            false => (self.below(4000) as f64 - 2000.0) / 1000.0,
        }
    }

    fn array(&mut self, shape: &[usize], dtype: DType, is_wild: bool) -> Array {
        // A stream of its own, so that layouts do not depend on values.
        let mut numbers = Numbers(self.0 ^ 0x5555_5555);
        self.below(1);
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.value(is_wild)).collect();
        Array::from_slice(shape, &values).and_then(|x| x.cast(dtype)).expect("memory")
    }

    /// An operand that broadcasts to the shape, with its axes in any order in memory, gaps between elements, or backwards.
    fn operand(&mut self, shape: &[usize], dtype: DType, is_wild: bool) -> Array {
        let skip = if self.below(3) == 0 { self.below(shape.len() + 1) } else { 0 };
        let mut shape = shape[skip..].to_vec();
        if self.below(2) == 0 {
            shape.iter_mut().for_each(|n| *n = if self.below(3) == 0 { 1 } else { *n });
        }
        match self.below(5) {
            0 => {
                let reversed: Vec<usize> = shape.iter().rev().copied().collect();
                let order: Vec<usize> = (0..shape.len()).rev().collect();
                self.array(&reversed, dtype, is_wild).permute(&order).expect("an order")
            }
            1 => {
                let wide: Vec<usize> = shape.iter().map(|n| 2 * n).collect();
                let ranges: Vec<_> = shape
                    .iter()
                    .map(|&length| match self.below(2) {
                        0 if length > 0 => oxiflux::array::Range { start: 2 * length - 1, step: -2, length },
                        _ => oxiflux::array::Range { start: 0, step: 2, length },
                    })
                    .collect();
                self.array(&wide, dtype, is_wild).slice(&ranges).expect("a part")
            }
            _ => self.array(&shape, dtype, is_wild),
        }
    }
}

type Function = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>>;

/// Steps of a random program: an operation and the numbers of what it is given.
struct Random {
    steps: Vec<(&'static Case, Vec<usize>)>,
    wanted: Vec<usize>,
    is_gradient: bool,
}

/// An operation that is done beside others, and a call of it.
type Candidate = (&'static str, &'static Case);

/// Whether the result of a call, which is of so many elements, grows faster than what it is given, such as the distances of
/// all pairs: of large tensors that would be gigabytes.
fn outgrows(case: &Case, size: usize) -> bool {
    let longer = |shape: &&[usize]| -> Vec<usize> {
        shape.iter().enumerate().map(|(axis, &n)| if axis == 0 { 8 * n } else { n }).collect()
    };
    let given: Vec<Tensor> =
        case.shapes.iter().map(|shape| Numbers(3).array(&longer(shape), DType::F32, false).into()).collect();
    (case.f)(&given).is_ok_and(|y| y.size() > 8 * size)
}

/// All of them.
fn candidates() -> Vec<Candidate> {
    let mut found = Vec::new();
    for op in OPS.iter().copied().flatten() {
        for case in op.cases {
            let shapes: Vec<Array> =
                case.shapes.iter().map(|s| Numbers(3).array(s, DType::F32, false)).collect();
            let given: Vec<Tensor> = shapes.iter().cloned().map(Tensor::from).collect();
            let capturing = Capturing::open(&shapes, &[]);
            let result = (case.f)(&given);
            let mut capture = capturing.close();
            capture.settle().expect("memory");
            let is_fusible = |step: &oxiflux::tape::Captured| match &step.kind {
                oxiflux::tape::Kind::Operation(op, _) => {
                    let layouts: Vec<_> =
                        step.inputs.iter().map(|&n| &capture.layouts()[n as usize]).collect();
                    let types: Vec<DType> = layouts.iter().map(|layout| layout.2).collect();
                    op.fused(&types).is_some() || !op.parts(&layouts).is_empty()
                }
                _ => false,
            };
            let is_possible = result.is_ok_and(|y| !outgrows(case, y.size()));
            if is_possible && capture.refusal().is_none() && capture.steps().iter().any(is_fusible) {
                found.push((op.name, case));
            }
        }
    }
    found
}

impl Random {
    fn new(numbers: &mut Numbers, all: &[Candidate], given: usize, length: usize) -> Random {
        let (mut steps, mut values) = (Vec::new(), given);
        for _ in 0..length {
            let (_, case) = all[numbers.below(all.len())];
            // What was made last more often than what was made before.
            let near = |numbers: &mut Numbers| match numbers.below(3) {
                0 => numbers.below(values),
                _ => values - 1 - numbers.below(values.min(4)),
            };
            let inputs = case.shapes.iter().map(|_| near(numbers)).collect();
            steps.push((case, inputs));
            values += 1;
        }
        let wanted = (0..1 + numbers.below(4)).map(|_| numbers.below(values)).chain([values - 1]).collect();
        Random { steps, wanted, is_gradient: numbers.below(3) == 0 }
    }

    /// What the program computes. A step that cannot be done gives its first input.
    fn values(&self, given: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut values = given.to_vec();
        for (case, inputs) in &self.steps {
            let inputs: Vec<Tensor> = inputs.iter().map(|&i| values[i].clone()).collect();
            // Not the sum over all twice: values would soon have no axes.
            let y = (case.f)(&inputs).ok().filter(|y| y.size() <= 400_000);
            let y = y.filter(|y| y.ndim() > 0 || inputs.iter().all(|x| x.ndim() == 0));
            values.push(y.unwrap_or_else(|| inputs[0].clone()));
        }
        Ok(self.wanted.iter().map(|&i| values[i].clone()).collect())
    }

    fn run(&self, given: &[Tensor]) -> Result<Vec<Tensor>> {
        if !self.is_gradient {
            return self.values(given);
        }
        let loss = |x: &[Tensor]| -> Result<Tensor> {
            let mut loss = Tensor::from(0.0);
            for y in self.values(x)?.iter().filter(|y| y.dtype().is_float()) {
                loss = ops::add(&loss, &ops::astype(&ops::sum(y, Axes::All, false)?, DType::F64)?)?;
            }
            Ok(loss)
        };
        let (value, grads) = withgradient::<_, Error>(loss, given)?;
        Ok(std::iter::once(value).chain(grads.into_iter().flatten()).collect())
    }
}

/// The bits of all elements, but that one NaN is like another, and how they are laid out.
fn bits(x: &Array) -> (Vec<usize>, Vec<isize>, DType, Vec<u64>) {
    let values = x.to_vec::<f64>().expect("memory");
    let bits = values.into_iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect();
    // No element is reached by the stride of an axis that has one place.
    let reach = |(&stride, &n): (&isize, &usize)| if n == 1 { 0 } else { stride };
    let strides =
        if x.size() == 0 { Vec::new() } else { x.strides().iter().zip(x.shape()).map(reach).collect() };
    (x.shape().to_vec(), strides, x.dtype(), bits)
}

/// Captures what `f` does, does it again with other arrays of the same layouts, and compares; the names of what was fused.
fn compare(
    f: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    given: &[Array],
    again: &[Array],
    what: &str,
) -> Vec<&'static str> {
    let tensors = |given: &[Array]| given.iter().cloned().map(Tensor::from).collect::<Vec<_>>();
    let capturing = Capturing::open(given, &[]);
    let results = f(&tensors(given));
    let numbers: Option<Vec<u32>>;
    let mut capture = {
        let capture = capturing.close();
        let results = results.expect("it can be done");
        numbers = results.iter().map(|y| capture.number(y.array())).collect();
        capture
    };
    if capture.refusal().is_some() {
        return Vec::new();
    }
    let wanted = numbers.unwrap_or_else(|| panic!("{what}: a result is unknown"));
    capture.settle().expect("memory");
    let (replay, places) = Replay::of(&capture, &wanted);
    for (given, threads) in [(given, 1), (again, 2)] {
        set_threads(threads);
        let expected = f(&tensors(given)).expect("it can be done");
        let mut registers = replay.start(|i| given[i].clone());
        assert!(replay.run(&mut registers).expect("it can be done").is_none());
        for ((place, expected), number) in places.iter().zip(&expected).zip(&wanted) {
            let (found, expected) = (bits(replay.value(&registers, *place)), bits(expected.array()));
            if found == expected {
                continue;
            }
            let at = found.3.iter().zip(&expected.3).position(|(a, b)| a != b);
            let pair = at.map(|i| (f64::from_bits(found.3[i]), f64::from_bits(expected.3[i])));
            let layouts = ((found.0, found.1, found.2), (expected.0, expected.1, expected.2));
            let shown =
                capture.shown(&|_| String::new(), &|_| String::new(), &|at| format!("{:?}", replay.fate(at)));
            panic!("{what}, {threads} threads: %{number} differs at {at:?}: {pair:?}, {layouts:?}\n{shown}");
        }
    }
    let steps = capture.steps().iter().enumerate();
    steps
        .filter(|(at, _)| matches!(replay.fate(*at), Fate::Fused(_) | Fate::Folded(..)))
        .map(|(_, step)| step.name())
        .collect()
}

fn check(shapes: &[Vec<usize>], seeds: std::ops::Range<u64>, length: usize) -> HashSet<&'static str> {
    let (mut fused, all) = (HashSet::new(), candidates());
    for seed in seeds {
        let numbers = &mut Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let shape = &shapes[numbers.below(shapes.len())];
        let dtype = [DType::F32, DType::F32, DType::F64][numbers.below(3)];
        let is_wild = numbers.below(2) == 0;
        let count = 1 + numbers.below(4);
        let start = numbers.0;
        let given = |wild| {
            let numbers = &mut Numbers(start);
            let whole = numbers.array(shape, dtype, wild);
            std::iter::once(whole)
                .chain((0..count).map(|_| numbers.operand(shape, dtype, wild)))
                .collect::<Vec<_>>()
        };
        let (first, again) = (given(false), given(is_wild));
        let random = Random::new(numbers, &all, first.len(), length);
        let what = format!("seed {seed}, {shape:?} {dtype}, gradient {}", random.is_gradient);
        fused.extend(compare(&|x| random.run(x), &first, &again, &what));
    }
    fused
}

fn shapes(all: &[&[usize]]) -> Vec<Vec<usize>> {
    all.iter().map(|s| s.to_vec()).collect()
}

#[test]
fn programs_of_small_tensors_give_the_same_bits() {
    let all = shapes(&[
        &[],
        &[1],
        &[10],
        &[3, 5],
        &[2, 3, 4],
        &[1, 1, 7],
        &[17, 33],
        &[2, 1, 2, 3],
        &[0, 3],
        &[64, 16],
    ]);
    let fused = check(&all, 0..150, 25);
    let missing: Vec<_> =
        candidates().into_iter().filter(|(name, _)| !fused.contains(name)).map(|(name, _)| name).collect();
    // Some are done with others; a few come first or last only.
    assert!(fused.len() > 90, "only {} operations were fused, not {missing:?}", fused.len());
}

#[test]
fn programs_of_large_tensors_give_the_same_bits() {
    let all = shapes(&[
        &[5000],
        &[70_001],
        &[300, 70],
        &[2, 3000],
        &[5000, 2],
        &[50, 40, 8],
        &[3, 500, 33],
        &[257, 1, 129],
        &[4, 40_000],
        &[40_000, 4],
    ]);
    check(&all, 0..40, 14);
}

/// A function of one tensor, and the operations that are to be done with others in it.
type Known = (fn(&Tensor) -> Result<Tensor>, &'static [&'static str]);

/// Functions that do something with each row and then with its elements.
const BY_ROWS: &[Known] = &[
    // A softmax of one's own.
    (
        |x| {
            let e = ops::exp(&ops::subtract(x, &ops::max(x, Axes::from(-1), true)?)?)?;
            ops::divide(&e, &ops::sum(&e, Axes::from(-1), true)?)
        },
        &["max", "subtract", "exp", "sum", "divide"],
    ),
    // Rows of the mean 0 and the variance 1, with something between that there is once for each row.
    (
        |x| {
            let mean = ops::mean(x, Axes::from(-1), false)?;
            let one = mean.shape().iter().map(|&n| n as isize).chain([1]).collect();
            let c = ops::subtract(&ops::multiply(x, x)?, &ops::reshape(&mean, Axes::These(one))?)?;
            let var = ops::mean(&ops::multiply(&c, &c)?, Axes::from(-1), true)?;
            ops::divide(&c, &ops::sqrt(&ops::add(&var, &Tensor::from(Array::scalar(0.5f32)?))?)?)
        },
        &["mean", "subtract", "multiply", "sqrt", "divide"],
    ),
    (|x| ops::multiply(&ops::softmax(&ops::multiply(x, x)?, -1)?, x), &["softmax", "multiply"]),
    (|x| ops::multiply(&ops::logsoftmax(&ops::tanh(x)?, -1)?, x), &["logsoftmax", "tanh", "multiply"]),
];

#[test]
fn rows_are_reduced_and_read_again_in_one_go() {
    let all: [&[usize]; 8] =
        [&[300, 70], &[3, 5], &[1, 9], &[2, 3, 4], &[40, 2, 33], &[9, 4000], &[700, 2], &[64, 512]];
    for shape in all {
        for (at, (f, names)) in BY_ROWS.iter().enumerate() {
            for wild in [false, true] {
                let numbers = &mut Numbers(at as u64 + 3);
                let given = [numbers.array(shape, DType::F32, false)];
                let again = [numbers.array(shape, DType::F32, wild)];
                let what = format!("function {at}, {shape:?}");
                let values: Function = Box::new(move |x| Ok(vec![f(&ops::add(&x[0], &x[0])?)?]));
                let fused = compare(&values, &given, &again, &what);
                for name in *names {
                    assert!(fused.contains(name), "{what}: {name} is not fused");
                }
                let gradient: Function = Box::new(move |x| {
                    let loss = |x: &[Tensor]| ops::sum(&ops::multiply(&f(&x[0])?, &x[0])?, Axes::All, false);
                    let (value, grads) = withgradient::<_, Error>(loss, x)?;
                    Ok(std::iter::once(value).chain(grads.into_iter().flatten()).collect())
                });
                compare(&gradient, &given, &again, &format!("the gradient of {what}"));
            }
        }
    }
}

#[test]
fn reductions_within_each_other_are_one_pass() {
    for shape in [[60, 50, 8], [500, 40, 8], [3, 4, 5], [70, 1, 30]] {
        let numbers = &mut Numbers(5);
        let given = [numbers.array(&shape, DType::F32, false), numbers.array(&shape[1..], DType::F32, false)];
        let f: Function = Box::new(|x| {
            let y = ops::multiply(&ops::subtract(&x[0], &x[1])?, &x[0])?;
            let of = |axis: isize| ops::sum(&y, Axes::from(axis), false);
            Ok(vec![of(0)?, of(1)?, of(2)?, ops::max(&ops::tanh(&y)?, Axes::from(1), true)?])
        });
        let fused = compare(&f, &given, &given, &format!("{shape:?}"));
        assert_eq!(fused.iter().filter(|&&name| name == "sum").count(), 3, "{shape:?}: {fused:?}");
    }
}

#[test]
fn integers_and_comparisons_are_fused() {
    for dtype in [DType::I64, DType::I32, DType::U8, DType::F32] {
        let numbers = &mut Numbers(8);
        let given = [numbers.array(&[50, 30], dtype, false), numbers.array(&[30], dtype, false)];
        let f: Function = Box::new(|x| {
            let is = ops::less(&x[0], &x[1])?;
            let sum = ops::add(&ops::multiply(&x[0], &x[0])?, &x[1])?;
            let chosen = ops::select(&is, &sum, &x[1])?;
            Ok(vec![ops::astype(&chosen, DType::F64)?, ops::equal(&chosen, &x[0])?])
        });
        let fused = compare(&f, &given, &given, &format!("{dtype}"));
        for name in ["less", "add", "multiply", "where", "astype", "equal"] {
            assert!(fused.contains(&name), "{dtype}: {name} is not fused, only {fused:?}");
        }
    }
}

#[test]
fn reductions_end_what_is_fused() {
    for (shape, axes) in [
        (vec![300, 70], vec![1]),
        (vec![300, 70], vec![0]),
        (vec![300, 70], vec![0, 1]),
        (vec![70_001], vec![0]),
        (vec![5, 40_000], vec![1]),
        (vec![200, 100, 8], vec![2]),
        (vec![200, 100, 8], vec![1]),
        (vec![200, 100, 8], vec![0]),
        (vec![200, 100, 8], vec![1, 2]),
        (vec![33_000, 2], vec![0]),
        (vec![9], vec![0]),
        (vec![4, 1], vec![1]),
    ] {
        let axes: Axes = match &axes[..] {
            [a] => Axes::from(*a as isize),
            [a, b] => Axes::from([*a as isize, *b as isize]),
            _ => Axes::All,
        };
        for dtype in [DType::F32, DType::F64] {
            let numbers = &mut Numbers(9);
            let given =
                [numbers.array(&shape, dtype, false), numbers.array(&shape[shape.len() - 1..], dtype, false)];
            let f: Function = Box::new({
                let axes = axes.clone();
                move |x| {
                    let y = ops::multiply(&ops::subtract(&x[0], &x[1])?, &x[0])?;
                    let (sum, mean) =
                        (ops::sum(&y, axes.clone(), true)?, ops::mean(&y, axes.clone(), false)?);
                    let most = ops::max(&ops::exp(&y)?, axes.clone(), false)?;
                    let least = ops::min(&y, axes.clone(), false)?;
                    Ok(vec![ops::add(&x[0], &sum)?, mean, most, least, y])
                }
            });
            let fused = compare(&f, &given, &given, &format!("{shape:?} {dtype}"));
            for name in ["sum", "mean", "max", "min", "exp", "subtract"] {
                assert!(fused.contains(&name), "{name} over {axes:?} of {shape:?} is not fused");
            }
        }
    }
}
