//! The straight line through measured points.

/// Slope of the line that least squares fit through `points` of x and y; none where they do not have two different x.
pub(crate) fn least_squares(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let squares: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let products: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (squares > 0.0).then(|| products / squares)
}

/// Ends the bench if the arithmetic is wrong: benches have no tests of their own.
pub(crate) fn check() {
    let exact = least_squares(&[(0.0, 7.0), (1.0, 10.0), (5.0, 22.0)]).expect("three points");
    assert!((exact - 3.0).abs() < 1e-9, "points on a line: {exact}");
    // By hand: products 5.5, squares 5.
    let fitted = least_squares(&[(0.0, 0.0), (1.0, 2.0), (2.0, 1.0), (3.0, 4.0)]).expect("four points");
    assert!((fitted - 1.1).abs() < 1e-9, "points beside a line: {fitted}");
    assert!(least_squares(&[(2.0, 1.0), (2.0, 3.0)]).is_none(), "points above one another");
}
