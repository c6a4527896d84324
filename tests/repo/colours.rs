//! The colours of plots differ for everybody: any two of the eight lines by ΔE2000 10 at least, in light and dark, for normal sight
//! and for each kind of colour blindness (Machado, Oliveira and Fernandes 2009, severity 1).

use std::fs;
use std::path::Path;

type Triple = [f64; 3];

/// What protanopia, deuteranopia and tritanopia make of linear RGB.
const BLINDNESSES: [(&str, [Triple; 3]); 3] = [
    (
        "protanopia",
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
    ),
    (
        "deuteranopia",
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
    ),
    (
        "tritanopia",
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ),
];

fn times(matrix: &[Triple; 3], colour: Triple) -> Triple {
    matrix.map(|row| row.iter().zip(colour).map(|(a, b)| a * b).sum())
}

/// Linear RGB of `#0551a4`.
fn linear(hex: &str) -> Triple {
    let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
    [1, 3, 5].map(part).map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) })
}

/// CIE L*a*b* under D65.
fn lab(colour: Triple) -> Triple {
    const XYZ: [Triple; 3] = [
        [0.412_456_4, 0.357_576_1, 0.180_437_5],
        [0.212_672_9, 0.715_152_2, 0.072_175_0],
        [0.019_333_9, 0.119_192_0, 0.950_304_1],
    ];
    let [x, y, z] = times(&XYZ, colour.map(|part| part.clamp(0.0, 1.0)));
    let [x, y, z] = [x / 0.950_47, y, z / 1.088_83]
        .map(|part| if part > 216.0 / 24_389.0 { part.cbrt() } else { (24_389.0 / 27.0 * part + 16.0) / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The difference of two colours by CIEDE2000, after Sharma, Wu and Dalal 2005.
fn difference([l1, a1, b1]: Triple, [l2, a2, b2]: Triple) -> f64 {
    let mean_chroma = f64::midpoint(a1.hypot(b1), a2.hypot(b2));
    let ratio = |chroma: f64| (chroma.powi(7) / (chroma.powi(7) + 25_f64.powi(7))).sqrt();
    let stretch = 1.0 + 0.5 * (1.0 - ratio(mean_chroma));
    let (a1, a2) = (a1 * stretch, a2 * stretch);
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let is_grey = c1 * c2 == 0.0;
    let turn = match h2 - h1 {
        _ if is_grey => 0.0,
        turn if turn > 180.0 => turn - 360.0,
        turn if turn < -180.0 => turn + 360.0,
        turn => turn,
    };
    let mean_hue = match (h1 - h2).abs() {
        _ if is_grey => h1 + h2,
        apart if apart <= 180.0 => f64::midpoint(h1, h2),
        _ if h1 + h2 < 360.0 => f64::midpoint(h1, h2) + 180.0,
        _ => f64::midpoint(h1, h2) - 180.0,
    };
    let (mean_l, mean_c) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(mean_hue - 30.0) + 0.24 * cos(2.0 * mean_hue) + 0.32 * cos(3.0 * mean_hue + 6.0)
        - 0.2 * cos(4.0 * mean_hue - 63.0);
    let from_fifty = (mean_l - 50.0).powi(2);
    let of_l = (l2 - l1) / (1.0 + 0.015 * from_fifty / (20.0 + from_fifty).sqrt());
    let of_c = (c2 - c1) / (1.0 + 0.045 * mean_c);
    let of_h = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin() / (1.0 + 0.015 * mean_c * t);
    let rotation = 60.0 * (-((mean_hue - 275.0) / 25.0).powi(2)).exp();
    let crossed = -2.0 * ratio(mean_c) * rotation.to_radians().sin();
    (of_l.powi(2) + of_c.powi(2) + of_h.powi(2) + crossed * of_c * of_h).sqrt()
}

#[test]
fn the_difference_is_that_of_the_published_pairs() {
    for (one, other, expected) in [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        ([50.0, 2.5, 0.0], [50.0, 0.0, -2.5], 4.3065),
        ([22.7233, 20.0904, -46.6940], [23.0331, 14.9730, -42.5619], 2.0373),
        ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
    ] {
        assert!((difference(one, other) - expected).abs() < 1e-4, "{one:?} {other:?}: {}", difference(one, other));
    }
}

#[test]
fn any_two_of_the_eight_lines_differ_for_everybody() {
    let style = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/assets/style.css");
    let style = fs::read_to_string(style).unwrap();
    // The first declaration is for light, the others for dark.
    let colours = |line: usize| -> Vec<String> {
        style.split(&format!("--s{line}: ")).skip(1).map(|rest| rest[..7].to_string()).collect()
    };
    for (scheme, at) in [("light", 0), ("dark", 1)] {
        let lines: Vec<_> = (0..8).map(|line| linear(&colours(line)[at])).collect();
        let same = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        for (sight, matrix) in BLINDNESSES.into_iter().chain([("normal sight", same)]) {
            for one in 0..8 {
                for other in 0..one {
                    let [a, b] = [one, other].map(|line| lab(times(&matrix, lines[line])));
                    let difference = difference(a, b);
                    assert!(difference >= 10.0, "{scheme}, {sight}: lines {other} and {one} differ by {difference:.1}");
                }
            }
        }
    }
}
