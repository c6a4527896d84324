//! `gridmon-status graph`, from a file that rrdtool wrote: tests/fixtures/rrd/cpu.rrd.gz.

use std::fs::{self, read};
use std::io::Read;
use std::path::{Path, PathBuf};

use gridmon_testkit::sandbox::{Outcome, Sandbox};

use super::command;

const UUID: &str = "8d1d0b5e-6e0e-4f5e-9f0e-0a8d4b2c1f00";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rrd").join(name)
}

fn draw(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(&mut command(sandbox, &[&["graph"], arguments].concat()))
}

#[test]
fn a_graph_is_drawn_from_a_file_of_rrdtool() {
    let sandbox = Sandbox::new("small");
    let none = draw(&sandbox, &[UUID, "cpu", "1d", "-o", "cpu.png"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("[rrd] directory is not set"), "{none:?}");
    sandbox.config(&format!("[rrd]\ndirectory = {}", sandbox.path("rrd").display()));
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(&read(fixture("cpu.rrd.gz")).unwrap()[..]).read_to_end(&mut file).unwrap();
    fs::create_dir_all(sandbox.path("rrd").join(UUID)).unwrap();
    sandbox.write(&format!("rrd/{UUID}/cpu.rrd"), &file);
    for span in ["1d", "1w", "1m"] {
        // A part of the name is enough; a name that ends in .svg asks for SVG.
        let drawn = draw(&sandbox, &["8d1d0b5e", "cpu", span, "-o", "cpu.svg"]);
        assert_eq!((drawn.code, drawn.stderr.as_str()), (Some(0), ""), "{span}");
        let golden = fixture(&format!("graphs/cpu-{span}.svg"));
        assert_eq!(fs::read_to_string(sandbox.path("cpu.svg")).unwrap(), fs::read_to_string(golden).unwrap());
        if cfg!(feature = "png") {
            let drawn = draw(&sandbox, &[UUID, "cpu", span, "--output", "cpu.png"]);
            assert_eq!(drawn.code, Some(0), "{drawn:?}");
            assert!(
                read(sandbox.path("cpu.png")).unwrap() == read(fixture(&format!("graphs/cpu-{span}.png"))).unwrap()
            );
        }
    }
    for (arguments, said) in [
        ([UUID, "net", "1d"], format!("rrd/{UUID}/net.rrd does not exist")),
        (["nobody", "cpu", "1d"], "has no folder of \"nobody\"".into()),
    ] {
        let failed = draw(&sandbox, &arguments);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.stderr.contains(&said), "{failed:?}");
    }
    fs::create_dir(sandbox.path("rrd").join("8d1d0b5e-0000-4000-8000-000000000000")).unwrap();
    let two = draw(&sandbox, &["8d1d0b5e", "cpu", "1d"]);
    assert!(two.stderr.contains("\"8d1d0b5e\" fits 2 instances: give more of it"), "{two:?}");
}
