//! From programs to a file.

use super::text::{fields, layout};
use super::{Input, Program, Programs};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::files::{self, Notes};
use crate::ops;
use crate::tape::{Kind, Operation};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// The note of a file that has programs.
pub(super) const KEY: &str = "oxiflux.program";
pub(super) const VERSION: u64 = 1;

/// Writes programs and what they keep to a file, which at every moment is the old one or the new one, whole.
pub fn save(path: &Path, programs: &Programs) -> Result<()> {
    let state = programs.state();
    write(path, programs.programs(), state.into_iter().map(|(name, x)| (name, x.into_array())).collect())
}

/// Writes programs that keep these tensors.
pub(crate) fn write(path: &Path, programs: &[Arc<Program>], state: Vec<(String, Array)>) -> Result<()> {
    let names: Vec<&String> = state.iter().map(|(name, _)| name).collect();
    let (mut all, mut tensors) = (Vec::new(), Vec::new());
    for (at, program) in programs.iter().enumerate() {
        all.push(text(program, at, &mut tensors)?);
    }
    let mut description = json!({"version": VERSION, "state": names, "programs": all});
    tensors.extend(state.iter().map(|(name, x)| (format!("state.{name}"), x.clone())));
    let crc = checksum(&description, &tensors)?;
    description["crc32"] = Json::from(crc);
    files::write(path, &tensors, &Notes::from([(KEY.into(), description.to_string())]))
}

/// The name of an operation in files.
pub(super) fn name_of(op: &dyn Operation) -> Result<&'static str> {
    let reader = ops::readers().find(|reader| reader.is_of(op));
    let name = reader.map(|reader| reader.name);
    name.ok_or_else(|| Error::Unsupported(format!("{} cannot be written to a file", op.name())))
}

/// A program as JSON. Its constants are written beside it.
fn text(program: &Program, at: usize, tensors: &mut Vec<(String, Array)>) -> Result<Json> {
    let capture = &program.capture;
    let values: Vec<Json> = capture.layouts().iter().map(layout).collect();
    let mut constants = Vec::new();
    for n in 0..values.len() as u32 {
        if let Some(x) = capture.constant(n) {
            let name = format!("constant.{at}.{n}");
            constants.push(json!([n, name]));
            tensors.push((name, x.clone()));
        }
    }
    let inputs: Vec<Json> = program
        .inputs
        .iter()
        .map(|input| match input {
            Input::Argument(i) => json!(["argument", i]),
            Input::State(i) => json!(["state", i]),
        })
        .collect();
    let mut steps = Vec::new();
    for step in capture.steps() {
        let (inputs, outputs) = (&step.inputs[..], &step.outputs[..]);
        steps.push(match &step.kind {
            Kind::Operation(op, is_beside) => {
                json!({"do": name_of(&**op)?, "with": fields(&op.parameters()), "of": inputs, "to": outputs, "beside": is_beside})
            }
            Kind::Derived(name, key, _) => {
                json!({"look": name, "with": fields(key), "of": inputs, "to": outputs})
            }
            Kind::Foreign(_) => return Err(Error::Unsupported("a step is somebody else's".into())),
        });
    }
    let (results, kept) = program.wanted.split_at(program.results());
    let stores: Vec<Json> = program.stores.iter().zip(kept).map(|(to, value)| json!([to, value])).collect();
    let arguments: Vec<Json> = program.arguments.iter().map(layout).collect();
    Ok(json!({
        "values": values, "inputs": inputs, "arguments": arguments, "constants": constants, "steps": steps,
        "results": results, "stores": stores, "call": program.call, "result": program.result,
    }))
}

/// A number that changes with every bit of the description, which has none of it, and of the tensors.
pub(super) fn checksum(description: &Json, tensors: &[(String, Array)]) -> Result<u32> {
    let mut sum = Crc::default();
    sum.take(description.to_string().as_bytes());
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, x) in sorted {
        sum.take(format!("{name}: {} {:?}", x.dtype(), x.shape()).as_bytes());
        sum.take(x.contiguous()?.as_bytes().unwrap_or_default());
    }
    Ok(sum.end())
}

/// The checksum of zlib, CRC-32.
struct Crc(u32);

impl Default for Crc {
    fn default() -> Self {
        Crc(!0)
    }
}

impl Crc {
    /// The sums of each byte.
    const TABLE: [u32; 256] = {
        let (mut table, mut i) = ([0; 256], 0);
        while i < 256 {
            let (mut sum, mut bit) = (i as u32, 0);
            while bit < 8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
                bit += 1;
            }
            table[i] = sum;
            i += 1;
        }
        table
    };

    fn take(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, &b| Self::TABLE[usize::from(sum as u8 ^ b)] ^ sum >> 8);
    }

    fn end(self) -> u32 {
        !self.0
    }
}
