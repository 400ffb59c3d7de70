//! The resampler's filter: a windowed sinc as piecewise cubics, so that it can be had at any fraction of a frame.
//!
//! Why these figures: `docs/resampling.md`.

/// Taps on each side of an output frame, in frames of the slower rate. The Kaiser window of [`BETA`] over 2 × 56 frames has a
/// transition of 0.093 of the slower rate: from 20 kHz at 44.1 kHz to where a 20 kHz tone has its first image.
const HALF_TAPS: usize = 56;
/// The Kaiser window's parameter for 157 dB of attenuation: 0.1102 · (157 − 8.7).
const BETA: f64 = 16.3;
/// Pieces that the filter has between two taps when the rate does not fall. A cubic over 1/64 of a frame misses a sinc by
/// less than −170 dB of its height.
const PIECES: usize = 64;
/// Taps come in groups of this many: what the rows add side by side.
pub(crate) const GROUP: usize = 16;

/// The filter's cubics, one row of taps a piece and power.
#[derive(Debug)]
pub(crate) struct Filter {
    rows: Box<[f64]>,
    taps: usize,
    piece_bits: u32,
}

impl Filter {
    /// The filter for `ratio` input frames an output frame.
    pub(crate) fn new(ratio: f64) -> Self {
        let slower = ratio.max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the ratio is checked by the resampler's constructor"
        )]
        let taps = ((2 * HALF_TAPS) as f64 * slower).ceil() as usize;
        let taps = taps.next_multiple_of(GROUP);
        // A filter stretched by the ratio bends by so much less.
        let mut piece_bits = PIECES.trailing_zeros();
        let mut stretch = slower;
        while stretch >= 2.0 && piece_bits > 2 {
            stretch /= 2.0;
            piece_bits -= 1;
        }
        let pieces = 1_usize << piece_bits;
        let half_width = HALF_TAPS as f64 * slower;
        let mut rows = vec![0.0; pieces * 4 * taps];
        for piece in 0..pieces {
            for tap in 0..taps {
                // Output frame at `taps / 2 - 1 + fraction` of the window.
                let at = |x: f64| {
                    let fraction = (piece as f64 + (x + 1.0) / 2.0) / pieces as f64;
                    let distance = tap as f64 - (taps / 2 - 1) as f64 - fraction;
                    windowed_sinc(distance, slower, half_width)
                };
                for (power, coefficient) in cubic(at).into_iter().enumerate() {
                    rows[(piece * 4 + power) * taps + tap] = coefficient;
                }
            }
        }
        Self { rows: rows.into(), taps, piece_bits }
    }

    /// Frames that the filter looks at.
    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    /// The four rows of the piece that holds a fraction of 2^-64 frames, and the place within the piece, −1 to 1.
    pub(crate) fn at(&self, fraction: u64) -> (&[f64], f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a few bits")]
        let piece = (fraction >> (64 - self.piece_bits)) as usize;
        let within = (fraction << self.piece_bits) >> 11;
        // 53 bits, as many as a float holds.
        let x = within as f64 * (2.0 / (1_u64 << 53) as f64) - 1.0;
        (&self.rows[piece * 4 * self.taps..][..4 * self.taps], x)
    }
}

fn windowed_sinc(distance: f64, slower: f64, half_width: f64) -> f64 {
    let place = distance / half_width;
    if place.abs() >= 1.0 {
        return 0.0;
    }
    let x = std::f64::consts::PI * distance / slower;
    let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
    sinc / slower * bessel_i0(BETA * (1.0 - place * place).sqrt()) / bessel_i0(BETA)
}

/// The modified Bessel function of order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-18 {
        term *= quarter / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// The cubic through the four Chebyshev points of (−1, 1): its coefficients, constant first.
fn cubic(at: impl Fn(f64) -> f64) -> [f64; 4] {
    let mut series = [0.0; 4];
    for n in 0_u32..4 {
        let angle = std::f64::consts::PI * (f64::from(n) + 0.5) / 4.0;
        let value = at(angle.cos());
        for (order, sum) in (0_u32..).zip(&mut series) {
            *sum += value * (f64::from(order) * angle).cos() * if order == 0 { 0.25 } else { 0.5 };
        }
    }
    let [a, b, c, d] = series;
    [a - c, b - 3.0 * d, 2.0 * c, 4.0 * d]
}
