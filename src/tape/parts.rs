//! Operations that are made of several: what is done together sees the parts.

use super::capture::{Kind, Layout};
use super::parameters::Parameters;
use super::plan::{Doable, is_possible};
use crate::array::Array;
use crate::fuse::{Folds, Fusible, Part};
use crate::shape;
use smallvec::SmallVec;
use std::sync::Arc;

/// The steps, with the parts of those that are made of such in their place.
pub(super) fn in_parts(steps: Vec<Doable>, layouts: &mut Vec<Layout>) -> Vec<Doable> {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        match parts(&step, layouts) {
            Some(parts) => all.extend(parts),
            None => all.push(step),
        }
    }
    all
}

/// The parts of a step, if it has any and each can be done with others. The values between them get numbers.
fn parts(step: &Doable, layouts: &mut Vec<Layout>) -> Option<Vec<Doable>> {
    let (Kind::Operation(op, _), &[output]) = (&step.kind, &step.outputs[..]) else { return None };
    let parts = {
        let given: SmallVec<[&Layout; 4]> = step.inputs.iter().map(|&n| &layouts[n as usize]).collect();
        op.parts(&given)
    };
    let (count, known) = (parts.len(), layouts.len());
    let (mut values, mut found) = (step.inputs.clone(), Vec::with_capacity(count));
    for (i, Part { what, inputs, shape, dtype }) in parts.into_iter().enumerate() {
        let inputs: SmallVec<[u32; 4]> = inputs.iter().map(|&n| values[n]).collect();
        let strides = shape::row_major(&shape);
        let output = if i + 1 == count { output } else { layouts.len() as u32 };
        if output as usize == layouts.len() {
            layouts.push((shape, strides, dtype));
        }
        values.push(output);
        if !is_possible(&what, &inputs, output, layouts) {
            layouts.truncate(known);
            return None;
        }
        let kind = match &what {
            Fusible::Folds(folds) => {
                folding(op.name(), folds, &layouts[inputs[0] as usize], &layouts[output as usize])?
            }
            _ => step.kind.clone(),
        };
        let (outputs, fusible) = (SmallVec::from_slice(&[output]), Some(what));
        found.push(Doable { at: step.at, kind, inputs, outputs, fusible, is_part: true });
    }
    (count > 0).then_some(found)
}

/// A reduction that is done by itself.
fn folding(name: &'static str, folds: &Folds, input: &Layout, output: &Layout) -> Option<Kind> {
    let (folds, axis, shape) = (folds.clone(), folds.axis(input, output)?, output.0.clone());
    let compute = move |x: &[&Array]| Ok(vec![folds.whole(x[0], axis, &shape)?]);
    Some(Kind::Derived(name, Parameters::new(), Arc::new(compute)))
}
