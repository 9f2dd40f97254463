//! Trains a network of two hidden layers in pure Rust to tell two spirals apart.
//!
//! `cargo run --release --example spirals`
#![allow(clippy::print_stdout)] // a program talks

use oxiflux::gradient::withgradient;
use oxiflux::kernels::random::{self, Place};
use oxiflux::kernels::update::Adam;
use oxiflux::optim::{Parameter, step};
use oxiflux::{Array, DType, Result, Tensor, ops};

const POINTS: usize = 400;

/// Points on two spirals, one turned by half a circle, and which spiral each is on.
fn spirals() -> Result<(Tensor, Tensor)> {
    let (mut xy, mut labels) = (Vec::new(), Vec::new());
    for i in 0..POINTS {
        let spiral = i % 2;
        let t = i as f32 / POINTS as f32;
        let angle = 9.0 * t + std::f32::consts::PI * spiral as f32;
        xy.extend([t * angle.cos(), t * angle.sin()]);
        labels.push(spiral as i64);
    }
    Ok((Array::from_slice(&[POINTS, 2], &xy)?.into(), Array::from_slice(&[POINTS], &labels)?.into()))
}

/// A weight drawn from a normal distribution (He et al. 2015) and a bias of zeros.
fn layer(place: &mut Place, inputs: usize, outputs: usize) -> Result<[Array; 2]> {
    let mut weight = vec![0f32; inputs * outputs];
    // SAFETY: the vector has that many elements.
    *place = unsafe { random::normal(*place, weight.len(), weight.as_mut_ptr()) };
    let scale = (2.0 / inputs as f32).sqrt();
    weight.iter_mut().for_each(|w| *w *= scale);
    Ok([Array::from_slice(&[inputs, outputs], &weight)?, Array::filled("bias", &[outputs], 0.0, DType::F32)?])
}

/// The logits of the network whose weights and biases alternate in `p`.
fn network(x: &Tensor, p: &[Tensor]) -> Result<Tensor> {
    let tanh = Some(ops::activation("tanh")?);
    let h = ops::dense(x, &p[0], Some(&p[1]), tanh)?;
    let h = ops::dense(&h, &p[2], Some(&p[3]), tanh)?;
    ops::dense(&h, &p[4], Some(&p[5]), None)
}

fn main() -> Result<()> {
    let (x, y) = spirals()?;
    let mut place = Place { key: 1, counter: 0 };
    let mut parameters = Vec::new();
    for (inputs, outputs) in [(2, 32), (32, 32), (32, 2)] {
        parameters.extend(layer(&mut place, inputs, outputs)?);
    }
    let zeros = |a: &Array| Array::filled("state", a.shape(), 0.0, DType::F32);
    let mut state = parameters.iter().map(|p| Ok([zeros(p)?, zeros(p)?])).collect::<Result<Vec<_>>>()?;
    let mut rule = Adam { eta: 0.01, ..Adam::default() };

    for epoch in 0..=500 {
        let tensors: Vec<Tensor> = parameters.iter().cloned().map(Tensor::from).collect();
        let (loss, grads) = withgradient(|p| ops::logitcrossentropy_mean(&network(&x, p)?, &y), &tensors)?;
        if epoch % 100 == 0 {
            let right = ops::equal(&ops::argmax(&network(&x, &tensors)?, 1.into(), false)?, &y)?;
            let accuracy = ops::mean(&right, oxiflux::shape::Axes::All, false)?.item()?;
            println!("epoch {epoch:3}  loss {:.4}  accuracy {accuracy:.3}", loss.item()?);
        }
        drop(tensors);
        let mut step_of = Vec::new();
        for ((value, s), grad) in parameters.drain(..).zip(state.drain(..)).zip(grads) {
            let grad = grad.map_or_else(|| zeros(&value), |g| Ok(g.into_array()))?;
            step_of.push(Parameter { value, rounded: None, grad, state: s.into_iter().collect() });
        }
        step(rule, &mut step_of)?;
        rule.beta_t = (rule.beta_t.0 * rule.beta.0, rule.beta_t.1 * rule.beta.1);
        for p in step_of {
            parameters.push(p.value);
            let mut s = p.state.into_iter();
            if let (Some(m), Some(v)) = (s.next(), s.next()) {
                state.push([m, v]);
            }
        }
    }
    Ok(())
}
