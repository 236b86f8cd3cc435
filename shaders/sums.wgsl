// Sums over many terms, read and reduced at once. Grid as of the pointwise operations: (words / (THREADS PER_THREAD), rows, items x
// polynomials).
//
// FIRST terms, whose list begins at SECOND; they are added to what dst has if THIRD is 1. A factor's record in the list is base, item
// stride, polynomial stride, and the positions of its rows.

const THREADS = 256u;
const PER_THREAD = 4u;

// Products of two residues and one more that a 64-bit sum holds.
const PRODUCTS = 15u;

fn record_words() -> u32 { return 3u + args[ROWS]; }

// The first word of a row of the factor whose record begins at `record`.
fn row_at(record: u32, cell: Cell) -> u32 {
  let row = args[record] + cell.item * args[record + 1u] + cell.poly * args[record + 2u] + args[record + 3u + cell.row];
  return row << args[LOG_N];
}

// dst = sum of left right; a term is the record of one factor, then of the other.
@compute @workgroup_size(THREADS)
fn mul_accumulate_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let to = row_of(DST, cell);
  let begin = group.x * (THREADS * PER_THREAD);
  let end = min(begin + THREADS * PER_THREAD, 1u << args[LOG_N]);
  for (var x = begin + thread; x < end; x += THREADS) {
    var sum = wide(0u, 0u);
    if (args[THIRD] == 1u) { sum = wide(dst[to + x], 0u); }
    var record = args[SECOND];
    for (var term = 0u; term < args[FIRST]; term++) {
      if (term != 0u && term % PRODUCTS == 0u) { sum = wide(reduce(sum, m), 0u); }
      let factor = left[row_at(record, cell) + x];
      record += record_words();
      sum = mac(sum, factor, right[row_at(record, cell) + x]);
      record += record_words();
    }
    dst[to + x] = reduce(sum, m);
  }
}

// dst = sum of sigma(left); a term is its Galois element, then the record.
@compute @workgroup_size(THREADS)
fn permute_accumulate_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let p = prime_of(cell.row).p;
  let to = row_of(DST, cell);
  let begin = group.x * (THREADS * PER_THREAD);
  let end = min(begin + THREADS * PER_THREAD, 1u << args[LOG_N]);
  for (var x = begin + thread; x < end; x += THREADS) {
    var sum = 0u;
    if (args[THIRD] == 1u) { sum = dst[to + x]; }
    var term = args[SECOND];
    for (var k = 0u; k < args[FIRST]; k++) {
      sum = add_mod(sum, left[row_at(term + 1u, cell) + source_of(x, args[term])], p);
      term += 1u + record_words();
    }
    dst[to + x] = sum;
  }
}
