//! What a user of the crate writes: conversions, operators, random tensors, layers and training. Nothing here is `unsafe`.

#![forbid(unsafe_code)]

use ndarray::{Array2, array};
use oxiflux::{
    Adam, Array, Axes, Chain, DType, Dense, Error, Generator, Layer, Result, Tensor, Trainable, index, ops,
    withgradient,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn numbers_arrays_and_vectors_become_tensors() -> Result<()> {
    let shapes = [
        (Tensor::from(2.5f32), vec![], DType::F32),
        (Tensor::from([true, false]), vec![2], DType::Bool),
        (Tensor::from([[1u8; 3]; 2]), vec![2, 3], DType::U8),
        (Tensor::from([[[1.0; 4]; 3]; 2]), vec![2, 3, 4], DType::F64),
        (Tensor::from(vec![1i64; 5]), vec![5], DType::I64),
        (Tensor::from(&[1i16, 2][..]), vec![2], DType::I16),
        (Tensor::from(Vec::<f32>::new()), vec![0], DType::F32),
        (Tensor::from([[0.0f32; 0]; 3]), vec![3, 0], DType::F32),
        (Tensor::zeros(&[2, 0], DType::F16)?, vec![2, 0], DType::F16),
        (Tensor::full(&[3], 7u32)?, vec![3], DType::U32),
    ];
    for (x, shape, dtype) in shapes {
        assert_eq!((x.shape(), x.dtype()), (&shape[..], dtype));
    }
    assert_eq!(Tensor::from([[1, 2], [3, 4]]).to_vec::<i32>()?, [1, 2, 3, 4]);
    assert_eq!(Tensor::ones(&[2], DType::BF16)?.to_vec::<f32>()?, [1.0, 1.0]);
    assert!(matches!(Tensor::zeros(&[1 << 40, 1 << 40], DType::F32), Err(Error::Memory { .. })));
    assert!(matches!(Tensor::from_slice(&[2, 2], &[1.0]), Err(Error::Shape(_))));
    Ok(())
}

#[test]
fn ndarray_goes_in_and_comes_out_whatever_its_layout() -> Result<()> {
    let a = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let mut reversed = a.view();
    reversed.invert_axis(ndarray::Axis(1));
    for view in [a.view(), a.t(), reversed] {
        let x = Tensor::from(&view);
        assert_eq!(x.to_ndarray::<f32>()?, view.to_owned().into_dyn());
        assert_eq!(x.array().as_ndarray::<f32>(), Some(view.to_owned().into_dyn().view()));
    }
    let x = Tensor::from(a).permute_dims([1, 0])?;
    assert_eq!(x.to_ndarray::<i64>()?, array![[1, 4], [2, 5], [3, 6]].into_dyn());
    assert_eq!(Tensor::from(Array2::<u8>::zeros((0, 4))).to_ndarray::<u8>()?.shape(), [0, 4]);
    let long = Tensor::from(Array::from_slice(&[0], &[0f64; 0])?.reshape(&[1 << 40, 0, 1 << 40])?);
    assert!(matches!(long.to_ndarray::<f64>(), Err(Error::Shape(_))));
    Ok(())
}

#[test]
fn operators_take_tensors_and_numbers_by_value_and_by_reference() -> Result<()> {
    let (a, b) = (Tensor::from([6.0f32, 8.0]), Tensor::from([2.0f32, 4.0]));
    let results = [
        (&a + &b, [8.0, 12.0]),
        (a.clone() - &b, [4.0, 4.0]),
        (&a * b.clone(), [12.0, 32.0]),
        (a.clone() / b.clone(), [3.0, 2.0]),
        (-&a + 1.0, [-5.0, -7.0]),
        (1.0 - &b, [-1.0, -3.0]),
        (24.0 / a.clone(), [4.0, 3.0]),
        (-(&a * 0.5), [-3.0, -4.0]),
    ];
    for (result, wanted) in results {
        assert_eq!((result.dtype(), result.to_vec::<f64>()?), (DType::F32, wanted.to_vec()));
    }
    let halves = Tensor::from([1, 2]) * 0.5;
    assert_eq!((halves.dtype(), halves.to_vec::<f64>()?), (DType::F32, vec![0.5, 1.0]));
    Ok(())
}

#[test]
fn an_operator_panics_with_the_message_that_the_method_gives() {
    let (a, b) = (Tensor::from([1.0, 2.0]), Tensor::from([1.0, 2.0, 3.0]));
    let message = a.add(&b).expect_err("the shapes differ").to_string();
    assert!(message.contains("(2,)") && message.contains("(3,)"), "{message}");
    let panic = catch_unwind(AssertUnwindSafe(|| &a + &b)).expect_err("the shapes differ");
    assert_eq!(panic.downcast_ref::<String>(), Some(&message));
    // A gradient that is left by a panic records nothing afterwards.
    let left = catch_unwind(AssertUnwindSafe(|| withgradient(|x| Ok::<_, Error>(x + &b), &a)));
    assert!(left.is_err() && !oxiflux::tape::is_recording());
}

#[test]
fn indices_are_written_as_ranges() -> Result<()> {
    let x = Tensor::from([[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    assert_eq!(x.index(index![-1])?.to_vec::<i32>()?, [7, 8, 9]);
    assert_eq!(x.index(index![1.., ..2])?.to_vec::<i32>()?, [4, 5, 7, 8]);
    assert_eq!(x.index(index![.., ..-1])?.to_vec::<i32>()?, [1, 2, 4, 5, 7, 8]);
    assert_eq!(x.index(index![&Tensor::from([2, 0]), 1])?.to_vec::<i32>()?, [8, 2]);
    assert_eq!(x.index(index![ops::Index::Ellipsis, 2])?.to_vec::<i32>()?, [3, 6, 9]);
    assert!(matches!(x.index(index![3]), Err(Error::Index(_))));
    Ok(())
}

#[test]
fn a_seed_gives_the_same_numbers_again_and_a_failed_draw_none() -> Result<()> {
    let draw = |rng: &mut Generator| -> Result<Vec<Vec<f64>>> {
        let all = [
            rng.rand(&[70], DType::F32)?,
            rng.randn(&[3, 5], DType::F64)?,
            rng.randint(-2, 3, &[50])?,
            rng.randperm(20)?,
            rng.rand(&[100], DType::F16)?,
        ];
        all.iter().map(Tensor::to_vec).collect()
    };
    let (mut a, mut b) = (Generator::new(5), Generator::new(5));
    let first = draw(&mut a)?;
    assert!(matches!(b.rand(&[2], DType::I64), Err(Error::DType(_))));
    assert!(matches!(b.randn(&[1 << 40, 1 << 20], DType::F32), Err(Error::Memory { .. })));
    assert!(matches!(b.randint(3, 3, &[1]), Err(Error::Value(_))));
    assert_eq!(first, draw(&mut b)?);
    assert_ne!(first, draw(&mut b)?);
    assert!(first[0].iter().chain(&first[4]).all(|x| (0.0..1.0).contains(x)));
    assert!(first[2].iter().all(|x| (-2.0..3.0).contains(x)));
    let [mut left, mut right] = a.split(2)?[..] else { panic!("two were asked for") };
    assert_ne!(left.rand(&[4], DType::F32)?.to_vec::<f32>()?, right.rand(&[4], DType::F32)?.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn dropout_moves_its_stream_on_by_what_it_draws() -> Result<()> {
    let (mut a, mut b) = (Generator::new(1), Generator::new(1));
    let x = Tensor::ones(&[300], DType::F32)?;
    let half = ops::Fate { keep: 0.5, scale: 1.0, shift: 0.0, dropped: 0.0 };
    let draw = |rng: &mut Generator| ops::dropout(&x, rng, half)?.to_vec::<f32>();
    let first = draw(&mut a)?;
    for keep in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(ops::dropout(&x, &mut b, ops::Fate { keep, ..half }), Err(Error::Value(_))));
    }
    assert_eq!(draw(&mut b)?, first);
    assert_ne!(draw(&mut b)?, first);
    assert_eq!(draw(&mut b)?, {
        draw(&mut a)?;
        draw(&mut a)?
    });
    Ok(())
}

#[test]
fn a_name_that_there_is_not_is_an_error_that_lists_those_that_there_are() {
    let error = Dense::new(2, 2, "rleu", &mut Generator::new(0)).expect_err("there is no rleu").to_string();
    assert!(error.contains("rleu") && error.contains("relu") && error.contains("tanh"), "{error}");
}

#[test]
fn what_holds_parameters_has_those_of_all_in_order() -> Result<()> {
    let t = |x: f64| Tensor::from(x);
    let mut model = (t(1.0), [t(2.0), t(3.0)], vec![Some(t(4.0)), None], (t(5.0),));
    let values: Vec<f64> = model.parameters().into_iter().map(|p| p.item()).collect::<Result<_>>()?;
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0]);
    let (_, gradient) = withgradient(|m| Ok::<_, Error>(&m.0 * &m.1[1] * 2.0), &model)?;
    let gradient: Vec<Option<f64>> =
        gradient.iter().map(|g| g.as_ref().map(Tensor::item).transpose()).collect::<Result<_>>()?;
    assert_eq!(gradient, [Some(6.0), None, Some(2.0), None, None]);
    Ok(())
}

#[test]
fn adam_makes_the_steps_of_its_formula_for_each_parameter_that_has_a_gradient() -> Result<()> {
    let mut model = [Tensor::from([1.0, -2.0]), Tensor::from([3.0f64])];
    let held = model[0].clone();
    let mut adam = Adam::new(0.1);
    let (mut m, mut v, mut p) = ([0.0; 2], [0.0; 2], [1.0f64, -2.0]);
    for t in 1..6 {
        let (_, mut gradient) = withgradient(|x| (&x[0] * &x[0] * &x[0]).sum(Axes::All, false), &model)?;
        assert!(gradient[1].is_none());
        if t == 3 {
            gradient[0] = None; // a step that it sits out
        }
        adam.update(&mut model, &gradient)?;
        let t = match t {
            3 => continue,
            t => {
                if t < 3 {
                    t
                } else {
                    t - 1
                }
            }
        };
        for i in 0..2 {
            let g = 3.0 * p[i] * p[i];
            (m[i], v[i]) = (0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g * g);
            p[i] -= 0.1 * (m[i] / (1.0 - 0.9f64.powi(t))) / ((v[i] / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
        }
        for (got, want) in model[0].to_vec::<f64>()?.iter().zip(p) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
    }
    // What somebody else holds stays what it was.
    assert_eq!((held.to_vec::<f64>()?, model[1].item()?), (vec![1.0, -2.0], 3.0));
    Ok(())
}

#[test]
fn a_step_that_does_not_fit_changes_nothing() -> Result<()> {
    let mut model = [Tensor::from([1.0, 2.0]), Tensor::from([3.0, 4.0])];
    let mut adam = Adam::new(0.1);
    let good = [Some(Tensor::from([1.0, 1.0])), Some(Tensor::from([1.0, 1.0]))];
    adam.update(&mut model, &good)?;
    let before: Vec<Vec<f64>> = model.iter().map(Tensor::to_vec).collect::<Result<_>>()?;
    let wrong_shape = [good[0].clone(), Some(Tensor::from(1.0))];
    assert!(matches!(adam.update(&mut model, &wrong_shape), Err(Error::Shape(_))));
    assert!(matches!(adam.update(&mut model, &good[..1]), Err(Error::Value(_))));
    assert!(matches!(adam.update(&mut model[0], &good[..1]), Err(Error::Value(_))));
    let mut integers = Tensor::from([1, 2]);
    assert!(Adam::new(0.1).update(&mut integers, &good[..1]).is_err());
    assert_eq!(integers.to_vec::<i32>()?, [1, 2]);
    let after: Vec<Vec<f64>> = model.iter().map(Tensor::to_vec).collect::<Result<_>>()?;
    assert_eq!(before, after);
    adam.update(&mut model, &good)
}

#[test]
fn a_chain_is_cloned_and_trained_apart() -> Result<()> {
    let mut rng = Generator::new(3);
    let mut model = Chain::new().then(Dense::new(3, 4, "softplus", &mut rng)?).map(|x| x.square());
    let copy = model.clone();
    let x = rng.randn(&[6, 3], DType::F32)?;
    let before = copy.call(&x)?.to_vec::<f32>()?;
    let (_, gradient) = withgradient(|m| m.call(&x)?.mean(Axes::All, false), &model)?;
    assert!(gradient.len() == 2 && gradient.iter().all(Option::is_some));
    Adam::new(0.1).update(&mut model, &gradient)?;
    assert_eq!(copy.call(&x)?.to_vec::<f32>()?, before);
    assert_ne!(model.call(&x)?.to_vec::<f32>()?, before);
    assert!(model.call(&Tensor::from([1.0, 2.0])).is_err());
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    is_shared(&model);
    Ok(())
}
