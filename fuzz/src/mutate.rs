//! Mutations of the open form that keep its structure.

use crate::frame::{Frame, HEADER};

struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n.max(1)
    }
}

/// Where numbers are: the first bytes of a section hold counts, levels and scales.
const FIELDS: usize = 160;

const EXTREMES: [u64; 14] = [
    0,
    1,
    2,
    3,
    4,
    16,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 48,
    (1 << 48) + 1,
    u64::MAX,
    i64::MIN as u64,
    i64::MAX as u64,
];

/// Writes another number of 1, 2, 4 or 8 bytes somewhere in `bytes`.
fn renumber(random: &mut Random, bytes: &mut [u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
    let mut word = [0; 8];
    word[..width].copy_from_slice(&bytes[at..at + width]);
    let old = u64::from_le_bytes(word);
    let new = match random.below(6) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old << 1,
        3 => old >> 1,
        4 => old ^ (1 << random.below(64)),
        _ => EXTREMES[random.below(EXTREMES.len())],
    };
    bytes[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
}

/// Another list of sections.
fn rearrange(random: &mut Random, sections: &mut Vec<Vec<u8>>, donors: &[Frame]) {
    let (i, j) = (random.below(sections.len()), random.below(sections.len()));
    let donor = &donors[random.below(donors.len())].sections;
    let given = || donor.first().cloned().unwrap_or_default();
    if sections.is_empty() {
        sections.push(given());
        return;
    }
    let length = sections[i].len();
    match random.below(8) {
        0 => sections.swap(i, j),
        1 => drop(sections.remove(i)),
        2 => sections.insert(i, sections[j].clone()),
        3 => {
            let rest = sections[i].split_off(random.below(length + 1));
            sections.insert(i + 1, rest);
        }
        4 => {
            let moved = sections.remove(i);
            match sections.get_mut(i) {
                Some(next) => next.splice(..0, moved).for_each(drop),
                None => sections.push(moved),
            }
        }
        5 => sections[i].truncate(random.below(length + 1)),
        6 => {
            let part = sections[j][..random.below(sections[j].len().min(64) + 1)].to_vec();
            let at = random.below(length + 1);
            sections[i].splice(at..at, part).for_each(drop);
        }
        _ => sections[i] = given(),
    }
}

/// Another header field.
fn readdress(random: &mut Random, header: &mut [u8; HEADER], donors: &[Frame]) {
    let donor = &donors[random.below(donors.len())].header;
    match random.below(8) {
        0 => header[10] = (random.next() % 16) as u8,
        1 => header[8] = (random.next() % 4) as u8,
        2 => header[10..48].copy_from_slice(&donor[10..48]),
        3 => header[48..64].copy_from_slice(&donor[48..64]),
        4 => header[64..80].copy_from_slice(&donor[64..80]),
        5 => renumber(random, &mut header[80..]),
        6 => header[80..].fill(0),
        _ => renumber(random, header),
    }
}

/// Mutates the open form in `data[..size]` within `data`, and gives its new size. `bytes` is the fuzzer's own mutation of the
/// first so many bytes of a buffer; `donors` are valid frames that parts are taken from.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    seed: u32,
    donors: &[Frame],
    bytes: impl Fn(&mut [u8], usize) -> usize,
) -> usize {
    let random = &mut Random(u64::from(seed));
    let Some(mut frame) = Frame::from_open(&data[..size]) else {
        let donor = donors[random.below(donors.len())].to_open();
        let size = donor.len().min(data.len());
        data[..size].copy_from_slice(&donor[..size]);
        return size;
    };
    let sections = frame.sections.len();
    match random.below(10) {
        0 => return bytes(data, size),
        1 => readdress(random, &mut frame.header, donors),
        2 => rearrange(random, &mut frame.sections, donors),
        3..=6 if sections > 0 => {
            let section = match random.below(2) {
                0 => &mut frame.sections[0],
                _ => &mut frame.sections[random.below(sections)],
            };
            for _ in 0..1 + random.below(3) {
                let reach = section.len().min(FIELDS);
                renumber(random, &mut section[..reach]);
            }
        }
        _ if sections > 0 => {
            let section = &mut frame.sections[random.below(sections)];
            let length = section.len();
            section.resize(length + 64, 0);
            let length = bytes(section, length);
            section.truncate(length);
        }
        _ => rearrange(random, &mut frame.sections, donors),
    }
    let open = frame.to_open();
    let size = open.len().min(data.len());
    data[..size].copy_from_slice(&open[..size]);
    size
}
