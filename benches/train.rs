//! A training step in pure Rust: the gradient of a network and one step of Adam. `cargo bench --bench train`.

use criterion::{Criterion, criterion_group, criterion_main};
use oxiflux::gradient::withgradient;
use oxiflux::kernels::random::{self, Place};
use oxiflux::kernels::update::Adam;
use oxiflux::optim::{Parameter, step};
use oxiflux::{Array, DType, Result, Tensor, ops};

fn normal(place: &mut Place, shape: &[usize], scale: f32) -> Result<Array> {
    let mut values = vec![0f32; shape.iter().product()];
    // SAFETY: the vector has that many elements.
    *place = unsafe { random::normal(*place, values.len(), values.as_mut_ptr()) };
    values.iter_mut().for_each(|v| *v *= scale);
    Array::from_slice(shape, &values)
}

/// A perceptron with its data and its optimiser's state.
struct Training {
    x: Tensor,
    y: Tensor,
    parameters: Vec<Parameter>,
    rule: Adam,
}

impl Training {
    fn new(sizes: &[usize], batch: usize) -> Result<Training> {
        let mut place = Place { key: 1, counter: 0 };
        let x = normal(&mut place, &[batch, sizes[0]], 1.0)?.into();
        let labels: Vec<i64> = (0..batch).map(|i| (i * 7 % sizes[sizes.len() - 1]) as i64).collect();
        let mut parameters = Vec::new();
        for w in sizes.windows(2) {
            let weight = normal(&mut place, &[w[0], w[1]], (2.0 / w[0] as f32).sqrt())?;
            for value in [weight, Array::filled("bias", &[w[1]], 0.0, DType::F32)?] {
                let zero = || Array::filled("state", value.shape(), 0.0, DType::F32);
                let state = [zero()?, zero()?].into_iter().collect();
                parameters.push(Parameter { grad: zero()?, value, rounded: None, state });
            }
        }
        Ok(Training { x, y: Array::from_slice(&[batch], &labels)?.into(), parameters, rule: Adam::default() })
    }

    fn step(&mut self) -> Result<f64> {
        let values: Vec<Tensor> = self.parameters.iter().map(|p| p.value.clone().into()).collect();
        let (loss, grads) = withgradient(
            |p| {
                let mut h = self.x.clone();
                let layers = p.len() / 2;
                for (i, layer) in p.chunks(2).enumerate() {
                    let relu = Some(ops::activation("relu")?).filter(|_| i + 1 < layers);
                    h = ops::dense(&h, &layer[0], Some(&layer[1]), relu)?;
                }
                ops::logitcrossentropy_mean(&h, &self.y)
            },
            &values,
        )?;
        drop(values);
        for (p, g) in self.parameters.iter_mut().zip(grads) {
            if let Some(g) = g {
                p.grad = g.into_array();
            }
        }
        step(self.rule, &mut self.parameters)?;
        self.rule.beta_t = (self.rule.beta_t.0 * self.rule.beta.0, self.rule.beta_t.1 * self.rule.beta.1);
        loss.item()
    }
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("training step");
    for batch in [32, 64, 128] {
        let mut training = Training::new(&[784, 512, 256, 10], batch).expect("memory");
        group.bench_function(format!("784-512-256-10, Adam, batch {batch}"), |b| b.iter(|| training.step()));
    }
    let mut tiny = Training::new(&[10, 32, 32, 2], 32).expect("memory");
    group.bench_function("10-32-32-2, Adam, batch 32", |b| b.iter(|| tiny.step()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).without_plots();
    targets = steps
}
criterion_main!(benches);
