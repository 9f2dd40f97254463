//! Programs in files: the same results from a file, and errors instead of harm.

#![cfg(feature = "safetensors")]
#![forbid(unsafe_code)]

use oxiflux::files::{self, Notes};
use oxiflux::{Chain, DType, Dense, Generator, Layer, Result, Tensor, ops, programs, withgradient};
use std::path::PathBuf;

/// A file of this test alone.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("oxiflux-{}-{name}.program", std::process::id()))
}

fn model(rng: &mut Generator) -> Result<Chain> {
    Ok(Chain::new()
        .then(Dense::new(4, 16, "relu", rng)?)
        .then(Dense::new(16, 3, "identity", rng)?)
        .map(|x| ops::softmax(x, -1)))
}

#[test]
fn a_program_gives_the_same_bits_from_a_file() -> Result<()> {
    let mut rng = Generator::new(0);
    let model = model(&mut rng)?;
    let (x, path) = (rng.randn(&[5, 4], DType::F32)?, path("same"));
    let program =
        programs::captured(&model, std::slice::from_ref(&x), |model, x| Ok(vec![model.call(&x[0])?]))?;
    programs::save(&path, &program)?;
    let loaded = programs::load(&path)?;
    std::fs::remove_file(&path).expect("it was written");
    for _ in 0..3 {
        let x = rng.randn(&[5, 4], DType::F32)?;
        let wanted = model.call(&x)?.to_vec::<f32>()?;
        assert_eq!(program.call(std::slice::from_ref(&x))?[0].to_vec::<f32>()?, wanted);
        assert_eq!(loaded.call(&[x])?[0].to_vec::<f32>()?, wanted);
    }
    assert_eq!(loaded.state().len(), 4);
    let one = &loaded.programs()[0];
    assert_eq!((one.argument(0), one.result(0)), ((&[5, 4][..], DType::F32), (&[5, 3][..], DType::F32)));
    let error = loaded.call(&[rng.randn(&[6, 4], DType::F32)?]).expect_err("the shape is another");
    assert!(error.to_string().contains("(6, 4)"), "{error}");
    Ok(())
}

#[test]
fn gradients_are_programs_too_but_none_is_taken_through_one() -> Result<()> {
    let mut rng = Generator::new(1);
    let model = Dense::new(4, 2, "tanh", &mut rng)?;
    let x = rng.randn(&[5, 4], DType::F32)?;
    let slopes = |model: &Dense, x: &[Tensor]| -> Result<Vec<Tensor>> {
        let (loss, g) = withgradient(|x| ops::sum(&model.call(x)?, oxiflux::Axes::All, false), &x[0])?;
        Ok(std::iter::once(loss).chain(g.into_iter().flatten()).collect())
    };
    let program = programs::captured(&model, std::slice::from_ref(&x), slopes)?;
    let (ours, theirs) = (program.call(std::slice::from_ref(&x))?, slopes(&model, std::slice::from_ref(&x))?);
    for (a, b) in ours.iter().zip(&theirs) {
        assert_eq!(a.to_vec::<f32>()?, b.to_vec::<f32>()?);
    }
    let through = |x: &Tensor| -> Result<Tensor> { Ok(program.call(std::slice::from_ref(x))?.remove(0)) };
    let error = withgradient(through, &x).expect_err("it has no gradient");
    assert!(error.to_string().contains("gradient"), "{error}");
    Ok(())
}

#[test]
fn what_looks_at_values_is_no_program() -> Result<()> {
    let x = Tensor::ones(&[3], DType::F32)?;
    let looks = |_: &Tensor, x: &[Tensor]| {
        let total = x[0].sum(oxiflux::Axes::All, false)?.item()?;
        Ok(vec![if total > 1.0 { x[0].clone() } else { x[0].sqrt()? }])
    };
    let error = programs::captured(&x, std::slice::from_ref(&x), looks).expect_err("it looks");
    assert!(error.to_string().contains("looked at"), "{error}");
    Ok(())
}

#[test]
fn a_file_without_a_program_is_an_error() -> Result<()> {
    let path = path("none");
    files::write(&path, &[], &Notes::from([("oxiflux".into(), "{}".into())]))?;
    let error = programs::load(&path).expect_err("there is none");
    assert!(error.to_string().contains("there is no program"), "{error}");
    files::write(&path, &[], &Notes::from([("oxiflux.program".into(), "{".into())]))?;
    let error = programs::load(&path).expect_err("it is no description");
    assert!(error.to_string().contains("not valid"), "{error}");
    std::fs::remove_file(&path).expect("it was written");
    Ok(())
}

#[test]
fn names_in_files_are_told_apart() {
    let mut names: Vec<&str> = ops::readers().map(|reader| reader.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// What Python wrote of a step of training, `flux.save(path, step)`: a dense layer of two inputs, its mean squared error, and
/// Adam with a rate of 0.1.
const STEP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/step.program");

#[test]
fn a_step_of_training_goes_on_from_a_file() -> Result<()> {
    let (x, y) = (Tensor::from([[1.0f32, 2.0], [0.5, -1.0]]), Tensor::from([[1.0f32], [-1.0]]));
    let loss = |step: &programs::Programs| -> Result<f64> { step.call(&[x.clone(), y.clone()])?[0].item() };
    let values = |step: &programs::Programs| -> Result<Vec<(String, Vec<f64>)>> {
        step.state().into_iter().map(|(name, x)| Ok((name, x.to_vec::<f64>()?))).collect()
    };
    let whole = programs::load(STEP.as_ref())?;
    let losses = (0..40).map(|_| loss(&whole)).collect::<Result<Vec<f64>>>()?;
    assert!(losses[39] < losses[0] / 10.0, "{losses:?}");

    let (part, path) = (programs::load(STEP.as_ref())?, path("step"));
    for wanted in &losses[..20] {
        assert_eq!(loss(&part)?, *wanted);
    }
    programs::save(&path, &part)?;
    let resumed = programs::load(&path)?;
    std::fs::remove_file(&path).expect("it was written");
    for wanted in &losses[20..] {
        assert_eq!(loss(&resumed)?, *wanted);
    }
    assert_eq!(values(&resumed)?, values(&whole)?);

    // Without a rate, parameters stay; what cannot be set stays, too.
    let kept = |name: &str| name == "model.weight" || name == "model.bias";
    let parameters = |step: &programs::Programs| -> Result<Vec<(String, Vec<f64>)>> {
        Ok(values(step)?.into_iter().filter(|(name, _)| kept(name)).collect())
    };
    let before = parameters(&whole)?;
    assert_eq!(before.len(), 2);
    whole.set("Adam.eta", &Tensor::from(0.0f64))?;
    loss(&whole)?;
    assert_eq!(parameters(&whole)?, before);
    let error = whole.set("Adam.rate", &Tensor::from(0.0f64)).expect_err("there is none");
    assert!(error.to_string().contains("Adam.rate"), "{error}");
    let error = whole.set("Adam.eta", &Tensor::from(0.0f32)).expect_err("it is of another type");
    assert!(error.to_string().contains("float32"), "{error}");
    Ok(())
}
