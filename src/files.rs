//! Tensors in files, in the safetensors format.
//!
//! Reading believes nothing: the header is checked against the size of the file before memory is asked for, and the
//! tensors take no more than the file does. Writing goes to a new file beside the old one, which then takes its name.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result, attempt};
use crate::memory::{filled, room};
use crate::shape::{MOST_AXES, show};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most tensors of a file. Each takes some hundred bytes of memory, also if it has no elements.
const MOST_TENSORS: usize = 1 << 18;
/// The format's limit on the header, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;
/// How many times as much memory as its text the tensors of a header may take.
const HEADER_GROWS: usize = 8;
/// The header starts at a multiple of 8 bytes and, padded with spaces, ends at one.
const ALIGNMENT: usize = 8;

const _: () = assert!(cfg!(target_endian = "little"), "the elements in a file are little-endian");

/// Texts that a file says about itself, by name.
pub type Notes = BTreeMap<String, String>;

/// Reads all tensors of a file, in the order of their data, and its notes. Element types that tensors do not have are an
/// error.
pub fn read(path: &Path) -> Result<(Vec<(String, Array)>, Notes)> {
    let failed = |e: io::Error| io_error(path, &e);
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(Error::Value(format!("{}: not a regular file", path.display())));
    }
    let mut file = File::open(path).map_err(failed)?;
    let invalid = |why: String| Error::Value(format!("{}: {why}", path.display()));
    parse(&mut file, found.len()).map_err(|e| match e {
        Failure::Invalid(why) => invalid(why),
        Failure::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => invalid("the file ends early".into()),
        Failure::Io(e) => failed(e),
        Failure::Other(e) => e,
    })
}

/// Why a file could not be read.
enum Failure {
    Invalid(String),
    Io(io::Error),
    Other(Error),
}

type Parsed<T> = std::result::Result<T, Failure>;

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Io(e)
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Other(e)
    }
}

fn parse(source: &mut impl Read, len: u64) -> Parsed<(Vec<(String, Array)>, Notes)> {
    let no = |why: String| Err(Failure::Invalid(format!("not a valid safetensors file: {why}")));
    let Some(rest) = len.checked_sub(8) else {
        return no(format!("{len} bytes are too few for a header"));
    };
    let mut word = [0; 8];
    source.read_exact(&mut word)?;
    let size = u64::from_le_bytes(word);
    if size > LONGEST_HEADER {
        return no(format!("a header of {size} bytes is more than the {LONGEST_HEADER} that are allowed"));
    }
    if size > rest {
        return no(format!("a header of {size} bytes in a file of {len}"));
    }
    // What a header describes takes a small multiple of it in memory.
    drop(attempt("load", || Ok(room::<u8>(size as usize * HEADER_GROWS)))?);
    let mut text = attempt("load", || Ok(filled(size as usize, 0)))?;
    source.read_exact(&mut text)?;
    let header = match serde_json::from_slice::<Header>(&text) {
        Ok(header) => header,
        Err(e) => return no(format!("its header: {e}")),
    };
    drop(text);
    let metadata = match Metadata::new(None, header.tensors) {
        Ok(metadata) => metadata,
        Err(e) => return no(e.to_string()),
    };
    if metadata.data_len() as u64 != rest - size {
        return no(format!(
            "its header describes {} bytes of data, and there are {}",
            metadata.data_len(),
            rest - size
        ));
    }
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        if let Some(info) = metadata.info(&name) {
            let array = tensor(source, &name, info)?;
            tensors.push((name, array));
        }
    }
    Ok((tensors, header.notes))
}

/// Reads the elements of one tensor.
fn tensor(source: &mut impl Read, name: &str, info: &TensorInfo) -> Parsed<Array> {
    let shape = &info.shape;
    // An empty tensor may have axes of any length, whose strides still have to fit.
    let reach = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    if shape.len() > MOST_AXES || reach.is_none_or(|n| n > isize::MAX as usize / 8) {
        let text = if shape.len() > MOST_AXES { format!("{} axes", shape.len()) } else { show(shape) };
        return Err(Failure::Invalid(format!("tensor {name:?}: there is no tensor of shape {text}")));
    }
    let Some(&(_, dtype)) = DTYPES.iter().find(|(theirs, _)| *theirs == info.dtype) else {
        return Err(Failure::Other(Error::DType(format!(
            "load: tensor {name:?} is of type {}, which tensors here do not have",
            info.dtype
        ))));
    };
    // Any other byte in a bool would be undefined behaviour.
    let given = if dtype == DType::Bool { DType::U8 } else { dtype };
    let mut out = Array::empty("load", shape, given)?;
    let bytes = out.fresh_bytes();
    source.read_exact(bytes)?;
    if dtype == DType::Bool
        && let Some(other) = bytes.iter().find(|&&b| b > 1)
    {
        return Err(Failure::Invalid(format!("tensor {name:?}: {other} is no truth value")));
    }
    Ok(out.cast(dtype)?)
}

const DTYPES: [(Dtype, DType); 13] = [
    (Dtype::BOOL, DType::Bool),
    (Dtype::U8, DType::U8),
    (Dtype::U16, DType::U16),
    (Dtype::U32, DType::U32),
    (Dtype::U64, DType::U64),
    (Dtype::I8, DType::I8),
    (Dtype::I16, DType::I16),
    (Dtype::I32, DType::I32),
    (Dtype::I64, DType::I64),
    (Dtype::F16, DType::F16),
    (Dtype::BF16, DType::BF16),
    (Dtype::F32, DType::F32),
    (Dtype::F64, DType::F64),
];

/// What a header says. It is read entry by entry: its size in memory is a small multiple of that in the file, and a
/// name that is given twice is an error.
struct Header {
    tensors: Vec<(String, TensorInfo)>,
    notes: Notes,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(source: D) -> std::result::Result<Self, D::Error> {
        source.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an entry for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Header, A::Error> {
        let (mut seen, mut header) = (HashSet::new(), Header { tensors: Vec::new(), notes: Notes::new() });
        while let Some(name) = entries.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("{name:?} is given twice")));
            }
            if name == "__metadata__" {
                header.notes = entries.next_value()?;
            } else {
                if header.tensors.len() == MOST_TENSORS {
                    return Err(A::Error::custom(format!("more than {MOST_TENSORS} tensors")));
                }
                header.tensors.push((name, entries.next_value()?));
            }
        }
        header.tensors.sort_by_key(|(_, info)| info.data_offsets);
        Ok(header)
    }
}

/// Writes tensors and notes to a file, which at every moment is the old one or the new one, whole.
///
/// The new one is written to a file beside it, called `.NAME.….tmp`, and brought to the disk before it takes the name;
/// a process that is killed meanwhile leaves that file behind.
pub fn write(path: &Path, tensors: &[(String, Array)], notes: &Notes) -> Result<()> {
    let (header, order) = header(tensors, notes)?;
    // A link stays a link, to the new file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return Err(Error::Value(format!("{}: not a regular file", path.display())));
    }
    let failed = |e: io::Error| io_error(path, &e);
    let (mut file, beside) = create_beside(&target).map_err(failed)?;
    let put = |file: &mut File| {
        file.write_all(&header)?;
        for array in &order {
            file.write_all(array.as_bytes().expect("what is written was made contiguous"))?;
        }
        file.sync_all()
    };
    let done = put(&mut file).and_then(|()| fs::rename(&beside, &target));
    if done.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    done.and_then(|()| sync_folder(&target)).map_err(failed)
}

/// The size of the header and the header, and the tensors in the order of their data.
fn header(tensors: &[(String, Array)], notes: &Notes) -> Result<(Vec<u8>, Vec<Array>)> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    // The widest first, so that each is aligned.
    sorted.sort_by(|(a, x), (b, y)| y.dtype().size().cmp(&x.dtype().size()).then_with(|| a.cmp(b)));
    if sorted.len() > MOST_TENSORS {
        let n = sorted.len();
        return Err(Error::Value(format!("save: {n} tensors are more than the {MOST_TENSORS} of a file")));
    }
    let (mut infos, mut order, mut start) = (Vec::new(), Vec::new(), 0);
    for (name, array) in sorted {
        let end = start + array.size() * array.dtype().size();
        let dtype = DTYPES.iter().find(|(_, ours)| *ours == array.dtype()).map_or(Dtype::F32, |(d, _)| *d);
        let info = TensorInfo { dtype, shape: array.shape().to_vec(), data_offsets: (start, end) };
        infos.push((name.clone(), info));
        order.push(array.contiguous()?);
        start = end;
    }
    // The crate writes no valid file for notes that are there and empty, where there are no tensors either.
    let notes =
        (!notes.is_empty()).then(|| notes.iter().map(|(name, text)| (name.clone(), text.clone())).collect());
    let metadata = Metadata::new(notes, infos).map_err(|e| Error::Value(format!("save: {e}")))?;
    let mut text = serde_json::to_vec(&metadata).map_err(|e| Error::Value(format!("save: {e}")))?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    if text.len() as u64 > LONGEST_HEADER {
        return Err(Error::Value(format!(
            "save: a header of {} bytes is more than the {LONGEST_HEADER} that are allowed",
            text.len()
        )));
    }
    text.splice(..0, (text.len() as u64).to_le_bytes());
    Ok((text, order))
}

/// A new file in the folder of another, under a name that nobody else uses.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Who may not read the old one may not read the new one either, not even for a moment.
    let permissions = fs::metadata(path).map(|old| old.permissions()).ok();
    #[cfg(unix)]
    if permissions.is_some() {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!(".{name}.{}-{n}.tmp", std::process::id()));
        match options.open(&beside) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            result => {
                let file = result?;
                if let Some(permissions) = permissions
                    && let Err(e) = file.set_permissions(permissions)
                {
                    let _ = fs::remove_file(&beside);
                    return Err(e);
                }
                return Ok((file, beside));
            }
        }
    }
}

/// Brings the name of a new file to the disk.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn io_error(path: &Path, e: &io::Error) -> Error {
    match e.raw_os_error() {
        // The system's words without the number that Rust puts behind them.
        Some(code) => {
            let text = e.to_string();
            let reason = text.split(" (os error").next().unwrap_or_default().to_string();
            Error::File { path: path.to_path_buf(), code, reason }
        }
        None => Error::Value(format!("{}: {e}", path.display())),
    }
}
