# Session sync: datagrams, and the engine with its thread (a part of the agent, see host/build.mk).
SYNC_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/sync/*.c))
SYNC_LIBS := -levent_core -lcrypto -lpthread

$(B)/tests/unit/test_sync_codec: $(B)/tests/unit/test_sync_codec.o $(B)/host/sync/codec.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_sync_codec

# Writes and reads datagrams for tests that talk to other implementations.
$(B)/tests/lab/sync_datagram: $(B)/tests/lab/sync_datagram.o $(B)/host/sync/codec.o $(B)/host/control/ip.o
	$(CC) -o $@ $^ $(LDFLAGS)
PROGRAMS += $(B)/tests/lab/sync_datagram

# Several nodes in one process, against a data plane that only counts.
SYNC_TEST_OBJS := $(patsubst %,$(B)/tests/unit/%.o,sync_fake sync_network) $(SYNC_OBJS) $(B)/host/control/ip.o
$(B)/tests/unit/test_sync_engine: $(B)/tests/unit/test_sync_engine.o $(SYNC_TEST_OBJS)
	$(CC) -o $@ $^ $(LDFLAGS) $(SYNC_LIBS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_sync_engine

$(B)/tests/unit/test_sync_parts: $(B)/tests/unit/test_sync_parts.o $(patsubst %,$(B)/host/sync/%.o,replay history auth)
	$(CC) -o $@ $^ $(LDFLAGS) -lcrypto -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_sync_parts

# Compiled whole with the sanitizers, as tests/build.mk does for its own.
$(B)/tests/fuzz/fuzz_sync: tests/fuzz/fuzz_sync.c host/sync/codec.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^
FUZZERS += $(B)/tests/fuzz/fuzz_sync
$(B)/tests/fuzz/fuzz_sync_stream: tests/fuzz/fuzz_sync_stream.c tests/unit/sync_fake.c $(wildcard host/sync/*.c) host/control/ip.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^ $(SYNC_LIBS)
FUZZERS += $(B)/tests/fuzz/fuzz_sync_stream

# bench-sync: real data planes, fed by the source of bench-l4.
SYNC_BENCH := $(B)/tests/bench/sync/bench
SYNC_BENCH_OBJS := $(B)/tests/bench/sync/bench.o $(B)/tests/bench/l4/source.o $(B)/tests/unit/sync_network.o $(B)/host/log.o
$(B)/tests/bench/sync/bench.o $(B)/tests/bench/sync/api_count.o: CFLAGS += $(DPDK_CFLAGS)
$(SYNC_BENCH): $(SYNC_BENCH_OBJS) $(SYNC_OBJS) $(B)/tests/bench/sync/api_count.o $(B)/host/session_view.o $(B)/host/libslu_control.a $$(DATAPLANE_LIBS)
	$(CC) -o $@ $^ $(LDFLAGS) $(DPDK_LIBS) -lrte_bus_vdev $(CONTROL_LIBS) $(SYNC_LIBS)

bench-sync: $(SYNC_BENCH) $(B)/bin/sluicectl ## session sync: sessions a CPU second, latency, joining (as root)
	@$(SYNC_BENCH) $(B)/bin/sluicectl
.PHONY: bench-sync
