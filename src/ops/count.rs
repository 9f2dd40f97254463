//! How often numbers are there, and between which edges.

use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::count as kernel;
use crate::tape::{Known, Operation, compute, parameters, readers};

/// How often each of the numbers below `n` is in a vector.
#[derive(Clone, Debug)]
struct Counts {
    n: usize,
}

impl Operation for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }
    parameters! { n }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.holds(!x.dtype(0).is_float(), || "numbers are counted".into())?;
        x.axes(0, 1)?;
        x.there_is(&[self.n])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].cast(DType::I64)?.contiguous()?;
        let mut counts = Array::full("bincount", &[self.n], 0i64)?;
        if kernel::counts(x.values("bincount")?, counts.make_mut()?) {
            return Ok(counts);
        }
        Err(Error::Value(format!("bincount: there are numbers that are not from 0 on and below {}", self.n)))
    }
}

/// The bins between edges, the second input, of the elements of the first.
#[derive(Clone, Debug)]
struct Bins;

impl Operation for Bins {
    fn name(&self) -> &'static str {
        "bins"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.axes(1, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let [x, edges] = [x[0], x[1]].map(|x| x.cast(x.dtype().widest())?.contiguous());
        let (x, edges) = (x?, edges?);
        if edges.size() < 2 {
            return Err(Error::Shape(format!(
                "histogram: bins have two edges or more, got {}",
                edges.size()
            )));
        }
        each!(x.dtype(), float: T => {
            let (values, edges) = (x.values::<T>("histogram")?, edges.values("histogram")?);
            Array::written("histogram", x.shape(), |out| kernel::bins(values, edges, out))
        }, else Err(Error::DType(format!("histogram: not defined for {}", x.dtype()))))
    }
}

readers! { "counts" => Counts, "bins" => Bins }

operations! {
    /// How often each of the numbers from 0 on and below `n` is among integers.
    counts(x; n: usize = 0) {
        compute(Counts { n }, &[x])
    } cases [];
    /// The number of the bin of each element, for edges that do not decrease: 1 for the first, 0 for what is below it or
    /// NaN, and one more than there are bins for what is above the last. A bin has its lower edge, the last both.
    bins(x, edges) {
        compute(Bins, &[x, edges])
    } cases [];
}
