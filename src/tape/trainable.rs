//! What a gradient can be taken for.

use super::Tensor;

/// Something that holds tensors to be trained: its parameters. A tensor is its own, and lists and tuples of what has
/// parameters have those of all.
///
/// ```
/// use oxiflux::{DType, Dense, Generator, Tensor, Trainable};
///
/// #[derive(Clone)]
/// struct Scaled {
///     dense: Dense,
///     scale: Tensor,
/// }
///
/// impl Trainable for Scaled {
///     fn parameters(&mut self) -> Vec<&mut Tensor> {
///         let mut all = self.dense.parameters();
///         all.push(&mut self.scale);
///         all
///     }
/// }
///
/// let dense = Dense::new(3, 2, "tanh", &mut Generator::new(0))?;
/// let mut model = Scaled { dense, scale: Tensor::ones(&[2], DType::F32)? };
/// assert_eq!(model.parameters().len(), 3); // weight, bias and scale
/// # Ok::<(), oxiflux::Error>(())
/// ```
pub trait Trainable {
    /// The parameters, as many and in the same order each time.
    fn parameters(&mut self) -> Vec<&mut Tensor>;
}

impl Trainable for Tensor {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        vec![self]
    }
}

impl<M: Trainable> Trainable for [M] {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.iter_mut().flat_map(M::parameters).collect()
    }
}

impl<M: Trainable> Trainable for Vec<M> {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.as_mut_slice().parameters()
    }
}

impl<M: Trainable, const N: usize> Trainable for [M; N] {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.as_mut_slice().parameters()
    }
}

impl<M: Trainable> Trainable for Option<M> {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.as_mut_slice().parameters()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Trainable),+> Trainable for ($($name,)+) {
            #[allow(non_snake_case)]
            fn parameters(&mut self) -> Vec<&mut Tensor> {
                let ($($name,)+) = self;
                let mut all = Vec::new();
                $(all.extend($name.parameters());)+
                all
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
