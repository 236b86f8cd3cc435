//! Primes p = 1 mod 2N below 2^30, from the top down.

/// Whether `p` is prime: Miller-Rabin with bases 2, 3, 5, 7, which is exact below 3 215 031 751
/// (Jaeschke 1993).
pub const fn is_prime(p: u32) -> bool {
    if p < 2 || p.is_multiple_of(2) {
        return p == 2;
    }
    let (shift, bases) = ((p - 1).trailing_zeros(), [2u32, 3, 5, 7]);
    let mut at = 0;
    while at < bases.len() {
        let base = bases[at] % p;
        at += 1;
        if base == 0 {
            continue;
        }
        let mut x = power(base, (p - 1) >> shift, p);
        let mut round = 1;
        while round < shift && x != 1 && x != p - 1 {
            x = (x as u64 * x as u64 % p as u64) as u32;
            round += 1;
        }
        if x != p - 1 && !(x == 1 && round == 1) {
            return false;
        }
    }
    true
}

const fn power(base: u32, mut exponent: u32, p: u32) -> u32 {
    let (mut result, mut square) = (1u64, base as u64);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % p as u64;
        }
        square = square * square % p as u64;
        exponent >>= 1;
    }
    result as u32
}

/// The primes p = 1 mod 2^(log_n + 1) with low <= p < high, largest first.
pub fn ntt_primes(log_n: u32, low: u32, high: u32) -> impl Iterator<Item = u32> {
    let step = 1u32 << (log_n + 1);
    let top = if high < 2 { 0 } else { (high - 2) / step };
    (1..=top)
        .rev()
        .map(move |k| k * step + 1)
        .take_while(move |p| *p >= low)
        .filter(|p| is_prime(*p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_trial_division() {
        let slow = |n: u32| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in 0..20_000u32 {
            assert_eq!(is_prime(n), slow(n), "{n}");
        }
        for n in [
            1_073_741_789u32,
            1_073_741_783,
            3_215_031_751 - 2,
            25_326_001,
            1_373_653,
        ] {
            assert_eq!(is_prime(n), slow(n), "{n}");
        }
    }

    /// Counts from an exhaustive search with a sieve.
    #[test]
    fn counts_below_2_30() {
        for (log_n, count) in [(14, 3280), (15, 1636), (16, 822)] {
            assert_eq!(ntt_primes(log_n, 2, 1 << 30).count(), count, "N = 2^{log_n}");
        }
        let mut primes = ntt_primes(16, 1 << 24, 1 << 25);
        assert_eq!(primes.by_ref().count(), 18);
    }
}
