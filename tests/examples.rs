//! The examples do what they say, without a word of `unsafe`.

#![forbid(unsafe_code)]

#[path = "../examples/iris.rs"]
#[allow(dead_code)] // their `main` is for people
mod iris;

#[test]
fn a_network_learns_to_tell_flowers_apart() -> oxiflux::Result<()> {
    assert!(iris::train(0)? < 0.6);
    assert!(iris::train(200)? > 0.9);
    Ok(())
}

#[path = "../examples/serve_digits.rs"]
#[allow(dead_code)]
mod serve_digits;

#[test]
fn digits_are_told_apart_by_a_network_that_python_has_saved() -> oxiflux::Result<()> {
    let digits = serve_digits::digits()?;
    let (mut known, mut count) = (0, 0);
    for line in include_str!("../examples/digits.csv").lines() {
        let (digit, chance) = serve_digits::answer(&digits, line)?;
        assert!((0.1..=1.0).contains(&chance));
        known += usize::from(line.ends_with(&format!(",{digit}")));
        count += 1;
    }
    assert!(count == 20 && known >= 19, "{known} of {count} digits are known");
    assert!(serve_digits::answer(&digits, "1,2,3").is_err());
    Ok(())
}
