//! A training step in pure Rust: the gradient of a network and one step of Adam. `cargo bench --bench train`.

use criterion::{Criterion, criterion_group, criterion_main};
use oxiflux::{Adam, Chain, DType, Dense, Generator, Layer, Result, Tensor, ops, withgradient};

/// A perceptron with its data and its optimiser.
struct Training {
    x: Tensor,
    y: Tensor,
    model: Chain,
    adam: Adam,
}

impl Training {
    fn new(sizes: &[usize], batch: usize) -> Result<Training> {
        let mut rng = Generator::new(1);
        let x = rng.randn(&[batch, sizes[0]], DType::F32)?;
        let y = rng.randint(0, sizes[sizes.len() - 1] as i64, &[batch])?;
        let mut model = Chain::new();
        for (i, w) in sizes.windows(2).enumerate() {
            let activation = if i + 2 < sizes.len() { "relu" } else { "identity" };
            model = model.then(Dense::new(w[0], w[1], activation, &mut rng)?);
        }
        Ok(Training { x, y, model, adam: Adam::new(0.001) })
    }

    fn step(&mut self) -> Result<f64> {
        let loss = |m: &Chain| ops::logitcrossentropy_mean(&m.call(&self.x)?, &self.y);
        let (loss, gradient) = withgradient(loss, &self.model)?;
        self.adam.update(&mut self.model, &gradient)?;
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
