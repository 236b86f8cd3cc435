//! Messages that bootstraps are measured with.

use crate::arith::Complex;

/// What the slots hold, of magnitude 1 at most, with its name: random numbers of the square of half diagonal 1, ones, a single one, +1 and -1 in
/// turn. `run` varies the random ones and the place of the single one.
pub fn messages(slots: usize, run: usize) -> [(&'static str, Vec<Complex>); 4] {
    let mut state = 2024u64.wrapping_add(run as u64);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let random = (0..slots).map(|_| Complex::new(half * next(), half * next()));
    let hot = (run * 7919 + 1) % slots.max(1);
    let one_hot = (0..slots).map(|i| Complex::from(f64::from(u8::from(i == hot))));
    let alternating = (0..slots).map(|i| Complex::from(if i % 2 == 0 { 1.0 } else { -1.0 }));
    [
        ("random", random.collect()),
        ("equal", vec![Complex::from(1.0); slots]),
        ("one_hot", one_hot.collect()),
        ("alternating", alternating.collect()),
    ]
}
