// Sums of digits and keys. Grid: (N / THREADS, rows, items).
//
// dst (b, a) = sigma(c right + sum over j < FIRST of `left` polynomial j times (b, a) of its digit of the key), in 64 bits, reduced at the
// end. `table` is the key in Montgomery's form (2^32 k mod p), with rows [prime][digit][b, a][n]; where a prime's rows begin, its operand's
// list says. `right` has THIRD polynomials, and rows for some primes. If FOURTH is ONTO, dst has the sum of other digits and is
// added to; if it is EACH, the items have an element each.
//
// The list at SECOND: the digit of the key for each j, c in Montgomery's form for each row, and the inverses of the elements.

const THREADS = 256u;
const ONTO = 1u;
const EACH = 2u;

@compute @workgroup_size(THREADS)
fn key_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let item = group.z;
  let row = group.y;
  let log_n = args[LOG_N];
  let x = group.x * THREADS + thread;
  if ((x >> log_n) != 0u) { return; }
  let digits = args[FIRST];
  let list = args[SECOND];
  let factors = list + digits;
  let m = prime_of(row);
  var b = wide(0u, 0u);
  var a = b;
  if (args[THIRD] != 0u && listed(RIGHT, row) != NO_ROW) {
    let factor = args[factors + row];
    b = times(right[row_of(RIGHT, Cell(item, 0u, row)) + x], factor);
    if (args[THIRD] > 1u) { a = times(right[row_of(RIGHT, Cell(item, 1u, row)) + x], factor); }
  }
  let key = row_of(TABLE, Cell(0u, 0u, row)) + x;
  for (var j = 0u; j < digits; j++) {
    if (j != 0u && j % (TERMS - 1u) == 0u) {
      b = wide(reduce(b, m), 0u);
      a = wide(reduce(a, m), 0u);
    }
    let d = left[row_of(LEFT, Cell(item, j, row)) + x];
    let at = key + ((2u * args[list + j]) << log_n);
    b = mac(b, d, table[at]);
    a = mac(a, d, table[at + (1u << log_n)]);
  }
  // Evaluation x of a sum goes to the position that sigma takes from x.
  let flags = args[FOURTH];
  let elements = factors + args[ROWS];
  let to = source_of(x, args[elements + select(0u, item, (flags & EACH) != 0u)]);
  let to_b = row_of(DST, Cell(item, 0u, row)) + to;
  let to_a = row_of(DST, Cell(item, 1u, row)) + to;
  var sum = vec2(montgomery(b, m), montgomery(a, m));
  if ((flags & ONTO) != 0u) { sum = vec2(add_mod(sum.x, dst[to_b], m.p), add_mod(sum.y, dst[to_a], m.p)); }
  dst[to_b] = sum.x;
  dst[to_a] = sum.y;
}
