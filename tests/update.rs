//! Each rule against its formula, written as a plain loop in f64 with running powers of beta, over three steps.

use oxiflux::kernels::update::*;

const STEPS: usize = 3;

fn parameters(n: usize) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * 0.7).sin() * 2.0).collect()
}

fn gradients(n: usize, step: usize) -> Vec<f64> {
    (0..n).map(|i| if i % 11 == 3 { 0.0 } else { ((i * (step + 2)) as f64 * 1.3).cos() * 0.5 }).collect()
}

/// Runs `rule(t)` in steps `t` = 1, 2, 3 on tensors of the given sizes laid end to end; returns all parameters.
fn run<K: Rule + Send + 'static, T: Updated>(
    sizes: &[usize],
    rule: impl Fn(usize) -> K,
    to: fn(f64) -> T,
    from: fn(T) -> f64,
) -> Vec<f64> {
    let n = sizes.iter().sum();
    let mut p: Vec<T> = parameters(n).into_iter().map(to).collect();
    let mut s = rule(1).init().map(|x| vec![to(x); n]);
    for t in 1..=STEPS {
        let g: Vec<T> = gradients(n, t).into_iter().map(to).collect();
        let mut start = 0;
        let links: [Box<dyn Link>; 1] = [Box::new(rule(t))];
        let mut slots = vec![];
        for &n in sizes {
            let s = s.iter_mut().take(K::STATES).map(|s| s[start..].as_mut_ptr()).collect();
            let (p, g) = (p[start..].as_mut_ptr(), g[start..].as_ptr());
            slots.push(Slot { links: &links, p, g, scale: T::ONE, s, step: None, n });
            start += n;
        }
        // SAFETY: each slot has `n` elements of its own in each array.
        unsafe { update(&slots) };
    }
    p.into_iter().map(from).collect()
}

/// Compares a rule with `formula(t, p, g, s)`, which changes the parameter and the state of one element in place.
fn check<K: Rule + Send + 'static>(
    rule: impl Fn(usize) -> K,
    start: [f64; 3],
    formula: impl Fn(i32, &mut f64, f64, &mut [f64; 3]),
) {
    let sizes = [0, 1, 31, 32, 0, 63, 40_000];
    let n = sizes.iter().sum();
    let mut expected = parameters(n);
    let mut states = vec![start; n];
    for t in 1..=STEPS {
        for ((p, g), s) in expected.iter_mut().zip(gradients(n, t)).zip(&mut states) {
            formula(t as i32, p, g, s);
        }
    }
    let double = run(&sizes, &rule, |x| x, |x: f64| x);
    let single = run(&sizes, &rule, |x| x as f32, |x: f32| f64::from(x));
    for i in 0..n {
        let e = expected[i];
        assert!((double[i] - e).abs() <= 1e-13 * e.abs().max(1.0), "f64, element {i}: {} for {e}", double[i]);
        assert!((single[i] - e).abs() <= 2e-6 * e.abs().max(1.0), "f32, element {i}: {} for {e}", single[i]);
    }
}

fn powers(beta: (f64, f64), t: usize) -> (f64, f64) {
    (beta.0.powi(t as i32), beta.1.powi(t as i32))
}

const B1: f64 = 0.9;
const B2: f64 = 0.999;
const EPS: f64 = 1e-8;

fn adam_moments(g: f64, s: &mut [f64; 3]) {
    s[0] = B1 * s[0] + (1.0 - B1) * g;
    s[1] = B2 * s[1] + (1.0 - B2) * g.powi(2);
}

fn adam_step(t: i32, g: f64, s: &mut [f64; 3]) -> f64 {
    adam_moments(g, s);
    s[0] / (1.0 - B1.powi(t)) / ((s[1] / (1.0 - B2.powi(t))).sqrt() + EPS)
}

#[test]
fn descent_follows_its_formula() {
    check(|_| Descent::default(), [0.0; 3], |_, p, g, _| *p -= 0.1 * g);
}

#[test]
fn momentum_follows_its_formula() {
    check(
        |_| Momentum::default(),
        [0.0; 3],
        |_, p, g, s| {
            s[0] = 0.9 * s[0] + 0.01 * g;
            *p -= s[0];
        },
    );
}

#[test]
fn nesterov_follows_its_formula() {
    check(
        |_| Nesterov::default(),
        [0.0; 3],
        |_, p, g, s| {
            *p -= -(0.9_f64.powi(2)) * s[0] + (1.0 + 0.9) * 0.001 * g;
            s[0] = 0.9 * s[0] - 0.001 * g;
        },
    );
}

#[test]
fn rmsprop_follows_its_formula() {
    check(
        |_| RmsProp::default(),
        [0.0; 3],
        |_, p, g, s| {
            s[0] = 0.9 * s[0] + (1.0 - 0.9) * g.powi(2);
            *p -= g * 0.001 / (s[0].sqrt() + EPS);
        },
    );
}

#[test]
fn centred_rmsprop_follows_its_formula() {
    check(
        |_| CentredRmsProp::default(),
        [0.0; 3],
        |_, p, g, s| {
            s[0] = 0.9 * s[0] + (1.0 - 0.9) * g.powi(2);
            s[1] = 0.9 * s[1] + (1.0 - 0.9) * g;
            *p -= g * 0.001 / ((s[0] - s[1].powi(2)).sqrt() + EPS);
        },
    );
}

#[test]
fn rprop_follows_its_formula() {
    check(
        |_| Rprop::default(),
        [0.0, 1e-3, 0.0],
        |_, p, g, s| {
            let agreement = s[0] * g;
            if agreement > 0.0 {
                s[1] = (s[1] * 1.2).min(50.0);
            } else if agreement < 0.0 {
                s[1] = (s[1] * 0.5).max(1e-6);
            }
            s[0] = if agreement < 0.0 { 0.0 } else { g };
            *p -= s[1] * if s[0] == 0.0 { 0.0 } else { s[0].signum() };
        },
    );
}

#[test]
fn adam_follows_its_formula() {
    let rule = |t| Adam { beta_t: powers((B1, B2), t), ..Adam::default() };
    check(rule, [0.0; 3], |t, p, g, s| *p -= 0.001 * adam_step(t, g, s));
}

#[test]
fn adamw_follows_its_formula_coupled_or_not() {
    let rule =
        |couple| move |t| AdamW { beta_t: powers((B1, B2), t), lambda: 0.01, couple, ..AdamW::default() };
    check(rule(true), [0.0; 3], |t, p, g, s| *p -= 0.001 * (adam_step(t, g, s) + 0.01 * *p));
    check(rule(false), [0.0; 3], |t, p, g, s| *p -= 0.001 * adam_step(t, g, s) + 0.01 * *p);
}

#[test]
fn radam_follows_its_formula_before_and_after_it_rectifies() {
    // With the default beta the first steps are not rectified; from step 6 on they are.
    let limit = 2.0 / (1.0 - B2) - 1.0;
    for ahead in [0, 5] {
        let rule = |t: usize| {
            let t = t + ahead;
            RAdam { beta_t: powers((B1, B2), t), t: t as u64, ..RAdam::default() }
        };
        check(rule, [0.0; 3], |t, p, g, s| {
            let t = t + ahead as i32;
            let dx = adam_step(t, g, s);
            let rho = limit - 2.0 * f64::from(t) * B2.powi(t) / (1.0 - B2.powi(t));
            assert_eq!(rho > 4.0, ahead == 5);
            *p -= if rho > 4.0 {
                let r = ((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho)).sqrt();
                dx * 0.001 * r
            } else {
                s[0] / (1.0 - B1.powi(t)) * 0.001
            };
        });
    }
}

#[test]
fn adamax_follows_its_formula() {
    let rule = |t| AdaMax { beta_t: powers((B1, B2), t), ..AdaMax::default() };
    check(rule, [0.0; 3], |t, p, g, s| {
        s[0] = B1 * s[0] + (1.0 - B1) * g;
        s[1] = f64::max(B2 * s[1], g.abs());
        *p -= 0.001 / (1.0 - B1.powi(t)) * s[0] / (s[1] + EPS);
    });
}

#[test]
fn oadam_follows_its_formula() {
    let rule = |t| OAdam { beta_t: powers((0.5, 0.9), t), ..OAdam::default() };
    check(rule, [0.0; 3], |t, p, g, s| {
        s[0] = 0.5 * s[0] + (1.0 - 0.5) * g;
        s[1] = 0.9 * s[1] + (1.0 - 0.9) * g.powi(2);
        let before = s[2];
        s[2] = 0.001 * s[0] / (1.0 - 0.5_f64.powi(t)) / ((s[1] / (1.0 - 0.9_f64.powi(t))).sqrt() + EPS);
        *p -= 2.0 * s[2] - before;
    });
}

#[test]
fn adagrad_follows_its_formula() {
    check(
        |_| AdaGrad::default(),
        [EPS, 0.0, 0.0],
        |_, p, g, s| {
            s[0] += g.powi(2);
            *p -= g * 0.1 / (s[0].sqrt() + EPS);
        },
    );
}

#[test]
fn adadelta_follows_its_formula() {
    check(
        |_| AdaDelta::default(),
        [0.0; 3],
        |_, p, g, s| {
            s[0] = 0.9 * s[0] + (1.0 - 0.9) * g.powi(2);
            let dx = g * (s[1] + EPS).sqrt() / (s[0] + EPS).sqrt();
            s[1] = 0.9 * s[1] + (1.0 - 0.9) * dx.powi(2);
            *p -= dx;
        },
    );
}

#[test]
fn amsgrad_follows_its_formula() {
    check(
        |_| AmsGrad::default(),
        [EPS; 3],
        |_, p, g, s| {
            adam_moments(g, s);
            s[2] = s[2].max(s[1]);
            *p -= 0.001 * s[0] / (s[2].sqrt() + EPS);
        },
    );
}

#[test]
fn nadam_follows_its_formula() {
    let rule = |t| NAdam { beta_t: powers((B1, B2), t), ..NAdam::default() };
    check(rule, [0.0; 3], |t, p, g, s| {
        adam_moments(g, s);
        let m = B1 * s[0] / (1.0 - B1 * B1.powi(t)) + (1.0 - B1) * g / (1.0 - B1.powi(t));
        *p -= m / ((s[1] * B2 / (1.0 - B2.powi(t))).sqrt() + EPS) * 0.001;
    });
}

#[test]
fn adabelief_follows_its_formula() {
    let rule = |t| AdaBelief { beta_t: powers((B1, B2), t), ..AdaBelief::default() };
    check(rule, [0.0; 3], |t, p, g, s| {
        s[0] = B1 * s[0] + (1.0 - B1) * g;
        s[1] = B2 * s[1] + (1.0 - B2) * (g - s[0]).powi(2) + 1e-16;
        *p -= 0.001 * s[0] / (1.0 - B1.powi(t)) / ((s[1] / (1.0 - B2.powi(t))).sqrt() + 1e-16);
    });
}

#[test]
fn lion_follows_its_formula() {
    check(
        |_| Lion::default(),
        [0.0; 3],
        |_, p, g, s| {
            s[0] = B2 * g + (1.0 - B2) * s[0];
            let direction = (B2 - B1) * g + B1 * s[0];
            *p -= 0.001 * if direction == 0.0 { 0.0 } else { direction.signum() };
        },
    );
}

#[test]
fn no_slots_and_empty_slots_are_nothing_to_do() {
    // SAFETY: there are no elements.
    unsafe { update::<f32>(&[]) };
    assert!(run(&[0, 0], |_| Adam::default(), |x| x, |x: f64| x).is_empty());
}

#[test]
fn links_of_a_chain_follow_each_other_and_the_step_may_go_elsewhere() {
    let n = 40_003;
    let (mut p, g, mut step) = (parameters(n), gradients(n, 1), vec![0.0; n]);
    let links: [Box<dyn Link>; 3] = [
        Box::new(WeightDecay { lambda: 0.5 }),
        Box::new(ClipGrad { delta: 0.25 }),
        Box::new(Descent { eta: 2.0 }),
    ];
    let slot = Slot {
        links: &links,
        p: p.as_mut_ptr(),
        g: g.as_ptr(),
        scale: 0.5,
        s: Default::default(),
        step: Some(step.as_mut_ptr()),
        n,
    };
    // SAFETY: each array has `n` elements.
    unsafe { update(&[slot]) };
    assert_eq!(p, parameters(n));
    for ((p, g), step) in p.iter().zip(g).zip(step) {
        assert!((step - 2.0 * (g * 0.5 + 0.5 * p).clamp(-0.25, 0.25)).abs() < 1e-15);
    }
}

#[test]
fn norms_of_all_sizes_and_orders() {
    for n in [0, 1, 31, 33, 70_000] {
        let x = parameters(n);
        for p in [0.5, 1.0, 2.0, 3.0] {
            let expected = x.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p);
            assert!((norm(&x, p) - expected).abs() <= 1e-12 * expected, "{n} {p}");
        }
        assert_eq!(norm(&x, f64::INFINITY), x.iter().fold(0.0, |a, x| f64::max(a, x.abs())));
    }
    assert!(norm(&[1.0f32, f32::NAN, 2.0], 2.0).is_nan());
    assert_eq!(norm(&[1.0, f64::NEG_INFINITY], 2.0), f64::INFINITY);
}
