//! The static budget of the kernels: registers, stack, spills and instructions of the machine code, without a GPU.
//!
//! Registers may grow by 8, instructions by one in twenty, moves by five points of a hundred; stack, spills and local memory not at
//! all. Occupancy is what registers and shared memory, that of a launch included, allow of the warps of a multiprocessor; launches are the
//! largest that the shipped chains make.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use super::{
    at,
    launches::{self, Block},
    nvrtc::Nvrtc,
    root, wheels, workshop,
};

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];
const BUDGET: &str = "kernels/budget.json";

/// Properties of one kernel on one architecture.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Kernel {
    registers: u32,
    stack_bytes: u32,
    spill_bytes: u32,
    shared_bytes: u32,
    instructions: u32,
    /// Loads and stores of local memory.
    local: u32,
    /// Moves and selections, of a hundred instructions.
    moves_percent: u32,
    /// Threads of a block, and the shared memory that a launch adds for it.
    threads: u32,
    dynamic_bytes: u32,
    /// Resident warps, of a hundred.
    occupancy_percent: u32,
}

/// Threads of a block of a pointwise kernel.
const THREADS: u32 = 256;

type Table = BTreeMap<String, BTreeMap<String, Kernel>>;

/// Compares with the committed budget (`--check`), or replaces it.
pub fn run(args: &[String]) -> Result<(), String> {
    let folder = wheels::BUDGET.folder()?.join("cu13");
    let compiler = Nvrtc::open(&folder.join("lib"), "libnvrtc.so.13", "libnvrtc-builtins.so.13.0")?;
    let (launches, mut table) = (launches::largest()?, Table::new());
    for architecture in ARCHITECTURES {
        let output = compiler.compile(architecture)?;
        let cubin = workshop().join(format!("kernels.{architecture}.cubin"));
        std::fs::write(&cubin, &output.image).map_err(at(cubin.display()))?;
        let mut kernels = from_log(&output.log);
        count_instructions(&folder.join("bin/nvdisasm"), &cubin, &mut kernels)?;
        for (name, kernel) in &mut kernels {
            let Block {
                threads,
                shared_bytes,
            } = block(&launches, name);
            (kernel.threads, kernel.dynamic_bytes) = (threads, shared_bytes);
            kernel.occupancy_percent = occupancy(kernel);
        }
        table.insert(architecture.to_owned(), kernels);
    }
    print(&table);
    let path = root().join(BUDGET);
    if args.iter().any(|a| a == "--check") {
        let text = std::fs::read_to_string(&path).map_err(at(path.display()))?;
        let budget: Table = serde_json::from_str(&text).map_err(at(path.display()))?;
        let findings = compare(&table, &budget);
        if findings.is_empty() {
            println!("within the budget");
            return Ok(());
        }
        return Err(format!("over the budget of {BUDGET}:\n{}", findings.join("\n")));
    }
    let text = serde_json::to_string_pretty(&table).map_err(|e| e.to_string())?;
    std::fs::write(&path, text + "\n").map_err(at(path.display()))
}

/// The largest block of a kernel and of those that differ from it in a number alone (how many stages, which width): no shipped chain has a
/// ring of 2^17. Kernels that nothing launched have [`THREADS`] and no shared memory of a launch.
fn block(launches: &BTreeMap<&'static str, Block>, name: &str) -> Block {
    let family = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let own = launches.iter().filter(|(other, _)| family(other) == family(name));
    own.map(|(_, block)| *block).reduce(Block::max).unwrap_or(Block {
        threads: THREADS,
        shared_bytes: 0,
    })
}

/// What the assembler says of each kernel.
fn from_log(log: &str) -> BTreeMap<String, Kernel> {
    let mut kernels = BTreeMap::<String, Kernel>::new();
    let mut name = String::new();
    let before = |line: &str, unit: &str| -> u32 {
        let text = line.split(unit).next().unwrap_or("").trim_end();
        let digits = text.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        digits.parse().unwrap_or(0)
    };
    for line in log.lines() {
        if let Some(rest) = line.split("entry function '").nth(1) {
            name = rest.split('\'').next().unwrap_or("").to_owned();
            kernels.entry(name.clone()).or_default();
        }
        let Some(kernel) = kernels.get_mut(&name) else {
            continue;
        };
        if line.contains("bytes stack frame") {
            kernel.stack_bytes = before(line, " bytes stack frame");
            kernel.spill_bytes = before(line, " bytes spill stores") + before(line, " bytes spill loads");
        }
        if line.contains("Used ") {
            kernel.registers = before(line, " registers");
            kernel.shared_bytes = if line.contains(" bytes smem") {
                before(line, " bytes smem")
            } else {
                0
            };
        }
    }
    kernels
}

/// Counts by opcode in the disassembly.
fn count_instructions(
    disassembler: &Path,
    cubin: &Path,
    kernels: &mut BTreeMap<String, Kernel>,
) -> Result<(), String> {
    let output = Command::new(disassembler).arg("-c").arg(cubin).output();
    let output = output.map_err(at(disassembler.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut name, mut moves) = ("", BTreeMap::<String, u32>::new());
    for line in text.lines() {
        if let Some(section) = line.strip_prefix(".text.") {
            name = section.trim_end_matches(':');
        }
        let (Some(kernel), Some(opcode)) = (kernels.get_mut(name), opcode(line)) else {
            continue;
        };
        if opcode == "NOP" {
            continue;
        }
        kernel.instructions += 1;
        kernel.local += u32::from(opcode.starts_with("LDL") || opcode.starts_with("STL"));
        let stem = opcode.split('.').next().unwrap_or("");
        if ["MOV", "UMOV", "SEL", "PLOP3", "P2R"].contains(&stem) || opcode.starts_with("IMAD.MOV") {
            *moves.entry(name.to_owned()).or_default() += 1;
        }
    }
    for (name, kernel) in kernels {
        let moves = moves.get(name).copied().unwrap_or(0);
        kernel.moves_percent = 100 * moves / kernel.instructions.max(1);
    }
    Ok(())
}

/// The opcode of a line of disassembly: `/*0010*/ @P0 IMAD.WIDE R2, ...`.
fn opcode(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("/*")?;
    let (address, rest) = rest.split_once("*/")?;
    if address.len() < 4 || !address.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let first = words.next()?;
    let word = if first.starts_with('@') {
        words.next()?
    } else {
        first
    };
    Some(word.trim_end_matches(';'))
}

/// Warps that registers (65,536, in units of 256 a warp) and shared memory (164 KiB, of which each block takes 1 KiB more) leave room for,
/// of a hundred of the 64 that a multiprocessor can hold, in 32 blocks at most.
fn occupancy(kernel: &Kernel) -> u32 {
    let warps_a_block = kernel.threads.max(32) / 32;
    let registers_a_warp = (32 * kernel.registers.max(1)).next_multiple_of(256);
    let by_registers = 65_536 / registers_a_warp / warps_a_block;
    let shared = kernel.shared_bytes + kernel.dynamic_bytes + 1024;
    let by_shared = (164 << 10) / shared.next_multiple_of(128);
    let blocks = by_registers.min(by_shared).min(64 / warps_a_block).min(32);
    100 * blocks * warps_a_block / 64
}

fn print(table: &Table) {
    for (architecture, kernels) in table {
        println!(
            "{architecture:<22} {:>9} {:>6} {:>6} {:>7} {:>6} {:>6} {:>6} {:>10}",
            "registers", "stack", "spills", "shared", "sass", "local", "moves", "occupancy"
        );
        for (name, k) in kernels {
            println!(
                "{name:<22} {:>9} {:>6} {:>6} {:>7} {:>6} {:>6} {:>5}% {:>9}%",
                k.registers,
                k.stack_bytes,
                k.spill_bytes,
                k.shared_bytes,
                k.instructions,
                k.local,
                k.moves_percent,
                k.occupancy_percent
            );
        }
    }
}

/// What the kernels may not be, whatever the budget says, and where they exceed it.
fn compare(table: &Table, budget: &Table) -> Vec<String> {
    let mut findings = Vec::new();
    for (architecture, kernels) in table {
        let budget = budget.get(architecture);
        for (name, k) in kernels {
            let mut most = |what: &str, have: u32, most: u32| {
                if have > most {
                    findings.push(format!("  {architecture} {name}: {what} {have}, at most {most}"));
                }
            };
            most("stack bytes", k.stack_bytes, 0);
            most("spilled bytes", k.spill_bytes, 0);
            most("local accesses", k.local, 0);
            if name.contains("ntt") || name.starts_with("convert_outer") {
                most("registers of a transform", k.registers, 64);
            }
            most("idle warps, of a hundred,", 100 - k.occupancy_percent, 50);
            match budget.and_then(|b| b.get(name)) {
                Some(b) => {
                    most("registers", k.registers, b.registers + 8);
                    most(
                        "instructions",
                        k.instructions,
                        b.instructions + b.instructions.div_ceil(20),
                    );
                    most("moves, of a hundred,", k.moves_percent, b.moves_percent + 5);
                    most("shared bytes", k.shared_bytes, b.shared_bytes);
                }
                None => findings.push(format!(
                    "  {architecture} {name}: not in the budget; run `cargo xtask budget` and commit it"
                )),
            }
        }
    }
    findings
}
