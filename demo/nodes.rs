//! A day of a Slurm cluster that is made up: twelve nodes in three partitions. The file system of one fills up and one of its GPUs is
//! lost, another node is drained, and one has fallen silent. Pure: a function of the time, which the tests of the page have too.

/// When the day ends, in unix seconds, and what is between two of its moments.
#[derive(Clone, Copy)]
pub struct Day {
    /// Its last moment.
    pub last: i64,
    /// The seconds between two of them.
    pub step: i64,
    /// For how many seconds the silent node has been silent.
    pub silent: i64,
}

/// A node at one moment.
struct Node<'a> {
    host: &'a str,
    /// Tells its numbers from those of others.
    number: i64,
    gpus: i64,
    lost: Option<i64>,
    /// How full its scratch is, in percent.
    scratch: f64,
    time: i64,
    last: i64,
}

/// Returns the numbers of each node as line protocol.
pub fn lines(day: Day) -> Vec<String> {
    let mut lines = Vec::new();
    for time in moments(day) {
        let node = |host, number, gpus, scratch| Node { host, number, gpus, lost: None, scratch, time, last: day.last };
        let mut nodes = vec![node("gpu01", 1, 8, 61.0), node("gpu02", 2, 8, 58.0)];
        // It filled up over the day; the GPU went in the last hour.
        let filled = 97.2 - 16.0 * (day.last - time) as f64 / 86_400.0;
        let lost = Some(3).filter(|_| time > day.last - 3600);
        nodes.push(Node { lost, ..node("gpu03", 3, 8, filled) });
        let numbers = ["node11", "node12", "node13", "node14", "node15", "node16", "node17"];
        nodes.extend(numbers.into_iter().zip(11..).map(|(host, number)| node(host, number, 0, 40.0 + number as f64)));
        if time < day.last - day.silent {
            nodes.push(node("node18", 18, 0, 22.0));
        }
        for node in nodes {
            let own = node.own().into_iter().chain(node.parts());
            lines.extend(own.map(|line| format!("{line} {time}000000000")));
        }
    }
    lines
}

/// Returns the numbers of three partitions as line protocol.
pub fn partitions(day: Day) -> Vec<String> {
    let mut lines = Vec::new();
    for time in moments(day) {
        let half = (day.last - time) / 1800;
        lines.push(format!("slurm,cluster=hpc heartbeat=1i {time}000000000"));
        let all = [
            ("batch", [84, 21, 9, 3], 6420, 7488, 0, 0),
            ("gpu", [3, 8, 0, 1], 402, 768, 77, 96),
            ("long", [12, 4, 0, 0], 914, 1024, 0, 0),
        ];
        for (partition, [allocated, mixed, idle, out], alloc, total, gpus, all_gpus) in all {
            let nodes = allocated + mixed + idle + out;
            lines.push(format!(
                "slurm_partition,cluster=hpc,partition={partition},state=UP up=1i,nodes={nodes}i,nodes_allocated={allocated}i,nodes_mixed={mixed}i,\
                 nodes_idle={idle}i,nodes_out={out}i,nodes_down=0i,nodes_drain={out}i,cpus_alloc={alloc}i,cpus_total={total}i,cpus_free={}i,\
                 cpus_other=0i,gpus_alloc={gpus}i,gpus_total={all_gpus}i {time}000000000",
                total - alloc
            ));
            for (state, jobs) in [("running", 1312), ("pending", 4210)] {
                let jobs = jobs / 10 * (5 + (half * 7) % 5) / nodes;
                lines.push(format!(
                    "slurm_partition_jobs,cluster=hpc,partition={partition},state={state} jobs={jobs}i {time}000000000"
                ));
            }
        }
    }
    lines
}

/// Returns the moments of a day, the first one first.
fn moments(day: Day) -> impl Iterator<Item = i64> {
    (0..86_400 / day.step).rev().map(move |at| day.last - day.step * at)
}

impl Node<'_> {
    /// Returns a number that goes up and down within so many half hours, up to `most`.
    fn wave(&self, length: i64, most: f64) -> f64 {
        let half = (self.last - self.time) as f64 / 1800.0;
        let phase = (half * 7.0 + self.number as f64 * 5.0) / length as f64;
        most * (0.65 + 0.3 * phase.sin())
    }

    /// Returns the numbers that are of the whole node.
    fn own(&self) -> Vec<String> {
        let (host, busy) = (self.host, self.wave(30, 90.0));
        let (state, in_service) = if self.number == 14 { ("drained", 0) } else { ("mixed", 1) };
        vec![
            format!("service,grid=demo,host={host},program=qagent cpu_seconds={}", self.time % 100_000),
            format!("node_cpus,host={host} cpus=64i"),
            format!("node_cpu,host={host},cpu=total percent={busy}"),
            format!(
                "node_cpu_share,host={host} user={},nice={},system={},irq=0.1,softirq=0.4,steal=0.0,iowait={}",
                busy * 0.2,
                busy * 0.7,
                busy * 0.1,
                self.wave(9, 6.0)
            ),
            format!("node_load,host={host} load1={},load5=1.0,load15=1.0", busy * 0.64),
            format!(
                "node_memory,host={host} percent={},available=77000000000i,total=270000000000i",
                self.wave(40, 60.0)
            ),
            format!("node_swap,host={host} percent=1.25,used=200000000i,total=16000000000i"),
            format!(
                "node_net,host={host} bytes_recv_per_second={},bytes_sent_per_second={}",
                self.wave(11, 4.2e8),
                self.wave(17, 1.3e8)
            ),
            format!(
                "node_disk_io,host={host} read_bytes_per_second={},write_bytes_per_second={}",
                self.wave(13, 2.1e8),
                self.wave(5, 6.4e8)
            ),
            format!("slurm_node,cluster=hpc,host={host},state={state} in_service={in_service}i,cpus_alloc=3i"),
            format!("node_users,host={host} users=3i,sessions=4i"),
            format!("node_boot,host={host} boot_time={}.0", self.last - 41 * 86_400 - 3600),
        ]
    }

    /// Returns those of its disks, chips, GPUs and interfaces.
    fn parts(&self) -> Vec<String> {
        let host = self.host;
        let mut lines = Vec::new();
        for (mount, percent, total) in [("root", 41.0, 512), ("scratch", self.scratch, 7400), ("var", 33.0, 100)] {
            let used = percent * 1e7 * f64::from(total);
            let (used, total) = (used as i64, i64::from(total) * 1_000_000_000);
            lines.push(format!(
                "node_disk_mount,host={host},mount={mount} percent={percent},used={used}i,total={total}i"
            ));
        }
        let hot = 40.0 + self.wave(25, 30.0);
        lines.push(format!("node_temperature,host={host},chip=coretemp,label=package current={hot},critical=100.0"));
        for gpu in 0..self.gpus {
            let series = format!("gpu,host={host},bus=0000:{gpu}1:00.0");
            lines.push(match self.lost == Some(gpu) {
                true => format!("{series} lost=1i,asleep=0i"),
                false => format!(
                    "{series} lost=0i,asleep=0i,utilization_ratio={},memory_used_bytes={}i,memory_total_bytes=80000000000i,temperature_celsius={hot},power_watts=398.5",
                    self.wave(8 + gpu, 0.97),
                    self.wave(20, 78e9) as i64,
                ),
            });
        }
        if self.gpus > 0 {
            let lost = i64::from(self.lost.is_some());
            lines.push(format!("gpu_host,host={host} heartbeat=1i,cards={}i,lost={lost}i", self.gpus));
        }
        for (interface, up, speed) in [("eth0", 1, 10_000), ("ib0", 1, 200_000), ("eth1", 0, 0)] {
            lines.push(format!("node_net_link,host={host},interface={interface} isup={up}i,speed={speed}i,mtu=1500i"));
        }
        lines
    }
}
