# The commands of this repository. `make test` runs every test; docs/testing.md says what each proves.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.PHONY: build demo test test-all soak test-deps lint lint-deps bench fuzz picture

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

# The tests, with real servers if they are installed; then the tests that were skipped because one is missing, and the sum.
test: test-deps
	@mkdir -p target && rm -f $(GRIDMON_SKIPPED)
	cargo test --locked --no-fail-fast --features demo $(TESTS) 2>&1 | tee target/test.log
	@sort -u $(GRIDMON_SKIPPED) 2>/dev/null; \
	skipped=$$(sort -u $(GRIDMON_SKIPPED) 2>/dev/null | wc -l); \
	sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' target/test.log | \
	awk -v skipped=$$skipped '{ p += $$1; f += $$2 } END { printf "%d passed, %d failed, %d skipped\n", p - skipped, f, skipped }'

# The same, with HTCondor 25 as well as 23.9.
test-all: SUITES = trixie sid
test-all: TESTS = -- --include-ignored
test-all: test

# The long proofs of delivery and store: every pair of kills, a day without Carbon, 10,000 random faults, a million
# schedules on a simulated disk, 20,000 runs into the embedded store, 200 clients of cloud-monitor for a minute. Takes more
# than half an hour. GRIDMON_SEED repeats the faults of a seed.
soak: test-deps
	GRIDMON_SOAK=1 GRIDMON_SCHEDULES=1000000 cargo test --release --locked --test delivery_kills --test delivery_outage \
		--test soak --test spool_model --test embedded --test embedded_runs --test cloud_monitor -- --nocapture

# Installs the Debian packages of the servers and unpacks HTCondor; does nothing without root.
SUITES = trixie
test-deps:
	@tests/servers/install.sh $(SUITES)

# Takes the picture of the dashboard anew, docs/cloud-monitor.png.
picture: test-deps
	GRIDMON_PICTURE=1 cargo test --locked --test cloud_monitor_page screenshot -- --ignored

# All checks that run no test: format, lints, documentation, features, licences and versions of dependencies.
lint: lint-deps
	cargo fmt --check
	cargo clippy --locked --all-targets --features demo -- -D warnings
	cargo clippy --locked --no-default-features --features grid -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	cargo deny --offline check licenses bans sources

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
