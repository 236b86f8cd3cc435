//! Linear systems in double-double arithmetic: those of minimax polynomials on narrow intervals lose half of all digits.

use crate::arith::Double;

/// The solution of a square system by elimination with partial pivoting; `None` when it has none.
///
/// `rows` holds n rows of n coefficients and the right-hand side.
pub(super) fn solve(mut rows: Vec<Vec<Double>>) -> Option<Vec<Double>> {
    let n = rows.len();
    for k in 0..n {
        let size = |row: &Vec<Double>| row.get(k).map_or(0.0, |x| x.hi.abs());
        let pivot = (k..n).max_by(|i, j| size(&rows[*i]).total_cmp(&size(&rows[*j])))?;
        rows.swap(k, pivot);
        let (top, below) = rows.split_at_mut(k + 1);
        let lead = top.last()?;
        let head = *lead.get(k)?;
        if head.hi == 0.0 || !head.hi.is_finite() {
            return None;
        }
        for row in below {
            let factor = *row.get(k)? / head;
            for (x, y) in row.iter_mut().zip(lead).skip(k) {
                *x = *x - factor * *y;
            }
        }
    }
    let mut solution = vec![Double::ZERO; n];
    for k in (0..n).rev() {
        let row = rows.get(k)?;
        let known = row.iter().zip(&solution).skip(k + 1).take(n - k - 1);
        let sum = known.fold(*row.get(n)?, |sum, (a, x)| sum - *a * *x);
        *solution.get_mut(k)? = sum / *row.get(k)?;
    }
    Some(solution)
}

/// T_0 .. T_degree at u.
pub(super) fn chebyshev_row(u: Double, degree: usize) -> Vec<Double> {
    let mut t = vec![Double::ONE, u];
    while t.len() <= degree {
        let (a, b) = (t[t.len() - 1], t[t.len() - 2]);
        t.push(u * a + u * a - b);
    }
    t.truncate(degree + 1);
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ill_conditioned_systems_are_solved() {
        // The Hilbert matrix of order 10 has condition 2^43.5; right-hand side: row sums, so that the solution is all ones.
        let n = 10;
        let entry = |i: usize, j: usize| Double::ONE / Double::from_f64((i + j + 1) as f64);
        let rows = (0..n)
            .map(|i| {
                let mut row: Vec<Double> = (0..n).map(|j| entry(i, j)).collect();
                row.push(row.iter().fold(Double::ZERO, |s, x| s + *x));
                row
            })
            .collect();
        let x = solve(rows).unwrap();
        assert!(x.iter().all(|x| (x.to_f64() - 1.0).abs() < 1e-15), "{x:?}");
    }

    #[test]
    fn singular_systems_are_refused() {
        let row = vec![Double::ONE, Double::ONE, Double::ONE];
        assert!(solve(vec![row.clone(), row]).is_none());
        assert!(solve(vec![vec![Double::from_f64(f64::NAN), Double::ONE]]).is_none());
    }
}
