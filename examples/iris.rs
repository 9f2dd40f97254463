//! Tells three species of iris apart (Fisher 1936): 120 flowers to learn from, 30 others to be tested on.
//!
//! `cargo run --release --example iris`

use oxiflux::{Adam, Axes, Chain, DType, Dense, Generator, Layer, Result, Tensor, index, ops, withgradient};

/// Flowers, of five those that `takes` takes: their four measures in cm, and their species.
fn flowers(takes: impl Fn(usize) -> bool) -> Result<(Tensor, Tensor)> {
    let lines = include_str!("iris.csv").lines().skip(1).enumerate().filter(|(i, _)| takes(i % 5));
    let numbers: Vec<f32> = lines.flat_map(|(_, line)| line.split(',').flat_map(str::parse)).collect();
    let table = Tensor::from_slice(&[numbers.len() / 5, 5], &numbers)?;
    Ok((table.index(index![.., ..4])?, table.index(index![.., 4])?.cast(DType::I64)?))
}

/// Learns for some epochs and gives the part of the test flowers that it then knows.
pub(crate) fn train(epochs: usize) -> Result<f64> {
    let (x, y) = flowers(|fifth| fifth > 0)?;
    let mut rng = Generator::new(0);
    let mut model = Chain::new()
        .then(Dense::new(4, 16, "relu", &mut rng)?)
        .then(Dense::new(16, 3, "identity", &mut rng)?);
    let mut adam = Adam::new(0.01);
    for _ in 0..epochs {
        let (_, gradient) = withgradient(|m| ops::logitcrossentropy_mean(&m.call(&x)?, &y), &model)?;
        adam.update(&mut model, &gradient)?;
    }
    let (x, y) = flowers(|fifth| fifth == 0)?;
    model.call(&x)?.argmax(1, false)?.equal(&y)?.mean(Axes::All, false)?.item()
}

#[allow(clippy::print_stdout)] // a program talks
fn main() -> Result<()> {
    println!("{:.1} % of the flowers are known", 100.0 * train(200)?);
    Ok(())
}
