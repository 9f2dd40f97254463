//! Every operation that has a case to check, on the shapes of that case: `cargo bench --bench ops`.

use criterion::{Criterion, criterion_group, criterion_main};
use oxiflux::{Array, Tensor, ops};
use std::hint::black_box;

/// Values spread over an interval.
fn spread(shape: &[usize], (low, high): (f64, f64)) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..n).map(|i| (low + (high - low) * (i as f64 + 0.5) / n as f64) as f32).collect();
    Array::from_slice(shape, &values).expect("memory").into()
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("ops");
    for op in ops::OPS.iter().flat_map(|file| file.iter()) {
        if let Some(case) = op.cases.first() {
            let inputs: Vec<Tensor> = case.shapes.iter().map(|s| spread(s, case.domain)).collect();
            group.bench_function(op.name, |b| b.iter(|| black_box((case.f)(black_box(&inputs)))));
        }
    }
    group.finish();
    let mut group = c.benchmark_group("ops on 2^20 numbers");
    for name in ["relu", "tanh", "sigmoid", "gelu", "exp"] {
        let Some(case) =
            ops::OPS.iter().flat_map(|f| f.iter()).find(|op| op.name == name).and_then(|op| op.cases.first())
        else {
            continue;
        };
        let x = [spread(&[1 << 20], case.domain)];
        group.bench_function(name, |b| b.iter(|| black_box((case.f)(black_box(&x)))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_millis(200)).warm_up_time(std::time::Duration::from_millis(50)).without_plots();
    targets = operations
}
criterion_main!(benches);
