//! Word arithmetic: moduli below 2^30, prime search, roots of unity, the reference transforms.
