# The project's only command surface. `make up` needs Debian 12, root and Rust, `make test` Go as well; they install the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

EXAMPLE := examples/invoices
TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
RELEASE := target/$(TARGET)/release/howdah
HOWDAH := $(CURDIR)/$(RELEASE)
# As root no sudo is needed, and a fresh Debian has none.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the build links (a C compiler, libseccomp) and what the program runs (nft, mmdebstrap).
PACKAGES := build-essential pkg-config libseccomp-dev ca-certificates nftables mmdebstrap iproute2 procps
# What only the tests drive: a small root filesystem, a registry, an independent reader of images, Docker, HTTP clients,
# another machine's processor.
TEST_PACKAGES := git busybox-static docker-registry skopeo docker.io curl jq uidmap slirp4netns qemu-user-static openssl

# PHP's headers and library for howdah-php, and the extensions its tests use. PHP 8.4 is trixie's, unpacked and not installed.
PHP_PACKAGES := php8.2-dev libphp8.2-embed php8.2-opcache
PHP_TEST_PACKAGES := php8.2-mbstring php8.2-xml php8.2-sqlite3 php8.2-zip
# What the example needs when `howdah serve` serves it in the tests: its packages, its databases, PHP-FPM beside us, a browser.
PHP_TEST_PACKAGES += php8.2-cli php8.2-fpm php8.2-intl php8.2-pgsql php8.2-redis php-laravel-framework php-mockery phpunit composer \
	postgresql-15 redis-server chromium chromium-driver
# What PHP 8.4 needs of trixie to run its tests here, beside this machine's own libraries.
PHP84_ALONE := php8.4-common php8.4-mbstring php8.4-zip libc6 libgcc-s1 libstdc++6 zlib1g liblzma5 libxml2 libicu76 libssl3t64 libzstd1 \
	libpcre2-8-0 libsodium23 libargon2-1 libonig5 libzip5 libbz2-1.0
# Symfony 6.4 is trixie's, too.
SYMFONY_PACKAGES := $(addprefix php-symfony-,framework-bundle http-kernel http-foundation cache cache-contracts config \
	dependency-injection deprecation-contracts error-handler event-dispatcher event-dispatcher-contracts filesystem finder \
	routing runtime service-contracts var-dumper var-exporter) \
	$(addprefix php-psr-,container event-dispatcher log cache simple-cache)
# howdah-php links libphp, so it is dynamic, unlike everything else (.cargo/config.toml).
PHP_CARGO := RUSTFLAGS="-C target-feature=-crt-static" HOWDAH_PHP_VERSION=8.2 CARGO_TARGET_DIR=target/php/8.2 cargo

.PHONY: help deps deps-test deps-php php serve-tools h2spec build install up down test check deny buildkit conformance-record fuzz bench bench-serve frankenphp soak clean

help: ## Show the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## Install what building and running need
	@.ci/packages $(PACKAGES)

deps-test: deps
	@.ci/packages $(TEST_PACKAGES)

deps-php: deps
	@.ci/packages $(PHP_PACKAGES)
	@[ -e target/php/trixie/unpacked ] || .ci/packages-of trixie target/php/trixie $(subst 8.2,8.4,$(PHP_PACKAGES))

php: deps-php ## Build howdah-php, which runs PHP for `howdah serve`, into target/php
	$(PHP_CARGO) build --release --locked -p howdah-php
	install -m 755 target/php/8.2/$(TARGET)/release/howdah-php target/php/howdah-php8.2
	HOWDAH_PHP_ROOT=$(CURDIR)/target/php/trixie/root $(subst 8.2,8.4,$(PHP_CARGO)) build --release --locked -p howdah-php
	install -m 755 target/php/8.4/$(TARGET)/release/howdah-php target/php/howdah-php8.4
	install -D -m 755 -t $(dir $(RELEASE)) target/php/howdah-php8.2 target/php/howdah-php8.4

build: deps ## Build the release binary
	cargo build --release --locked -p howdah

install: build ## Install it as /usr/local/bin/howdah, and howdah-php beside it if it was built
	$(SUDO) install -m 755 $(RELEASE) $(wildcard target/php/howdah-php*) /usr/local/bin/

up: build ## Build the example's images and run its stack until healthy
	$(SUDO) $(HOWDAH) image bootstrap debian:bookworm-slim
	$(SUDO) $(HOWDAH) image bootstrap howdah
	cd $(EXAMPLE) && { [ -e .env ] || cp .env.example .env; } && $(SUDO) $(HOWDAH) up -d

down: ## Stop the example's stack; its volumes stay
	cd $(EXAMPLE) && $(SUDO) $(HOWDAH) down

SERVE_TOOLS := crates/howdah/tests/serve/tools

# h2spec and Pebble by their modules' checksums; Go's cache has them from the second time on.
serve-tools:
	@mkdir -p target/serve-tools
	go build -C $(SERVE_TOOLS) -ldflags '-s -w' -o $(CURDIR)/target/serve-tools/ tool

h2spec: deps-test php serve-tools ## Ask h2spec what it thinks of our HTTP/2, with TLS and without
	cargo test --locked -p howdah --test serve h2spec

test: deps-test php serve-tools ## Run every test: pure, command line, and end to end with real containers (root)
	@.ci/packages $(PHP_TEST_PACKAGES)
	@[ -e target/php/symfony/unpacked ] || .ci/packages-of trixie target/php/symfony $(SYMFONY_PACKAGES)
	@[ -e target/php/alone/unpacked ] || .ci/packages-of trixie target/php/alone $(subst 8.2,8.4,$(PHP_PACKAGES)) $(PHP84_ALONE)
	@ln -sf libphp8.4.so target/php/alone/root/usr/lib/libphp.so
	$(PHP_CARGO) test --release --locked -p howdah-php
	HOWDAH_PHP_ROOT=$(CURDIR)/target/php/alone/root $(subst 8.2,8.4,$(PHP_CARGO)) test --release --locked -p howdah-php
	cargo test --workspace --exclude howdah-php --locked

check: deps ## Formatting, lints, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --locked --document-private-items

# No part of check: installing it takes some minutes of two cores, where check itself takes fewer.
DENY := target/deny/bin/cargo-deny

$(DENY):
	cargo install --locked --root target/deny cargo-deny --version 0.20.2

deny: $(DENY) ## Licences, sources and doubles of the dependencies, by cargo-deny
	$(DENY) --locked check bans licenses sources

BUILDKIT := crates/howdah/tests/conformance/buildkit

buildkit: ## Build the pinned BuildKit into target/buildkit (needs Go)
	@mkdir -p target/buildkit
	go build -C $(BUILDKIT) -ldflags '-s -w' -o $(CURDIR)/target/buildkit/ tool

conformance-record: deps-test buildkit ## Ask BuildKit for the outcomes of the conformance cases; CASES=group::name for some
	@.ci/packages runc
	$(SUDO) cargo test --locked -p howdah --test conformance -- record $(CURDIR)/target/buildkit $(CASES)

FUZZ_SECONDS ?= 600

fuzz: deps ## Feed every parser with mutated inputs, each for FUZZ_SECONDS
	HOWDAH_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --locked -p howdah-dockerfile -p howdah-image -p howdah-compose -p howdah-caddyfile --test fuzz -- --nocapture
	HOWDAH_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --locked -p howdah-build --lib fuzz_ -- --nocapture

bench: deps-test buildkit ## Time builds beside BuildKit and buildah, in one run
	@.ci/packages runc buildah time
	$(SUDO) cargo bench --locked -p howdah --bench build -- $(CURDIR)/target/buildkit

BENCH_PACKAGES := nginx-light php8.2-fpm php8.2-cli php8.2-opcache php8.2-mbstring php8.2-pgsql php8.2-redis php8.2-igbinary
BENCH_PACKAGES += php-laravel-framework postgresql-15 redis-server wrk curl
FRANKENPHP := target/frankenphp/frankenphp

frankenphp: ## Build the pinned FrankenPHP, and a PHP for it, into target/frankenphp, for `make bench-serve` (needs Go; takes minutes)
	nice .ci/frankenphp target/frankenphp

# FrankenPHP takes part once `make frankenphp` has built it.
bench-serve: php ## Time `howdah serve` beside nginx + PHP-FPM, in one run
	@.ci/packages $(BENCH_PACKAGES)
	$(SUDO) cargo bench --locked -p howdah --bench serve -- $(CURDIR)/$(FRANKENPHP)

soak: deps-test php ## Kill, reload and drain a loaded server 1,000 times; a million requests
	HOWDAH_SOAK=1 cargo test --release --locked -p howdah --test serve -- soak --nocapture

clean: ## Remove what was built here (not the store in /var/lib/howdah)
	cargo clean
