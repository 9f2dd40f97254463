//! Element types: their names, sizes, kinds and promotion, and the one dispatch from a `DType` to a Rust type.

pub mod half;

use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// Truth values, one byte each.
    Bool,
    /// Unsigned integers of 8 bits.
    U8,
    /// Unsigned integers of 16 bits.
    U16,
    /// Unsigned integers of 32 bits.
    U32,
    /// Unsigned integers of 64 bits.
    U64,
    /// Signed integers of 8 bits.
    I8,
    /// Signed integers of 16 bits.
    I16,
    /// Signed integers of 32 bits.
    I32,
    /// Signed integers of 64 bits.
    I64,
    /// IEEE 754 half precision, for storage: computed with as float32.
    F16,
    /// The upper half of a float32, for storage: computed with as float32.
    BF16,
    /// IEEE 754 single precision: the default.
    F32,
    /// IEEE 754 double precision.
    F64,
}

/// What an element type can do; a scalar of a lower kind never changes the type of a tensor of a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Truth values.
    Bool,
    /// Integers, signed or not.
    Integer,
    /// Floating-point numbers.
    Float,
}

use DType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};

impl DType {
    /// Every element type, narrowest first within a kind.
    pub const ALL: [DType; 13] = [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];

    /// The name that NumPy and the array API give it.
    pub const fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            U8 => "uint8",
            U16 => "uint16",
            U32 => "uint32",
            U64 => "uint64",
            I8 => "int8",
            I16 => "int16",
            I32 => "int32",
            I64 => "int64",
            F16 => "float16",
            BF16 => "bfloat16",
            F32 => "float32",
            F64 => "float64",
        }
    }

    /// The element type of that name.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            Bool | U8 | I8 => 1,
            U16 | I16 | F16 | BF16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    /// Whether it holds truth values, integers or floating-point numbers.
    pub const fn kind(self) -> Kind {
        match self {
            Bool => Kind::Bool,
            F16 | BF16 | F32 | F64 => Kind::Float,
            _ => Kind::Integer,
        }
    }

    /// True for the floating types, which have gradients.
    pub const fn is_float(self) -> bool {
        matches!(self, F16 | BF16 | F32 | F64)
    }

    /// True for the floating types of 16 bits.
    pub const fn is_half(self) -> bool {
        matches!(self, F16 | BF16)
    }

    /// True for the signed integers.
    pub const fn is_signed(self) -> bool {
        matches!(self, I8 | I16 | I32 | I64)
    }

    /// Whether a finite number may be too large for this floating type although `from` holds it.
    pub const fn is_narrower(self, from: DType) -> bool {
        match self {
            F16 => !matches!(from, Bool | U8 | I8 | I16 | F16),
            BF16 => matches!(from, F32 | F64),
            F32 => matches!(from, F64),
            _ => false,
        }
    }

    /// The type that functions with real results compute in: itself if floating, else the default float32.
    pub const fn to_float(self) -> DType {
        if self.is_float() { self } else { F32 }
    }

    /// The widest type of its sort. Kernels for which the width matters little are compiled for these alone, and other
    /// types are converted on the way in: a third of the code, and of the time to compile it.
    pub const fn widest(self) -> DType {
        match self {
            U8 | U16 | U32 | U64 => U64,
            Bool | I8 | I16 | I32 | I64 => I64,
            F16 | BF16 | F32 => F32,
            F64 => F64,
        }
    }

    /// The type that two tensors have in common. Within a kind it is NumPy's; a floating type wins over integers.
    pub fn promote(self, other: DType) -> DType {
        match (self.kind(), other.kind()) {
            _ if self == other => self,
            (a, b) if a > b && (a == Kind::Float || b == Kind::Bool) => self,
            (a, b) if a < b && (b == Kind::Float || a == Kind::Bool) => other,
            (Kind::Float, _) if self == F64 || other == F64 => F64,
            (Kind::Float, _) => F32, // neither of the types of 16 bits holds the other
            _ => promote_integers(self, other),
        }
    }
}

fn promote_integers(a: DType, b: DType) -> DType {
    if a.is_signed() == b.is_signed() {
        return if a.size() >= b.size() { a } else { b };
    }
    let (signed, unsigned) = if a.is_signed() { (a, b) } else { (b, a) };
    if signed.size() > unsigned.size() {
        return signed;
    }
    match unsigned {
        U8 => I16,
        U16 => I32,
        U32 => I64,
        _ => F64, // as NumPy: no integer holds both ranges
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Keeps [`Element`] to the types of this crate: memory is read as what [`Element::DTYPE`] says.
pub(crate) mod sealed {
    /// Only what is named here.
    pub trait Sealed {}
}

/// A Rust type that can be a tensor's element. There are no others.
pub trait Element: sealed::Sealed + Copy + Default + PartialOrd + Send + Sync + fmt::Debug + 'static {
    /// The element type it stands for.
    const DTYPE: DType;
    /// The nearest value of this type: saturating for integers, as Rust's `as`.
    fn from_f64(x: f64) -> Self;
    /// Wraps to this integer type, or converts to this floating type.
    fn from_i64(x: i64) -> Self;
    /// As the widest floating type.
    fn to_f64(self) -> f64;
    /// As the widest signed integer; wraps, and truncates fractions.
    fn to_i64(self) -> i64;
}

macro_rules! element {
    ($($t:ty = $d:ident),+) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = $d;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn from_i64(x: i64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
        }
    )+};
}
element!(
    u8 = U8,
    u16 = U16,
    u32 = U32,
    u64 = U64,
    i8 = I8,
    i16 = I16,
    i32 = I32,
    i64 = I64,
    f32 = F32,
    f64 = F64
);

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: DType = Bool;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x != 0.0
    }
    #[inline(always)]
    fn from_i64(x: i64) -> Self {
        x != 0
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self)
    }
}

/// Runs an expression with `$t` bound to the Rust type of a `DType`: `each!(dtype, all: T => …)`. The list says for
/// which types it is compiled; the others take the `else` arm. `wide` takes a [`DType::widest`], `computed` all but those
/// of 16 bits, and `moved` is for code that only moves elements: an integer of the same size stands for each but `bool`.
macro_rules! each {
    ($dtype:expr, all: $t:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::Bool => { type $t = bool; $body }
            $crate::dtype::DType::U8 => { type $t = u8; $body }
            $crate::dtype::DType::U16 => { type $t = u16; $body }
            $crate::dtype::DType::U32 => { type $t = u32; $body }
            $crate::dtype::DType::U64 => { type $t = u64; $body }
            $crate::dtype::DType::I8 => { type $t = i8; $body }
            $crate::dtype::DType::I16 => { type $t = i16; $body }
            $crate::dtype::DType::I32 => { type $t = i32; $body }
            $crate::dtype::DType::I64 => { type $t = i64; $body }
            $crate::dtype::DType::F16 => { type $t = $crate::dtype::half::Float16; $body }
            $crate::dtype::DType::BF16 => { type $t = $crate::dtype::half::BFloat16; $body }
            $crate::dtype::DType::F32 => { type $t = f32; $body }
            $crate::dtype::DType::F64 => { type $t = f64; $body }
        }
    };
    ($dtype:expr, moved: $t:ident => $body:expr) => {
        match $dtype.size() {
            1 if $dtype == $crate::dtype::DType::Bool => { type $t = bool; $body }
            1 => { type $t = u8; $body }
            2 => { type $t = u16; $body }
            4 => { type $t = u32; $body }
            _ => { type $t = u64; $body }
        }
    };
    ($dtype:expr, computed: $t:ident => $body:expr, else $other:expr) => {
        match $dtype {
            $crate::dtype::DType::Bool => { type $t = bool; $body }
            _ => $crate::dtype::each!($dtype, numeric: $t => $body, else $other),
        }
    };
    ($dtype:expr, float: $t:ident => $body:expr, else $other:expr) => {
        match $dtype {
            $crate::dtype::DType::F32 => { type $t = f32; $body }
            $crate::dtype::DType::F64 => { type $t = f64; $body }
            _ => $other,
        }
    };
    ($dtype:expr, integer: $t:ident => $body:expr, else $other:expr) => {
        match $dtype {
            $crate::dtype::DType::U8 => { type $t = u8; $body }
            $crate::dtype::DType::U16 => { type $t = u16; $body }
            $crate::dtype::DType::U32 => { type $t = u32; $body }
            $crate::dtype::DType::U64 => { type $t = u64; $body }
            $crate::dtype::DType::I8 => { type $t = i8; $body }
            $crate::dtype::DType::I16 => { type $t = i16; $body }
            $crate::dtype::DType::I32 => { type $t = i32; $body }
            $crate::dtype::DType::I64 => { type $t = i64; $body }
            _ => $other,
        }
    };
    ($dtype:expr, wide: $t:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::F32 => { type $t = f32; $body }
            $crate::dtype::DType::F64 => { type $t = f64; $body }
            $crate::dtype::DType::U64 => { type $t = u64; $body }
            _ => { type $t = i64; $body }
        }
    };
    ($dtype:expr, numeric: $t:ident => $body:expr, else $other:expr) => {
        $crate::dtype::each!($dtype, integer: $t => $body,
            else $crate::dtype::each!($dtype, float: $t => $body, else $other))
    };
}
pub(crate) use each;
