//! Parameters and layouts as JSON, and back.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, MOST_AXES, Strides, is_row_major, row_major};
use crate::tape::{Layout, Parameters, Value};
use serde_json::{Map, Value as Json, json};

/// Parameters may be nested so deep.
const DEEPEST: usize = 8;

/// A parameter as JSON. Numbers that are no whole ones are texts, which give the same bits again.
fn written(value: &Value) -> Json {
    match value {
        Value::Nothing => Json::Null,
        Value::Bool(x) => Json::Bool(*x),
        Value::Integer(x) => Json::from(*x),
        Value::Float(x) => json!({"float": format!("{x:?}")}),
        Value::Name(x) => Json::String(x.clone()),
        Value::List(x) => Json::Array(x.iter().map(written).collect()),
        Value::Fields(x) => json!({"fields": fields(x)}),
    }
}

/// Parameters by their names.
pub(super) fn fields(parameters: &Parameters) -> Json {
    let all = parameters.iter().map(|(name, value)| (name.to_string(), written(value)));
    Json::Object(all.collect::<Map<_, _>>())
}

fn read(json: &Json, depth: usize) -> Option<Value> {
    Some(match json {
        _ if depth > DEEPEST => return None,
        Json::Null => Value::Nothing,
        Json::Bool(x) => Value::Bool(*x),
        Json::Number(x) => Value::Integer(x.as_i64()?),
        Json::String(x) => Value::Name(x.clone()),
        Json::Array(x) => Value::List(x.iter().map(|x| read(x, depth + 1)).collect::<Option<_>>()?),
        Json::Object(x) => match (x.len(), x.get("float"), x.get("fields")) {
            (1, Some(Json::String(text)), None) => Value::Float(text.parse().ok()?),
            (1, None, Some(fields)) => Value::Fields(read_fields(fields, depth + 1)?),
            _ => return None,
        },
    })
}

/// The opposite of [`fields`].
pub(super) fn read_fields(json: &Json, depth: usize) -> Option<Parameters> {
    let all = json.as_object()?.iter();
    all.map(|(name, value)| Some((name.clone().into(), read(value, depth)?))).collect()
}

/// A layout: the type, the shape, and the strides where it does not lie row by row.
pub(super) fn layout((shape, strides, dtype): &Layout) -> Json {
    match is_row_major(shape, strides) && row_major(shape) == *strides {
        true => json!([dtype.name(), shape[..]]),
        false => json!([dtype.name(), shape[..], strides[..]]),
    }
}

/// The opposite of [`layout`], of what there are tensors of.
pub(super) fn read_layout(json: &Json) -> Result<Layout> {
    let invalid = || Error::Value(format!("{json} is no layout of a tensor"));
    let parts = json.as_array().ok_or_else(invalid)?;
    let (dtype, shape, strides) = match &parts[..] {
        [dtype, shape] => (dtype, shape, None),
        [dtype, shape, strides] => (dtype, shape, Some(strides)),
        _ => return Err(invalid()),
    };
    let dtype = dtype.as_str().and_then(DType::parse).ok_or_else(invalid)?;
    let shape: Dims = numbers(shape).ok_or_else(invalid)?.into_iter().collect();
    let reach = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    if shape.len() > MOST_AXES || reach.is_none_or(|n| n > isize::MAX as usize / 16) {
        return Err(invalid());
    }
    let strides: Strides = match strides {
        None => row_major(&shape),
        Some(strides) => {
            let items = strides.as_array().ok_or_else(invalid)?.iter();
            let strides = items.map(|n| n.as_i64().and_then(|n| isize::try_from(n).ok()));
            strides.collect::<Option<Strides>>().filter(|s| s.len() == shape.len()).ok_or_else(invalid)?
        }
    };
    let mut reach = 0usize;
    for (&n, &stride) in shape.iter().zip(&strides) {
        let far = n.saturating_sub(1).checked_mul(stride.unsigned_abs());
        reach = far.and_then(|far| reach.checked_add(far)).ok_or_else(invalid)?;
    }
    if reach > isize::MAX as usize / 16 { Err(invalid()) } else { Ok((shape, strides, dtype)) }
}

/// Numbers from 0 on.
pub(super) fn numbers(json: &Json) -> Option<Vec<usize>> {
    json.as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
}
