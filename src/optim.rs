//! Update rules on arrays: one fused pass over all parameters.

#[cfg(feature = "safetensors")]
pub(crate) mod rules;
#[cfg(feature = "safetensors")]
pub(crate) mod saved;

use crate::array::Array;
use crate::dtype::half::{BFloat16, Float16};
use crate::dtype::{self, DType};
use crate::error::{Error, Result};
use crate::kernels::update::{self, Link, Slot, Updated};
use crate::shape;
#[cfg(feature = "safetensors")]
use crate::tape::Compute;
use smallvec::SmallVec;
use std::ops::Range;
#[cfg(feature = "safetensors")]
use std::sync::Arc;

/// A parameter on its way through a step: its values, its gradient and what its rule remembers.
pub struct Parameter {
    /// The values, which the step changes.
    pub value: Array,
    /// Where the values are rounded to, if the rule keeps them in another type than the model.
    pub rounded: Option<Array>,
    /// The gradient.
    pub grad: Array,
    /// The state of all links of the rule, of the shape of the values, which the step changes.
    pub state: SmallVec<[Array; 3]>,
}

/// Bounds the `p`-norm of a gradient by `omega`; with `whole` that of all gradients of a group as if they were one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipNorm {
    /// The largest norm.
    pub omega: f64,
    /// Which norm.
    pub p: f64,
    /// Whether all gradients of the group are one.
    pub whole: bool,
}

/// A part of a chain of rules that can be done in one pass: what it does to the gradient's norm, and then its links,
/// of which there must be one.
pub struct Stage {
    /// Bounds the norm first.
    pub clip: Option<ClipNorm>,
    /// The rules, each applied to what the one before made of the gradient.
    pub links: Vec<Box<dyn Link>>,
}

impl Stage {
    fn states(&self) -> usize {
        self.links.iter().map(|link| link.states()).sum()
    }
}

/// A parameter and its rule. Those of a group have the same stages, with hyper-parameters that may differ.
pub struct Member<'a> {
    /// The rule.
    pub rule: &'a [Stage],
    /// The parameter.
    pub parameter: &'a mut Parameter,
    /// The values of a parameter of 16 bits, which is updated as float32.
    wide: Option<Array>,
    /// The next rounded values.
    rounded: Option<Array>,
    /// What the states were that are changed before it is known whether there will be a step.
    before: SmallVec<[Array; 3]>,
}

impl<'a> Member<'a> {
    /// A parameter and its rule.
    pub fn new(rule: &'a [Stage], parameter: &'a mut Parameter) -> Self {
        Member { rule, parameter, wide: None, rounded: None, before: SmallVec::new() }
    }

    /// The states of a stage.
    fn states(&self, stage: usize) -> Range<usize> {
        let first = self.rule[..stage].iter().map(Stage::states).sum();
        first..first + self.rule.get(stage).map_or(0, Stage::states)
    }

    /// Keeps the states of all stages but the last.
    fn remember(&mut self) {
        if let [before @ .., _] = self.rule {
            let states = before.iter().map(Stage::states).sum();
            self.before = self.parameter.state.iter().take(states).cloned().collect();
        }
    }

    /// Puts back what was kept.
    fn go_back(&mut self) {
        self.parameter.state.iter_mut().zip(self.before.drain(..)).for_each(|(to, state)| *to = state);
    }

    /// Makes everything what the kernels take: values ours alone, all row-major and of one type.
    fn prepare(&mut self) -> Result<()> {
        let states = self.states(self.rule.len()).start;
        let Parameter { value, rounded, grad, state } = &mut *self.parameter;
        let (shape, dtype) = (value.shape(), value.dtype());
        if let Some(a) = state.iter().chain([&*grad]).chain(&*rounded).find(|a| a.shape() != shape) {
            let (want, got) = (shape::show(shape), shape::show(a.shape()));
            return Err(Error::Shape(format!(
                "update: a gradient or state of shape {got} for a parameter of shape {want}"
            )));
        }
        if rounded.as_ref().is_some_and(|r| dtype.is_half() || !r.dtype().is_float()) {
            return Err(Error::DType(format!(
                "update: a {dtype} parameter cannot be rounded to another type"
            )));
        }
        if !dtype.is_float() || state.len() != states {
            let n = state.len();
            return Err(Error::Value(format!(
                "update: a {dtype} parameter with {n} tensors of state, expected a float with {states}"
            )));
        }
        // Numbers of 16 bits are updated as float32, and the state stays that.
        let widest = dtype.widest();
        if grad.dtype() != widest || !grad.is_row_major() {
            *grad = grad.cast(widest)?.contiguous()?;
        }
        for a in state.iter_mut().filter(|a| a.dtype() != widest) {
            *a = a.cast(widest)?;
        }
        if let Some(rounded) = rounded {
            self.rounded = Some(Array::empty("update", shape, rounded.dtype())?);
        }
        if dtype.is_half() {
            self.wide = Some(value.cast(widest)?);
            value.make_own()?;
        }
        Ok(())
    }

    /// The norm of the gradient.
    fn norm(&self, p: f64) -> Result<f64> {
        let grad = &self.parameter.grad;
        // `prepare` has made the gradient row-major and of one of the two types.
        let norm = match grad.dtype() {
            DType::F64 => update::norm(grad.as_slice::<f64>().expect("row-major float64"), p),
            _ => update::norm(grad.as_slice::<f32>().expect("row-major float32"), p),
        };
        if !norm.is_finite() {
            let (shape, norm) = (shape::show(grad.shape()), format!("{norm}").to_lowercase());
            return Err(Error::Value(format!(
                "ClipNorm: the gradient of a parameter of shape {shape} has the norm {norm}"
            )));
        }
        Ok(norm)
    }
}

/// A parameter whose arrays stay where they are in a step.
pub struct InPlace<'a> {
    /// The rule.
    pub rule: &'a [Stage],
    /// The values.
    pub value: &'a mut Array,
    /// The gradient.
    pub grad: &'a Array,
    /// The state of the rule.
    pub state: SmallVec<[&'a mut Array; 3]>,
}

impl InPlace<'_> {
    /// Whether the kernels take all arrays as they are, in one pass.
    fn is_plain(&self) -> bool {
        let [stage @ Stage { clip: None, .. }] = self.rule else { return false };
        let (shape, dtype) = (self.value.shape(), self.value.dtype());
        let fits = |a: &Array| a.is_row_major() && a.dtype() == dtype && a.shape() == shape;
        matches!(dtype, DType::F32 | DType::F64)
            && self.value.is_row_major()
            && self.value.is_unique()
            && fits(self.grad)
            && self.state.len() == stage.states()
            && self.state.iter().all(|a| fits(a) && a.is_unique())
    }

    fn slot<T: dtype::Element + Updated>(&mut self, scale: T) -> Slot<'_, T> {
        Slot {
            links: &self.rule[0].links,
            p: self.value.start_mut().cast(),
            g: self.grad.ptr(),
            scale,
            s: self.state.iter_mut().map(|a| a.start_mut().cast()).collect(),
            step: None,
            n: self.grad.size(),
        }
    }
}

/// What [`update`] does, where all arrays can stay as they are; says whether that was so. Else nothing is changed.
pub fn update_in_place(parameters: &mut [InPlace<'_>]) -> bool {
    if !parameters.iter().all(InPlace::is_plain) {
        return false;
    }
    let (single, double) = (Vec::with_capacity(parameters.len()), Vec::new());
    let mut pass = Pass { single, double };
    for parameter in parameters {
        match parameter.value.dtype() {
            DType::F64 => pass.double.push(parameter.slot(1.0)),
            _ => pass.single.push(parameter.slot(1.0)),
        }
    }
    pass.run();
    true
}

/// What is to be done in one pass.
#[derive(Default)]
struct Pass<'a> {
    single: Vec<Slot<'a, f32>>,
    double: Vec<Slot<'a, f64>>,
}

impl<'a> Pass<'a> {
    /// Adds a stage of a parameter, whose steps go to an array or else off the values.
    fn add(
        &mut self,
        member: &mut Member<'a>,
        stage: usize,
        scale: f64,
        to: Option<&mut Array>,
    ) -> Result<()> {
        match member.parameter.grad.dtype() {
            DType::F64 => self.double.push(slot(member, stage, scale, to)?),
            _ => self.single.push(slot(member, stage, scale as f32, to)?),
        }
        Ok(())
    }

    fn run(self) {
        // SAFETY: `slot` gives row-major memory of the same length for all, the written parts ours alone.
        unsafe {
            if !self.single.is_empty() {
                update::update(&self.single);
            }
            if !self.double.is_empty() {
                update::update(&self.double);
            }
        }
    }
}

fn slot<'a, T: dtype::Element + Updated>(
    member: &mut Member<'a>,
    stage: usize,
    scale: T,
    to: Option<&mut Array>,
) -> Result<Slot<'a, T>> {
    let states = member.states(stage);
    let Parameter { value, grad, state, .. } = &mut *member.parameter;
    Ok(Slot {
        links: &member.rule[stage].links,
        p: member.wide.as_mut().unwrap_or(value).make_mut::<T>()?.as_mut_ptr(),
        g: grad.ptr(),
        scale,
        s: state[states].iter_mut().map(|a| Ok(a.make_mut::<T>()?.as_mut_ptr())).collect::<Result<_>>()?,
        step: to.map(Array::fresh_ptr),
        n: grad.size(),
    })
}

/// Whether a gradient has neither infinities nor NaN.
pub fn is_finite(grad: &Array) -> Result<bool> {
    let grad = grad.contiguous()?;
    let found = match grad.dtype() {
        DType::F16 => grad.as_slice::<Float16>().map(update::is_finite),
        DType::BF16 => grad.as_slice::<BFloat16>().map(update::is_finite),
        DType::F32 => grad.as_slice::<f32>().map(update::is_finite),
        DType::F64 => grad.as_slice::<f64>().map(update::is_finite),
        _ => Some(true),
    };
    Ok(found.unwrap_or(false))
}

/// What looks whether all numbers are finite, in a program; `what` is to be said where one is not.
#[cfg(feature = "safetensors")]
pub(crate) fn finite(what: &'static str) -> Compute {
    Arc::new(move |x| match is_finite(x[0])? {
        true => Ok(Vec::new()),
        false => Err(Error::Value(format!("a number {what}"))),
    })
}

/// What running statistics, a mean and a variance, become with those of a batch. An error where they are not finite.
#[cfg(feature = "safetensors")]
pub(crate) fn tracked(x: &[&Array], momentum: f64, correction: f64) -> Result<Vec<Array>> {
    let both =
        vec![moved(x[0], x[2], momentum, momentum)?, moved(x[1], x[3], momentum, momentum * correction)?];
    match is_finite(&both[0])? && is_finite(&both[1])? {
        true => Ok(both),
        false => Err(Error::Value("track: the statistics are not finite".into())),
    }
}

/// `(1 - momentum) * old + weight * new` in the type of `old`.
#[cfg(feature = "safetensors")]
pub(crate) fn moved(old: &Array, new: &Array, momentum: f64, weight: f64) -> Result<Array> {
    if old.shape() != new.shape() {
        return Err(Error::Shape("track: statistics of different shapes".into()));
    }
    let (wide, new) = (old.cast(DType::F64)?.contiguous()?, new.cast(DType::F64)?.contiguous()?);
    let [from, to] =
        [&wide, &new].map(|a| a.as_slice::<f64>().expect("both were cast to float64 and made contiguous"));
    let moved = |i: usize| (1.0 - momentum) * from[i] + weight * to[i];
    Array::from_fn("track", old.shape(), moved)?.cast(old.dtype())
}

/// One step for groups of parameters. Where something does not fit, none is changed.
pub fn update(groups: &mut [Vec<Member<'_>>]) -> Result<()> {
    // A norm that is not finite is found when the stages before it have been done: these change copies of the states.
    groups.iter_mut().flatten().for_each(Member::remember);
    match last_pass(groups) {
        Ok(pass) => pass.run(),
        Err(error) => {
            groups.iter_mut().flatten().for_each(Member::go_back);
            return Err(error);
        }
    }
    for Member { parameter, wide, rounded, .. } in groups.iter_mut().flatten() {
        if let Some(wide) = wide {
            wide.convert(&mut parameter.value);
        }
        if let Some(mut rounded) = rounded.take() {
            parameter.value.convert(&mut rounded);
            parameter.rounded = Some(rounded);
        }
    }
    Ok(())
}

/// Does all that may fail, and all stages of each rule but the last, which come back.
fn last_pass<'a>(groups: &mut [Vec<Member<'a>>]) -> Result<Pass<'a>> {
    groups.iter_mut().flatten().try_for_each(Member::prepare)?;
    let mut last = Pass::default();
    for group in groups {
        let stages = group.iter().map(|m| m.rule.len()).min().unwrap_or(0);
        for stage in 0..stages {
            let scales = scales(group, stage)?;
            if stage + 1 == stages {
                for (member, scale) in group.iter_mut().zip(scales) {
                    last.add(member, stage, scale, None)?;
                }
                continue;
            }
            let (mut pass, mut steps) = (Pass::default(), Vec::with_capacity(group.len()));
            for (member, scale) in group.iter_mut().zip(scales) {
                let grad = &member.parameter.grad;
                let mut step = Array::empty("update", grad.shape(), grad.dtype())?;
                pass.add(member, stage, scale, Some(&mut step))?;
                steps.push(step);
            }
            pass.run();
            group.iter_mut().zip(steps).for_each(|(member, step)| member.parameter.grad = step);
        }
    }
    Ok(last)
}

/// What the gradients of a group are multiplied by before a stage.
fn scales(group: &[Member<'_>], stage: usize) -> Result<SmallVec<[f64; 8]>> {
    let scale = |member: &Member<'_>, norm| match member.rule[stage].clip {
        Some(ClipNorm { omega, .. }) if norm > omega => omega / norm,
        _ => 1.0,
    };
    let norm = |member: &Member<'_>| member.rule[stage].clip.map_or(Ok(0.0), |clip| member.norm(clip.p));
    let mut norms = group.iter().map(norm).collect::<Result<SmallVec<[f64; 8]>>>()?;
    if let Some(ClipNorm { p, .. }) = group.first().and_then(|m| m.rule[stage].clip).filter(|clip| clip.whole)
    {
        let whole = update::norm(&norms, p);
        norms.fill(whole);
    }
    Ok(group.iter().zip(norms).map(|(member, norm)| scale(member, norm)).collect())
}

/// One step of a rule for all `parameters`. Where something does not fit, none is changed.
pub fn step(rule: impl Link + 'static, parameters: &mut [Parameter]) -> Result<()> {
    let rule = [Stage { clip: None, links: vec![Box::new(rule)] }];
    update(&mut [parameters.iter_mut().map(|p| Member::new(&rule, p)).collect()])
}
