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
