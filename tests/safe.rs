//! Safe code cannot break memory, nor go on without a word: every public way to an array's elements, tried with what does
//! not fit. The compiler vouches that nothing here is `unsafe`.

#![forbid(unsafe_code)]

use oxiflux::array::Range;
use oxiflux::gradient::{backward, withgradient};
use oxiflux::kernels::update::Descent;
use oxiflux::ops::{self, Index};
use oxiflux::optim::{Parameter, step};
use oxiflux::shape::Axes;
use oxiflux::tape::{Paused, Scope, is_recording, is_training};
use oxiflux::{Array, DType, Error, Result, Tensor};

fn counting(shape: &[usize]) -> Result<Array> {
    Array::from_fn("counting", shape, |i| i as f32)
}

fn range(start: usize, step: isize, length: usize) -> Range {
    Range { start, step, length }
}

#[test]
fn elements_are_read_and_written_as_what_they_are_alone() -> Result<()> {
    let mut a = counting(&[4])?;
    assert!(a.as_slice::<f64>().is_none() && a.as_slice::<u32>().is_none() && a.as_slice::<bool>().is_none());
    assert!(a.as_ndarray::<f64>().is_none());
    assert!(matches!(a.make_mut::<f64>(), Err(Error::DType(_))));
    assert!(matches!(a.make_mut::<i32>(), Err(Error::DType(_))));
    a.make_mut::<f32>()?[3] = -1.0;
    assert_eq!(a.as_slice::<f32>(), Some(&[0.0, 1.0, 2.0, -1.0][..]));
    // A byte is not a truth value.
    let bytes = Array::from_slice(&[3], &[0u8, 1, 2])?;
    assert!(bytes.as_slice::<bool>().is_none());
    assert_eq!(bytes.to_vec::<bool>()?, [false, true, true]);
    Ok(())
}

#[test]
fn an_array_is_made_of_elements_that_were_all_written() -> Result<()> {
    assert_eq!(
        Array::from_fn("", &[2, 3], |i| i % 2 == 0)?.to_vec::<bool>()?,
        [true, false, true, false, true, false]
    );
    assert!(Array::from_fn("", &[2, 0], |_| 1i64)?.to_vec::<i64>()?.is_empty());
    assert!(matches!(Array::from_slice(&[3], &[1.0]), Err(Error::Shape(_))));
    assert!(matches!(Array::from_slice(&[usize::MAX, 2], &[1.0]), Err(Error::Shape(_))));
    assert!(matches!(Array::from_fn("", &[usize::MAX, 2], |_| 1.0), Err(Error::Memory { .. })));
    assert!(matches!(Array::full("", &[1 << 40, 1 << 20], 1u8), Err(Error::Memory { .. })));
    assert_eq!(
        Array::from_ndarray(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].t())?.to_vec::<f32>()?,
        [1.0, 3.0, 2.0, 4.0]
    );
    Ok(())
}

#[test]
fn writing_never_changes_what_another_holds() -> Result<()> {
    let mut a = counting(&[2, 2])?;
    let (before, mut row) = (a.clone(), a.slice(&[range(1, 1, 1), Range::all(2)])?);
    a.make_mut::<f32>()?.fill(9.0);
    row.make_mut::<f32>()?.fill(7.0);
    assert_eq!(before.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!((a.to_vec::<f32>()?, row.to_vec::<f32>()?), (vec![9.0; 4], vec![7.0; 2]));
    Ok(())
}

#[test]
fn a_slice_that_leaves_its_array_is_an_error() -> Result<()> {
    let a = counting(&[4])?;
    let wrong = [
        range(4, 1, 1),
        range(0, 1, 5),
        range(2, 1, 3),
        range(0, 3, 3),
        range(0, -1, 2),
        range(3, -2, 3),
        range(usize::MAX, 1, 1),
        range(0, isize::MAX, 3),
        range(1, isize::MIN, 2),
        range(0, 1, usize::MAX),
        range(3, isize::MAX, 2),
    ];
    for r in wrong {
        assert!(matches!(a.slice(&[r]), Err(Error::Index(_))), "{r:?}");
        assert!(Tensor::from(a.clone()).slice(&[r]).is_err(), "{r:?}");
    }
    assert!(a.slice(&[]).is_err() && a.slice(&[Range::all(4), Range::all(1)]).is_err());
    assert_eq!(a.slice(&[range(3, -3, 2)])?.to_vec::<f32>()?, [3.0, 0.0]);
    assert_eq!(a.slice(&[range(2, isize::MIN, 1)])?.to_vec::<f32>()?, [2.0]);
    assert!(a.slice(&[range(9, 5, 0)])?.to_vec::<f32>()?.is_empty());
    // Of several ranges each has to fit, even where another is empty.
    assert!(counting(&[2, 2])?.slice(&[range(0, 1, 0), range(2, 1, 1)]).is_err());
    // Overlapping elements are read like others.
    assert_eq!(a.slice(&[range(1, 0, 3)])?.to_vec::<f32>()?, [1.0; 3]);
    Ok(())
}

#[test]
fn axes_that_are_not_there_or_given_twice_are_an_error() -> Result<()> {
    let a = counting(&[2, 3])?;
    for order in [&[0usize, 0][..], &[0], &[0, 1, 1], &[1, 2], &[0, usize::MAX], &[]] {
        assert!(matches!(a.permute(order), Err(Error::Value(_))), "{order:?}");
    }
    assert_eq!(a.permute(&[1, 0])?.to_vec::<f32>()?, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    for (i, j) in [(0, 0), (1, 1), (0, 2), (2, 0), (usize::MAX, 0)] {
        assert!(matches!(a.diagonal(i, j), Err(Error::Index(_))), "{i} {j}");
    }
    assert_eq!(a.diagonal(1, 0)?.to_vec::<f32>()?, [0.0, 4.0]);
    assert!(Array::scalar(1.0)?.diagonal(0, 0).is_err() && Array::scalar(1.0)?.permute(&[0]).is_err());
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_an_error() -> Result<()> {
    let a = counting(&[2, 3])?;
    assert!(a.reshape(&[7]).is_err() && a.reshape(&[usize::MAX, 2]).is_err() && a.reshape(&[0]).is_err());
    assert!(
        a.broadcast_to(&[3, 3]).is_err() && a.broadcast_to(&[3]).is_err() && a.broadcast_to(&[]).is_err()
    );
    assert!(a.broadcast_to(&[usize::MAX, usize::MAX, 2, 3]).is_err());
    // Views of views end where their elements end.
    let wide = a.slice(&[Range::all(2), range(2, -2, 2)])?.broadcast_to(&[3, 2, 2])?.permute(&[2, 0, 1])?;
    assert_eq!(wide.to_vec::<f32>()?, [2.0, 5.0, 2.0, 5.0, 2.0, 5.0, 0.0, 3.0, 0.0, 3.0, 0.0, 3.0]);
    assert_eq!(wide.reshape(&[12])?.to_vec::<f32>()?, wide.to_vec::<f32>()?);
    // An empty array may have long axes.
    let empty = counting(&[0])?.reshape(&[1 << 40, 0, 1 << 40])?;
    assert!(empty.to_vec::<f32>()?.is_empty() && empty.as_ndarray::<f32>().is_none());
    assert!(empty.permute(&[1, 2, 0])?.cast(DType::F64)?.contiguous()?.to_vec::<f64>()?.is_empty());
    Ok(())
}

#[test]
fn indices_are_checked_whatever_their_type() -> Result<()> {
    let x = Tensor::from(counting(&[3])?);
    let key = |a: Array| [Index::Array(a)];
    for wrong in [-4i64, 3, 1 << 40, i64::MIN, i64::MAX] {
        let wrong = Array::from_slice(&[1], &[wrong])?;
        assert!(matches!(ops::index(&x, &key(wrong.clone())), Err(Error::Index(_))));
        assert!(ops::take(&x, &wrong.clone().into(), 0).is_err());
        assert!(
            ops::scatter(&x.index(&[Index::At(0), Index::NewAxis])?, &wrong.clone().into(), 3, "+".into(), 0)
                .is_err()
        );
        let logits = Tensor::from(counting(&[1, 3])?);
        assert!(ops::logitcrossentropy_labels(&logits, &wrong.clone().into()).is_err());
        assert!(ops::ctc_loss(&logits, &wrong.into()).is_err());
    }
    // A mask of another type is as true as its numbers are.
    let mask = Index::Mask(Array::from_slice(&[3], &[2.0f32, 0.0, -1.0])?);
    assert_eq!(ops::index(&x, &[mask])?.to_vec::<f32>()?, [0.0, 2.0]);
    let mut target = counting(&[3])?;
    let past = Index::Array(Array::from_slice(&[1], &[3i64])?);
    assert!(ops::assign(&mut target, &[past], &Array::scalar(1.0f32)?).is_err());
    Ok(())
}

#[test]
fn a_gradient_that_comes_in_is_given_the_type_and_shape_of_its_result() -> Result<()> {
    let x = Tensor::from(Array::from_fn("", &[64, 64], |i| i as f64)?);
    let scope = Scope::enter();
    let v = scope.watch(&x)?;
    let y = v.matmul(&v)?;
    let trace = scope.close();
    let one = Tensor::from(Array::scalar(1.0f32)?);
    let grads = backward(&trace, &[(y.clone(), one)], std::slice::from_ref(&v), true)?;
    assert_eq!(grads[0].as_ref().map(Tensor::dtype), Some(DType::F64));
    let odd = Tensor::from(counting(&[7])?);
    assert!(backward(&trace, &[(y, odd)], &[v], true).is_err());
    Ok(())
}

#[test]
fn an_update_of_what_does_not_fit_is_an_error() -> Result<()> {
    let parameter =
        |value: Array, grad: Array, rounded| Parameter { value, grad, rounded, state: Default::default() };
    let (short, long) = (counting(&[2])?, counting(&[4])?);
    assert!(step(Descent { eta: 0.1 }, &mut [parameter(long.clone(), short.clone(), None)]).is_err());
    assert!(
        step(Descent { eta: 0.1 }, &mut [parameter(long.cast(DType::I32)?, long.clone(), None)]).is_err()
    );
    let half = long.cast(DType::F16)?;
    assert!(
        step(Descent { eta: 0.1 }, &mut [parameter(half.clone(), long.clone(), Some(half.clone()))]).is_err()
    );
    let mut both =
        [parameter(half, long.cast(DType::F64)?, None), parameter(long.clone(), long.clone(), None)];
    step(Descent { eta: 1.0 }, &mut both)?;
    assert!(both.iter().all(|p| p.value.to_vec::<f32>().is_ok_and(|v| v == [0.0; 4])));
    assert_eq!(long.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0]);
    Ok(())
}

#[test]
fn a_name_that_no_activation_has_is_an_error() -> Result<()> {
    let Err(Error::Value(text)) = ops::activation("rleu") else { panic!("there is no rleu") };
    assert!(text.contains("rleu") && text.contains(", relu"), "{text}");
    assert_eq!(format!("{:?}", ops::activation("relu")?), "relu");
    Ok(())
}

#[test]
fn a_tensors_methods_are_recorded() -> Result<()> {
    let x = Tensor::from(Array::from_slice(&[2, 2], &[1.0, 2.0, 3.0, 4.0])?);
    type Step = fn(&Tensor) -> Result<Tensor>;
    let steps: [(&str, Step); 12] = [
        ("reshape", |x| x.reshape(&[4])),
        ("permute_dims", |x| x.permute_dims([1, 0])),
        ("matrix_transpose", |x| x.matrix_transpose()),
        ("broadcast_to", |x| x.broadcast_to(&[3, 2, 2])),
        ("slice", |x| x.slice(&[Range::all(2), range(1, -1, 2)])),
        ("index", |x| x.index(&[Index::At(-1)])),
        ("cast", |x| x.cast(DType::F32)),
        ("exp", |x| x.exp()),
        ("mean", |x| x.mean(0, true)),
        ("max", |x| x.max(Axes::All, false)),
        ("matmul", |x| x.matmul(x)),
        ("operators", |x| Ok((x + x) * x - -x / x)),
    ];
    for (name, step) in steps {
        let f = |x: &[Tensor]| step(&x[0])?.sum(Axes::All, false);
        let (_, grads) = withgradient::<_, Error>(f, std::slice::from_ref(&x))?;
        let grad = grads[0].as_ref().map(|g| g.to_vec::<f64>()).transpose()?;
        assert!(grad.is_some_and(|g| g.iter().any(|&g| g != 0.0)), "{name}");
    }
    Ok(())
}

#[test]
fn scopes_and_pauses_may_end_in_any_order() -> Result<()> {
    let state = || (is_recording(), is_training());
    let x = Tensor::from(Array::scalar(3.0)?);
    let square = |x: &Tensor| x.multiply(x);
    // Each of six orders in which an outer scope, a pause and an inner scope may end.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (outer, pause, inner) = (Scope::enter(), Paused::new(), Scope::enter());
        let (mut outer, mut pause, mut inner) = (Some(outer), Some(pause), Some(inner));
        for which in order {
            match which {
                0 => drop(outer.take()),
                1 => drop(pause.take()),
                _ => {
                    // It records for as long as it is open.
                    let inner = inner.take().ok_or(Error::Value("open".into()))?;
                    let v = inner.watch(&x)?;
                    let y = square(&v)?;
                    let one = Tensor::from(Array::scalar(1.0)?);
                    let grads = backward(&inner.close(), &[(y, one)], &[v], false)?;
                    assert_eq!(grads[0].as_ref().map(Tensor::item).transpose()?, Some(6.0), "{order:?}");
                }
            }
        }
        assert_eq!(state(), (false, false), "{order:?}");
    }
    // What is still open when the others have ended is what goes on.
    let (outer, pause) = (Scope::enter(), Paused::new());
    drop(outer);
    assert_eq!(state(), (false, false));
    drop(pause);
    assert_eq!(state(), (false, false));
    let (pause, scope) = (Paused::new(), Scope::enter());
    drop(pause);
    assert_eq!(state(), (true, true));
    drop(scope);
    assert_eq!(state(), (false, false));
    Ok(())
}
