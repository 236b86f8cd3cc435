//! The committed image of the kernels.

use super::{at, nvrtc::Nvrtc, root, wheels};

/// Makes `kernels/ptx/kernels.ptx`, or compares with it (`--check`).
pub fn run(args: &[String]) -> Result<(), String> {
    let folder = wheels::IMAGE.folder()?.join("cuda_nvrtc/lib");
    let compiler = Nvrtc::open(&folder, "libnvrtc.so.12", "libnvrtc-builtins.so.12.4")?;
    let output = compiler.compile("compute_80")?;
    let ptx = String::from_utf8(output.image).map_err(|e| e.to_string())?;
    let ptx = compact(ptx.trim_end_matches('\0'));
    let path = root().join("kernels/ptx/kernels.ptx");
    let count = super::entries(&ptx).count();
    if args.iter().any(|a| a == "--check") {
        let have = std::fs::read_to_string(&path).map_err(at(path.display()))?;
        if have != ptx {
            let line = have.lines().zip(ptx.lines()).position(|(a, b)| a != b);
            let line = line.map_or("its end".to_owned(), |i| format!("line {}", i + 1));
            return Err(format!(
                "{} is stale, from {line} on; run `cargo xtask ptx` and commit it",
                path.display()
            ));
        }
        println!("{count} kernels, up to date");
    } else {
        std::fs::write(&path, ptx).map_err(at(path.display()))?;
        println!("{count} kernels written to {}", path.display());
    }
    Ok(())
}

/// The same statements without comments, indentation, and blanks after commas, a seventh of the text: every program has a copy of it.
fn compact(ptx: &str) -> String {
    let mut text = String::with_capacity(ptx.len());
    for line in ptx.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        if !words.is_empty() {
            text += &words.join(" ").replace(", ", ",");
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn statements_stay_in_their_order_and_lines() {
        let ptx = "//\n// Generated\n\n.version 8.4\n.visible .entry f(\n\t.param .u64 f_0 \n)\n{\n\tmad.lo.s32 \t%r1, %r2, 4, %r3; // sum\n}\n\n";
        let compacted =
            ".version 8.4\n.visible .entry f(\n.param .u64 f_0\n)\n{\nmad.lo.s32 %r1,%r2,4,%r3;\n}\n";
        assert_eq!(compact(ptx), compacted);
        assert_eq!(compact(compacted), compacted);
    }
}
