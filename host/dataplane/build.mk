# The data plane: a library for the agent, and its unit tests.
DATAPLANE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/dataplane/*.c))
$(B)/host/dataplane/%.o: CFLAGS += $(DPDK_CFLAGS)
# What every packet runs; -O3 is worth 15 % here.
$(patsubst %,$(B)/host/dataplane/%.o,worker lifecycle session_table local_port): CFLAGS += -O3
$(B)/host/dataplane/libslu_dataplane.a: $(DATAPLANE_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^

# Tests that need a data plane share a fixture; the others need only their file.
DATAPLANE_LIBS = $(B)/host/dataplane/libslu_dataplane.a $(B)/lib/libslu.a
DATAPLANE_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_dataplane_*.c))
UNIT_TESTS += $(DATAPLANE_TESTS)
$(B)/tests/unit/dataplane_fixture.o $(DATAPLANE_TESTS:=.o): CFLAGS += $(DPDK_CFLAGS)
$(DATAPLANE_TESTS): %: %.o $(B)/tests/unit/dataplane_fixture.o $(DATAPLANE_LIBS)
	$(CC) $(LDFLAGS) $^ -o $@ $(DPDK_LIBS) -lcmocka

# bench-l4: the source is a driver, so it needs the driver headers.
L4_BENCH := $(B)/tests/bench/l4
$(L4_BENCH)/source.o: CFLAGS += -fPIC -DALLOW_INTERNAL_API -isystem $(B)/dpdk-src/include $(DPDK_CFLAGS)
$(L4_BENCH)/source.o: | $(B)/dpdk-src/version
$(L4_BENCH)/bench.o: CFLAGS += $(DPDK_CFLAGS)
$(L4_BENCH)/librte_net_l4source.so: $(L4_BENCH)/source.o
	$(CC) -shared -Wl,-z,nodelete -o $@ $^ $(LDFLAGS) $(DPDK_LIBS) -lrte_bus_vdev
$(L4_BENCH)/bench: $(L4_BENCH)/bench.o $(L4_BENCH)/source.o $(DATAPLANE_LIBS)
	$(CC) -o $@ $^ $(LDFLAGS) $(DPDK_LIBS) -lrte_bus_vdev

bench-l4: $(L4_BENCH)/bench $(L4_BENCH)/librte_net_l4source.so ## software path: ns a packet, connections a CPU second, bytes a session
	tests/bench/l4/run.py $(B)
.PHONY: bench-l4

UNIT_TESTS += $(B)/tests/unit/test_packet_lib
$(B)/tests/unit/test_packet_lib: $(B)/tests/unit/test_packet_lib.o $(B)/lib/libslu.a
	$(CC) $(LDFLAGS) $^ -o $@ -lcmocka

UNIT_TESTS += $(B)/tests/unit/test_tcp_options
$(B)/tests/unit/test_tcp_options: $(B)/tests/unit/test_tcp_options.o $(B)/lib/libslu.a
	$(CC) $(LDFLAGS) $^ -o $@ -lcmocka

# Compiled whole with the sanitizers, as tests/build.mk does for its own.
$(B)/tests/fuzz/fuzz_dataplane: tests/fuzz/fuzz_dataplane.c tests/unit/dataplane_fixture.c $(wildcard host/dataplane/*.c) \
		lib/checksum.c lib/packet_edit.c lib/maglev.c lib/tcp_options.c lib/proxy_v2.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) $(DPDK_CFLAGS) -o $@ $^ $(DPDK_LIBS) -lcmocka
FUZZERS += $(B)/tests/fuzz/fuzz_dataplane
$(B)/tests/fuzz/fuzz_sync_record: tests/fuzz/fuzz_sync_record.c tests/unit/dataplane_fixture.c $(wildcard host/dataplane/*.c) \
		lib/checksum.c lib/packet_edit.c lib/maglev.c lib/tcp_options.c lib/proxy_v2.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) $(DPDK_CFLAGS) -o $@ $^ $(DPDK_LIBS) -lcmocka
FUZZERS += $(B)/tests/fuzz/fuzz_sync_record
