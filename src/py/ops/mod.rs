//! Operations whose Python functions say more than a table does: a file for each that has some.

mod attention;
mod cast;
mod conv;
mod creation;
mod dense;
mod join;
mod linalg;
mod norm;
mod recurrent;
pub(super) mod reduce;
mod select;
mod sort;

use super::hints::add_function;
use pyo3::prelude::*;

/// Adds them to the module, over the functions of the same names that the tables have made.
pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, attention::attention)?;
    add_function!(m, attention::attention_scores)?;
    add_function!(m, attention::attention_apply)?;
    add_function!(m, cast::astype)?;
    add_function!(m, cast::reshape)?;
    add_function!(m, conv::conv)?;
    add_function!(m, conv::conv_transpose)?;
    add_function!(m, creation::table)?;
    add_function!(m, creation::zeros)?;
    add_function!(m, creation::ones)?;
    add_function!(m, creation::empty)?;
    add_function!(m, creation::full)?;
    add_function!(m, creation::zeros_like)?;
    add_function!(m, creation::ones_like)?;
    add_function!(m, creation::empty_like)?;
    add_function!(m, creation::full_like)?;
    add_function!(m, creation::arange)?;
    add_function!(m, creation::linspace)?;
    add_function!(m, creation::eye)?;
    add_function!(m, creation::one_hot)?;
    add_function!(m, creation::broadcast_to)?;
    add_function!(m, dense::dense)?;
    add_function!(m, join::concat)?;
    add_function!(m, join::stack)?;
    linalg::register(m)?;
    add_function!(m, norm::norm)?;
    add_function!(m, norm::norm_with)?;
    add_function!(m, norm::rms_norm)?;
    add_function!(m, recurrent::recurrent)?;
    add_function!(m, reduce::sum)?;
    add_function!(m, reduce::prod)?;
    add_function!(m, reduce::cumulative_sum)?;
    add_function!(m, reduce::cumulative_prod)?;
    add_function!(m, select::select)?;
    add_function!(m, sort::sort)?;
    add_function!(m, sort::argsort)?;
    add_function!(m, sort::searchsorted)?;
    add_function!(m, sort::nonzero)?;
    add_function!(m, sort::are_below)?;
    add_function!(m, sort::holds)?;
    Ok(())
}
