//! Numbers as people read them: few digits, with their unit.
//!
//! Pure. Bytes are decimal, as storage is sold and as the configuration writes them.

/// A count with its thousands set apart: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes: `0 B`, `999 B`, `1.2 MB`, `350 GB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{} {unit}", short(value))
}

/// So many in a second: `0`, `0.3`, `12`, `1,200`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 999.5 {
        return count(whole(per_second));
    }
    short(per_second)
}

/// A part of one: `0 %`, `0.4 %`, `97.3 %`, `100 %`. Never rounded to all or nothing.
pub(crate) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent > 99.9 && percent < 100.0 {
        return "99.9 %".to_owned();
    }
    if percent > 0.0 && percent < 0.1 {
        return "0.1 %".to_owned();
    }
    format!("{} %", short(percent))
}

/// A short time: `3 ms`, `0.25 s`, `12 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.0995 {
        return format!("{} ms", short(seconds * 1000.0));
    }
    if seconds < 9.95 {
        return format!("{seconds:.2} s");
    }
    format!("{seconds:.0} s")
}

/// Money for bytes at a price for each 1000³ of them: `0.42`, `1,234`.
#[expect(clippy::cast_precision_loss, reason = "cents are shown")]
pub(crate) fn money(bytes: u64, per_gigabyte: f64) -> String {
    let amount = bytes as f64 / 1e9 * per_gigabyte;
    if amount >= 1000.0 {
        return count(whole(amount));
    }
    format!("{amount:.2}")
}

/// A part of a whole, from 0 to 1; 0 where there is no whole.
#[expect(clippy::cast_precision_loss, reason = "a part is not exact")]
pub(crate) fn part(of: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    of as f64 / whole as f64
}

/// The time below which this part of all times lie, from counts by class, as Prometheus estimates
/// it: evenly within a class, and the last bound for what lies above all bounds.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn quantile(part: f64, bounds: &[f64], counts: &[u32]) -> Option<f64> {
    let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if all == 0 {
        return None;
    }
    let rank = part * all as f64;
    let mut below = 0.0;
    for (class, count) in counts.iter().enumerate() {
        let count = f64::from(*count);
        if count > 0.0 && below + count >= rank {
            let Some(end) = bounds.get(class) else { break };
            let begin = if class == 0 { 0.0 } else { bounds[class - 1] };
            return Some(begin + (end - begin) * ((rank - below) / count));
        }
        below += count;
    }
    bounds.last().copied()
}

/// Three digits, and none behind the point that say nothing.
fn short(value: f64) -> String {
    let text = if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') {
        let text = text.trim_end_matches('0');
        return text.trim_end_matches('.').to_owned();
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and rounded before"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits_and_a_unit() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"].map(str::to_owned),
            [0, 999, 1000, 1_234_567].map(count)
        );
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1_234_000, "1.23 MB"),
            (999_999, "1 MB"),
            (350_400_000_000, "350 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(
            [0.0, 0.333, 12.0, 1200.4].map(rate),
            ["0", "0.33", "12", "1,200"]
        );
        assert_eq!(
            [0.0003, 0.0034, 0.25, 12.4].map(seconds),
            ["0.3 ms", "3.4 ms", "0.25 s", "12 s"]
        );
        assert_eq!(money(4_700_000_000, 0.09), "0.42");
        assert_eq!(money(47_000_000_000_000, 0.09), "4,230");
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(
            [0.0, 0.000_01, 0.5, 0.973, 0.999_99, 1.0].map(percent),
            ["0 %", "0.1 %", "50 %", "97.3 %", "99.9 %", "100 %"]
        );
        assert!(part(1, 0).abs() < f64::EPSILON);
    }

    #[test]
    fn quantiles_are_what_prometheus_says() {
        let bounds = [1.0, 2.0, 4.0];
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} {b}");
        near(quantile(0.5, &bounds, &[10, 0, 0, 0]), 0.5);
        near(quantile(0.95, &bounds, &[50, 50, 0, 0]), 1.9);
        near(quantile(0.99, &bounds, &[0, 0, 10, 90]), 4.0);
        near(quantile(0.5, &bounds, &[0, 0, 0, 1]), 4.0);
        assert_eq!(quantile(0.5, &bounds, &[0; 4]), None);
    }
}
