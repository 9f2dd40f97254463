//! What a program looks at, or computes beside operations, by its name in files.

use crate::error::{Error, Result};
use crate::optim::saved::Update;
use crate::tape::{Compute, Known, Parameters, parameter};
use crate::{ops, optim};

/// The step of that name with these parameters, for such inputs; how many results it has.
pub(super) fn look(
    name: &str,
    parameters: &Parameters,
    x: &Known<'_>,
) -> Result<(&'static str, Compute, usize)> {
    let unknown = || Error::Value(format!("there is no {name} with such parameters"));
    let one = || -> Result<()> { x.count(1) };
    Ok(match name {
        "below" => {
            one()?;
            ("below", ops::below(parameter(parameters, "n").ok_or_else(unknown)?), 0)
        }
        "holds" => {
            one()?;
            ("holds", ops::still(parameter(parameters, "is").ok_or_else(unknown)?), 0)
        }
        "fits" => {
            one()?;
            ("fits", optim::finite("is out of range"), 0)
        }
        "finite" => {
            one()?;
            ("finite", optim::finite("is not finite"), 0)
        }
        "track" => {
            x.count(4)?;
            x.floats(0..2)?;
            (1..4).try_for_each(|i| x.shaped(i, x.shape(0)))?;
            let (momentum, correction) =
                (parameter(parameters, "momentum"), parameter(parameters, "correction"));
            let (momentum, correction): (f64, f64) =
                (momentum.ok_or_else(unknown)?, correction.ok_or_else(unknown)?);
            let f: Compute = std::sync::Arc::new(move |x| optim::tracked(x, momentum, correction));
            ("track", f, 2)
        }
        "update" => {
            let update = Update::read(parameters).ok_or_else(unknown)?;
            let results = update.check(x)?;
            ("update", update.compute(), results)
        }
        _ => return Err(Error::Value(format!("there is no step {name:?}"))),
    })
}
