//! Tells which digit an image of 8 x 8 pixels shows, by a network that Python has trained and `save_digits.py` has saved: there
//! is no Python here. An image is a line of 64 numbers from 0 to 16, and its answer a line: the digit, and how sure it is.
//!
//! `cargo run --release --example serve_digits < examples/digits.csv`, or as a server for any number of connections:
//! `cargo run --release --example serve_digits -- 127.0.0.1:7878`

use oxiflux::programs::{self, Programs};
use oxiflux::{Error, Result, Tensor};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

/// The network.
pub(crate) fn digits() -> Result<Programs> {
    programs::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits.program"))
}

/// The digit that the pixels of a line show, and how probable it is. What follows the pixels is not looked at.
pub(crate) fn answer(digits: &Programs, line: &str) -> Result<(usize, f32)> {
    let pixels: Vec<f32> = line.split(',').take(64).flat_map(|text| text.trim().parse()).collect();
    if pixels.len() < 64 {
        return Err(Error::Value(format!("an image is 64 numbers, not {}", pixels.len())));
    }
    let chances = digits.call(&[Tensor::from_slice(&[1, 64], &pixels)?])?.remove(0).to_vec::<f32>()?;
    let best = chances.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map(|(digit, &chance)| (digit, chance)).ok_or_else(|| Error::Value("there are no digits".into()))
}

/// Answers each line until there are no more.
fn serve(digits: &Programs, images: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    for line in images.lines() {
        match answer(digits, &line?) {
            Ok((digit, chance)) => writeln!(answers, "{digit} {chance:.3}")?,
            Err(error) => writeln!(answers, "error: {error}")?,
        }
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let digits = digits()?;
    let Some(address) = std::env::args().nth(1) else {
        return Ok(serve(&digits, io::stdin().lock(), io::stdout().lock())?);
    };
    let listener = TcpListener::bind(address)?;
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            // Who goes away in the middle of a line is no concern of the others.
            scope.spawn(|| {
                stream.try_clone().and_then(|images| serve(&digits, BufReader::new(images), stream))
            });
        }
        Ok(())
    })
}
