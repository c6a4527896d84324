# What there is to do here. `make test` is the one command that runs every test; see README.md.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.PHONY: build demo test test-all style soak test-deps lint lint-deps bench fuzz picture
# A soak has the machine for itself, also under -j.
.NOTPARALLEL:

export GRIDMON_SKIPPED := $(CURDIR)/target/skipped
# What the operator has set for his own runs must not reach the tests.
unexport RUST_BACKTRACE

build:
	cargo build --release --locked

# A day of a made-up grid through the real collect-grid into the embedded store, for anybody with a Rust toolchain; HOURS
# plays fewer or more hours, DEMO is the folder for its files. POOL=real runs jobs in a real HTCondor pool instead, as root
# on Debian.
DEMO = target/demo
QUICK = --locked --profile quick --no-default-features --features demo
demo:
ifeq ($(POOL),real)
	@demo/real-pool.sh "$(DEMO)" $(QUICK)
else
	@cargo build $(QUICK)
	@cargo run --quiet $(QUICK) --bin gridmon-demo -- --folder "$(DEMO)" $(if $(HOURS),--hours $(HOURS))
endif

# The gate. What can be said without running first: format, lints, docs, every set of features. Then the tests, on real
# servers where they are installed. At the end the ten slowest, what was skipped for want of a server, and the sum.
test: test-deps
	@mkdir -p target && rm -f $(GRIDMON_SKIPPED) target/test.log
	@$(MAKE) --no-print-directory style
	@status=0; \
	cargo test --locked --no-fail-fast --features demo $(TIMED) --lib --bins --tests \
		-- -Zunstable-options --report-time $(TESTS) 2>&1 | tee target/test.log || status=$$?; \
	cargo test --locked --features demo --doc 2>&1 | tee -a target/test.log || status=$$?; \
	testkit/summary.sh target/test.log $(GRIDMON_SKIPPED); exit $$status

# Lets the tests tell how long each took, which stable Rust has only behind this word. It is told to what runs, not to what
# compiles.
TIMED = --config 'target."cfg(unix)".runner = ["env", "RUSTC_BOOTSTRAP=1"]'

# The same with HTCondor 25 beside 23.9: at most an hour.
test-all: SUITES = trixie sid
test-all: TESTS = --include-ignored
test-all: test

# What can be said without running and without installing anything. All of it is checked with one profile, so that the
# dependencies are checked once for each set of features that they are needed with.
CLIPPY = cargo clippy --quiet --locked
SINGLE_FEATURES = dashboard demo grid http panda
style:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || \
		{ echo 'make: rustfmt and clippy are missing: rustup component add rustfmt clippy' >&2; exit 1; }
	cargo fmt --all --check
	$(CLIPPY) --workspace --all-targets --features demo -- -D warnings
	$(CLIPPY) -- -D warnings
	$(CLIPPY) --no-default-features -- -D warnings
	@set -e; for feature in $(SINGLE_FEATURES); do \
		echo "$(CLIPPY) --no-default-features --features $$feature -- -D warnings"; \
		$(CLIPPY) --no-default-features --features $$feature -- -D warnings; \
	done
	$(CLIPPY) --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --workspace --no-deps --document-private-items --features demo

# The proofs of delivery in their long forms, at most two hours in all; each by itself too. GRIDMON_SEED repeats the faults
# of a seed.
SOAKS = soak-kills soak-outage soak-faults soak-model soak-store soak-writers soak-clients
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

# The embedded store: what is written and read, and every kind of damage.
soak-store:
	$(SOAK) --test store embedded:: -- --nocapture

# 20,000 runs into the embedded store.
soak-writers: test-deps
	$(SOAK) --test store runs:: -- --nocapture

# 200 clients of cloud-monitor for a minute.
soak-clients: test-deps
	$(SOAK) --test programs --test servers cloud_monitor:: -- --nocapture

# The Debian packages of the servers, and HTCondor unpacked; as root, else nothing.
SUITES = trixie
test-deps:
	@testkit/servers/install.sh $(SUITES)

# The README's picture of the dashboard, taken anew.
picture: test-deps
	GRIDMON_PICTURE=1 cargo test --locked --test browser screenshot -- --ignored

# Licences, versions and sources of the dependencies, besides what the gate says of style.
lint: lint-deps style
	cargo deny --offline check licenses bans sources

lint-deps:
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	@cargo fetch --locked --quiet

# The figures of the README, each beside its floor or peer.
bench: test-deps
	cargo bench --locked

# Each fuzz target for this many seconds.
SECONDS_EACH = 120
fuzz:
	fuzz/run.sh $(SECONDS_EACH)
