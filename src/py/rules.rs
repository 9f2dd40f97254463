//! Which kernels do what a rule's object says, and its hyper-parameters.

use super::leaf::Clock;
use crate::kernels::{modify, update as kernel};
use crate::optim::{AnyRule, ClipNorm, Modifier, OnGradient};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Reads the hyper-parameters that a rule's object holds.
struct Fields<'a, 'py>(&'a Bound<'py, PyAny>);

impl Fields<'_, '_> {
    fn number(&self, name: &str) -> PyResult<f64> {
        self.0.getattr(name)?.extract()
    }
    fn pair(&self, name: &str) -> PyResult<(f64, f64)> {
        let value = self.0.getattr(name)?;
        value.extract().or_else(|_| Ok((value.extract::<f64>()?, 0.0)))
    }
}

/// The rules' kernels: `"name" fields of the rule's object => the kernel's rule`.
macro_rules! kernels {
    ($($name:literal $kernel:ident { $($field:ident: $read:ident $attribute:literal),* } $(at $clock:ident)?;)+) => {
        const RULES: &[&str] = &[$($name),+];

        /// The kernel of a rule's object, with its hyper-parameters as they are now; `None` if it has none.
        fn read_rule(name: &str, rule: &Bound<'_, PyAny>, clock: Clock) -> PyResult<Option<Box<dyn AnyRule>>> {
            let fields = Fields(rule);
            match name {
                $($name => {
                    #[allow(clippy::needless_update)]
                    let rule = kernel::$kernel {
                        $($field: kernels!(@read fields $read $attribute),)*
                        $(..kernels!(@clock $kernel $clock clock))?
                    };
                    Ok(Some(Box::new(rule)))
                })+
                _ => Ok(None),
            }
        }
    };
    (@read $f:ident number $a:literal) => { $f.number($a)? };
    (@read $f:ident pair $a:literal) => { $f.pair($a)? };
    (@read $f:ident truth $a:literal) => { $f.0.getattr($a)?.is_truthy()? };
    (@clock $kernel:ident beta $c:ident) => { kernel::$kernel { beta_t: $c.beta_t, ..Default::default() } };
    (@clock $kernel:ident step $c:ident) => { kernel::$kernel { beta_t: $c.beta_t, t: $c.t, ..Default::default() } };
}

kernels! {
    "descent" Descent { eta: number "eta" };
    "momentum" Momentum { eta: number "eta", rho: number "rho" };
    "nesterov" Nesterov { eta: number "eta", rho: number "rho" };
    "rmsprop" RmsProp { eta: number "eta", rho: number "rho", epsilon: number "eps" };
    "centred_rmsprop" CentredRmsProp { eta: number "eta", rho: number "rho", epsilon: number "eps" };
    "rprop" Rprop { eta: number "eta", ell: pair "ell", gamma: pair "gamma" };
    "adam" Adam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adamw" AdamW { eta: number "eta", beta: pair "beta", lambda: number "lambda_", epsilon: number "eps", couple: truth "couple" } at beta;
    "radam" RAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at step;
    "adamax" AdaMax { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "oadam" OAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adagrad" AdaGrad { eta: number "eta", epsilon: number "eps" };
    "adadelta" AdaDelta { rho: number "rho", epsilon: number "eps" };
    "amsgrad" AmsGrad { eta: number "eta", beta: pair "beta", epsilon: number "eps" };
    "nadam" NAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adabelief" AdaBelief { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "lion" Lion { eta: number "eta", beta: pair "beta" };
}

/// The kernels of modifiers.
const MODIFIERS: &[&str] = &["weight_decay", "sign_decay", "clip_grad", "clip_norm"];

fn read_modifier(name: &str, rule: &Bound<'_, PyAny>) -> PyResult<Option<Box<dyn Modifier>>> {
    let fields = Fields(rule);
    let number = |name| fields.number(name);
    Ok(Some(match name {
        "weight_decay" => Box::new(OnGradient(modify::WeightDecay { lambda: number("lambda_")? })),
        "sign_decay" => Box::new(OnGradient(modify::SignDecay { lambda: number("lambda_")? })),
        "clip_grad" => Box::new(OnGradient(modify::ClipGrad { delta: number("delta")? })),
        "clip_norm" => {
            let whole = rule.getattr("whole")?.is_truthy()?;
            Box::new(ClipNorm { omega: number("omega")?, p: number("p")?, whole })
        }
        _ => return Ok(None),
    }))
}

/// A chain of modifiers that ends in a rule or a modifier.
const CHAIN: &str = "chain";

/// What a rule's object may have as its `kernel`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().chain(MODIFIERS).copied().chain([CHAIN])
}

/// The kernels that together do what a rule's object says.
pub(super) struct Fused<'py> {
    /// What is done to the gradients first.
    pub(super) modifiers: Vec<Box<dyn Modifier>>,
    rule: Option<(String, Bound<'py, PyAny>)>,
}

impl<'py> Fused<'py> {
    /// Reads a rule's object; `None` if it has to be done in Python.
    pub(super) fn read(rule: &Bound<'py, PyAny>) -> PyResult<Option<Fused<'py>>> {
        let mut fused = Fused { modifiers: Vec::new(), rule: None };
        Ok(if fused.add(rule)? { Some(fused) } else { None })
    }

    /// Adds a link of a chain, or says that it is none: after a rule there is nothing.
    fn add(&mut self, rule: &Bound<'py, PyAny>) -> PyResult<bool> {
        let name =
            rule.getattr_opt(intern!(rule.py(), "kernel"))?.and_then(|n| n.cast_into::<PyString>().ok());
        let Some(name) = name else { return Ok(false) };
        let name = name.to_cow()?;
        if name == CHAIN {
            for link in rule.getattr(intern!(rule.py(), "rules"))?.try_iter()? {
                if !self.add(&link?)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if self.rule.is_some() {
            return Ok(false);
        }
        if let Some(modifier) = read_modifier(&name, rule)? {
            self.modifiers.push(modifier);
            return Ok(true);
        }
        let is_rule = RULES.contains(&&*name);
        if is_rule {
            self.rule = Some((name.into_owned(), rule.clone()));
        }
        Ok(is_rule)
    }

    /// The last link's kernel for parameters at some point of time, and the time after it.
    pub(super) fn at(&self, clock: Option<Clock>) -> PyResult<(Box<dyn AnyRule>, Option<Clock>)> {
        let now = clock.unwrap_or(Clock { beta_t: (1.0, 1.0), t: 1 });
        let found = match &self.rule {
            Some((name, rule)) => read_rule(name, rule, now)?,
            None => None,
        };
        // What modifiers leave of a gradient is subtracted as it is.
        let kernel = found.unwrap_or_else(|| Box::new(kernel::Descent { eta: 1.0 }));
        let next = match (clock, &self.rule) {
            (Some(clock), Some((_, rule))) => Some(clock.next(Fields(rule).pair("beta")?)),
            _ => None,
        };
        Ok((kernel, next))
    }
}
