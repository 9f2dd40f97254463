//! What a profile sees of what is done.

use oxiflux::tape::profile::{Event, Pass, Profile};
use oxiflux::{Axes, Tensor, ops, withgradient};

#[test]
fn what_is_done_is_told_with_its_shapes_and_what_it_is_for() {
    let profile = Profile::open().expect("no other is open");
    assert!(Profile::open().is_none());
    let (x, w) = (Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]), Tensor::from([[1.0f32], [2.0]]));
    withgradient(|w: &Tensor| ops::matmul(&x, w)?.sum(Axes::All, false), &w).expect("it is done");
    let found = profile.close();
    let product = |e: &&Event| (&*e.name, e.pass) == ("matmul", Pass::Forward);
    let product: Vec<&Event> = found.events.iter().filter(product).collect();
    assert_eq!(product.len(), 1);
    assert_eq!((product[0].flops, product[0].bytes, product[0].inputs.len()), (8, 4 * (4 + 2 + 2), 2));
    assert!(found.events.iter().any(|e| e.pass == Pass::Backward));
    assert!(found.peak > 0 && found.lost == 0);
    assert!(Profile::open().is_some());
}
