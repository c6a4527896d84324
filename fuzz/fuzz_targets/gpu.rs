//! Reads what nvidia-smi prints: rows, XML, lists and columns. It may be refused; what is taken makes points that every sink can take.

#![no_main]

use gridmon::model::validate;
use gridmon::monitors::nodes::gpu_points;
use gridmon::sources::gpu::nvidia::Known;
use gridmon::sources::gpu::{Answer, mig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let told = Known::read(&text);
    let all = Known::all();
    let profiles = mig::parse_list(&text);
    assert!(profiles.len() <= text.len());
    let mut cards = mig::parse(&text).unwrap_or_default();
    let mut gpus: Vec<_> =
        text.lines().flat_map(|row| [all.parse(row), told.parse(row)]).flatten().map(|(gpu, _)| gpu).collect();
    for gpu in &mut gpus {
        gpu.slices = cards.remove(&gpu.bus).unwrap_or_default();
    }
    gpus.extend(cards.into_iter().map(|(bus, slices)| gridmon::sources::gpu::Gpu {
        bus,
        slices,
        ..Default::default()
    }));
    let points = gpu_points("h", 1_795_660_800_000_000_000, &Answer { gpus, is_whole: true, problems: Vec::new() });
    assert!(
        points.iter().all(|point| point.fields().all(|(_, value)| value.as_f64() >= 0.0 && value.as_f64().is_finite()))
    );
    let count = points.len();
    let (sound, dropped) = validate(points);
    assert_eq!(sound.len() + dropped.len(), count);
});
