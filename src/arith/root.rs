//! Primitive 2N-th roots of unity and bit reversal.

use super::{ArithError, Modulus};

/// The smallest primitive 2N-th root of unity modulo p, N = 2^log_n: the psi of every transform and file.
///
/// Errors when 2N does not divide p - 1.
pub fn smallest_root(modulus: Modulus, log_n: u32) -> Result<u32, ArithError> {
    let (p, n) = (modulus.value(), 1u64 << log_n);
    if !(u64::from(p) - 1).is_multiple_of(2 * n) {
        return Err(ArithError::NoRoot { p, log_n });
    }
    // g^((p-1)/2N) is primitive exactly when its N-th power is -1; half of all g qualify.
    let exponent = (u64::from(p) - 1) / (2 * n);
    let root = (2..p)
        .map(|g| modulus.pow(g, exponent))
        .find(|r| modulus.pow(*r, n) == p - 1);
    let root = root.ok_or(ArithError::NoRoot { p, log_n })?;
    // The primitive 2N-th roots are the odd powers of one of them.
    let square = modulus.mul(root, root);
    let mut power = root;
    let mut least = root;
    for _ in 1..n {
        power = modulus.mul(power, square);
        least = least.min(power);
    }
    Ok(least)
}

/// The lowest `bits` bits of `i` in reverse order.
#[inline(always)]
pub const fn bit_reverse(i: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        i.reverse_bits() >> (usize::BITS - bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_primitive_root_by_exhaustion() {
        for (p, log_n) in [(97u32, 4u32), (193, 5), (12289, 10), (7681, 8)] {
            let m = Modulus::new(p).unwrap();
            let slow = (1..p).find(|r| m.pow(*r, 1 << log_n) == p - 1).unwrap();
            assert_eq!(smallest_root(m, log_n).unwrap(), slow);
        }
        let m = Modulus::new(97).unwrap();
        assert_eq!(smallest_root(m, 5), Err(ArithError::NoRoot { p: 97, log_n: 5 }));
    }
}
