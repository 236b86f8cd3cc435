// The negacyclic transform on tiles of up to 2^12 words in workgroup memory.
//
// A stage of a tile of 2^K words is 2^(K-1) butterflies; at stage t their words are 2^(K-t-1) apart, and word i uses the twiddle of
// node (root << t) + (i >> (K - t)), root the node of the tile's first butterfly. The inner pass takes the last min(log N, 12) stages, a
// tile is that many neighbours. Rings beyond 2^12 have an outer pass for the first S = log N - 12 stages: a tile is 2^S rows, N / 2^S
// words apart, by 2^(12-S) columns, and its root is node 1. Two stages are done at a time, on four words in registers.
//
// `table` has 2^32 psi^bitrev(i) mod p for node i, or the inverses. Values are lazy, below 4p down and below 2p up (Harvey, arXiv
// 1205.2926). Grid: (N / 2^K, rows, items x polynomials).

const THREADS = 256u;
const LOG_TILE = 12u;

var<workgroup> tile: array<u32, 4096>;

// Where word i of a tile lies: xor of two bits into the low five, so that the 32 words that neighbouring threads touch are
// in different banks whatever the distance.
fn place(i: u32) -> u32 { return i ^ (((i >> 5u) & 1u) * 5u) ^ (((i >> 6u) & 1u) * 26u); }

struct Pass {
  // log2 of the words of the tile, K.
  log_tile: u32,
  stages: u32,
  // Node of the first butterfly, and where its row of twiddles begins.
  root: u32,
  twiddles: u32,
  // Position in the row of words i: first + (i >> log_columns) << log_stride, and + the low bits of i.
  first: u32,
  log_columns: u32,
  log_stride: u32,
}

fn inner(block: u32, cell: Cell) -> Pass {
  let log_n = args[LOG_N];
  let log_tile = min(log_n, LOG_TILE);
  let root = (1u << (log_n - log_tile)) + block;
  return Pass(log_tile, log_tile, root, row_of(TABLE, cell), block << log_tile, log_tile, 0u);
}

fn outer(block: u32, cell: Cell) -> Pass {
  let log_n = args[LOG_N];
  let stages = log_n - LOG_TILE;
  let log_columns = LOG_TILE - stages;
  return Pass(LOG_TILE, stages, 1u, row_of(TABLE, cell), block << log_columns, log_columns, log_n - stages);
}

// The place in the row of word i of the tile.
fn position(pass_: Pass, i: u32) -> u32 {
  return pass_.first + ((i >> pass_.log_columns) << pass_.log_stride) + (i & ((1u << pass_.log_columns) - 1u));
}

fn twiddle(pass_: Pass, stage: u32, i: u32) -> u32 {
  return table[pass_.twiddles + (pass_.root << stage) + (i >> (pass_.log_tile - stage))];
}

// (x, y) -> (x + w y, x - w y)
fn down(x: u32, y: u32, w: u32, m: Prime) -> vec2<u32> {
  let u = reduce_once(x, 2u * m.p);
  let v = mul_lazy(y, w, m);
  return vec2(u + v, u + 2u * m.p - v);
}

// (x, y) -> (x + y, w (x - y))
fn up(x: u32, y: u32, w: u32, m: Prime) -> vec2<u32> {
  return vec2(reduce_once(x + y, 2u * m.p), mul_lazy(x + 2u * m.p - y, w, m));
}

// The first word of the q-th group of words that stages from `stage` on combine, 2^log_half apart, `log_width` bits of them.
fn group_of(q: u32, log_half: u32, log_width: u32) -> u32 {
  return ((q >> log_half) << (log_half + log_width)) + (q & ((1u << log_half) - 1u));
}

fn one_down(pass_: Pass, stage: u32, thread: u32, m: Prime) {
  let log_half = pass_.log_tile - stage - 1u;
  for (var q = thread; q < (1u << (pass_.log_tile - 1u)); q += THREADS) {
    let i = group_of(q, log_half, 1u);
    let x = place(i);
    let y = place(i + (1u << log_half));
    let r = down(tile[x], tile[y], twiddle(pass_, stage, i), m);
    tile[x] = r.x;
    tile[y] = r.y;
  }
}

fn two_down(pass_: Pass, stage: u32, thread: u32, m: Prime) {
  let log_half = pass_.log_tile - stage - 2u;
  for (var q = thread; q < (1u << (pass_.log_tile - 2u)); q += THREADS) {
    let i = group_of(q, log_half, 2u);
    let x0 = place(i);
    let x1 = place(i + (1u << log_half));
    let x2 = place(i + (2u << log_half));
    let x3 = place(i + (3u << log_half));
    let w = twiddle(pass_, stage, i);
    let even = down(tile[x0], tile[x2], w, m);
    let odd = down(tile[x1], tile[x3], w, m);
    let low = down(even.x, odd.x, twiddle(pass_, stage + 1u, i), m);
    let high = down(even.y, odd.y, twiddle(pass_, stage + 1u, i + (2u << log_half)), m);
    tile[x0] = low.x;
    tile[x1] = low.y;
    tile[x2] = high.x;
    tile[x3] = high.y;
  }
}

fn one_up(pass_: Pass, stage: u32, thread: u32, m: Prime) {
  let log_half = pass_.log_tile - stage - 1u;
  for (var q = thread; q < (1u << (pass_.log_tile - 1u)); q += THREADS) {
    let i = group_of(q, log_half, 1u);
    let x = place(i);
    let y = place(i + (1u << log_half));
    let r = up(tile[x], tile[y], twiddle(pass_, stage, i), m);
    tile[x] = r.x;
    tile[y] = r.y;
  }
}

fn two_up(pass_: Pass, stage: u32, thread: u32, m: Prime) {
  let log_half = pass_.log_tile - stage - 2u;
  for (var q = thread; q < (1u << (pass_.log_tile - 2u)); q += THREADS) {
    let i = group_of(q, log_half, 2u);
    let x0 = place(i);
    let x1 = place(i + (1u << log_half));
    let x2 = place(i + (2u << log_half));
    let x3 = place(i + (3u << log_half));
    let low = up(tile[x0], tile[x1], twiddle(pass_, stage + 1u, i), m);
    let high = up(tile[x2], tile[x3], twiddle(pass_, stage + 1u, i + (2u << log_half)), m);
    let w = twiddle(pass_, stage, i);
    let even = up(low.x, high.x, w, m);
    let odd = up(low.y, high.y, w, m);
    tile[x0] = even.x;
    tile[x1] = odd.x;
    tile[x2] = even.y;
    tile[x3] = odd.y;
  }
}

// The stages of a pass downwards: an odd one first.
fn stages_down(pass_: Pass, thread: u32, m: Prime) {
  var stage = pass_.stages & 1u;
  if (stage == 1u) {
    one_down(pass_, 0u, thread, m);
    workgroupBarrier();
  }
  for (; stage < pass_.stages; stage += 2u) {
    two_down(pass_, stage, thread, m);
    workgroupBarrier();
  }
}

// The stages of a pass upwards: an odd one last.
fn stages_up(pass_: Pass, thread: u32, m: Prime) {
  for (var stage = pass_.stages; stage > 1u; stage -= 2u) {
    two_up(pass_, stage - 2u, thread, m);
    workgroupBarrier();
  }
  if ((pass_.stages & 1u) == 1u) {
    one_up(pass_, 0u, thread, m);
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn ntt_outer(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = outer(group.x, cell);
  let row = row_of(DST, cell);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = dst[row + position(pass_, i)]; }
  workgroupBarrier();
  stages_down(pass_, thread, m);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { dst[row + position(pass_, i)] = tile[place(i)]; }
}

// Coefficient `at` of the polynomial in X^(2^FIRST) whose 32-bit integers begin at word `source` of `left`: x = (x + 2^31) - 2^31, below 3p.
fn integer(source: u32, at: u32, m: Prime) -> u32 {
  let log_gap = args[FIRST];
  if ((at & ((1u << log_gap) - 1u)) != 0u) { return 0u; }
  let value = left[source + (at >> log_gap)] ^ 0x80000000u;
  return mul_lazy(value, m.forms.x, m) + m.p - mul_fixed(0x80000000u, m.forms.x, m);
}

// Where the integers of a polynomial begin: `left` has rows of N / 2^FIRST words.
fn integers_of(cell: Cell) -> u32 { return rows_before(LEFT, cell) << (args[LOG_N] - args[FIRST]); }

// The outer pass downwards from integers of `left` to dst.
@compute @workgroup_size(THREADS)
fn light_outer(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = outer(group.x, cell);
  let row = row_of(DST, cell);
  let source = integers_of(cell);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = integer(source, position(pass_, i), m); }
  workgroupBarrier();
  stages_down(pass_, thread, m);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { dst[row + position(pass_, i)] = tile[place(i)]; }
}

// All stages downwards from integers of `left` to dst, for rings of one pass.
@compute @workgroup_size(THREADS)
fn light_whole(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = inner(group.x, cell);
  let row = row_of(DST, cell);
  let source = integers_of(cell);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = integer(source, position(pass_, i), m); }
  workgroupBarrier();
  stages_down(pass_, thread, m);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) {
    dst[row + position(pass_, i)] = canonical(tile[place(i)], m.p);
  }
}

// FIRST, if not 0, is where a list of factors begins, 2^32 c mod p for each row: c left is added where `left` has a row.
@compute @workgroup_size(THREADS)
fn ntt_inner(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = inner(group.x, cell);
  let row = row_of(DST, cell);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = dst[row + position(pass_, i)]; }
  workgroupBarrier();
  stages_down(pass_, thread, m);
  let factors = args[FIRST];
  if (factors != 0u && listed(LEFT, cell.row) != NO_ROW) {
    let source = row_of(LEFT, cell);
    let factor = args[factors + cell.row];
    for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) {
      let at = position(pass_, i);
      dst[row + at] = add_mod(canonical(tile[place(i)], m.p), mul_fixed(left[source + at], factor, m), m.p);
    }
  } else {
    for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) {
      dst[row + position(pass_, i)] = canonical(tile[place(i)], m.p);
    }
  }
}

// From `left` to dst if FIRST is 1, else in place. Rings of one pass end here.
@compute @workgroup_size(THREADS)
fn intt_inner(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = inner(group.x, cell);
  let row = row_of(DST, cell);
  if (args[FIRST] == 1u) {
    let source = row_of(LEFT, cell);
    for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = left[source + position(pass_, i)]; }
  } else {
    for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = dst[row + position(pass_, i)]; }
  }
  workgroupBarrier();
  stages_up(pass_, thread, m);
  let ends = args[LOG_N] <= LOG_TILE;
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) {
    let x = tile[place(i)];
    if (ends) {
      dst[row + position(pass_, i)] = mul_fixed(x, m.n_inverse, m);
    } else {
      dst[row + position(pass_, i)] = x;
    }
  }
}

@compute @workgroup_size(THREADS)
fn intt_outer(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let cell = cell_of(group);
  let m = prime_of(cell.row);
  let pass_ = outer(group.x, cell);
  let row = row_of(DST, cell);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) { tile[place(i)] = dst[row + position(pass_, i)]; }
  workgroupBarrier();
  stages_up(pass_, thread, m);
  for (var i = thread; i < (1u << pass_.log_tile); i += THREADS) {
    dst[row + position(pass_, i)] = mul_fixed(tile[place(i)], m.n_inverse, m);
  }
}
