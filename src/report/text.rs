//! Numbers as people read them.

/// Bytes in decimal units, three digits.
pub fn bytes(n: usize) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
}

/// Seconds, to three digits.
pub fn seconds(s: f64) -> String {
    match s {
        s if s >= 99.5 => format!("{s:.0} s"),
        s if s >= 9.95 => format!("{s:.1} s"),
        s if s >= 0.995 => format!("{s:.2} s"),
        s => format!("{:.0} ms", s * 1000.0),
    }
}

/// Microseconds, to three digits, in the unit that suits them.
pub fn microseconds(us: f64) -> String {
    let (value, unit) = match us {
        us if us >= 999_500.0 => (us / 1e6, "s"),
        us if us >= 999.5 => (us / 1e3, "ms"),
        us => (us, "us"),
    };
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// A bar of up to `width` cells for a fraction of 1, in eighths of a cell.
pub fn bar(fraction: f64, width: usize) -> String {
    let eighths = (fraction.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let part = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8];
    let mut bar = "█".repeat(eighths / 8);
    if part != ' ' {
        bar.push(part);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(25_166_848), "25.2 MB");
        assert_eq!(bytes(251_668_480), "252 MB");
        assert_eq!(seconds(0.2198), "220 ms");
        assert_eq!(seconds(1.5), "1.50 s");
        assert_eq!(seconds(42.24), "42.2 s");
        assert_eq!(microseconds(9.084), "9.08 us");
        assert_eq!(microseconds(99.96), "100 us");
        assert_eq!(microseconds(12_345.0), "12.3 ms");
        assert_eq!(microseconds(2_500_000.0), "2.50 s");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.03125, 4), "▏");
        assert_eq!(bar(f64::NAN, 4), "");
    }
}
