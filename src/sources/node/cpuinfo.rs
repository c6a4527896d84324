//! /proc/cpuinfo: a paragraph for each CPU.
//!
//! ```text
//! processor : 0
//! cpu MHz : 2596.106
//! physical id : 0
//! cpu cores : 2
//! ```

/// What is used of a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// Its frequency, in MHz.
    pub mhz: Option<f64>,
    /// Its package.
    pub package: Option<u32>,
    /// The cores of its package.
    pub cores: Option<usize>,
}

/// Parses the file; empty if it names no CPU.
pub fn parse(text: &str) -> Vec<Cpu> {
    let mut cpus: Vec<Cpu> = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim_end(), value.trim());
        if name == "processor" {
            let number = value.parse().unwrap_or(cpus.len() as u32);
            cpus.push(Cpu { number, ..Cpu::default() });
            continue;
        }
        let Some(cpu) = cpus.last_mut() else { continue };
        match name {
            "cpu MHz" => cpu.mhz = value.parse().ok().filter(|mhz: &f64| mhz.is_finite() && *mhz >= 0.0),
            "physical id" => cpu.package = value.parse().ok(),
            "cpu cores" => cpu.cores = value.parse().ok(),
            _ => {}
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_a_cpu_and_other_machines_tell_less() {
        let text = "processor\t: 0\ncpu MHz\t\t: 2596.1\nphysical id\t: 0\ncpu cores\t: 2\n\nprocessor\t: 3\ncpu MHz : nan\nBogoMIPS: 5\n";
        let first = Cpu { number: 0, mhz: Some(2596.1), package: Some(0), cores: Some(2) };
        assert_eq!(parse(text), [first, Cpu { number: 3, ..Cpu::default() }]);
        assert!(parse("cpu MHz : 5\n\u{0}:").is_empty());
    }
}
