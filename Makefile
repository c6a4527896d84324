# What there is to do here. `make test` is the one command that runs every test; see README.md.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.PHONY: build demo test test-all soak test-deps lint lint-deps bench fuzz picture
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

# The tests, on real servers where they are installed; at the end the sum, and what was skipped for want of a server.
test: test-deps
	@mkdir -p target && rm -f $(GRIDMON_SKIPPED)
	cargo test --locked --no-fail-fast --features demo $(TESTS) 2>&1 | tee target/test.log
	@sort -u $(GRIDMON_SKIPPED) 2>/dev/null; \
	skipped=$$(sort -u $(GRIDMON_SKIPPED) 2>/dev/null | wc -l); \
	sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' target/test.log | \
	awk -v skipped=$$skipped '{ p += $$1; f += $$2 } END { printf "%d passed, %d failed, %d skipped\n", p - skipped, f, skipped }'

# The same with HTCondor 25 beside 23.9.
test-all: SUITES = trixie sid
test-all: TESTS = -- --include-ignored
test-all: test

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

# Everything that can be said without running: format, lints, docs, features, licences and versions of dependencies.
lint: lint-deps
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features demo -- -D warnings
	cargo clippy --locked --no-default-features --features grid -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
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
