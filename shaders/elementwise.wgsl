// Pointwise operations. Grid: (words / (THREADS PER_THREAD), rows, items x polynomials).

const THREADS = 256u;
const PER_THREAD = 4u;

// The words of a thread: begin, begin + THREADS, ..., below end.
struct Words {
  begin: u32,
  end: u32,
}

fn words_of(group: vec3<u32>, thread: u32) -> Words {
  let begin = group.x * (THREADS * PER_THREAD);
  return Words(begin + thread, min(begin + THREADS * PER_THREAD, 1u << args[LOG_N]));
}

// dst = left
@compute @workgroup_size(THREADS)
fn copy_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = left[source + x]; }
}

// dst = 0
@compute @workgroup_size(THREADS)
fn zero_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let to = row_of(DST, cell_of(group));
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = 0u; }
}

// dst += left
@compute @workgroup_size(THREADS)
fn add_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = add_mod(dst[to + x], left[source + x], p); }
}

// dst -= left
@compute @workgroup_size(THREADS)
fn sub_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = sub_mod(dst[to + x], left[source + x], p); }
}

// dst = -dst
@compute @workgroup_size(THREADS)
fn neg_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let to = row_of(DST, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = sub_mod(0u, dst[to + x], p); }
}

// dst = left right
@compute @workgroup_size(THREADS)
fn mul_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let to = row_of(DST, cell);
  let x0 = row_of(LEFT, cell);
  let y0 = row_of(RIGHT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    dst[to + x] = reduce_product(times(left[x0 + x], right[y0 + x]), m);
  }
}

// dst += left right; (p - 1)^2 + p - 1 < p^2
@compute @workgroup_size(THREADS)
fn mul_add_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let to = row_of(DST, cell);
  let x0 = row_of(LEFT, cell);
  let y0 = row_of(RIGHT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    dst[to + x] = reduce_product(mac(wide(dst[to + x], 0u), left[x0 + x], right[y0 + x]), m);
  }
}

// A constant of a row: the list begins at FIRST, with SECOND words from one item's to the next.
fn constant_of(cell: Cell) -> u32 { return args[args[FIRST] + cell.item * args[SECOND] + cell.row]; }

// dst = c left; constants in Montgomery's form.
@compute @workgroup_size(THREADS)
fn mul_const_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let c = constant_of(cell);
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = mul_fixed(left[source + x], c, m); }
}

// dst += c left; constants in Montgomery's form.
@compute @workgroup_size(THREADS)
fn mul_const_add_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let c = constant_of(cell);
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    dst[to + x] = add_mod(dst[to + x], mul_fixed(left[source + x], c, m), m.p);
  }
}

// dst += c, as it is.
@compute @workgroup_size(THREADS)
fn add_const_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let c = constant_of(cell);
  let to = row_of(DST, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = add_mod(dst[to + x], c, p); }
}

// dst *= X^(N/2), which at psi^(2i+1) is (-1)^i psi^(N/2); in bit-reversed order the even i are the first half.
@compute @workgroup_size(THREADS)
fn mul_i_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let half = 1u << (args[LOG_N] - 1u);
  let to = row_of(DST, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    let y = mul_fixed(dst[to + x], m.i, m);
    dst[to + x] = select(y, sub_mod(0u, y, m.p), x >= half);
  }
}

// Galois elements: the list begins at FIRST, with SECOND words from one item's to the next.
fn element_of(cell: Cell) -> u32 { return args[args[FIRST] + cell.item * args[SECOND]]; }

// dst = sigma_g(left)
@compute @workgroup_size(THREADS)
fn permute_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let g = element_of(cell);
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) { dst[to + x] = left[source + source_of(x, g)]; }
}

// dst += sigma_g(left)
@compute @workgroup_size(THREADS)
fn permute_add_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let g = element_of(cell);
  let to = row_of(DST, cell);
  let source = row_of(LEFT, cell);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    dst[to + x] = add_mod(dst[to + x], left[source + source_of(x, g)], p);
  }
}

// dst (3 polynomials) = sum over FIRST items of left right, each of 2 polynomials. workgroup_id.z is an item.
@compute @workgroup_size(THREADS)
fn tensor_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Two products a term go into the middle sum: 2 (7 (2^30)^2) + 2^30 < 2^64.
  let every = 7u;
  let terms = args[FIRST];
  let m = prime_of(group.y);
  let words = words_of(group, thread);
  for (var x = words.begin; x < words.end; x += THREADS) {
    var s0 = wide(0u, 0u);
    var s1 = s0;
    var s2 = s0;
    for (var term = 0u; term < terms; term++) {
      if (term != 0u && term % every == 0u) {
        s0 = wide(reduce(s0, m), 0u);
        s1 = wide(reduce(s1, m), 0u);
        s2 = wide(reduce(s2, m), 0u);
      }
      let first = Cell(group.z * terms + term, 0u, group.y);
      let second = Cell(first.item, 1u, group.y);
      let a0 = left[row_of(LEFT, first) + x];
      let a1 = left[row_of(LEFT, second) + x];
      let b0 = right[row_of(RIGHT, first) + x];
      let b1 = right[row_of(RIGHT, second) + x];
      s0 = mac(s0, a0, b0);
      s1 = mac(mac(s1, a0, b1), a1, b0);
      s2 = mac(s2, a1, b1);
    }
    dst[row_of(DST, Cell(group.z, 0u, group.y)) + x] = reduce(s0, m);
    dst[row_of(DST, Cell(group.z, 1u, group.y)) + x] = reduce(s1, m);
    dst[row_of(DST, Cell(group.z, 2u, group.y)) + x] = reduce(s2, m);
  }
}
