//! An array's values as text, much as NumPy writes them: in rows, aligned, and of large arrays only what is near the edges.

use super::{Array, Range};
use crate::dtype::{DType, Kind};
use crate::error::Result;
use std::fmt::{self, Write};

/// Of arrays with more elements, the middle is left out.
const MOST: usize = 1000;
/// How many are written at each end of an axis whose middle is left out.
const EDGE: usize = 3;
/// The most digits after the point.
const DIGITS: usize = 8;
/// The same for numbers of 16 bits, which have no more.
const DIGITS_OF_HALF: usize = 4;

/// What is written of an array.
enum Shown {
    Text(String),
    Float(f64),
    /// What lies along an axis; `None` is what is left out.
    Axis(Vec<Option<Shown>>),
}

impl Shown {
    fn new(a: &Array, is_whole: bool) -> Result<Shown> {
        let Some((&n, rest)) = a.shape().split_first() else {
            return Ok(match (a.dtype().kind(), a.dtype()) {
                (Kind::Float, _) => Shown::Float(a.item()?),
                (Kind::Bool, _) => Shown::Text((a.item()? != 0.0).to_string()),
                (_, DType::U64) => Shown::Text(a.to_vec::<u64>()?[0].to_string()),
                _ => Shown::Text(a.to_vec::<i64>()?[0].to_string()),
            });
        };
        let part = |i| {
            let mut ranges = vec![Range { start: i, step: 1, length: 1 }];
            ranges.extend(rest.iter().map(|&n| Range::all(n)));
            Shown::new(&a.slice(&ranges)?.reshape(rest)?, is_whole).map(Some)
        };
        let parts: Result<Vec<_>> = if is_whole || n <= 2 * EDGE {
            (0..n).map(part).collect()
        } else {
            (0..EDGE).map(part).chain([Ok(None)]).chain((n - EDGE..n).map(part)).collect()
        };
        Ok(Shown::Axis(parts?))
    }

    /// Does `f` to each element.
    fn each(&mut self, f: &mut impl FnMut(&mut Shown)) {
        match self {
            Shown::Axis(parts) => parts.iter_mut().flatten().for_each(|part| part.each(f)),
            element => f(element),
        }
    }

    /// Writes elements to a width, and what follows them on the way `indent` axes down.
    fn write(&self, f: &mut fmt::Formatter<'_>, width: usize, indent: usize) -> fmt::Result {
        let parts = match self {
            Shown::Text(text) => return write!(f, "{text:>width$}"),
            Shown::Float(x) => return write!(f, "{x:>width$}"),
            Shown::Axis(parts) => parts,
        };
        let is_row = !parts.iter().any(|part| matches!(part, Some(Shown::Axis(_))));
        f.write_char('[')?;
        for (i, part) in parts.iter().enumerate() {
            match (i, is_row) {
                (0, _) => {}
                (_, true) => f.write_str(", ")?,
                (_, false) => write!(f, ",\n{:indent$}", "")?,
            }
            match part {
                Some(part) => part.write(f, width, indent + 1)?,
                None => f.write_str("...")?,
            }
        }
        f.write_char(']')
    }
}

/// How the floating-point numbers of an array are written.
struct Style {
    is_single: bool,
    is_scientific: bool,
    /// The most digits after the point.
    most: usize,
    /// How many there are after padding with zeros.
    digits: usize,
}

impl Style {
    /// The style for some numbers, of which all have as many digits as the longest.
    fn new(dtype: DType, numbers: &[f64]) -> Style {
        let sizes = || numbers.iter().map(|x| x.abs()).filter(|x| x.is_finite() && *x > 0.0);
        let is_scientific = sizes().any(|x| !(1e-4..1e8).contains(&x));
        let most = if dtype.is_half() { DIGITS_OF_HALF } else { DIGITS };
        let mut style = Style { is_single: dtype != DType::F64, is_scientific, most, digits: 0 };
        if !is_scientific {
            style.digits = numbers.iter().map(|&x| decimals(&style.cut(x))).max().unwrap_or(0).max(1);
        }
        style
    }

    /// The shortest text that stands for a number, cut to the most digits.
    fn cut(&self, x: f64) -> String {
        let text = match (self.is_scientific, self.is_single) {
            (true, true) => format!("{:e}", x as f32),
            (true, false) => format!("{x:e}"),
            (false, true) => format!("{}", x as f32),
            (false, false) => format!("{x}"),
        };
        let most = self.most;
        match (decimals(&text) > most, self.is_scientific) {
            (false, _) => text,
            (true, true) => format!("{x:.most$e}"),
            (true, false) => format!("{x:.most$}").trim_end_matches('0').to_string(),
        }
    }

    /// The text for a number.
    fn text(&self, x: f64) -> String {
        let mut text = self.cut(x);
        if x.is_finite() && !self.is_scientific {
            let missing = self.digits - decimals(&text);
            if !text.contains('.') {
                text.push('.');
            }
            text.extend(std::iter::repeat_n('0', missing));
        }
        text
    }
}

/// The digits after the point.
fn decimals(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, after)| after.bytes().take_while(u8::is_ascii_digit).count())
}

impl fmt::Display for Array {
    /// The values in rows. A precision, as in `{:.2}`, is that of each number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = Shown::new(self, self.size() <= MOST).map_err(|_| fmt::Error)?;
        let mut numbers = Vec::new();
        shown.each(&mut |element| {
            if let Shown::Float(x) = element {
                numbers.push(*x);
            }
        });
        let (style, mut width) = (Style::new(self.dtype(), &numbers), 0);
        shown.each(&mut |element| {
            if let Shown::Float(x) = *element {
                *element = Shown::Text(match f.precision() {
                    Some(digits) => format!("{x:.digits$}"),
                    None => style.text(x),
                });
            }
            if let Shown::Text(text) = element {
                width = width.max(text.len());
            }
        });
        shown.write(f, width, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: crate::dtype::Element>(shape: &[usize], values: &[T]) -> String {
        Array::from_slice(shape, values).expect("memory").to_string()
    }

    #[test]
    fn values_are_written_in_rows_and_aligned() {
        assert_eq!(text(&[2, 2], &[1.0f32, -2.5, 10.25, 4.0]), "[[ 1.00, -2.50],\n [10.25,  4.00]]");
        assert_eq!(text(&[2, 1, 2], &[1, 2, 3, 40]), "[[[ 1,  2]],\n [[ 3, 40]]]");
        assert_eq!(text(&[2], &[true, false]), "[ true, false]");
        assert_eq!((text(&[], &[0.1f32]), text(&[], &[-3i8])), ("0.1".into(), "-3".into()));
        assert_eq!((text::<f32>(&[0], &[]), text::<f32>(&[2, 0], &[])), ("[]".into(), "[[],\n []]".into()));
    }

    #[test]
    fn numbers_have_the_digits_that_tell_them_apart_up_to_eight() {
        assert_eq!(text(&[2], &[0.1f32, 1.0 / 3.0]), "[0.10000000, 0.33333334]");
        assert_eq!(text(&[2], &[0.1, 1.0 / 3.0]), "[0.10000000, 0.33333333]");
        assert_eq!(text(&[1], &[1.000_000_000_1]), "[1.0]");
        assert_eq!(text(&[3], &[1e-20f32, 0.0, 2.5]), "[1e-20,   0e0, 2.5e0]");
        assert_eq!(text(&[3], &[f64::NAN, f64::NEG_INFINITY, 1.0]), "[ NaN, -inf,  1.0]");
        assert_eq!(
            text(&[2], &[u64::MAX, i64::MAX as u64 + 1]),
            "[18446744073709551615,  9223372036854775808]"
        );
        let halves =
            Array::from_slice(&[2], &[0.1f32, 2.0]).and_then(|a| a.cast(DType::F16)).expect("memory");
        assert_eq!((halves.to_string(), format!("{halves:.1}")), ("[0.1, 2.0]".into(), "[0.1, 2.0]".into()));
    }

    #[test]
    fn of_large_arrays_the_middle_is_left_out() {
        let a = Array::from_fn("", &[1001], |i| i as i64).expect("memory");
        assert_eq!(a.to_string(), "[   0,    1,    2, ...,  998,  999, 1000]");
        let rows = a.reshape(&[7, 143]).expect("fits").to_string();
        assert_eq!(rows.lines().nth(3), Some(" ...,"));
        assert_eq!(rows.lines().last(), Some(" [ 858,  859,  860, ...,  998,  999, 1000]]"));
        assert_eq!(a.broadcast_to(&[1 << 40, 1001]).expect("fits").to_string().lines().count(), 7);
    }
}
