// Integers and seeds to rows of residues. Grid: (N / THREADS, rows, items x polynomials), a quarter of the blocks for seeds.

const THREADS = 256u;

// The words of a 128-bit integer, lowest first, to its residue.
fn residue(x: vec4<u32>, m: Prime) -> u32 {
  let low = add_mod(mul_fixed(x.x, m.forms.x, m), mul_fixed(x.y, m.forms.y, m), m.p);
  let high = add_mod(mul_fixed(x.z, m.forms.z, m), mul_fixed(x.w, m.forms.w, m), m.p);
  return add_mod(low, high, m.p);
}

// -x in two's complement.
fn negative(x: vec4<u32>) -> vec4<u32> {
  var y = ~x;
  y.x += 1u;
  y.y += u32(y.x == 0u);
  y.z += u32(y.x == 0u && y.y == 0u);
  y.w += u32(y.x == 0u && y.y == 0u && y.z == 0u);
  return y;
}

// Integer k of a polynomial to coefficient k N / SECOND, the others zero; or, if THIRD is not 0, to the coefficients k modulo THIRD. `table`
// has integers of FIRST words, 1, 2 or 4 of them, and SECOND integers a polynomial.
@compute @workgroup_size(THREADS)
fn lift_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let x = group.x * THREADS + thread;
  let n = 1u << args[LOG_N];
  if (x >= n) { return; }
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let length = args[SECOND];
  let period = args[THIRD];
  let gap = n / length;
  let k = select(x & (period - 1u), x / gap, period == 0u);
  var y = 0u;
  if (select(k < length, x % gap == 0u, period == 0u)) {
    let words = args[FIRST];
    let at = words * ((cell.item * args[POLYS] + cell.poly) * length + k);
    let sign = u32(i32(table[at + words - 1u]) >> 31u);
    var v = vec4(table[at], sign, sign, sign);
    if (words > 1u) { v.y = table[at + 1u]; }
    if (words > 2u) {
      v.z = table[at + 2u];
      v.w = table[at + 3u];
    }
    if (sign == 0u) {
      y = residue(v, m);
    } else {
      y = sub_mod(0u, residue(negative(v), m), m.p);
    }
  }
  dst[row_of(DST, cell) + x] = y;
}

fn rotate(x: vec4<u32>, by: u32) -> vec4<u32> { return (x << vec4(by)) | (x >> vec4(32u - by)); }

// The four rows of ChaCha20's state.
struct State {
  a: vec4<u32>,
  b: vec4<u32>,
  c: vec4<u32>,
  d: vec4<u32>,
}

// Four quarter rounds, one a column.
fn quarters(state: State) -> State {
  var s = state;
  s.a += s.b;
  s.d = rotate(s.d ^ s.a, 16u);
  s.c += s.d;
  s.b = rotate(s.b ^ s.c, 12u);
  s.a += s.b;
  s.d = rotate(s.d ^ s.a, 8u);
  s.c += s.d;
  s.b = rotate(s.b ^ s.c, 7u);
  return s;
}

// Uniform rows: coefficient i is the 128-bit lane i mod 4 of the ChaCha20 block (prime << 32) + i / 4 of stream label + polynomial,
// modulo p. The list of seeds begins at FIRST, with SECOND words from one item's to the next; THIRD and FOURTH are the label's.
@compute @workgroup_size(THREADS)
fn expand_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let block = group.x * THREADS + thread;
  let n = 1u << args[LOG_N];
  if (4u * block >= n) { return; }
  let cell = cell_of(group);
  let seed = args[FIRST] + args[SECOND] * cell.item;
  let stream = plus(wide(args[THIRD], args[FOURTH]), wide(cell.poly, 0u));
  let a = vec4(0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u);
  let b = vec4(args[seed], args[seed + 1u], args[seed + 2u], args[seed + 3u]);
  let c = vec4(args[seed + 4u], args[seed + 5u], args[seed + 6u], args[seed + 7u]);
  let d = vec4(block, args[args[PRIMES] + cell.row], low_of(stream), high_of(stream));
  var s = State(a, b, c, d);
  for (var round = 0u; round < 10u; round++) {
    s = quarters(s);
    s = quarters(State(s.a, s.b.yzwx, s.c.zwxy, s.d.wxyz));
    s = State(s.a, s.b.wxyz, s.c.zwxy, s.d.yzwx);
  }
  let m = prime_of(cell.row);
  let to = row_of(DST, cell) + 4u * block;
  dst[to] = residue(s.a + a, m);
  if (n > 1u) { dst[to + 1u] = residue(s.b + b, m); }
  if (n > 2u) {
    dst[to + 2u] = residue(s.c + c, m);
    dst[to + 3u] = residue(s.d + d, m);
  }
}
