//! The rules by the names of their kernels: what makes one of its numbers, and chains of them as the stages of a step.

use super::{ClipNorm, Stage};
use crate::kernels::update as kernel;
use crate::kernels::update::{Link, Waiting};
use smallvec::SmallVec;
use std::ops::Range;

/// The numbers in a rule's state that change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    pub(crate) beta_t: (f64, f64),
    pub(crate) t: u64,
}

impl Clock {
    pub(crate) fn next(self, beta: (f64, f64)) -> Clock {
        Clock { beta_t: (self.beta_t.0 * beta.0, self.beta_t.1 * beta.1), t: self.t.saturating_add(1) }
    }
}

/// One for each rule of a chain whose formula depends on the step.
pub(crate) type Clocks = SmallVec<[Clock; 1]>;

/// The clocks of a state, which the rules take in order, and as they will be after the step.
pub(crate) struct Ticking<'a> {
    clocks: &'a [Clock],
    next: Clocks,
}

impl Ticking<'_> {
    fn look(&self) -> Option<Clock> {
        self.clocks.get(self.next.len()).copied()
    }
    /// The next clock, whose powers and count go on.
    fn take(&mut self, beta: (f64, f64)) -> Option<Clock> {
        let clock = self.look()?;
        self.next.push(clock.next(beta));
        Some(clock)
    }
    /// The next clock, which counts to `n` and then again.
    fn count(&mut self, n: u64) -> Option<Clock> {
        let clock = self.look()?;
        self.next.push(Clock { t: if clock.t < n { clock.t + 1 } else { 1 }, ..clock });
        Some(clock)
    }
}

/// What a hyper-parameter is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Number,
    Pair,
    Truth,
    Count,
}

impl Kind {
    /// Of how many numbers it is.
    pub(crate) fn numbers(self) -> usize {
        if self == Kind::Pair { 2 } else { 1 }
    }
}

/// What a rule does in a chain.
#[derive(Clone, Copy)]
enum Does {
    /// Bounds the norm of whole gradients.
    ClipNorm,
    /// Lets the rules after it wait.
    AccumGrad,
    /// Its own kernel.
    Link(fn(&mut dyn Iterator<Item = f64>, &mut Ticking<'_>) -> Option<Box<dyn Link>>),
}

/// A rule that has a kernel.
pub(crate) struct Kernel {
    /// The name by which a rule's class asks for it.
    pub(crate) name: &'static str,
    /// The attributes of a rule that are its hyper-parameters.
    pub(crate) fields: &'static [(&'static str, Kind)],
    does: Does,
}

/// The kernels: `"name" fields of the rule's object => the kernel's rule`.
macro_rules! kernels {
    ($($name:literal $kernel:ident { $($field:ident: $kind:ident $attribute:literal),* } $(at $clock:ident)?;)+) => {
        /// The kernels by name.
        pub(crate) const KERNELS: &[Kernel] = &[
            Kernel {
                name: "clip_norm",
                fields: &[("omega", Kind::Number), ("p", Kind::Number), ("whole", Kind::Truth)],
                does: Does::ClipNorm,
            },
            Kernel { name: "accum_grad", fields: &[("n", Kind::Count)], does: Does::AccumGrad },
            $(Kernel {
                name: $name,
                fields: &[$(($attribute, Kind::$kind)),*],
                does: Does::Link({
                    #[allow(clippy::needless_update, unused_variables)]
                    fn make(x: &mut dyn Iterator<Item = f64>, clocks: &mut Ticking<'_>) -> Option<Box<dyn Link>> {
                        let rule = kernel::$kernel { $($field: kernels!(@$kind x),)* ..Default::default() };
                        $(let rule = kernels!(@$clock rule clocks);)?
                        Some(Box::new(rule))
                    }
                    make
                }),
            },)+
        ];
    };
    (@Number $x:ident) => { $x.next()? };
    (@Pair $x:ident) => { ($x.next()?, $x.next()?) };
    (@Truth $x:ident) => { $x.next()? != 0.0 };
    (@beta $rule:ident $clocks:ident) => {{
        let (clock, mut rule) = ($clocks.take($rule.beta)?, $rule);
        rule.beta_t = clock.beta_t;
        rule
    }};
    (@step $rule:ident $clocks:ident) => {{
        let (clock, mut rule) = ($clocks.take($rule.beta)?, $rule);
        (rule.beta_t, rule.t) = (clock.beta_t, clock.t);
        rule
    }};
}

kernels! {
    "descent" Descent { eta: Number "eta" };
    "momentum" Momentum { eta: Number "eta", rho: Number "rho" };
    "nesterov" Nesterov { eta: Number "eta", rho: Number "rho" };
    "rmsprop" RmsProp { eta: Number "eta", rho: Number "rho", epsilon: Number "eps" };
    "centred_rmsprop" CentredRmsProp { eta: Number "eta", rho: Number "rho", epsilon: Number "eps" };
    "rprop" Rprop { eta: Number "eta", ell: Pair "ell", gamma: Pair "gamma" };
    "adam" Adam { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at beta;
    "adamw" AdamW { eta: Number "eta", beta: Pair "beta", lambda: Number "lambda_", epsilon: Number "eps", couple: Truth "couple" } at beta;
    "radam" RAdam { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at step;
    "adamax" AdaMax { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at beta;
    "oadam" OAdam { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at beta;
    "adagrad" AdaGrad { eta: Number "eta", epsilon: Number "eps" };
    "adadelta" AdaDelta { rho: Number "rho", epsilon: Number "eps" };
    "amsgrad" AmsGrad { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" };
    "nadam" NAdam { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at beta;
    "adabelief" AdaBelief { eta: Number "eta", beta: Pair "beta", epsilon: Number "eps" } at beta;
    "lion" Lion { eta: Number "eta", beta: Pair "beta" };
    "weight_decay" WeightDecay { lambda: Number "lambda_" };
    "sign_decay" SignDecay { lambda: Number "lambda_" };
    "clip_grad" ClipGrad { delta: Number "delta" };
}

/// The kernel of that name.
pub(crate) fn kernel_of(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

/// A rule of a chain with the numbers of its hyper-parameters, in order.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) kernel: &'static Kernel,
    pub(crate) numbers: SmallVec<[f64; 6]>,
}

/// The stages of a chain for a parameter whose state has these clocks, and the clocks after the step; where they do not fit,
/// the number of the link that misses one.
pub(crate) fn stages(parts: &[Part], clocks: &[Clock]) -> Result<(Vec<Stage>, Clocks), usize> {
    let mut ticking = Ticking { clocks, next: Clocks::new() };
    let mut stages = vec![Stage { clip: None, links: Vec::new() }];
    let mut waits = false;
    for (at, Part { kernel, numbers }) in parts.iter().enumerate() {
        let seen = ticking.next.len();
        let (link, is_waiting): (Box<dyn Link>, bool) = match (kernel.does, &numbers[..]) {
            (Does::ClipNorm, &[omega, p, whole]) => {
                let clip = Some(ClipNorm { omega, p, whole: whole != 0.0 });
                stages.push(Stage { clip, links: Vec::new() });
                continue;
            }
            (Does::AccumGrad, &[n]) => {
                let t = ticking.count(n as u64).ok_or(at)?.t;
                (Box::new(kernel::AccumGrad { n, t }), t < n as u64)
            }
            (Does::Link(make), _) => (make(&mut numbers.iter().copied(), &mut ticking).ok_or(at)?, false),
            _ => return Err(at),
        };
        let Some(stage) = stages.last_mut() else { continue };
        if waits {
            stage.links.push(Box::new(Waiting { states: link.states() }));
            let stay: Range<usize> = seen..ticking.next.len();
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
