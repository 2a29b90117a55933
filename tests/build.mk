# Fuzz targets: each is built with clang's fuzzer and sanitizers from the sources that it lists.
FUZZ_SECONDS ?= 20
FUZZ_CFLAGS = $(filter-out -O2 -MMD -MP,$(CFLAGS)) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined

$(B)/tests/fuzz/fuzz_config: tests/fuzz/fuzz_config.c $(wildcard host/config/*.c) host/control/ip.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^ -lyaml -ljansson
FUZZERS += $(B)/tests/fuzz/fuzz_config

$(B)/tests/fuzz/fuzz_tcp_options: tests/fuzz/fuzz_tcp_options.c lib/tcp_options.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^
FUZZERS += $(B)/tests/fuzz/fuzz_tcp_options

fuzz: $$(FUZZERS) ## parsers of bytes from outside, FUZZ_SECONDS each (20)
	@for fuzzer in $(FUZZERS); do tests/fuzz/run.sh $$fuzzer $(FUZZ_SECONDS); done
.PHONY: fuzz

# The judge of connections, for the laboratory (tests/lab/stamp).
STAMP_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lab/stamp/*.c) tests/lab/line.c)
$(B)/tests/lab/line.o $(STAMP_OBJS): CFLAGS += -D_GNU_SOURCE
$(B)/tests/lab/stamp/stamp: $(STAMP_OBJS)
	$(CC) $(LDFLAGS) $^ -o $@
PROGRAMS += $(B)/tests/lab/stamp/stamp

# Cables that can be made bad (tests/lab/wire).
WIRE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lab/wire/*.c))
$(WIRE_OBJS): CFLAGS += -D_GNU_SOURCE
$(B)/tests/lab/wire/wire: $(WIRE_OBJS) $(B)/tests/lab/line.o
	$(CC) $(LDFLAGS) $^ -o $@
PROGRAMS += $(B)/tests/lab/wire/wire

UNIT_TESTS += tests/unit/test_wire.sh
tests/unit/test_wire.sh: $(B)/tests/lab/wire/wire

UNIT_TESTS += tests/unit/test_stamp.py
tests/unit/test_stamp.py: $(B)/tests/lab/stamp/stamp

# The cluster's model against the agent's writer, this kernel's routes and the data plane's memory.
$(B)/tests/unit/sync_capacity: $(B)/tests/unit/sync_capacity.o $(B)/host/sync/codec.o
	$(CC) -o $@ $^ $(LDFLAGS)
UNIT_TESTS += tests/unit/test_cluster_model.py
tests/unit/test_cluster_model.py: $(B)/tests/unit/sync_capacity $(B)/tests/bench/l4/bench

# Random faults under stamped traffic (tests/chaos).
$(B)/tests/chaos/clock.so: tests/chaos/clock.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -fPIC -shared -o $@ $<
PROGRAMS += $(B)/tests/chaos/clock.so
chaos: $$(PROGRAMS) ## random faults of a cluster, nobody may be lost: DURATION_S=600 SEED=n SYNC=off (as root)
	@DURATION_S=$(or $(DURATION_S),600) SEED=$(SEED) SYNC=$(or $(SYNC),on) tests/chaos/run.sh
UNIT_TESTS += tests/unit/test_chaos.py
tests/unit/test_chaos.py: $(B)/tests/chaos/clock.so
.PHONY: chaos
