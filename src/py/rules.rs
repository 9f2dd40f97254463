//! The rules that have a kernel: how the object of each, or of a chain of them, is read.

use super::once::intern;
use super::state::{Clock, Clocks};
use crate::kernels::update as kernel;
use crate::kernels::update::{Link, Waiting};
use crate::optim::{ClipNorm, Stage};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use smallvec::SmallVec;

/// Reads the hyper-parameters that a rule's object holds.
struct Fields<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'py> Fields<'_, 'py> {
    fn number(&self, name: &Bound<'py, PyString>) -> PyResult<f64> {
        self.0.getattr(name)?.extract()
    }
    fn pair(&self, name: &Bound<'py, PyString>) -> PyResult<(f64, f64)> {
        let value = self.0.getattr(name)?;
        value.extract().or_else(|_| Ok((value.extract::<f64>()?, 0.0)))
    }
    fn truth(&self, name: &Bound<'py, PyString>) -> PyResult<bool> {
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
        self.next.push(clock.next(fields.pair(intern!(fields.0.py(), "beta"))?));
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

/// What the name of a kernel in a rule's class stands for.
#[derive(Clone, Copy)]
enum Kind {
    /// Rules in order.
    Chain,
    /// What looks at whole gradients.
    ClipNorm,
    /// What lets the rules after it wait.
    AccumGrad,
    /// What keeps the parameter in another type; around all other rules, or else in Python.
    MixedPrecision,
    /// A rule's own kernel, with the hyper-parameters that its object has now.
    Link(fn(&Fields<'_, '_>, &mut Ticking<'_>) -> PyResult<Box<dyn Link>>),
}

/// The fused kernels: `"name" fields of the rule's object => the kernel's rule`.
macro_rules! kernels {
    ($($name:literal $kernel:ident { $($field:ident: $read:ident $attribute:literal),* } $(at $clock:ident)?;)+) => {
        /// The kernels by name, and what is made of several.
        const KINDS: &[(&str, Kind)] = &[
            ("chain", Kind::Chain),
            ("clip_norm", Kind::ClipNorm),
            ("accum_grad", Kind::AccumGrad),
            ("mixed_precision", Kind::MixedPrecision),
            $(($name, Kind::Link({
                #[allow(clippy::needless_update, unused_variables)]
                fn read(fields: &Fields<'_, '_>, clocks: &mut Ticking<'_>) -> PyResult<Box<dyn Link>> {
                    let rule = kernel::$kernel {
                        $($field: fields.$read(intern!(fields.0.py(), $attribute))?,)*
                        $(..kernels!(@clock $kernel $clock clocks.take(fields)?))?
                    };
                    Ok(Box::new(rule))
                }
                read
            })),)+
        ];
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

/// The names of all kernels.
pub(super) fn names() -> impl ExactSizeIterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// A rule that is one link of a chain.
type Named<'py> = (Kind, Bound<'py, PyAny>);

/// A rule all of whose links have kernels.
pub(super) struct Links<'py> {
    links: SmallVec<[Named<'py>; 1]>,
    /// Whether the first tensor of the state is the parameter in another type.
    pub(super) is_mixed: bool,
}

impl<'py> Links<'py> {
    /// The plan of a rule; `None` where it has to be done in Python.
    pub(super) fn of(rule: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let mut plan = Links { links: SmallVec::new(), is_mixed: false };
        let is_fused = match kind(rule)? {
            Some(Kind::MixedPrecision) => {
                plan.is_mixed = true;
                let inner = rule.getattr(intern!(rule.py(), "rule"))?;
                let kind = kind(&inner)?;
                plan.add(&inner, kind)?
            }
            kind => plan.add(rule, kind)?,
        };
        Ok(is_fused.then_some(plan))
    }

    /// Adds the links of a rule. Says whether each has a kernel.
    fn add(&mut self, rule: &Bound<'py, PyAny>, found: Option<Kind>) -> PyResult<bool> {
        match found {
            None | Some(Kind::MixedPrecision) => return Ok(false),
            Some(Kind::Chain) => {
                for part in rule.getattr(intern!(rule.py(), "rules"))?.try_iter()? {
                    let part = part?;
                    let found = kind(&part)?;
                    if !self.add(&part, found)? {
                        return Ok(false);
                    }
                }
            }
            Some(kind) => self.links.push((kind, rule.clone())),
        }
        Ok(true)
    }
}

/// What the class of a rule says of its kernel.
fn kind(rule: &Bound<'_, PyAny>) -> PyResult<Option<Kind>> {
    let name = rule.getattr_opt(intern!(rule.py(), "kernel"))?.and_then(|n| n.cast_into::<PyString>().ok());
    let Some(name) = name else { return Ok(None) };
    let name = name.to_cow()?;
    Ok(KINDS.iter().find(|(known, _)| **known == name).map(|(_, kind)| *kind))
}

/// The stages of a chain for a parameter whose state has these clocks, and the clocks after the step.
pub(super) fn stages(plan: &Links<'_>, clocks: &[Clock]) -> PyResult<(Vec<Stage>, Clocks)> {
    let mut ticking = Ticking { clocks, next: Clocks::new() };
    let mut stages = vec![Stage { clip: None, links: Vec::new() }];
    let mut waits = false;
    for (kind, rule) in &plan.links {
        let (fields, seen) = (Fields(rule), ticking.next.len());
        let (link, is_waiting): (Box<dyn Link>, bool) = match kind {
            Kind::ClipNorm => {
                stages.push(Stage { clip: Some(clip_norm(&fields)?), links: Vec::new() });
                continue;
            }
            Kind::AccumGrad => {
                let n: u64 = rule.getattr(intern!(rule.py(), "n"))?.extract()?;
                let t = ticking.count(&fields, n)?.t;
                (Box::new(kernel::AccumGrad { n: n as f64, t }), t < n)
            }
            Kind::Link(read) => (read(&fields, &mut ticking)?, false),
            Kind::Chain | Kind::MixedPrecision => continue, // no links
        };
        let Some(stage) = stages.last_mut() else { continue };
        if waits {
            stage.links.push(Box::new(Waiting { states: link.states() }));
            let stay = seen..ticking.next.len();
            ticking.next[stay.clone()].copy_from_slice(&clocks[stay]);
            continue;
        }
        stage.links.push(link);
        if is_waiting {
            stage.links.push(Box::new(Waiting { states: 0 }));
        }
        waits = is_waiting;
    }
    if stages.len() > 1 && stages[0].links.is_empty() {
        stages.remove(0);
    }
    for stage in stages.iter_mut().filter(|stage| stage.links.is_empty()) {
        stage.links.push(Box::new(kernel::Descent { eta: 1.0 }));
    }
    Ok((stages, ticking.next))
}

fn clip_norm(fields: &Fields<'_, '_>) -> PyResult<ClipNorm> {
    let py = fields.0.py();
    Ok(ClipNorm {
        omega: fields.number(intern!(py, "omega"))?,
        p: fields.number(intern!(py, "p"))?,
        whole: fields.truth(intern!(py, "whole"))?,
    })
}
