//! Time and memory over the size, both axes logarithmic, as SVG.

use std::fmt::Write as _;

/// One line of each of the two diagrams.
pub(super) struct Line {
    pub(super) name: String,
    /// Size, seconds, megabytes; all above 0.
    pub(super) points: Vec<(f64, f64, f64)>,
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const COLORS: [&str; 6] = ["#0058ad", "#c02700", "#5b00c0", "#007f7f", "#ac6e00", "#a50053"];

/// Both diagrams side by side, with one legend.
pub(super) fn svg(lines: &[Line]) -> String {
    let width = 2.0 * (WIDTH + LEFT) + 30.0;
    let height = TOP + HEIGHT + 50.0 + 18.0 * lines.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    diagram(&mut text, lines, LEFT, "seconds", |point| point.1);
    diagram(&mut text, lines, 2.0 * LEFT + WIDTH, "MB at the peak", |point| point.2);
    for (number, line) in lines.iter().enumerate() {
        let y = TOP + HEIGHT + 46.0 + 18.0 * number as f64;
        let color = COLORS[number % COLORS.len()];
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y}h24\" stroke=\"{color}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\">{}</text>",
            LEFT + 32.0,
            y + 4.0,
            escaped(&line.name)
        );
    }
    text.push_str("</svg>\n");
    text
}

/// Powers of ten around some numbers; one decade at least.
fn decades(numbers: impl Iterator<Item = f64>) -> (i32, i32) {
    let logs: Vec<f64> = numbers.filter(|number| *number > 0.0).map(f64::log10).collect();
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if logs.is_empty() {
        return (0, 1);
    }
    let (low, high) = (low.floor() as i32, high.ceil() as i32);
    (low, high.max(low + 1))
}

fn diagram(text: &mut String, lines: &[Line], left: f64, title: &str, value: impl Fn(&(f64, f64, f64)) -> f64) {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (x_low, x_high) = decades(all().map(|point| point.0));
    let (y_low, y_high) = decades(all().map(&value));
    let x = |size: f64| left + (size.log10() - f64::from(x_low)) / f64::from(x_high - x_low) * WIDTH;
    let y = |number: f64| TOP + HEIGHT - (number.log10() - f64::from(y_low)) / f64::from(y_high - y_low) * HEIGHT;
    let _ =
        writeln!(text, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}, by transactions</text>", TOP - 14.0);
    for decade in x_low..=x_high {
        let at = x(10_f64.powi(decade));
        let _ = writeln!(
            text,
            "<path d=\"M{at:.1} {TOP}v{HEIGHT}\" stroke=\"#d9dee3\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">\
             10<tspan dy=\"-5\" font-size=\"9\">{decade}</tspan></text>",
            TOP + HEIGHT + 18.0
        );
    }
    for decade in y_low..=y_high {
        let at = y(10_f64.powi(decade));
        let _ = writeln!(
            text,
            "<path d=\"M{left} {at:.1}h{WIDTH}\" stroke=\"#d9dee3\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            10_f64.powi(decade)
        );
    }
    for (number, line) in lines.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let points: Vec<(f64, f64)> =
            line.points.iter().filter(|point| value(point) > 0.0).map(|point| (x(point.0), y(value(point)))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        if !path.is_empty() {
            let _ =
                writeln!(text, "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", path.join("L"));
        }
        for (x, y) in points {
            let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_within_the_diagrams() {
        let points = vec![(1e4, 0.02, 30.0), (1e5, 0.15, 45.0), (1e6, 1.1, 210.0)];
        let text =
            svg(&[Line { name: "a < b".to_owned(), points }, Line { name: "none".to_owned(), points: Vec::new() }]);
        assert_eq!(text.matches("<circle").count(), 6);
        assert!(text.contains("a &lt; b") && !text.contains("NaN") && !text.contains("inf"));
        let places: Vec<f64> =
            text.split("cx=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
        assert!(places.iter().all(|x| (LEFT..=2.0 * (LEFT + WIDTH)).contains(x)), "{places:?}");
        assert!(!svg(&[]).contains("NaN"));
    }

    #[test]
    fn decades_hold_all_numbers() {
        assert_eq!(decades([0.02, 1.1].into_iter()), (-2, 1));
        assert_eq!(decades([10.0].into_iter()), (1, 2));
        assert_eq!(decades([0.0].into_iter()), (0, 1));
    }
}
