// Products of matrices of polynomials.
//
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

// Products of two residues that a 64-bit sum holds beside one residue: 16 (2^30 - 1)^2 + 2^30 < 2^64.
const PRODUCTS = 16u;

fn reduce4(x: Wide4, m: Prime) -> vec4<u32> {
  let low = low4(x);
  let high = high4(x);
  return vec4(reduce(wide(low.x, high.x), m), reduce(wide(low.y, high.y), m), reduce(wide(low.z, high.z), m), reduce(wide(low.w, high.w), m));
}

// The word of the item of `right` of column c, or of the last one. Its rows hold each of the N / gap evaluations of a polynomial in X^gap
// once, gap = 2^FOURTH: evaluation x of the ring is x / gap of them.
fn of_column(c: u32, j: u32, row: u32, x: u32) -> u32 {
  let before = rows_before(RIGHT, Cell(min(c, args[SECOND] - 1u) * args[THIRD] + j, 0u, row));
  return right[(before << (args[LOG_N] - args[FOURTH])) + (x >> args[FOURTH])];
}

// The word of the item of `left` of row r, or of the last one.
fn of_row(r: u32, j: u32, poly: u32, row: u32, x: u32) -> u32 {
  return left[row_of(LEFT, Cell(min(r, args[FIRST] - 1u) * args[THIRD] + j, poly, row)) + x];
}

// The items of row r and the columns from c on, where there are such.
fn store_products(products: vec4<u32>, r: u32, c: u32, poly: u32, row: u32, x: u32) {
  if (r >= args[FIRST]) { return; }
  for (var k = 0u; k < min(4u, args[SECOND] - c); k++) {
    dst[row_of(DST, Cell(r * args[SECOND] + c + k, poly, row)) + x] = products[k];
  }
}

// Rows of `left` times columns of `right`, pointwise: dst item r SECOND + c = sum over j < THIRD of item r THIRD + j of `left` times item
// c THIRD + j of `right`, which has one polynomial. FIRST rows, SECOND columns; 2^FOURTH as for
// `of_column`.
//
// Grid: (N / COLUMNS, rows, polynomials x tiles). A thread holds the sums of four rows and four columns at its evaluation. Where a tile
// reaches beyond the edge, the last row or column is read again and not written.
@compute @workgroup_size(COLUMNS)
fn block_product_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let x = group.x * COLUMNS + thread;
  if ((x >> args[LOG_N]) != 0u) { return; }
  let poly = group.z % args[POLYS];
  let tile = group.z / args[POLYS];
  let across = (args[SECOND] + 3u) / 4u;
  let r = tile / across * 4u;
  let c = tile % across * 4u;
  let row = group.y;
  let m = prime_of(row);
  var s0 = wide4(vec4(0u));
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  for (var j = 0u; j < args[THIRD]; j++) {
    if (j != 0u && j % PRODUCTS == 0u) {
      s0 = wide4(reduce4(s0, m));
      s1 = wide4(reduce4(s1, m));
      s2 = wide4(reduce4(s2, m));
      s3 = wide4(reduce4(s3, m));
    }
    let v = vec4(of_column(c, j, row, x), of_column(c + 1u, j, row, x), of_column(c + 2u, j, row, x), of_column(c + 3u, j, row, x));
    s0 = mac4(s0, of_row(r, j, poly, row, x), v);
    s1 = mac4(s1, of_row(r + 1u, j, poly, row, x), v);
    s2 = mac4(s2, of_row(r + 2u, j, poly, row, x), v);
    s3 = mac4(s3, of_row(r + 3u, j, poly, row, x), v);
  }
  store_products(reduce4(s0, m), r, c, poly, row, x);
  store_products(reduce4(s1, m), r + 1u, c, poly, row, x);
  store_products(reduce4(s2, m), r + 2u, c, poly, row, x);
  store_products(reduce4(s3, m), r + 3u, c, poly, row, x);
}
