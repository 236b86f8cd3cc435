// 64-bit sums in core WGSL: pairs of words. `wide64.wgsl` is the same for devices with 64-bit integers.

// Low word, high word.
alias Wide = vec2<u32>;

struct Wide4 {
  low: vec4<u32>,
  high: vec4<u32>,
}

// floor(x y / 2^32), from products of halves.
fn mulhi(x: u32, y: u32) -> u32 {
  let x0 = x & 0xffffu;
  let x1 = x >> 16u;
  let y0 = y & 0xffffu;
  let y1 = y >> 16u;
  let middle = x0 * y1 + ((x0 * y0) >> 16u);
  let other = x1 * y0 + (middle & 0xffffu);
  return x1 * y1 + (middle >> 16u) + (other >> 16u);
}

fn mulhi4(x: u32, y: vec4<u32>) -> vec4<u32> {
  let x0 = x & 0xffffu;
  let x1 = x >> 16u;
  let y0 = y & vec4(0xffffu);
  let y1 = y >> vec4(16u);
  let middle = x0 * y1 + ((x0 * y0) >> vec4(16u));
  let other = x1 * y0 + (middle & vec4(0xffffu));
  return x1 * y1 + (middle >> vec4(16u)) + (other >> vec4(16u));
}

fn wide(low: u32, high: u32) -> Wide { return Wide(low, high); }
fn low_of(x: Wide) -> u32 { return x.x; }
fn high_of(x: Wide) -> u32 { return x.y; }

fn plus(x: Wide, y: Wide) -> Wide {
  let low = x.x + y.x;
  return Wide(low, x.y + y.y + u32(low < x.x));
}

fn times(x: u32, y: u32) -> Wide { return Wide(x * y, mulhi(x, y)); }

// s + x y
fn mac(s: Wide, x: u32, y: u32) -> Wide { return plus(s, times(x, y)); }

// Whether the sum of x and y was `sum` + 2^64.
fn carries(sum: Wide, x: Wide) -> bool { return sum.y < x.y || (sum.y == x.y && sum.x < x.x); }

fn wide4(low: vec4<u32>) -> Wide4 { return Wide4(low, vec4(0u)); }
fn low4(x: Wide4) -> vec4<u32> { return x.low; }
fn high4(x: Wide4) -> vec4<u32> { return x.high; }

// s + x y
fn mac4(s: Wide4, x: u32, y: vec4<u32>) -> Wide4 {
  let low = s.low + x * y;
  return Wide4(low, s.high + mulhi4(x, y) + vec4<u32>(low < s.low));
}

// s + x y for y < 2^16.
fn mac4_short(s: Wide4, x: u32, y: vec4<u32>) -> Wide4 {
  let high = ((x >> 16u) * y + (((x & 0xffffu) * y) >> vec4(16u))) >> vec4(16u);
  let low = s.low + x * y;
  return Wide4(low, s.high + high + vec4<u32>(low < s.low));
}
