// The inner product of digits and a key. Grid: (N / THREADS, rows, items).
//
// dst polynomials 0 and 1 = sum over j < FIRST of `left` polynomial j times (b, a) of its digit, plus what dst has if THIRD is 1. SECOND is
// where the list of digits of the key begins, one for each j. `table` is the key in Montgomery's form (2^32 k mod p), with rows
// [prime][digit][b, a][n]; where a prime's rows begin, its operand's list says.

const THREADS = 256u;

@compute @workgroup_size(THREADS)
fn key_inner_product(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let item = group.z;
  let row = group.y;
  let log_n = args[LOG_N];
  let x = group.x * THREADS + thread;
  if ((x >> log_n) != 0u) { return; }
  let m = prime_of(row);
  let key = row_of(TABLE, Cell(0u, 0u, row)) + x;
  var b = wide(0u, 0u);
  var a = b;
  for (var j = 0u; j < args[FIRST]; j++) {
    if (j != 0u && j % (TERMS - 1u) == 0u) {
      b = wide(reduce(b, m), 0u);
      a = wide(reduce(a, m), 0u);
    }
    let d = left[row_of(LEFT, Cell(item, j, row)) + x];
    let at = key + ((2u * args[args[SECOND] + j]) << log_n);
    b = mac(b, d, table[at]);
    a = mac(a, d, table[at + (1u << log_n)]);
  }
  let to_b = row_of(DST, Cell(item, 0u, row)) + x;
  let to_a = row_of(DST, Cell(item, 1u, row)) + x;
  var sum = vec2(montgomery(b, m), montgomery(a, m));
  if (args[THIRD] == 1u) { sum = vec2(add_mod(sum.x, dst[to_b], m.p), add_mod(sum.y, dst[to_a], m.p)); }
  dst[to_b] = sum.x;
  dst[to_a] = sum.y;
}
