# The commands of this repository. `make test` runs every test; docs/testing.md says what each proves.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.PHONY: build demo test test-all style soak test-deps lint lint-deps bench fuzz manuals dist picture
# The soaks run one after another, also with -j.
.NOTPARALLEL:

export GRIDMON_SKIPPED := $(CURDIR)/target/skipped
# An operator's own setting must not change the tests.
unexport RUST_BACKTRACE

build:
	cargo build --release --locked

# Plays a day of a made-up grid through the real collect-grid into the embedded store; needs Rust and a C compiler. HOURS
# sets the number of hours, DEMO the folder for its files. POOL=real runs jobs in a real HTCondor pool instead, as root on
# Debian.
DEMO = target/demo
QUICK = --locked --profile quick --no-default-features --features demo
demo:
ifeq ($(POOL),real)
	@demo/real-pool.sh "$(DEMO)" $(QUICK)
else
	@cargo build $(QUICK)
	@cargo run --quiet $(QUICK) --bin gridmon-demo -- --folder "$(DEMO)" $(if $(HOURS),--hours $(HOURS))
endif

# The gate: format, lints, documentation and every set of features, then the tests, with real servers if they are installed.
# Prints at the end the ten slowest tests, the tests that were skipped because a server is missing, those that passed only
# when they ran again, alone, and the sum.
test: test-deps
	@mkdir -p target && rm -f $(GRIDMON_SKIPPED) $(UNSTEADY) target/test.log
	@$(MAKE) --no-print-directory style
	@status=0; \
	cargo test --locked --no-fail-fast --features $(TESTED) $(TIMED) --lib --bins --tests \
		-- -Zunstable-options --report-time $(TESTS) 2>&1 | tee target/test.log || \
		testkit/again.sh target/test.log $(UNSTEADY) cargo test --locked --features $(TESTED) || status=1; \
	cargo test --locked --features $(TESTED) --doc 2>&1 | tee -a target/test.log || status=$$?; \
	cargo test --locked --features $(TESTED),elasticsearch $(TIMED) --lib elastic:: \
		-- -Zunstable-options --report-time 2>&1 | tee -a target/test.log || status=$$?; \
	testkit/summary.sh target/test.log $(GRIDMON_SKIPPED) $(UNSTEADY); exit $$status

# The tests that failed beside others and passed alone.
UNSTEADY = target/unsteady

# What the tests are built with: the demo, and the manual pages that the packages need.
TESTED = demo,manuals

# Makes libtest print how long each test took. Stable Rust needs this variable for it; only the test programs see it, not
# the compiler.
TIMED = --config 'target."cfg(unix)".runner = ["env", "RUSTC_BOOTSTRAP=1"]'

# The same, with HTCondor 25 as well as 23.9, 300 power cuts, and packages that are built twice and installed. Takes at most an
# hour without the packages.
test-all: SUITES = trixie sid
test-all: TESTS = --include-ignored
test-all: test
	@$(MAKE) --no-print-directory soak-rrd

# Checks format, lints, every set of features and documentation; runs no test and installs nothing. One profile for all, so
# that a dependency is compiled once for all sets of features that agree on it.
CLIPPY = cargo clippy --quiet --locked
SINGLE_FEATURES = dashboard demo elasticsearch http mail manuals mysql pickles png qmaster
style:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || \
		{ echo 'make: rustfmt and clippy are missing: rustup component add rustfmt clippy' >&2; exit 1; }
	cargo fmt --all --check
	$(CLIPPY) --workspace --all-targets --features $(TESTED) -- -D warnings
	$(CLIPPY) -- -D warnings
	$(CLIPPY) --all-targets --no-default-features -- -D warnings
	@set -e; for feature in $(SINGLE_FEATURES); do \
		echo "$(CLIPPY) --no-default-features --features $$feature -- -D warnings"; \
		$(CLIPPY) --no-default-features --features $$feature -- -D warnings; \
	done
	$(CLIPPY) --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --workspace --no-deps --document-private-items --features $(TESTED)

# The long proofs of delivery and store, all or one by one. All take at most three hours. GRIDMON_SEED repeats the faults of a
# seed.
SOAKS = soak-kills soak-outage soak-faults soak-model soak-fan-in soak-store soak-rrd soak-writers soak-rollup soak-clients soak-nights soak-system
.PHONY: $(SOAKS)
SOAK = GRIDMON_SOAK=1 cargo test --release --locked
soak: $(SOAKS)

# Every pair of kills of a run and of the one after it.
soak-kills: test-deps
	$(SOAK) --test delivery kills:: -- --nocapture

# A day without Carbon.
soak-outage: test-deps
	$(SOAK) --test delivery outage:: -- --nocapture

# 10,000 random faults.
soak-faults: test-deps
	$(SOAK) --test delivery soak:: -- --nocapture

# A million schedules on a simulated disk.
soak-model:
	GRIDMON_SCHEDULES=1000000 $(SOAK) --test delivery spool_model:: -- --nocapture

# A hundred thousand schedules of qmaster's fan-in on the same disk.
soak-fan-in:
	GRIDMON_FAN_INS=100000 $(SOAK) --test delivery fan_in_model:: -- --nocapture

# The embedded store: what is written and read, and every kind of damage.
soak-store:
	$(SOAK) --test store embedded:: -- --nocapture

# A writer of files in rrdtool's format that is killed at every system call; built as for the gate.
soak-rrd: test-deps
	GRIDMON_SOAK=1 cargo test --locked --features $(TESTED) --test store rrd::kills -- --nocapture

# 20,000 runs into the embedded store.
soak-writers: test-deps
	$(SOAK) --test store runs:: -- --nocapture

# The roll-ups: a million folds of random points, and 20,000 histories on the embedded store.
soak-rollup:
	$(SOAK) --test store rollup:: -- --nocapture

# 200 clients of cloud-monitor for a minute.
soak-clients: test-deps
	$(SOAK) --test programs --test servers cloud_monitor:: -- --nocapture

# Ten years of nights of backups, a hundred times; incidents of queues and sites, and 20 quiet months.
soak-nights:
	GRIDMON_SOAK=1 cargo test --release --locked --lib simulation:: -- --nocapture

# 200 agents for an hour, through two masters behind a balancer into InfluxDB.
soak-system: test-deps
	$(SOAK) --test programs qmaster::balanced -- --nocapture

# Installs the Debian packages of the servers and unpacks HTCondor; does nothing without root.
SUITES = trixie
test-deps:
	@testkit/servers/install.sh $(SUITES)

# Writes the manual pages, and the completions for bash, zsh and fish, below target/manuals.
manuals:
	cargo build --quiet --locked --features $(TESTED)
	@set -e; for page in $(PROGRAMS:src/bin/%.rs=%); do \
		target/debug/$$page --manual target/manuals docs/$$page.md; \
	done
PROGRAMS = $(wildcard src/bin/*.rs)

# Builds the packages for Debian and RPM, the tarball and the list of their contents, in target/dist. Needs dpkg-deb, rpmbuild and
# pip; takes minutes, with CARGO_PROFILE_RELEASE_LTO=off fewer.
dist:
	dist/build.sh

# Takes the pictures of the dashboard anew, docs/*.png.
picture: test-deps
	GRIDMON_PICTURE=1 cargo test --locked --features $(TESTED) --test browser -- --ignored picture

# Checks licences, versions and sources of the dependencies, and what the gate checks without running a test.
lint: lint-deps style
	cargo deny --offline check licenses bans sources
	cargo deny --offline --all-features check --allow duplicate licenses bans sources

lint-deps:
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	@cargo fetch --locked --quiet

# Measures the figures of docs/performance.md, each beside its floor or peer.
bench: test-deps
	cargo bench --locked

# Runs each fuzz target for this many seconds.
SECONDS_EACH = 120
fuzz:
	fuzz/run.sh $(SECONDS_EACH)
