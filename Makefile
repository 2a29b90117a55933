# Sluice. `make help` lists the targets; every room adds its own in <room>/build.mk.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SECONDEXPANSION:
.DEFAULT_GOAL := all

B := build
CC ?= gcc
CLANG ?= clang
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -Iinclude -Ilib -I. -MMD -MP -march=x86-64-v2 $(EXTRA_CFLAGS)
LDFLAGS := $(EXTRA_LDFLAGS)
# Deferred: pkg-config may be missing until `make deps` ran.
DPDK_CFLAGS = $(filter-out -march=%,$(shell pkg-config --cflags libdpdk)) -mssse3
DPDK_LIBS = $(shell pkg-config --libs libdpdk)

PROGRAMS :=
UNIT_TESTS :=
RTL_TESTS :=
COSIM_TESTS :=
E2E_TESTS :=

-include lib/build.mk hw/build.mk hw/rtl/build.mk hw/sim/build.mk driver/build.mk host/dataplane/build.mk host/control/build.mk host/build.mk tools/build.mk tests/build.mk

all: $$(PROGRAMS) ## build every program

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

clean: ## remove the build folder
	rm -rf $(B)

help: ## this list
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 20

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all clean help
