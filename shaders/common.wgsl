// What all kernels share: which rows a kernel touches, and arithmetic modulo a prime below 2^30.
//
// Comes after `wide32.wgsl` or `wide64.wgsl`. Rows are canonical between operations: integers in [0, p).

// A prime p < 2^30 of the basis with its constants.
struct Prime {
  p: u32,
  // p^-1 mod 2^32.
  inverse: u32,
  // Bits of p, k; floor(2^(2k+1) / p).
  bits: u32,
  mu: u32,
  // 2^32, 2^64, 2^96 and 2^128 mod p: Montgomery's form of 1, 2^32, 2^64 and 2^96.
  forms: vec4<u32>,
  // 2^32 N^-1 mod p.
  n_inverse: u32,
  // 2^32 psi^(N/2) mod p: a primitive fourth root of unity, which is i in every slot.
  i: u32,
}

// What a launch runs over, see below; then lists of rows and constants.
@group(0) @binding(0) var<storage, read> args: array<u32>;
@group(0) @binding(1) var<storage, read> primes: array<Prime>;
// Operands. Which of them a kernel has, its comment says.
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;
@group(0) @binding(3) var<storage, read> left: array<u32>;
@group(0) @binding(4) var<storage, read> right: array<u32>;
// Twiddles, keys, or constants.
@group(0) @binding(5) var<storage, read> table: array<u32>;

// Words of `args`. Operand k has four from OPERANDS on: base, item stride, polynomial stride, all in rows, and where the list of
// its rows begins. Rows of a polynomial are workgroup_id.y, items and polynomials workgroup_id.z.
const LOG_N = 0u;
const POLYS = 1u;
// Where the list of primes of the rows begins.
const PRIMES = 2u;
const ROWS = 3u;
// Numbers, each kernel its own.
const FIRST = 4u;
const SECOND = 5u;
const THIRD = 6u;
const FOURTH = 7u;
const OPERANDS = 8u;

const DST = 0u;
const LEFT = 1u;
const RIGHT = 2u;
const TABLE = 3u;

// Where an operand has no row.
const NO_ROW = 0xffffffffu;

struct Cell {
  item: u32,
  poly: u32,
  row: u32,
}

fn cell_of(group: vec3<u32>) -> Cell {
  let polys = args[POLYS];
  return Cell(group.z / polys, group.z % polys, group.y);
}

// Position of a row of an operand within its list.
fn listed(operand: u32, row: u32) -> u32 { return args[args[OPERANDS + 4u * operand + 3u] + row]; }

// Rows in front of a row of an operand.
fn rows_before(operand: u32, cell: Cell) -> u32 {
  let o = OPERANDS + 4u * operand;
  return args[o] + cell.item * args[o + 1u] + cell.poly * args[o + 2u] + listed(operand, cell.row);
}

// The first word of a row of an operand.
fn row_of(operand: u32, cell: Cell) -> u32 { return rows_before(operand, cell) << args[LOG_N]; }

fn prime_of(row: u32) -> Prime { return primes[args[args[PRIMES] + row]]; }

// min(x, x - y): x reduced once, for x < 2 y.
fn reduce_once(x: u32, y: u32) -> u32 { return min(x, x - y); }

// x < 4p to its residue.
fn canonical(x: u32, p: u32) -> u32 { return reduce_once(reduce_once(x, 2u * p), p); }

fn add_mod(x: u32, y: u32, p: u32) -> u32 { return reduce_once(x + y, p); }
fn sub_mod(x: u32, y: u32, p: u32) -> u32 { return min(x - y, x - y + p); }

// x 2^-32 mod p, canonical, for x < 3 p 2^32 (Montgomery, 1985): twelve products of a word below 2^30 and a residue.
const TERMS = 12u;
fn montgomery(x: Wide, m: Prime) -> u32 {
  return canonical(high_of(x) - mulhi(low_of(x) * m.inverse, m.p) + m.p, m.p);
}

// x w mod p in (0, 2p), for any word x and w' = 2^32 w mod p.
fn mul_lazy(x: u32, w: u32, m: Prime) -> u32 { return mulhi(x, w) - mulhi(x * w * m.inverse, m.p) + m.p; }

// The same, canonical.
fn mul_fixed(x: u32, w: u32, m: Prime) -> u32 { return reduce_once(mul_lazy(x, w, m), m.p); }

// x mod p for x < p^2 (Barrett): q = floor(floor(x / 2^(k-2)) mu / 2^(k+3)) is the quotient or one less.
fn reduce_product(x: Wide, m: Prime) -> u32 {
  let top = (high_of(x) << (34u - m.bits)) | (low_of(x) >> (m.bits - 2u));
  let q = mulhi(top << (30u - m.bits), m.mu) >> 1u;
  return reduce_once(low_of(x) - q * m.p, m.p);
}

// x mod p for any x.
fn reduce(x: Wide, m: Prime) -> u32 {
  return add_mod(mul_fixed(low_of(x), m.forms.x, m), mul_fixed(high_of(x), m.forms.y, m), m.p);
}

// Position j of sigma_g f, e = 2 bitrev(j) + 1, is f(psi^(g e)), which f has at bitrev((g e mod 2N - 1) / 2).
fn source_of(j: u32, g: u32) -> u32 {
  let log_n = args[LOG_N];
  let exponent = 2u * (reverseBits(j) >> (32u - log_n)) + 1u;
  let moved = (g * exponent) & ((2u << log_n) - 1u);
  return reverseBits(moved >> 1u) >> (32u - log_n);
}
