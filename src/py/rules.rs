//! The rules that have a kernel: how the object of each, or of a chain of them, is read.

use super::state::{Clock, Clocks};
use crate::kernels::update as kernel;
use crate::kernels::update::{Link, Waiting};
use crate::optim::{ClipNorm, Stage};
use pyo3::exceptions::{PyKeyError, PyValueError};
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
    fn truth(&self, name: &str) -> PyResult<bool> {
        self.0.getattr(name)?.is_truthy()
    }
}

/// The clocks of a state, which the rules take in order, and as they will be after the step.
struct Ticking<'a> {
    clocks: &'a [Clock],
    next: Clocks,
}

impl Ticking<'_> {
    /// The next clock, whose powers or count goes on.
    fn take(&mut self, fields: &Fields<'_, '_>) -> PyResult<Clock> {
        let clock = self.look(fields)?;
        self.next.push(clock.next(fields.pair("beta")?));
        Ok(clock)
    }
    /// The next clock, which counts to `n` and then again.
    fn count(&mut self, fields: &Fields<'_, '_>, n: u64) -> PyResult<Clock> {
        let clock = self.look(fields)?;
        self.next.push(Clock { t: if clock.t < n { clock.t + 1 } else { 1 }, ..clock });
        Ok(clock)
    }
    fn look(&self, fields: &Fields<'_, '_>) -> PyResult<Clock> {
        self.clocks.get(self.next.len()).copied().ok_or_else(|| {
            PyValueError::new_err(format!("update: the state does not fit the rule {}", fields.0))
        })
    }
}

/// The fused kernels: `"name" fields of the rule's object => the kernel's rule`.
macro_rules! kernels {
    ($($name:literal $kernel:ident { $($field:ident: $read:ident $attribute:literal),* } $(at $clock:ident)?;)+) => {
        /// The names of the kernels, and of what is made of several.
        pub(super) const KERNELS: &[&str] = &[CHAIN, CLIP_NORM, ACCUM_GRAD, MIXED_PRECISION, $($name),+];

        /// The kernel of a rule's object, with its hyper-parameters as they are now.
        fn link((name, rule): &Named<'_>, clocks: &mut Ticking<'_>) -> PyResult<Box<dyn Link>> {
            let fields = Fields(rule);
            match *name {
                $($name => {
                    #[allow(clippy::needless_update)]
                    let rule = kernel::$kernel {
                        $($field: fields.$read($attribute)?,)*
                        $(..kernels!(@clock $kernel $clock clocks.take(&fields)?))?
                    };
                    Ok(Box::new(rule))
                })+
                _ => Err(PyKeyError::new_err(format!("update: there is no kernel {name}"))),
            }
        }
    };
    (@clock $kernel:ident beta $c:expr) => { kernel::$kernel { beta_t: $c.beta_t, ..Default::default() } };
    (@clock $kernel:ident step $c:expr) => {{
        let clock = $c;
        kernel::$kernel { beta_t: clock.beta_t, t: clock.t, ..Default::default() }
    }};
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
    "weight_decay" WeightDecay { lambda: number "lambda_" };
    "sign_decay" SignDecay { lambda: number "lambda_" };
    "clip_grad" ClipGrad { delta: number "delta" };
}

/// Rules in order.
const CHAIN: &str = "chain";
/// What looks at whole gradients.
const CLIP_NORM: &str = "clip_norm";
/// What lets the rules after it wait.
const ACCUM_GRAD: &str = "accum_grad";
/// What keeps the parameter in another type; around all other rules, or else in Python.
const MIXED_PRECISION: &str = "mixed_precision";

/// The name of a kernel, and the object of the rule that is one link of a chain.
pub(super) type Named<'py> = (&'static str, Bound<'py, PyAny>);

/// A rule all of whose links have kernels.
pub(super) struct Plan<'py> {
    links: Vec<Named<'py>>,
    /// Whether the first tensor of the state is the parameter in another type.
    pub(super) is_mixed: bool,
}

impl<'py> Plan<'py> {
    /// The plan of a rule; `None` where it has to be done in Python.
    pub(super) fn of(rule: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let is_mixed = kernel_of(rule)? == Some(MIXED_PRECISION);
        let inner = if is_mixed { &rule.getattr(intern!(rule.py(), "rule"))? } else { rule };
        Ok(links(inner)?.map(|links| Plan { links, is_mixed }))
    }
}

fn kernel_of(rule: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    let name = rule.getattr_opt(intern!(rule.py(), "kernel"))?.and_then(|n| n.cast_into::<PyString>().ok());
    let Some(name) = name else { return Ok(None) };
    let name = name.to_cow()?;
    Ok(KERNELS.iter().find(|k| **k == name).copied())
}

/// The links of a rule, if each has a kernel.
fn links<'py>(rule: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Named<'py>>>> {
    let Some(name) = kernel_of(rule)?.filter(|name| *name != MIXED_PRECISION) else { return Ok(None) };
    if name != CHAIN {
        return Ok(Some(vec![(name, rule.clone())]));
    }
    let mut all = Vec::new();
    for part in rule.getattr(intern!(rule.py(), "rules"))?.try_iter()? {
        match links(&part?)? {
            Some(links) => all.extend(links),
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// A link of a chain, and whether those after it have to wait.
fn link_or_wait(named: &Named<'_>, ticking: &mut Ticking<'_>) -> PyResult<(Box<dyn Link>, bool)> {
    if named.0 != ACCUM_GRAD {
        return Ok((link(named, ticking)?, false));
    }
    let fields = Fields(&named.1);
    let n: u64 = named.1.getattr("n")?.extract()?;
    let t = ticking.count(&fields, n)?.t;
    Ok((Box::new(kernel::AccumGrad { n: n as f64, t }), t < n))
}

/// The stages of a chain for a parameter whose state has these clocks, and the clocks after the step.
pub(super) fn stages(plan: &Plan<'_>, clocks: &[Clock]) -> PyResult<(Vec<Stage>, Clocks)> {
    let mut ticking = Ticking { clocks, next: Clocks::new() };
    let mut stages = vec![Stage { clip: None, links: Vec::new() }];
    let mut waits = false;
    for named in &plan.links {
        if named.0 == CLIP_NORM {
            let fields = Fields(&named.1);
            let (omega, p, whole) = (fields.number("omega")?, fields.number("p")?, fields.truth("whole")?);
            stages.push(Stage { clip: Some(ClipNorm { omega, p, whole }), links: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            let seen = ticking.next.len();
            let (found, is_waiting) = link_or_wait(named, &mut ticking)?;
            if waits {
                stage.links.push(Box::new(Waiting { states: found.states() }));
                let stay = seen..ticking.next.len();
                ticking.next[stay.clone()].copy_from_slice(&clocks[stay]);
                continue;
            }
            stage.links.push(found);
            if is_waiting {
                stage.links.push(Box::new(Waiting { states: 0 }));
            }
            waits = is_waiting;
        }
    }
    if stages.len() > 1 && stages[0].links.is_empty() {
        stages.remove(0);
    }
    for stage in stages.iter_mut().filter(|stage| stage.links.is_empty()) {
        stage.links.push(Box::new(kernel::Descent { eta: 1.0 }));
    }
    Ok((stages, ticking.next))
}
