//! Reads an answer of PanDA and one of CRIC from outside, and joins them: they may be refused, and what is taken makes points
//! that every sink can take, the same ones in whatever order CRIC gives its records.

#![no_main]

use gridmon::model::{Point, validate};
use gridmon::monitors::panda::{PandaInput, points};
use gridmon::sources::cric::{self, Endpoint, Federation, Queue, Site};
use gridmon::sources::panda;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first line is PanDA's answer, the second one CRIC's; the same text stands for all of CRIC's topics.
    let (counts, topology) = data.iter().position(|byte| *byte == b'\n').map_or((data, data), |at| data.split_at(at));
    let counts = panda::parse(counts);
    let queues = cric::queues(topology).unwrap_or_default();
    let sites = cric::sites(topology).unwrap_or_default();
    let endpoints = cric::endpoints(topology).unwrap_or_default();
    let federations = cric::federations(topology).unwrap_or_default();
    let Ok(counts) = counts else { return };
    let mut topology = (queues, sites, endpoints, federations);
    let lines = lines_of(&counts, &topology);
    assert!(lines.len() <= counts.count());
    topology.0.reverse();
    topology.1.reverse();
    topology.2.reverse();
    topology.3.reverse();
    // Two records of one queue are CRIC's slip: then an order must decide.
    let mut names: Vec<_> = topology.0.iter().map(|queue| &queue.panda_resource).collect();
    names.sort();
    names.dedup();
    if names.len() == topology.0.len() {
        assert_eq!(lines_of(&counts, &topology).len(), lines.len());
    }
    for line in &lines {
        let point = Point::from_line(line).expect("its own line");
        assert_eq!(point.line(), *line);
        assert_eq!(point.tags().count(), 21, "{line}");
    }
});

type Topology = (Vec<Queue>, Vec<Site>, Vec<Endpoint>, Vec<Federation>);

fn lines_of(counts: &panda::Statistics, (queues, sites, endpoints, federations): &Topology) -> Vec<String> {
    let (now, time) = (1_717_245_462, 1_717_245_000_000_000_000);
    let benchmarks = &[];
    let (panda, queues) = (Some(counts), Some(queues.as_slice()));
    let collected = points(&PandaInput { now, time, panda, queues, sites, endpoints, federations, benchmarks });
    let (points, rejected) = validate(collected.points);
    assert!(points.len() + rejected.len() == counts.count());
    let mut lines: Vec<_> = points.iter().map(Point::line).collect();
    lines.sort();
    lines
}
