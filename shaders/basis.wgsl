// Base conversion. Grid: (N / COEFFICIENTS, groups of 16 targets, items x polynomials).
//
// y_i = x_i f_i mod q_i;  v = (sum y_i fraction_i + 2^63) >> 64;  result_r = sum y_i w_ri + v o_r mod r.
// The scaled sources of a thread's coefficient stay in workgroup memory, which only that thread reads; it takes four targets at a time.
//
// FIRST sources, SECOND targets; THIRD is where the list of the sources' primes begins; FOURTH the first group of four targets. `table`
// has for each source 2^32 f_i mod q_i and floor(2^64 / q_i), low word and high; then for each group of four targets and each source
// 2^32 w_ri mod r, and 2^32 o_r mod r last, all four together.

const COEFFICIENTS = 64u;
const MAX_SOURCES = 64u;
const GROUPS_A_BLOCK = 4u;

var<workgroup> scaled: array<u32, 4096>;

// Four sums, each reduced modulo its target.
fn reduce4(sums: Wide4, group: u32, last: u32) -> vec4<u32> {
  let low = low4(sums);
  let high = high4(sums);
  return vec4(
    reduce(wide(low.x, high.x), prime_of(min(4u * group, last))),
    reduce(wide(low.y, high.y), prime_of(min(4u * group + 1u, last))),
    reduce(wide(low.z, high.z), prime_of(min(4u * group + 2u, last))),
    reduce(wide(low.w, high.w), prime_of(min(4u * group + 3u, last))),
  );
}

fn weights(first: u32) -> vec4<u32> { return vec4(table[first], table[first + 1u], table[first + 2u], table[first + 3u]); }

fn store(sum: Wide, cell: Cell, x: u32, targets: u32) {
  if (cell.row < targets) { dst[row_of(DST, cell) + x] = montgomery(sum, prime_of(cell.row)); }
}

@compute @workgroup_size(COEFFICIENTS)
fn convert_rows(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let sources = args[FIRST];
  let targets = args[SECOND];
  let polys = args[POLYS];
  let item = block.z / polys;
  let poly = block.z % polys;
  let x = block.x * COEFFICIENTS + thread;
  if ((x >> args[LOG_N]) != 0u) { return; }
  var rest = wide(0u, 0x80000000u);
  var v = 0u;
  for (var i = 0u; i < sources; i++) {
    let q = primes[args[args[THIRD] + i]];
    let y = mul_fixed(left[row_of(LEFT, Cell(item, poly, i)) + x], table[3u * i], q);
    scaled[i * COEFFICIENTS + thread] = y;
    // y floor(2^64 / q) < 2^64
    let part = plus(times(y, table[3u * i + 1u]), wide(0u, y * table[3u * i + 2u]));
    rest = plus(rest, part);
    v += u32(carries(rest, part));
  }
  let terms = sources + 1u;
  let end = min((block.y + 1u) * GROUPS_A_BLOCK, (targets + 3u) / 4u);
  for (var group = block.y * GROUPS_A_BLOCK; group < end; group++) {
    let first = 3u * sources + (args[FOURTH] + group) * terms * 4u;
    var sums = mac4(wide4(vec4(0u)), v, weights(first + 4u * sources));
    for (var i = 0u; i < sources; i++) {
      if (i != 0u && i % (TERMS - 2u) == 0u) { sums = wide4(reduce4(sums, group, targets - 1u)); }
      sums = mac4(sums, scaled[i * COEFFICIENTS + thread], weights(first + 4u * i));
    }
    let low = low4(sums);
    let high = high4(sums);
    store(wide(low.x, high.x), Cell(item, poly, 4u * group), x, targets);
    store(wide(low.y, high.y), Cell(item, poly, 4u * group + 1u), x, targets);
    store(wide(low.z, high.z), Cell(item, poly, 4u * group + 2u), x, targets);
    store(wide(low.w, high.w), Cell(item, poly, 4u * group + 3u), x, targets);
  }
}
