//! Contour lines on a grid, by marching squares
//! (<https://en.wikipedia.org/wiki/Marching_squares>).

use std::collections::BTreeMap;

use ndarray::ArrayView2;

/// An edge between two neighbours of the grid: row and column of the first,
/// and whether the second is below it instead of right of it.
type Edge = (usize, usize, bool);

/// Contour lines at `level`, as points (column, row) with fractions. Squares with a corner
/// that is not finite have none.
pub(super) fn contours(values: ArrayView2<'_, f64>, level: f64) -> Vec<Vec<(f64, f64)>> {
    let (rows, columns) = values.dim();
    // For each crossed edge, the crossed edges that it is joined with: at most one in
    // each of the two adjacent squares.
    let mut joined: BTreeMap<Edge, Vec<Edge>> = BTreeMap::new();
    for r in 0..rows.saturating_sub(1) {
        for c in 0..columns.saturating_sub(1) {
            let corners = [(r, c), (r, c + 1), (r + 1, c + 1), (r + 1, c)].map(|at| values[at]);
            if corners.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let edges = [(r, c, false), (r, c + 1, true), (r + 1, c, false), (r, c, true)];
            let above = corners.map(|v| v >= level);
            let crossed: Vec<usize> = (0..4).filter(|i| above[*i] != above[(i + 1) % 4]).collect();
            let center = corners.iter().map(|v| v / 4.0).sum::<f64>() >= level;
            let pairs: &[(usize, usize)] = match crossed[..] {
                [a, b] => &[(a, b)],
                // A saddle: the center decides which corners are connected.
                [_, _, _, _] if center == above[0] => &[(0, 1), (2, 3)],
                [_, _, _, _] => &[(3, 0), (1, 2)],
                _ => &[],
            };
            for (a, b) in pairs {
                joined.entry(edges[*a]).or_default().push(edges[*b]);
                joined.entry(edges[*b]).or_default().push(edges[*a]);
            }
        }
    }
    let crossing = |(r, c, down): Edge| {
        let (a, b) = (values[(r, c)], if down { values[(r + 1, c)] } else { values[(r, c + 1)] });
        let t = ((level - a) / (b - a)).clamp(0.0, 1.0);
        let (r, c) = (r as f64, c as f64);
        if down { (c, r + t) } else { (c + t, r) }
    };
    // Open lines from their ends first, then closed ones.
    let ends: Vec<Edge> = joined.iter().filter(|e| e.1.len() == 1).map(|e| *e.0).collect();
    let all: Vec<Edge> = joined.keys().copied().collect();
    let mut lines = vec![];
    for start in ends.into_iter().chain(all) {
        let mut line = vec![crossing(start)];
        let mut at = start;
        while let Some(next) = joined.get_mut(&at).and_then(Vec::pop) {
            if let Some(back) = joined.get_mut(&next)
                && let Some(i) = back.iter().position(|e| *e == at)
            {
                back.swap_remove(i);
            }
            line.push(crossing(next));
            at = next;
        }
        if line.len() > 1 {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::contours;

    #[test]
    fn circles_are_closed_and_round() {
        let bowl = Array2::from_shape_fn((41, 41), |(r, c)| {
            (r as f64 - 20.0).powi(2) + (c as f64 - 20.0).powi(2)
        });
        let lines = contours(bowl.view(), 100.0);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first(), lines[0].last());
        for (x, y) in &lines[0] {
            assert!(((x - 20.0).hypot(y - 20.0) - 10.0).abs() < 0.05, "{x} {y}");
        }
    }

    #[test]
    fn lines_end_at_the_border_and_at_nan() {
        let slope = |r: usize, c: usize| if (r, c) == (5, 5) { f64::NAN } else { c as f64 };
        let grid = Array2::from_shape_fn((11, 11), |(r, c)| slope(r, c));
        let lines = contours(grid.view(), 4.5);
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
        assert!(lines.iter().flatten().all(|p| p.0 == 4.5));
        assert!(contours(grid.view(), 99.0).is_empty());
        assert!(contours(Array2::zeros((1, 1)).view(), 0.0).is_empty());
    }
}
