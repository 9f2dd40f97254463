//! Philox against its published vectors; bounds, moments and independence of the draws.

use oxiflux::kernels::random::{self, Position, Random, philox};
use oxiflux::memory::unwritten::Unwritten;
use std::mem::MaybeUninit;

const START: Position = Position { key: 42, counter: 7 };

/// What a kernel writes to room for `n` elements.
fn written<T: Copy>(n: usize, write: impl FnOnce(&mut Unwritten<T>) -> &mut [T]) -> Vec<T> {
    write(&mut vec![MaybeUninit::uninit(); n]).to_vec()
}

fn uniform<T: Random>(place: Position, n: usize) -> Vec<T> {
    written(n, |out| random::uniform(&mut { place }, out))
}

fn normal<T: Random>(place: Position, n: usize) -> Vec<T> {
    written(n, |out| random::normal(&mut { place }, out))
}

fn integers(place: Position, low: i64, high: i64, n: usize) -> Vec<i64> {
    written(n, |out| random::integers(&mut { place }, low, high, out))
}

#[test]
fn philox_gives_the_known_answers_of_random123() {
    let zero = philox([0; 4], [0; 2]);
    assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let ones = philox([u32::MAX; 4], [u32::MAX; 2]);
    assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let pi = philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}

#[test]
fn the_stream_is_made_of_philox_blocks_of_the_counter() {
    let mut next = START;
    let out = written(100, |out| random::bits(&mut next, out));
    for (i, &bits) in out.iter().enumerate() {
        let block = START.counter as u32 + (i / 32 * 16 + i % 16) as u32;
        let w = philox([block, 0, 0, 0], [42, 0]);
        let pair = if i / 16 % 2 == 0 { [w[0], w[1]] } else { [w[2], w[3]] };
        assert_eq!(bits, u64::from(pair[0]) | u64::from(pair[1]) << 32, "element {i}");
    }
    assert_eq!(next, Position { counter: START.counter + 4 * 16, ..START });
}

#[test]
fn an_element_does_not_depend_on_how_many_are_drawn() {
    let long: Vec<f32> = uniform(START, 100_000);
    let long_normal: Vec<f64> = normal(START, 100_000);
    for n in [0, 1, 15, 16, 17, 63, 64, 65, 16_385] {
        assert_eq!(uniform::<f32>(START, n), long[..n]);
        assert_eq!(normal::<f64>(START, n), long_normal[..n]);
        assert_eq!(integers(START, -3, 10, n), integers(START, -3, 10, 100_000)[..n]);
    }
}

#[test]
fn the_place_after_a_draw_continues_the_stream() {
    let mut next = START;
    let mut head: Vec<f32> = written(640, |out| random::uniform(&mut next, out));
    head.extend(uniform::<f32>(next, 360));
    assert_eq!(head, uniform::<f32>(START, 1000));
}

#[test]
fn uniform_is_in_range_with_the_moments_and_the_bins_of_its_distribution() {
    let n = 1 << 20;
    let single: Vec<f64> = uniform::<f32>(START, n).iter().map(|&x| f64::from(x)).collect();
    for x in [single, uniform::<f64>(START, n)] {
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / n as f64).sqrt(), "mean {mean}");
        assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0 / n as f64).sqrt(), "variance {variance}");
        let mut bins = [0_f64; 256];
        x.iter().for_each(|x| bins[(x * 256.0) as usize] += 1.0);
        let expected = n as f64 / 256.0;
        let chi2: f64 = bins.iter().map(|b| (b - expected).powi(2) / expected).sum();
        assert!((chi2 - 255.0).abs() < 5.0 * (2.0_f64 * 255.0).sqrt(), "chi2 {chi2}");
    }
}

#[test]
fn normal_has_the_moments_and_the_tails_of_its_distribution() {
    let n = 1 << 20;
    let single: Vec<f64> = normal::<f32>(START, n).iter().map(|&x| f64::from(x)).collect();
    for x in [single, normal::<f64>(START, n)] {
        assert!(x.iter().all(|x| x.is_finite()));
        let moment = |k: i32| x.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
        let error = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        assert!(moment(1).abs() < error(1.0), "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < error(2.0), "variance {}", moment(2));
        assert!(moment(3).abs() < error(15.0), "skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < error(96.0), "kurtosis {}", moment(4));
        for (bound, share) in [(1.0, 0.317_310_5), (2.0, 0.045_500_26), (3.0, 0.002_699_796)] {
            let found = x.iter().filter(|x| x.abs() > bound).count() as f64 / n as f64;
            assert!((found - share).abs() < error(share), "beyond {bound}: {found}");
        }
        let pairs = x.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(pairs.abs() < error(1.0), "correlation {pairs}");
    }
}

#[test]
fn integers_take_all_values_of_their_range_equally_often() {
    let (n, low, high) = (1 << 18, -5_i64, 12);
    let mut bins = [0_f64; 17];
    for x in integers(START, low, high, n) {
        assert!((low..high).contains(&x));
        bins[(x - low) as usize] += 1.0;
    }
    let expected = n as f64 / 17.0;
    let chi2: f64 = bins.iter().map(|b| (b - expected).powi(2) / expected).sum();
    assert!(chi2 < 16.0 + 5.0 * 32_f64.sqrt(), "chi2 {chi2}");
}

#[test]
fn integers_redraw_what_would_be_biased() {
    // A quarter of the draws is rejected for this range; without that, every third value would be a third rarer.
    let high = 3_i64 << 60;
    let n = 1 << 16;
    let drawn = integers(START, -high, high, n);
    let mut thirds = [0_f64; 3];
    for x in &drawn {
        assert!((-high..high).contains(x));
        thirds[(x % 3 + 3) as usize % 3] += 1.0;
    }
    let expected = n as f64 / 3.0;
    let chi2: f64 = thirds.iter().map(|b| (b - expected).powi(2) / expected).sum();
    assert!(chi2 < 2.0 + 5.0 * 2.0, "chi2 {chi2}");
    assert_eq!(integers(START, i64::MIN, i64::MAX, 100).len(), 100);
    assert!(integers(START, 4, 5, 100).iter().all(|&x| x == 4));
}

#[test]
fn a_permutation_holds_each_number_once_and_no_place_is_preferred() {
    let mut places = [[0_f64; 5]; 5];
    let rounds = 20_000;
    for round in 0..rounds {
        let mut out = written(5, |out| random::permutation(&mut Position { key: round, counter: 0 }, out));
        for (i, &x) in out.iter().enumerate() {
            places[i][x as usize] += 1.0;
        }
        out.sort_unstable();
        assert_eq!(out, [0, 1, 2, 3, 4]);
    }
    let expected = rounds as f64 / 5.0;
    let chi2: f64 = places.iter().flatten().map(|b| (b - expected).powi(2) / expected).sum();
    assert!(chi2 < 16.0 + 5.0 * 32_f64.sqrt(), "chi2 {chi2}");
}
