//! Programs as text, for who wants to know what is done and where the time goes.

use super::capture::{Capture, Kind};
use super::observed::{Home, show_bytes};
use super::parameters::Parameters;
use super::replay::{Line, Replay};
use crate::error::show;
use std::time::Duration;

impl Capture {
    /// The steps as text, a line for each, once it has settled; `foreign` names what somebody else does, `home` says where a
    /// value is, and `note` what became of the step of that number.
    pub fn shown(
        &self,
        foreign: &dyn Fn(usize) -> String,
        home: &dyn Fn(u32) -> String,
        note: &dyn Fn(usize) -> String,
    ) -> String {
        let mut text = String::new();
        let value = |n: &u32| match self.constant(*n) {
            Some(x) if x.size() == 1 => x.item().map_or_else(|_| "?".into(), |x| x.to_string()),
            Some(x) => format!("constant{}", show(x.shape())),
            None => format!("%{n}"),
        };
        let layout = |n: &u32| {
            let (shape, _, dtype) = &self.layouts()[*n as usize];
            format!("%{n}: {dtype} {}{}", show(shape), home(*n))
        };
        for n in 0..self.given() as u32 {
            text += &format!("{} = given\n", layout(&n));
        }
        for (at, step) in self.steps().iter().enumerate() {
            if !step.outputs.is_empty() && step.outputs.iter().all(|&n| self.is_constant(n)) {
                continue; // computed once
            }
            let (name, parameters) = match &step.kind {
                Kind::Operation(op, _) => (op.name().into(), op.parameters()),
                Kind::Derived(name, key, _) => (String::from(*name), key.clone()),
                Kind::Foreign(number) => (foreign(*number), Parameters::new()),
            };
            let mut inside: Vec<String> = step.inputs.iter().map(value).collect();
            inside.extend(parameters.iter().map(|(name, value)| format!("{name}={value}")));
            let outputs: Vec<String> = step.outputs.iter().map(layout).collect();
            let made = if outputs.is_empty() { String::new() } else { outputs.join(", ") + " = " };
            let (inside, note) = (inside.join(", "), note(at));
            let space = if note.is_empty() { "" } else { "  " };
            text += &format!("{made}{name}({inside}){space}{note}\n");
        }
        text
    }
}

impl Replay {
    /// Where a value is, as text: its register, and of what else that has the memory.
    pub fn home(&self, value: u32) -> String {
        let register = |place: u32| format!(" in r{}", place as usize - self.constants.len());
        if let Some(given) = self.given.get(value as usize) {
            return given.map_or_else(String::new, register);
        }
        let place = |line: &Line| line.label.outputs.iter().position(|&n| n == value);
        let Some((at, line, i)) =
            self.lines.iter().enumerate().find_map(|(at, line)| Some((at, line, place(line)?)))
        else {
            return String::new();
        };
        let observed = self.observed();
        let input = |i: usize| line.label.inputs.get(i).map_or_else(String::new, |n| format!("%{n}"));
        register(line.outputs[i])
            + &match observed.homes.get(at).and_then(|homes| homes.get(i)) {
                Some(Home::Over(of)) => format!(" over {}", input(*of)),
                Some(Home::View(of)) => format!(" of {}", input(*of)),
                _ => String::new(),
            }
    }

    /// What became of a step of the capture, as text, and how much of the time the line takes that ends with it.
    pub fn note(&self, step: usize) -> String {
        let fate = self.fate(step).to_string();
        let observed = self.observed();
        let all = observed.times.iter().sum::<Duration>().as_secs_f64();
        let is_last = |line: &Line| line.label.steps.iter().max() == Some(&step);
        let lines = self.lines.iter().zip(&observed.times).filter(|(line, _)| is_last(line));
        let own: Vec<f64> = lines.map(|(_, time)| time.as_secs_f64()).collect();
        if observed.runs == 0 || all == 0.0 || own.is_empty() {
            return fate;
        }
        let share = 100.0 * own.iter().sum::<f64>() / all;
        let space = if fate.is_empty() { "" } else { " " };
        format!("{fate}{space}{share:.1}%")
    }

    /// What the program takes in all, as far as it has been seen.
    pub fn summary(&self) -> String {
        let observed = self.observed();
        let mut text = format!("{} registers", self.count);
        if !observed.homes.is_empty() {
            text += &format!(", at most {} of its own in them at a time", show_bytes(observed.peak));
        }
        if self.bytes() > 0 {
            text += &format!(", {} of constants", show_bytes(self.bytes()));
        }
        if let Some(each) = observed.times.iter().sum::<Duration>().checked_div(observed.runs as u32) {
            let micros = each.as_secs_f64() * 1e6;
            text += &format!("; {micros:.1} us for the lines, the mean of {} calls", observed.runs);
        }
        text
    }
}
