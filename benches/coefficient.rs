//! Encrypted matrix products in BFV with coefficient packing: a table, or with `--json` an object a line. An argument keeps the shapes
//! that contain it (`128x768`), or a row (`#3 `).

use std::{process::ExitCode, time::Duration};

use cipherformer::{
    backend::cpu::Cpu,
    bench::{Ask, Measured, measure_coefficient, slowness, use_threads},
    bfv::Spec,
    matmul::coefficient::{Block, Encrypted, Output, Request, Shape},
};

const BUDGET: Duration = Duration::from_millis(500);

fn asks() -> Vec<Ask> {
    let n13 = |plain, shape, output, block: Option<(usize, usize, usize)>| Ask {
        spec: Spec::n13(plain),
        request: Request::new(shape).output(output),
        block: block.map(|(b, i, o)| Block::new(b, i, o)),
    };
    let (square, wide) = (Shape::new(128, 128, 128), Shape::new(128, 768, 768));
    let (up, down) = (Shape::new(128, 768, 3072), Shape::new(128, 3072, 768));
    let (cut, packed) = (Output::Cut, Output::Packed);
    let mut all = vec![
        n13(1 << 37, square, cut, None),
        n13(1 << 37, square, packed, None),
        n13(1 << 37, wide, cut, None),
        n13(1 << 37, wide, packed, None),
        n13(1 << 37, wide, cut, Some((128, 64, 1))),
        n13(1 << 37, wide, cut, Some((128, 8, 8))),
        n13(1 << 37, wide, packed, Some((128, 64, 1))),
        n13(1 << 37, up, packed, Some((128, 64, 1))),
        n13(1 << 37, down, packed, Some((128, 64, 1))),
        n13(1 << 59, wide, packed, Some((128, 64, 1))),
        n13(1 << 37, Shape::new(1, 768, 768), packed, None),
    ];
    // Four primes of 30 bits, as the literature's 120; small weights; the other operand encrypted; requests that share weights.
    let target = Ask {
        spec: Spec {
            primes: 4,
            digits: 4,
            ..Spec::n13(1 << 37)
        },
        ..n13(1 << 37, wide, packed, Some((128, 64, 1)))
    };
    all.push(Ask {
        request: target.request.headroom_bits(24),
        ..target.clone()
    });
    all.push(Ask {
        request: target.request.weight_bound(1 << 12),
        ..target.clone()
    });
    all.push(Ask {
        request: target.request.encrypted(Encrypted::Right),
        block: None,
        ..target.clone()
    });
    all.push(Ask {
        request: target.request.requests(4),
        ..target
    });
    all.push(n13(1 << 37, square, cut, None));
    if let Some(last) = all.last_mut() {
        last.request = last.request.encrypted(Encrypted::Both);
    }
    all.push(Ask {
        spec: Spec::n12(1 << 20),
        request: Request::new(Shape::new(128, 128, 128)).weight_bound(1 << 7),
        block: None,
    });
    all
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let json = arguments.iter().any(|a| a == "--json");
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let threads = std::env::var("RAYON_NUM_THREADS").ok();
    use_threads(threads.and_then(|t| t.parse().ok()).unwrap_or(1));
    let scale = slowness();
    if !json {
        println!("scale of this machine: {scale:?}; milliseconds, scaled ones in brackets");
        println!(
            "{:>14} {:>6} {:>12} {:>4} {:>5} {:>8} {:>16} {:>16} {:>16} {:>9} {:>9} {:>9} {:>6}",
            "m x k x n",
            "output",
            "block",
            "req",
            "log t",
            "log Q",
            "prepared",
            "on the fly",
            "prepare",
            "predicted",
            "KB up",
            "KB down",
            "error"
        );
    }
    for (number, ask) in asks().into_iter().enumerate() {
        let shape = format!("#{number} {}", ask.request.shape);
        if !wanted.is_empty() && !wanted.iter().any(|w| shape.contains(w.as_str())) {
            continue;
        }
        match measure_coefficient(Cpu::new(), &ask, BUDGET) {
            Ok(m) if json => match serde_json::to_string(&m) {
                Ok(line) => println!("{line}"),
                Err(error) => eprintln!("{shape}: {error}"),
            },
            Ok(m) => print(&m, scale),
            Err(error) => {
                eprintln!("{shape}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn print(m: &Measured, scale: Option<f64>) {
    let ms = |us: f64| match scale {
        Some(scale) => format!("{:.1} ({:.1})", us / 1e3, us / 1e3 / scale),
        None => format!("{:.1}", us / 1e3),
    };
    let [b, i, o] = m.block;
    println!(
        "{:>14} {:>6} {:>12} {:>4} {:>5.0} {:>8} {:>16} {:>16} {:>16} {:>9.1} {:>9} {:>9} {:>6}",
        format!("{}x{}x{}", m.m, m.k, m.n),
        m.packing.trim_start_matches("coefficient_"),
        format!("({b},{i},{o})"),
        m.batch,
        m.log2_t,
        format!("{:.0}>{:.0}", m.log2_q[0], m.log2_q[1]),
        ms(m.median_us),
        m.fly_us.map_or_else(String::new, ms),
        ms(m.prepare_us),
        m.planned_us / 1e3,
        m.bytes_up / 1000,
        m.bytes_down / 1000,
        m.max_error,
    );
}
