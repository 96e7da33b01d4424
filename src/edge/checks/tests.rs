//! Machines as directories, and what is found on them.

use super::*;
use crate::edge::certificate::Validity;
use crate::edge::listen::LISTEN_BACKLOG;
use crate::edge::socket_buffer::Buffer;
use crate::tune::profile::{Profile, parse};
use std::path::Path;
use tempfile::TempDir;

/// A machine on which everything is as it should be, and a node that fits it.
struct Bench {
    root: TempDir,
    config: Config,
    cores: Vec<usize>,
    usable: Vec<usize>,
    clamps: Vec<Clamp>,
}

impl Bench {
    fn new() -> Self {
        let mut config = Config::default();
        config.listen.quic = ([127, 0, 0, 1], 7443).into();
        config.http.connections_max = 1000;
        let root = tempfile::tempdir().unwrap();
        let bench = Self { root, config, cores: vec![0, 1], usable: vec![0, 1, 2, 3], clamps: Vec::new() };
        bench
            .with("/proc/self/limits", &limits_file("4096", "8388608"))
            .with("/proc/self/cgroup", "0::/system.slice/uproar.service\n")
            .with("/sys/fs/cgroup/system.slice/uproar.service/cpu.max", "max 100000\n")
            .with("/proc/sys/net/core/netdev_max_backlog", "16384\n")
            .with("/proc/sys/net/core/somaxconn", &format!("{LISTEN_BACKLOG}\n"))
            .with("/sys/devices/system/cpu/online", "0-3\n")
            .with("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
            .with("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n")
            .with("/sys/devices/system/node/node0/cpulist", "0-3\n")
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn on(mut self, cores: &[usize]) -> Self {
        self.cores = cores.into();
        self
    }

    fn plan(&self) -> Plan<'_> {
        Plan { config: &self.config, cores: &self.cores, usable: &self.usable, clamps: &self.clamps }
    }

    fn gaps(&self) -> Vec<Gap> {
        gaps(&Machine::at(self.root.path()), &self.plan())
    }

    /// Gaps of the configuration, of `doubts` and of a certificate with this validity, at `NOW`.
    fn configuration_gaps(&self, doubts: &[Doubt], validity: Option<Validity>) -> Vec<Gap> {
        gaps_of_configuration(&Configured { config: &self.config, doubts, validity, now: NOW })
    }

    /// The only gap that the configuration has.
    fn configuration_gap(&self, validity: Option<Validity>) -> String {
        let gaps = self.configuration_gaps(&[], validity);
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        gaps[0].to_string()
    }

    /// The only gap there is.
    fn gap(&self) -> String {
        let gaps = self.gaps();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        gaps[0].to_string()
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// 2026-12-01.
const NOW: Duration = Duration::from_secs(1_796_083_200);

/// A certificate that began so many days ago and ends in so many; both may be negative.
fn valid(ago_days: i32, for_days: i32) -> Option<Validity> {
    let at = |days: i32| Duration::from_secs((NOW.as_secs() as i64 + i64::from(days) * 86_400) as u64);
    Some(Validity { begins: at(-ago_days), ends: at(for_days) })
}

fn limits_file(open_files: &str, memlock: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max processes             64103                64103                processes \n\
         Max open files            {open_files:<21}1048576              files     \n\
         Max locked memory         {memlock:<21}8388608              bytes     \n"
    )
}

#[test]
fn queues_are_asked_to_be_as_the_profile_makes_them() {
    let settings = parse(Profile::Edge.sysctl_file()).unwrap();
    let value =
        |name: &str| settings.iter().find(|setting| setting.name == name).unwrap().value.parse::<u64>().unwrap();
    assert_eq!(value("net.core.netdev_max_backlog"), network::NETDEV_BACKLOG);
    assert_eq!(value("net.core.somaxconn"), LISTEN_BACKLOG as u64);
}

#[test]
fn a_tuned_machine_and_one_that_shows_nothing_have_no_gaps() {
    assert_eq!(Bench::new().gaps(), []);
    let empty = Bench { root: tempfile::tempdir().unwrap(), ..Bench::new() };
    assert_eq!(empty.gaps(), [], "what a kernel does not show is passed over");
    let odd = Bench::new()
        .with("/proc/self/limits", &limits_file("unlimited", "unlimited"))
        .with("/proc/self/cgroup", "nonsense\n1:cpu\n0::\n")
        .with("/proc/sys/net/core/somaxconn", "many\n")
        .with("/sys/devices/system/node/node0/cpulist", "x-y\n");
    assert_eq!(odd.gaps(), []);
}

/// Every file that the checks read.
const FILES: [&str; 10] = [
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/proc/sys/net/core/netdev_max_backlog",
    "/proc/sys/net/core/somaxconn",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "/sys/devices/system/node/node0/cpulist",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/system.slice/uproar.service/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
];

#[test]
fn whatever_lies_in_the_place_of_a_file_of_the_kernel_is_passed_over() {
    let texts: [&[u8]; 8] = [
        b"",
        b"\n\n\n",
        b"-1 -1\n",
        b"99999999999999999999999 0\n",
        b"max max max\n",
        b"0::/../../..\n1:cpu:/\n::::\n",
        b"Max open files  -5\nMax locked memory\n",
        b"\xff\xfe\0\0",
    ];
    for file in FILES {
        let put = |put: &dyn Fn(&Path)| {
            let bench = Bench::new().on(&[0, 1, 0]).with(file, "");
            let path = bench.root.path().join(file.trim_start_matches('/'));
            std::fs::remove_file(&path).unwrap();
            put(&path);
            // Whether there is a gap is not the question: it neither panics nor waits.
            assert!(bench.gaps().len() <= CHECKS.len(), "{file}");
        };
        put(&|path| std::fs::create_dir(path).unwrap());
        put(&|path| std::os::unix::fs::symlink(path, path).unwrap());
        put(&|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
        put(&|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()));
        put(&|path| std::fs::File::create(path).unwrap().set_len(1 << 40).unwrap());
        texts.iter().for_each(|text| put(&|path| std::fs::write(path, text).unwrap()));
    }
}

#[test]
fn every_http_connection_needs_a_file() {
    // Two shards of 1000, 256 of the admin port, 32 for each shard, 64 for the process.
    let enough = Bench::new().with("/proc/self/limits", &limits_file("2384", "unlimited"));
    assert_eq!(enough.gaps(), []);
    let few = Bench::new().with("/proc/self/limits", &limits_file("2383", "unlimited"));
    assert_eq!(
        few.gap(),
        "open_files: 2 shards with 1000 HTTP connections need 2384 open files, and may have 2383; raise the hard limit with \
         `ulimit -Hn 2384` or LimitNOFILE=2384, or lower http.connections_max to 999"
    );
    let none = Bench::new().with("/proc/self/limits", &limits_file("100", "unlimited"));
    assert!(none.gap().ends_with("LimitNOFILE=2384"), "no number of connections would fit: {}", none.gap());
}

#[test]
fn the_rings_need_memory_that_stays() {
    let little = Bench::new().with("/proc/self/limits", &limits_file("4096", "65536"));
    assert!(little.gap().starts_with("memlock: 65536 bytes of memory may be locked"), "{}", little.gap());
}

#[test]
fn shards_want_cores_of_their_own() {
    let mut bench = Bench::new().on(&[0, 1, 0, 1]);
    bench.config.http.connections_max = 100;
    bench.usable = vec![0, 1];
    assert_eq!(
        bench.gap(),
        "shared_cores: 4 shards share cores 0-1 (2 of the machine's 4 are allowed); start with --shards 2, or allow more \
         cores (AllowedCPUs=, --cpuset-cpus)"
    );
}

#[test]
fn a_quota_stops_shards_whichever_group_above_has_it() {
    let own = Bench::new().with("/sys/fs/cgroup/system.slice/uproar.service/cpu.max", "150000 100000\n");
    assert_eq!(
        own.gap(),
        "cpu_quota: the control group may use the time of 1.5 cores, and 2 shards are stopped when it is used up; lift the \
         quota (CPUQuota=, --cpus, limits.cpu) to 2 cores, or altogether, or start with --shards 1"
    );
    let above = Bench::new().with("/sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n");
    assert!(above.gap().contains("the time of 0.5 cores"), "{}", above.gap());
    assert!(above.gap().ends_with("altogether"), "{}", above.gap());
    let root = Bench::new().with("/proc/self/cgroup", "0::/\n").with("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert!(root.gap().contains("the time of 1 cores"), "{}", root.gap());
    let enough = Bench::new().with("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_eq!(enough.gaps(), []);
}

#[test]
fn a_quota_of_the_older_hierarchy_is_seen() {
    let groups = "4:memory:/m\n2:cpu,cpuacct:/docker/7\n0::/\n";
    let old = Bench::new()
        .with("/proc/self/cgroup", groups)
        .with("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_quota_us", "100000\n")
        .with("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_period_us", "100000\n");
    assert!(old.gap().starts_with("cpu_quota: the control group may use the time of 1 cores"), "{}", old.gap());
    let unlimited = old.with("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_quota_us", "-1\n");
    assert_eq!(unlimited.gaps(), []);
}

#[test]
fn only_governors_of_the_shards_cores_matter() {
    let slow = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    let bench = Bench::new().with(slow, "schedutil\n");
    assert!(bench.gap().starts_with("governor: core 1 runs"), "{}", bench.gap());
    assert!(bench.gap().contains("governor schedutil, not performance; set it with `cpupower"), "{}", bench.gap());
    assert_eq!(Bench::new().with(slow, "powersave\n").on(&[0]).gaps(), []);
}

#[test]
fn cores_of_several_numa_nodes_are_named() {
    let two_nodes = |cores: &[usize]| {
        Bench::new()
            .with("/sys/devices/system/node/node0/cpulist", "0,2\n")
            .with("/sys/devices/system/node/node1/cpulist", "1,3\n")
            .on(cores)
    };
    assert_eq!(
        two_nodes(&[0, 1]).gap(),
        "numa: the shards' cores are on 2 NUMA nodes: core 0 of node 0, core 1 of node 1; keep the process on one node with \
         `taskset -c 1,3` or AllowedCPUs=1,3, and serve the others with processes and ports of their own"
    );
    assert_eq!(two_nodes(&[0, 2]).gaps(), []);
}

#[test]
fn short_queues_of_the_kernel_are_named_with_their_setting() {
    let backlog = Bench::new().with("/proc/sys/net/core/netdev_max_backlog", "1000\n");
    assert!(backlog.gap().starts_with("netdev_backlog: net.core.netdev_max_backlog is 1000:"), "{}", backlog.gap());
    assert!(backlog.gap().ends_with("`sysctl -w net.core.netdev_max_backlog=16384`"), "{}", backlog.gap());
    let listen = Bench::new().with("/proc/sys/net/core/somaxconn", "4096\n");
    assert!(listen.gap().starts_with("listen_backlog: net.core.somaxconn is 4096,"), "{}", listen.gap());
    assert!(listen.gap().ends_with("`sysctl -w net.core.somaxconn=65535`"), "{}", listen.gap());
    let mut clamped = Bench::new();
    clamped.clamps.extend(Clamp::of(Buffer::Receive, 8 << 20, 2 * 212_992));
    assert!(clamped.gap().starts_with("socket_buffers: socket.receive_buffer_bytes is 8388608"), "{}", clamped.gap());
    assert!(clamped.gap().contains("`sysctl -w net.core.rmem_max=8388608`"), "{}", clamped.gap());
}

#[test]
fn a_development_certificate_stays_on_the_developers_machine() {
    let mut bench = Bench::new();
    assert_eq!(bench.configuration_gaps(&[], None), []);
    bench.config.listen.quic = ([0, 0, 0, 0], 7443).into();
    let gap = bench.configuration_gap(valid(1, 12));
    assert!(gap.starts_with("certificate: QUIC listens on 0.0.0.0 with a development"), "{gap}");
    bench.config.quic.certificate = Some("c.pem".into());
    assert_eq!(bench.configuration_gaps(&[], None), [], "one that does not say when it is valid");
}

#[test]
fn a_certificate_is_looked_at_before_viewers_turn_away() {
    let mut bench = Bench::new();
    bench.config.quic.certificate = Some("/c.pem".into());
    for (ago_days, for_days) in [(1, 89), (60, 30), (360, 40), (1, 5), (4, 2), (0, 5000)] {
        assert_eq!(bench.configuration_gaps(&[], valid(ago_days, for_days)), [], "{ago_days} {for_days}");
    }
    for (ago_days, for_days, said) in [
        (90, 0, "the certificate /c.pem expired on 2026-12-01T00:00:00Z: no viewer can connect; renew it"),
        (90, -3, "expired on 2026-11-28T00:00:00Z"),
        (81, 9, "expires on 2026-12-10T00:00:00Z; after that no viewer can connect; renew it"),
        (700, 14, "expires on 2026-12-15T00:00:00Z"),
        (-1, 90, "is not valid before 2026-12-02T00:00:00Z, and by this machine's clock it is 2026-12-01"),
    ] {
        let gap = bench.configuration_gap(valid(ago_days, for_days));
        assert!(gap.starts_with("certificate_validity: ") && gap.contains(said), "{said}: {gap}");
    }
    let far = Validity { begins: NOW + DAY, ends: Duration::MAX };
    assert!(bench.configuration_gaps(&[], Some(far)).len() == 1);
    let never = Validity { begins: Duration::MAX, ends: Duration::MAX };
    assert!(bench.configuration_gap(Some(never)).contains("after the year 9999"));
}

#[test]
fn an_admin_port_for_everybody_is_named() {
    let mut bench = Bench::new();
    for address in ["0.0.0.0:9100", "[::]:9100", "[::ffff:0.0.0.0]:9100"] {
        bench.config.listen.admin = address.parse().unwrap();
        let gap = bench.configuration_gap(None);
        assert!(gap.starts_with("admin_open: ") && gap.contains("no authentication"), "{gap}");
    }
    for address in ["127.0.0.1:9100", "[::1]:9100", "10.1.2.3:9100"] {
        bench.config.listen.admin = address.parse().unwrap();
        assert_eq!(bench.configuration_gaps(&[], None), [], "{address}");
    }
}

#[test]
fn a_strict_node_is_told_all_gaps_at_once() {
    let bench = Bench::new()
        .with("/proc/sys/net/core/netdev_max_backlog", "1000\n")
        .with("/proc/sys/net/core/somaxconn", "128\n");
    assert_eq!(judge(bench.gaps(), Vec::new(), false).unwrap().len(), 2, "they are only warned of");
    let refused = judge(bench.gaps(), Vec::new(), true).unwrap_err();
    assert!(!refused.are_of_configuration());
    let doubts = [Doubt { check: "environment", found: "a name".into(), remedy: "unset it".into() }];
    let refused = judge(bench.gaps(), bench.configuration_gaps(&doubts, None), true).unwrap_err();
    assert!(refused.are_of_configuration());
    let text = refused.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[1].starts_with("  netdev_backlog: ") && lines[2].starts_with("  listen_backlog: "), "{text}");
    assert_eq!(lines[3], "  environment: a name; unset it");
    let fixed =
        bench.with("/proc/sys/net/core/netdev_max_backlog", "20000\n").with("/proc/sys/net/core/somaxconn", "65535\n");
    assert_eq!(judge(fixed.gaps(), fixed.configuration_gaps(&[], None), true), Ok(Vec::new()));
}

#[test]
fn every_name_is_published() {
    let mut worst = Bench::new()
        .with("/proc/self/limits", &limits_file("10", "10"))
        .with("/sys/fs/cgroup/cpu.max", "10000 100000\n")
        .with("/proc/sys/net/core/netdev_max_backlog", "1\n")
        .with("/proc/sys/net/core/somaxconn", "1\n")
        .with("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
        .with("/sys/devices/system/node/node0/cpulist", "0\n")
        .with("/sys/devices/system/node/node1/cpulist", "1\n")
        .on(&[0, 1, 0]);
    worst.clamps.extend(Clamp::of(Buffer::Send, 2, 2));
    let mut gaps = worst.gaps();
    assert_eq!(gaps.len(), CHECKS.len(), "every check has found something: {gaps:?}");
    worst.config.listen.quic = ([0, 0, 0, 0], 7443).into();
    worst.config.listen.admin = ([0, 0, 0, 0], 9100).into();
    gaps.extend(worst.configuration_gaps(&[], None));
    worst.config.quic.certificate = Some("c.pem".into());
    gaps.extend(worst.configuration_gaps(&[], valid(2, -1)));
    let published = include_str!("../../../docs/LOG.md");
    let of_values = ["environment", "streams_max", "idle_timeout"];
    for check in gaps.iter().map(Gap::check).chain(of_values) {
        assert!(published.contains(&format!("| `{check}` |")), "{check}");
    }
}
