# Sluice. `make help` lists the targets; every room adds its own in <room>/build.mk.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SECONDEXPANSION:
.DEFAULT_GOAL := all

B := build
VERSION ?= $(or $(shell git log -1 --format=0~%cd.%h --date=format:%Y%m%d 2>/dev/null),unknown)
CC := gcc
CLANG := clang
PYTHON := /usr/bin/python3
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -Iinclude -Ilib -I. -MMD -MP -march=x86-64-v2 $(EXTRA_CFLAGS)
LDFLAGS := $(EXTRA_LDFLAGS)
# Deferred: pkg-config may be missing until `make deps` ran.
DPDK_CFLAGS = $(filter-out -march=%,$(shell pkg-config --cflags libdpdk)) -mssse3
DPDK_LIBS = $(shell pkg-config --libs libdpdk)

PROGRAMS :=
UNIT_TESTS := tests/unit/test_run.sh
RTL_TESTS :=
COSIM_TESTS :=
E2E_TESTS := $(addprefix tests/e2e/,test_lab.sh test_etcd.sh test_cluster_limit.sh test_forward_plain.sh test_forward_card.sh test_health.sh test_malformed.sh test_stop.sh \
	test_client_address_plain.sh test_client_address_card.sh test_client_address_cluster.sh test_kill.sh test_outbound_plain.sh test_outbound_card.sh test_metering.sh \
	test_upgrade_plain.sh test_upgrade_card.sh test_upgrade.sh \
	test_cluster.sh test_cluster_faults.sh test_cluster_even.sh test_cluster_keepalived.sh test_cluster_outbound.sh test_cluster_metering.sh test_chaos.sh test_ipvs_interop.sh test_ipvs_switch.sh test_l7_smuggling.py)
# For `make lint`: targets of the rooms; include options and generated files that their C code needs.
LINTS :=
LINT_INCLUDES :=
LINT_NEEDS :=

# A makefile that is out of date is made before anything else: so every target finds the packages installed.
ifneq ($(filter-out help clean deps,$(or $(MAKECMDGOALS),all)),)
include $(B)/deps.mk
endif
$(B)/deps.mk: tools/packages.txt tools/deps.sh
	@tools/deps.sh
	@mkdir -p $(@D) && touch $@

ROOMS := lib hw hw/rtl hw/sim driver host/dataplane host/control host l7 tools tests
FRAGMENTS := $(wildcard $(ROOMS:%=%/build.mk))
include $(FRAGMENTS) $(filter-out $(FRAGMENTS),$(wildcard */build.mk */*/build.mk))

all: $$(PROGRAMS) ## build every program

deps: ## install the packages that are missing (apt-get, as root); starts no service
	@tools/deps.sh

TESTS_RUN := tests/run --log $(B)/tests/log

test: $$(PROGRAMS) $$(UNIT_TESTS) $$(RTL_TESTS) $$(COSIM_TESTS) ## every test; ends with: N passed, N failed
	@$(TESTS_RUN) $(UNIT_TESTS:%=unit:%) $(RTL_TESTS:%=rtl:%) $(COSIM_TESTS:%=cosim:%) $(E2E_TESTS:%=e2e:%)

unit: $$(UNIT_TESTS) ## tests of the C code, a program each
	@$(TESTS_RUN) $(UNIT_TESTS:%=unit:%)

rtl: $$(RTL_TESTS) ## benches of the RTL modules
	@$(TESTS_RUN) $(RTL_TESTS:%=rtl:%)

cosim: $$(COSIM_TESTS) ## the agent's rewrite against the card's
	@$(TESTS_RUN) $(COSIM_TESTS:%=cosim:%)

e2e: $$(PROGRAMS) ## whole programs in network namespaces (as root)
	@$(TESTS_RUN) $(E2E_TESTS:%=e2e:%)

demo: $$(PROGRAMS) ## client, balancer, three backends in namespaces; the agent killed in mid-download (as root)
	@tools/demo.sh

bench: bench-nic bench-l4 bench-sync ## all measurements: name value unit

gen: ## write what is generated and committed (hw/regs)
	@tools/gen.sh

# -- make check --
CHECK_FOLDERS := include lib hw driver host keyserver l7 tools tests
C_SOURCES = $(shell find $(CHECK_FOLDERS) -name '*.c' | sort)
C_HEADERS = $(shell find $(CHECK_FOLDERS) -name '*.h' -not -path 'tests/rtl/*' | sort) # those are C++
# Generated files keep the layout of their generator.
FORMATTED = $(filter-out include/sluice/nic_regs.h,$(C_SOURCES) $(C_HEADERS))
SCRIPTS = .ci/run $(shell find $(CHECK_FOLDERS) -name '*.sh' | sort)

format: ## lay out the C code by .clang-format
	@clang-format -i $(FORMATTED)

check: check-format check-files check-direction check-generated lint ## layout, lint, dependency direction, generated files
	@echo "check: clean"

check-format:
	@clang-format --dry-run -Werror $(FORMATTED)

check-files:
	@tools/check_files.sh

check-direction:
	@tools/check_deps.py

check-generated:
	@tools/gen.sh --check

lint: lint-clang lint-cppcheck lint-scripts $$(LINTS) ## clang, cppcheck, shellcheck, Verilator

# Every C file must please clang as well as gcc; one that did is looked at again when it or a header of it changes.
LINT_OKS = $(patsubst %,$(B)/lint/%.ok,$(C_SOURCES))
lint-clang: $$(LINT_OKS)
LINT_CFLAGS = $(filter-out -MMD -MP,$(CFLAGS)) $(DPDK_CFLAGS) $(LINT_INCLUDES) -D_GNU_SOURCE -Wno-macro-redefined \
	-DALLOW_INTERNAL_API -DALLOW_EXPERIMENTAL_API -DSLU_NIC_MODEL_BUCKET_BITS=$(NIC_BUCKET_BITS) \
	-DSLU_NIC_MODEL_FLOW_ID_BITS=$(NIC_FLOW_ID_BITS) -DSLUICE_NIC='"sluice-nic"'
$(B)/lint/%.c.ok: %.c | $$(LINT_NEEDS)
	@mkdir -p $(@D)
	@$(CLANG) $(LINT_CFLAGS) -MD -MP -MT $@ -MF $(@:.ok=.d) -fsyntax-only $<
	@touch $@

lint-cppcheck:
	@mkdir -p $(B)/lint/cppcheck
	@cppcheck --quiet --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --std=c11 -j2 \
		--cppcheck-build-dir=$(B)/lint/cppcheck --suppressions-list=tools/cppcheck.txt \
		--include=tools/cppcheck.h -Iinclude -Ilib -I. \
		$(filter-out tests/%,$(C_SOURCES))

lint-scripts:
	@shellcheck -S warning -x -P tests/lab $(SCRIPTS)

PREFIX ?= /usr/local
install: $$(PROGRAMS) ## into PREFIX (/usr/local), below DESTDIR
	@for program in $(filter $(B)/bin/%,$(PROGRAMS)); do install -D -m 755 $$program $(DESTDIR)$(PREFIX)/bin/$${program##*/}; done
	@for plugin in $(filter $(B)/lib/%,$(PROGRAMS)); do install -D -m 755 $$plugin $(DESTDIR)$(PREFIX)/lib/$${plugin##*/}; done

package: ## a Debian package in the build folder
	@rm -rf $(B)/package
	@$(MAKE) --no-print-directory install DESTDIR=$(B)/package PREFIX=/usr
	@tools/package.sh $(B)/package $(B) "$(VERSION)"

coverage: ## lines of the C code that the unit tests run
	@$(MAKE) --no-print-directory B=$(B)/coverage EXTRA_CFLAGS="--coverage -Og -Wno-error" EXTRA_LDFLAGS=--coverage unit
	@tools/coverage.py $(B)/coverage

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

clean: ## remove the build folder
	rm -rf $(B)

help: ## this list
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 20

include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: FORCE all deps demo bench test unit rtl cosim e2e gen format check check-format check-files check-direction check-generated
.PHONY: lint lint-clang lint-cppcheck lint-scripts install package coverage clean help
