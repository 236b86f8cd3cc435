// Small integers times residues: dst item o = sum over i of w[o][i] `left` item i, for every coefficient of every row.
//
// Grid: (N / COLUMNS, rows, polynomials x groups of OUTPUTS outputs). A thread holds the sums of OUTPUTS outputs at its coefficient; weights
// of a slice of inputs lie in workgroup memory. `table` has u = w + 2^15 in [0, 2^16), two a word, the row of an output in whole
// words; sum w x = sum u x - 2^15 sum x. u x < 2^46: a 64-bit sum holds 2^18 products. FIRST outputs, SECOND inputs; plus what dst has if
// THIRD is 1.

const COLUMNS = 128u;
const OUTPUTS = 16u;
const SLICE = 32u;

var<workgroup> w: array<vec4<u32>, 128>;

fn weight(output: u32, input: u32) -> u32 {
  if (output >= args[FIRST] || input >= args[SECOND]) { return 0u; }
  let stride = (args[SECOND] + 1u) / 2u;
  return (table[output * stride + input / 2u] >> (16u * (input & 1u))) & 0xffffu;
}

// The four sums of outputs `first` and after; `offset` = 2^15 sum x mod p.
fn store(sums: Wide4, first: u32, offset: u32, poly: u32, row: u32, x: u32, m: Prime) {
  let low = low4(sums);
  let high = high4(sums);
  for (var k = 0u; k < 4u; k++) {
    if (first + k >= args[FIRST]) { return; }
    let to = row_of(DST, Cell(first + k, poly, row)) + x;
    var y = sub_mod(reduce(wide(low[k], high[k]), m), offset, m.p);
    if (args[THIRD] == 1u) { y = add_mod(y, dst[to], m.p); }
    dst[to] = y;
  }
}

@compute @workgroup_size(COLUMNS)
fn gemm_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let inputs = args[SECOND];
  let polys = args[POLYS];
  let poly = group.z % polys;
  let first = group.z / polys * OUTPUTS;
  let row = group.y;
  let x = group.x * COLUMNS + thread;
  let inside = (x >> args[LOG_N]) == 0u;
  let m = prime_of(row);
  var s0 = wide4(vec4(0u));
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  var total = wide(0u, 0u);
  for (var begin = 0u; begin < inputs; begin += SLICE) {
    workgroupBarrier();
    // One group of four outputs of one input a thread.
    let input = begin + thread / 4u;
    let output = first + 4u * (thread % 4u);
    w[thread] = vec4(weight(output, input), weight(output + 1u, input), weight(output + 2u, input), weight(output + 3u, input));
    workgroupBarrier();
    if (inside) {
      for (var i = 0u; i < min(SLICE, inputs - begin); i++) {
        let v = left[row_of(LEFT, Cell(begin + i, poly, row)) + x];
        total = plus(total, wide(v, 0u));
        s0 = mac4_short(s0, v, w[4u * i]);
        s1 = mac4_short(s1, v, w[4u * i + 1u]);
        s2 = mac4_short(s2, v, w[4u * i + 2u]);
        s3 = mac4_short(s3, v, w[4u * i + 3u]);
      }
    }
  }
  if (!inside) { return; }
  let offset = reduce(times(reduce(total, m), 1u << 15u), m);
  store(s0, first, offset, poly, row, x, m);
  store(s1, first + 4u, offset, poly, row, x, m);
  store(s2, first + 8u, offset, poly, row, x, m);
  store(s3, first + 12u, offset, poly, row, x, m);
}
