//! Lines and areas of plots, as the `d` of an SVG path.
//!
//! Pure, and small enough to be ours: colours, strokes and the dark theme are the style sheet's,
//! so that nothing here needs an inline style.

use std::fmt::Write as _;

/// The width and the height that every path is drawn in.
pub(crate) const WIDTH: f64 = 600.0;
pub(crate) const HEIGHT: f64 = 120.0;
/// Points of a line, at most: more are not seen.
const POINTS: usize = 120;
/// Slots that the width is for, at least; until there are as many only its right part is used.
const FEWEST: usize = 30;

/// Slots that make a point, and points that the width is for: a young gateway need not look like
/// one that did nothing for an hour.
pub(crate) fn scale(slots: usize) -> (usize, usize) {
    let shown = slots.max(FEWEST);
    let each = shown.div_ceil(POINTS);
    (each, shown.div_ceil(each))
}

/// Puts slots together, as [`scale`] says. The last group may be smaller, so that the newest slot
/// is always seen.
pub(crate) fn groups<T>(slots: &[T]) -> impl Iterator<Item = &[T]> {
    slots.chunks(scale(slots.len()).0)
}

/// A round number at or above all values: 1, 2 or 5 with zeros, never 0.
pub(crate) fn ceiling(values: impl IntoIterator<Item = f64>) -> f64 {
    let most = values.into_iter().fold(0.0, f64::max);
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter();
    let fits = |step: &f64| step * power >= most * (1.0 - 1e-9);
    step.clone().find(fits).unwrap_or(10.0) * power
}

/// A line through values, the newest at the right edge; `points` are as many as the whole width
/// has room for, and `top` is the value at the upper edge.
pub(crate) fn line(values: &[f64], points: usize, top: f64) -> String {
    let mut path = String::with_capacity(values.len() * 12);
    for (index, (x, y)) in placed(values, points, top).enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{x:.1} {y:.1}");
    }
    path
}

/// The same, with all that lies below it.
pub(crate) fn area(values: &[f64], points: usize, top: f64) -> String {
    let Some((first, _)) = placed(values, points, top).next() else {
        return String::new();
    };
    let mut path = line(values, points, top);
    let _ = write!(path, "L{WIDTH:.1} {HEIGHT:.1}L{first:.1} {HEIGHT:.1}Z");
    path
}

#[expect(clippy::cast_precision_loss, reason = "there are few points")]
fn placed(values: &[f64], points: usize, top: f64) -> impl Iterator<Item = (f64, f64)> {
    let step = WIDTH / points.saturating_sub(1).max(1) as f64;
    let count = values.len();
    values.iter().enumerate().map(move |(index, value)| {
        let x = WIDTH - step * (count - 1 - index) as f64;
        let part = (value / top).clamp(0.0, 1.0);
        (x.max(0.0), HEIGHT - part * HEIGHT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_is_at_the_right_and_the_greatest_at_the_top() {
        assert_eq!(
            line(&[0.0, 5.0, 10.0], 3, 10.0),
            "M0.0 120.0L300.0 60.0L600.0 0.0"
        );
        // What is not known yet is left out, and not zero.
        assert_eq!(line(&[10.0], 3, 10.0), "M600.0 0.0");
        assert_eq!(line(&[], 3, 10.0), "");
        assert_eq!(area(&[], 3, 10.0), "");
        assert_eq!(
            area(&[10.0, 10.0], 3, 10.0),
            "M300.0 0.0L600.0 0.0L600.0 120.0L300.0 120.0Z"
        );
    }

    #[test]
    fn a_scale_ends_with_a_round_number() {
        for (most, top) in [
            (0.0, 1.0),
            (0.3, 0.5),
            (1.0, 1.0),
            (1.1, 2.0),
            (49.0, 50.0),
            (51.0, 100.0),
        ] {
            let ceiling = ceiling([0.0, most]);
            assert!((ceiling - top).abs() < 1e-9, "{most}: {ceiling}");
        }
        assert!((ceiling([f64::NAN]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn few_points_are_left_of_many_slots() {
        let slots: Vec<_> = (0..360).collect();
        let groups: Vec<_> = groups(&slots).collect();
        assert_eq!(groups.len(), POINTS);
        assert_eq!(groups.last().and_then(|group| group.last()), Some(&359));
        assert_eq!(super::groups(&slots[..7]).count(), 7);
        let last = super::groups(&slots[..121]).last();
        assert_eq!(last.map(<[i32]>::len), Some(1));
        let scales = [0, 30, 120, 121, 360].map(scale);
        assert_eq!(scales, [(1, 30), (1, 30), (1, 120), (2, 61), (3, 120)]);
    }
}
