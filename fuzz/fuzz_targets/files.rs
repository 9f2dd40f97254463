//! Any bytes as a file of tensors: reading ends in an error or in tensors that are written and read again as they were.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oxiflux::files;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A file in memory where there is such a folder, of this process alone.
static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("oxiflux-fuzz-{}.safetensors", std::process::id()))
});

fuzz_target!(|data: &[u8]| {
    fs::write(&*PATH, data).expect("a file can be written");
    let Ok((tensors, notes)) = files::read(&PATH) else { return };
    // Each byte is looked at: what was not read from the file would be memory of somebody else.
    let bytes: usize = tensors.iter().map(|(_, a)| a.as_bytes().expect("rows of a file").len()).sum();
    assert!(bytes <= data.len(), "{bytes} bytes of tensors out of {} of a file", data.len());
    // A file of ours holds its notes even if there are none, and its header has its own limits.
    if files::write(&PATH, &tensors, &notes).is_err() {
        return;
    }
    let (mut again, notes_again) = files::read(&PATH).expect("what was written is read");
    assert_eq!(notes, notes_again);
    let mut tensors = tensors;
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    again.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(tensors.len(), again.len());
    for ((name, a), (name_again, b)) in tensors.iter().zip(&again) {
        assert_eq!((name, a.shape(), a.dtype()), (name_again, b.shape(), b.dtype()));
        assert_eq!(a.as_bytes(), b.as_bytes());
    }
});
