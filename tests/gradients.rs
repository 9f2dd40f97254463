//! Every operation's gradient, of first and second order, against central differences in float64.

use oxiflux::gradient::{backward, seed, withgradient};
use oxiflux::ops::{self, OPS};
use oxiflux::shape::Axes;
use oxiflux::tape::{Context, Differentiable, Grads, Operation, Scope, apply};
use oxiflux::{Array, DType, Error, Result, Tensor, memory};

type Function<'a> = dyn Fn(&[Tensor]) -> Result<Tensor> + 'a;

/// Numbers that look random and are the same every time.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    fn tensor(&mut self, shape: &[usize], (low, high): (f64, f64)) -> Tensor {
        let values: Vec<f64> =
            (0..shape.iter().product()).map(|_| low + (high - low) * self.next()).collect();
        Array::from_slice(shape, &values).expect("memory").into()
    }
}

/// A fixed random weighting of the result, so that no rule is right by symmetry.
fn weighted(f: &Function<'_>, x: &[Tensor]) -> Result<Tensor> {
    let y = f(x)?;
    let y = ops::astype(&y, DType::F64)?;
    let w = Stream(7).tensor(y.shape(), (0.5, 1.5));
    ops::sum(&ops::multiply(&y, &w)?, Axes::All, false)
}

/// The gradient of a scalar function for each argument, zeros where there is no dependence.
fn gradients(f: &Function<'_>, x: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    let (_, grads) = withgradient::<_, Error>(|x| f(x), x)?;
    let zeros = |x: &Tensor| vec![0.0; x.size()];
    grads.iter().zip(x).map(|(g, x)| g.as_ref().map_or(Ok(zeros(x)), |g| g.to_vec::<f64>())).collect()
}

/// Central differences of a scalar function.
fn differences(f: &Function<'_>, x: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    const STEP: f64 = 1e-5;
    let mut all = Vec::new();
    for (i, argument) in x.iter().enumerate() {
        let values = argument.to_vec::<f64>()?;
        let mut slopes = Vec::new();
        for j in 0..values.len() {
            let at = |delta: f64| -> Result<f64> {
                let mut moved = values.clone();
                moved[j] += delta;
                let mut x = x.to_vec();
                x[i] = Array::from_slice(argument.shape(), &moved)?.into();
                f(&x)?.item()
            };
            slopes.push((at(STEP)? - at(-STEP)?) / (2.0 * STEP));
        }
        all.push(slopes);
    }
    Ok(all)
}

/// The largest difference between two sets of gradients, relative to the larger of 1 and their size.
fn disagreement(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    pairs
        .map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() / b.abs().max(1.0) })
        .fold(0.0, f64::max)
}

/// The sum of the gradients of `f`, weighted: a scalar whose gradient is of second order.
fn of_gradients(f: &Function<'_>, x: &[Tensor]) -> Result<Tensor> {
    let (_, grads) = withgradient::<_, Error>(|x| weighted(f, x), x)?;
    let mut total: Tensor = Array::scalar(0.0)?.into();
    for (i, g) in grads.iter().enumerate() {
        if let Some(g) = g {
            let w = Stream(11 + i as u64).tensor(g.shape(), (0.5, 1.5));
            total = ops::add(&total, &ops::sum(&ops::multiply(g, &w)?, Axes::All, false)?)?;
        }
    }
    Ok(total)
}

fn check(name: &str, f: &Function<'_>, x: &[Tensor]) -> std::result::Result<(), String> {
    let run = || -> Result<(f64, f64)> {
        let first: &Function<'_> = &|x| weighted(f, x);
        let second: &Function<'_> = &|x| of_gradients(f, x);
        Ok((
            disagreement(&gradients(first, x)?, &differences(first, x)?),
            disagreement(&gradients(second, x)?, &differences(second, x)?),
        ))
    };
    match run() {
        Err(e) => Err(format!("{name}: {e}")),
        Ok((first, second)) if first < 1e-6 && second < 1e-5 => Ok(()),
        Ok((first, second)) => {
            Err(format!("{name}: off by {first:.1e} in the first order, {second:.1e} in the second"))
        }
    }
}

#[test]
fn every_gradient_matches_finite_differences() {
    let mut stream = Stream(42);
    let mut wrong = Vec::new();
    let mut checked = 0;
    for op in OPS.iter().flat_map(|file| file.iter()) {
        for case in op.cases {
            let x: Vec<Tensor> = case.shapes.iter().map(|s| stream.tensor(s, case.domain)).collect();
            wrong.extend(check(op.name, &case.f, &x).err());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} cases");
    assert!(wrong.is_empty(), "{} of {checked} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A rule is asked for its fused form where nobody records, and composed where somebody does.
#[test]
fn every_fused_rule_equals_its_composed_one() -> Result<()> {
    let mut stream = Stream(17);
    let mut wrong = Vec::new();
    for op in OPS.iter().flat_map(|file| file.iter()) {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            for case in op.cases {
                let x = case.shapes.iter().map(|s| ops::astype(&stream.tensor(s, case.domain), dtype));
                let x = x.collect::<Result<Vec<Tensor>>>()?;
                let f: &Function<'_> = &|x| weighted(&case.f, x);
                let fused = gradients(f, &x)?;
                let recording = Scope::enter();
                let composed = gradients(f, &x)?;
                drop(recording);
                if disagreement(&fused, &composed) > tolerance {
                    wrong.push(format!("{} of {dtype}: {fused:?} and {composed:?}", op.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// `x^2` with a rule that forgets the 2.
#[derive(Debug)]
struct Wrong;

impl Operation for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }
    fn parameters(&self) -> oxiflux::tape::Parameters {
        Vec::new()
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(ops::square(&x[0].clone().into())?.into_array())
    }
}

impl Differentiable for Wrong {
    fn keeps(&self) -> oxiflux::tape::Keeps {
        oxiflux::tape::Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| ops::multiply(g, cx.input(i)))
    }
}

#[test]
fn the_check_sees_a_wrong_rule() {
    let x = [Stream(1).tensor(&[3], (0.5, 1.0))];
    assert!(check("wrong", &|x| apply(Wrong, &[&x[0]]), &x).is_err());
    assert!(check("right", &|x| ops::square(&x[0]), &x).is_ok());
}

#[test]
fn a_value_used_many_times_gets_the_sum_of_its_gradients() {
    let x = [Stream(2).tensor(&[2, 3], (0.5, 1.5))];
    let f: &Function<'_> = &|x| {
        let y = ops::exp(&x[0])?;
        let z = ops::add(&ops::multiply(&y, &y)?, &ops::add(&y, &x[0])?)?;
        ops::divide(&ops::multiply(&z, &y)?, &ops::sum(&y, 0.into(), true)?)
    };
    check("many", f, &x).expect("right");
}

#[test]
fn no_dependence_is_none_and_not_zero() -> Result<()> {
    let x = [Stream(3).tensor(&[2], (0.0, 1.0)), Stream(4).tensor(&[2], (0.0, 1.0))];
    let (_, grads) = withgradient::<_, Error>(|x| ops::sum(&ops::floor(&x[0])?, Axes::All, false), &x)?;
    assert!(grads.iter().all(Option::is_none));
    Ok(())
}

#[test]
fn a_long_chain_goes_backward_and_gives_its_memory_back() -> Result<()> {
    let x: Tensor = Array::from_slice(&[8], &[1f32; 8])?.into();
    let mut used = Vec::new();
    for _ in 0..3 {
        let (y, grads) = withgradient::<_, Error>(
            |x| {
                let mut h = x[0].clone();
                for _ in 0..100_000 {
                    h = ops::sin(&h)?;
                }
                ops::sum(&h, Axes::All, false)
            },
            std::slice::from_ref(&x),
        )?;
        assert!(grads[0].is_some() && y.item()?.is_finite());
        drop((y, grads));
        used.push(memory::in_use());
    }
    assert_eq!(used[1], used[2]);
    Ok(())
}

#[test]
fn a_trace_that_is_kept_can_be_walked_again() -> Result<()> {
    let x: Tensor = Array::from_slice(&[3], &[1f64, 2.0, 3.0])?.into();
    let scope = Scope::enter();
    let v = scope.watch(&x)?;
    let y = ops::sum(&ops::square(&v)?, Axes::All, false)?;
    let trace = scope.close();
    for _ in 0..2 {
        let g = backward(&trace, &[(y.clone(), seed(&y)?)], std::slice::from_ref(&v), true)?;
        assert_eq!(g[0].as_ref().map(|g| g.to_vec::<f64>()).transpose()?, Some(vec![2.0, 4.0, 6.0]));
    }
    Ok(())
}
