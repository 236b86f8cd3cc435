// 64-bit sums where shaders have 64-bit integers. `wide32.wgsl` is the same in core WGSL.

alias Wide = u64;
alias Wide4 = vec4<u64>;

// floor(x y / 2^32)
fn mulhi(x: u32, y: u32) -> u32 { return u32((u64(x) * u64(y)) >> 32u); }

fn wide(low: u32, high: u32) -> Wide { return u64(low) | (u64(high) << 32u); }
fn low_of(x: Wide) -> u32 { return u32(x & 0xfffffffflu); }
fn high_of(x: Wide) -> u32 { return u32(x >> 32u); }

fn plus(x: Wide, y: Wide) -> Wide { return x + y; }
fn times(x: u32, y: u32) -> Wide { return u64(x) * u64(y); }

// s + x y
fn mac(s: Wide, x: u32, y: u32) -> Wide { return s + u64(x) * u64(y); }

// Whether the sum of x and y was `sum` + 2^64.
fn carries(sum: Wide, x: Wide) -> bool { return sum < x; }

fn wide4(low: vec4<u32>) -> Wide4 { return vec4<u64>(low); }
fn low4(x: Wide4) -> vec4<u32> { return vec4(low_of(x.x), low_of(x.y), low_of(x.z), low_of(x.w)); }
fn high4(x: Wide4) -> vec4<u32> { return vec4(high_of(x.x), high_of(x.y), high_of(x.z), high_of(x.w)); }

// s + x y
fn mac4(s: Wide4, x: u32, y: vec4<u32>) -> Wide4 { return s + vec4<u64>(u64(x)) * vec4<u64>(y); }

// s + x y for y < 2^16.
fn mac4_short(s: Wide4, x: u32, y: vec4<u32>) -> Wide4 { return mac4(s, x, y); }
