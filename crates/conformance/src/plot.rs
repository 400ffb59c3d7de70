//! A histogram as lines of text and as a picture.

use std::fmt::Write;

/// Bars of a histogram.
const BARS: usize = 21;
/// Letters of the longest bar.
const WIDTH: usize = 40;

/// How often blocks came how far apart.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// The middle of the first bar and the step to the next, in milliseconds.
    begin_ms: f64,
    step_ms: f64,
    counts: [usize; BARS],
    /// Below the first and beyond the last bar.
    outside: usize,
    summary: String,
}

impl Histogram {
    /// Of intervals around a nominal one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the number of a bar"
    )]
    pub(crate) fn of(intervals_ms: &[f64], nominal_ms: f64) -> Self {
        let mut sorted = intervals_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let last = sorted.len().saturating_sub(1);
            sorted.get((last as f64 * part) as usize).copied().unwrap_or(nominal_ms)
        };
        // Wide enough for nearly all, and never narrower than a tenth of a period.
        let reach = (at(0.99) - nominal_ms).abs().max((at(0.01) - nominal_ms).abs());
        let reach = reach.max(nominal_ms * 0.05).min(nominal_ms * 4.0);
        let step_ms = reach * 2.0 / (BARS - 1) as f64;
        let begin_ms = nominal_ms - reach;
        let mut counts = [0; BARS];
        let mut outside = 0;
        for interval in intervals_ms {
            let bar = ((interval - begin_ms) / step_ms).round();
            if (0.0..BARS as f64).contains(&bar) {
                counts[bar as usize] += 1;
            } else {
                outside += 1;
            }
        }
        let summary = format!(
            "{} intervals around {nominal_ms:.3} ms: least {:.3}, median {:.3}, 99% below {:.3}, most {:.3} ms",
            sorted.len(),
            at(0.0),
            at(0.5),
            at(0.99),
            at(1.0)
        );
        Self { begin_ms, step_ms, counts, outside, summary }
    }

    fn most(&self) -> usize {
        self.counts.iter().copied().max().unwrap_or(0).max(1)
    }

    #[expect(clippy::cast_precision_loss, reason = "the number of a bar")]
    fn middle_ms(&self, bar: usize) -> f64 {
        self.begin_ms + self.step_ms * bar as f64
    }

    /// As text, a line for each bar.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.summary.clone()];
        for (bar, count) in self.counts.iter().enumerate() {
            let length = (count * WIDTH).div_ceil(self.most());
            lines.push(format!("{:9.3} ms {count:6} {}", self.middle_ms(bar), "#".repeat(length)));
        }
        if self.outside > 0 {
            lines.push(format!("{} intervals lie beyond", self.outside));
        }
        lines
    }

    /// As a picture.
    pub(crate) fn svg(&self) -> String {
        const BAR: usize = 24;
        const HEIGHT: usize = 240;
        let width = BARS * BAR + 40;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" font-family=\"sans-serif\" font-size=\"10\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"20\" y=\"16\">{}</text>\n",
            HEIGHT + 60,
            self.summary
        );
        for (bar, count) in self.counts.iter().enumerate() {
            let length = (count * HEIGHT).div_ceil(self.most());
            let (x, y) = (20 + bar * BAR, 24 + HEIGHT - length);
            // A write to a String does not fail.
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{length}\" fill=\"steelblue\"><title>{count}</title></rect>",
                BAR - 2
            );
            if bar % 4 == 0 {
                let _ = writeln!(
                    text,
                    "<text x=\"{x}\" y=\"{}\">{:.3} ms</text>",
                    HEIGHT + 40,
                    self.middle_ms(bar)
                );
            }
        }
        text.push_str("</svg>\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn every_interval_is_in_a_bar_or_counted_beyond() {
        let intervals: Vec<f64> = (0..1000).map(|n| 1.0 + f64::from(n % 7) * 0.01).collect();
        let mut all = intervals.clone();
        all.push(500.0);
        let histogram = Histogram::of(&all, 1.0);
        let inside: usize = histogram.counts.iter().sum();
        assert_eq!((inside, histogram.outside), (1000, 1));
        assert!(histogram.lines().iter().any(|line| line.contains("lie beyond")));
        assert_eq!(histogram.svg().matches("<rect").count(), 22);
    }
}
